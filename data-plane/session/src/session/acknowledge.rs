//! Messages and their acknowledgements, in both directions: what is answered to what, and in which order.

use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{PacketId, Publish, encode};

use super::Session;
use super::attached::PubRecAnswer;
use super::gates::Effect;
use crate::exchanges::{Acknowledgement, Exchanges, OWED_MAX};
use crate::lasting::Part;
use crate::sink::{Accepted, Sink};

// --- messages of the client ---
impl Session {
    #[inline]
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>, sink: &mut impl Sink) {
        match (publish.qos, publish.packet_id) {
            (Qos::AtMostOnce, _) => {
                if let Err(refusal) = sink.publish(publish) {
                    sink.refused(refusal);
                }
            }
            (Qos::AtLeastOnce, Some(packet_id)) => match sink.publish(publish) {
                Ok(Accepted::Now) if self.exchanges.is_none() => encode::puback(sink.output(), packet_id),
                Ok(accepted) => self.acknowledge(packet_id, Acknowledgement::Ack, accepted, sink),
                // PUBACK has no word for a refusal in 3.1.1, and saying nothing would leave the client waiting
                // [MQTT-3.3.5-2].
                Err(refusal) => self.refuse(refusal, sink),
            },
            (Qos::ExactlyOnce, Some(packet_id)) => self.on_publish_exactly_once(publish, packet_id, sink),
            (Qos::AtLeastOnce | Qos::ExactlyOnce, None) => self.refuse(Refusal::MalformedPacket, sink),
        }
    }

    /// Until it is released, a packet identifier stands for one message, which is not handed on again [MQTT-4.3.3-2].
    fn on_publish_exactly_once(&mut self, publish: &Publish<'_>, packet_id: PacketId, sink: &mut impl Sink) {
        let exchanges = self.exchanges.get_or_insert_default();
        let lasting = self.attached.as_deref().map(|attached| &attached.lasting);
        let received = match lasting {
            None => exchanges.has_received(packet_id).then_some(true),
            Some(lasting) => lasting.has_received(packet_id),
        };
        if let Some(is_safe) = received {
            sink.repeated(publish);
            if !exchanges.owes(packet_id, Acknowledgement::Rec)
                && !exchanges.owes(packet_id, Acknowledgement::RecAgain)
            {
                self.acknowledge_again(packet_id, is_safe, sink);
            }
            return;
        }
        let unreleased = lasting.map_or_else(|| exchanges.unreleased(), |lasting| lasting.unreleased());
        if unreleased >= usize::from(self.bounds.in_flight_max) {
            return self.refuse(Refusal::InFlightMessagesMax, sink);
        }
        match sink.publish(publish) {
            Ok(accepted) => {
                match self.attached.as_deref_mut() {
                    None => exchanges.receive(packet_id),
                    Some(attached) => attached.lasting.receive(packet_id, accepted == Accepted::Later),
                }
                self.acknowledge(packet_id, Acknowledgement::Rec, accepted, sink);
            }
            Err(refusal) => self.refuse(refusal, sink),
        }
    }

    /// A message that came again is acknowledged again: at once, if it is safe, which on a lasting session it may not be
    /// yet though it came on an earlier connection.
    fn acknowledge_again(&mut self, packet_id: PacketId, is_safe: bool, sink: &mut impl Sink) {
        let gated = if is_safe { None } else { self.gated(Part::Received, |rules| rules.repeat_when_safe) };
        let accepted = match gated {
            None => Accepted::Now,
            Some((attached, stamp)) => {
                attached.gate(stamp, Effect::Repeat(packet_id));
                Accepted::Later
            }
        };
        self.acknowledge(packet_id, Acknowledgement::RecAgain, accepted, sink);
    }

    /// Acknowledges in the order of the messages [MQTT-4.6.0-2], [MQTT-4.6.0-3]: behind one that has to wait, every
    /// later one waits too.
    fn acknowledge(
        &mut self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        accepted: Accepted,
        sink: &mut impl Sink,
    ) {
        let is_due = accepted == Accepted::Now;
        let owed = self.exchanges.as_ref().map_or(0, |exchanges| exchanges.owed());
        if is_due && owed == 0 {
            return write(packet_id, acknowledgement, sink.output());
        }
        if owed >= OWED_MAX {
            return self.refuse(Refusal::InFlightMessagesMax, sink);
        }
        self.exchanges.get_or_insert_default().owe(packet_id, acknowledgement, is_due);
    }

    /// A message that was accepted [`Later`](Accepted::Later) is safe: its acknowledgement is written to `output`, and
    /// with it those that waited behind it. The answer is whether something was written. To a session that is closed
    /// nothing is.
    #[inline]
    pub fn committed(&mut self, packet_id: PacketId, output: &mut Vec<u8>) -> bool {
        let Some(exchanges) = self.exchanges.as_deref_mut().filter(|_| self.closed.is_none()) else {
            return false;
        };
        let next = exchanges.settle_next(packet_id);
        let mut wrote = next.is_some();
        match next {
            Some(acknowledgement) => write(packet_id, acknowledgement, output),
            None => exchanges.make_due(packet_id),
        }
        while let Some((packet_id, acknowledgement)) = exchanges.next_due() {
            write(packet_id, acknowledgement, output);
            wrote = true;
        }
        wrote
    }

    /// A message that was accepted [`Later`](Accepted::Later) will not be safe: the client is sent away, for 3.1.1 has
    /// no other word for it [MQTT-3.3.5-2]. `packet_id` says of which message; a session that is closed already stays
    /// as it is.
    pub fn not_committed(&mut self, packet_id: PacketId, refusal: Refusal, sink: &mut impl Sink) {
        debug_assert!(
            self.closed.is_some() || self.exchanges.as_ref().is_some_and(|it| it.owed() > 0),
            "the acknowledgement of {packet_id} is owed"
        );
        if self.closed.is_none() {
            self.refuse(refusal, sink);
        }
    }

    /// Acknowledgements that the client waits for, because a message is not safe yet.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.exchanges.as_ref().map_or(0, |exchanges| exchanges.owed())
    }

    /// PUBCOMP answers in any case [MQTT-4.3.3-2]: the client may have lost the one before. Only what has not been
    /// received by PUBREC cannot be released.
    pub(super) fn on_pubrel(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        if let Some(exchanges) = &mut self.exchanges {
            if exchanges.owes(packet_id, Acknowledgement::Rec) {
                return self.refuse(Refusal::ProtocolError, sink);
            }
            exchanges.release(packet_id);
        }
        let attached = self.attached.as_deref_mut();
        match attached.and_then(|it| Some((it.lasting.release(packet_id)?, it))) {
            // Before that is safe the client must not use the identifier for another message.
            Some((stamp, attached)) => attached.gate(stamp, Effect::PubComp(packet_id)),
            None => encode::pubcomp(sink.output(), packet_id),
        }
    }
}

// --- messages for the client ---
impl Session {
    /// An identifier that is not in flight is passed over: 3.1.1 names no answer to it.
    #[inline]
    pub(super) fn on_puback(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        if let Some(attached) = self.attached.as_deref_mut() {
            let answered = attached.on_puback(packet_id);
            self.after_answer(answered, sink);
            if self.shared.is_some() {
                self.finish_shared(packet_id, sink);
            }
            return;
        }
        if self.exchanges.as_ref().is_some_and(|exchanges| is_exactly_once(exchanges, packet_id)) {
            return self.refuse(Refusal::ProtocolError, sink);
        }
        self.finish(packet_id, sink);
        if self.shared.is_some() {
            self.finish_shared(packet_id, sink);
        }
    }

    /// PUBREL answers in any case [MQTT-4.3.3-1]: to a message that is not in flight it lets the client forget it.
    pub(super) fn on_pubrec(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        if let Some(attached) = self.attached.as_deref_mut() {
            return match attached.on_pubrec(packet_id) {
                Ok(PubRecAnswer::PubRel) => encode::pubrel(sink.output(), packet_id),
                Ok(PubRecAnswer::Later) => {}
                Err(refusal) => self.refuse(refusal, sink),
            };
        }
        let exchanges = self.exchanges.get_or_insert_default();
        if exchanges.sent.remove(packet_id) {
            exchanges.released.insert(packet_id);
        } else if !exchanges.released.contains(packet_id) && self.in_flight.contains(packet_id) {
            return self.refuse(Refusal::ProtocolError, sink); // a message of QoS 1
        }
        encode::pubrel(sink.output(), packet_id);
    }

    /// The identifier is free again [MQTT-4.3.3-1]. One that is not in flight is passed over.
    pub(super) fn on_pubcomp(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        if let Some(attached) = self.attached.as_deref_mut() {
            let answered = attached.on_pubcomp(packet_id);
            return self.after_answer(answered, sink);
        }
        let is_released =
            self.exchanges.as_mut().is_some_and(|exchanges| exchanges.released.remove(packet_id));
        if is_released {
            self.finish(packet_id, sink);
        } else if self.in_flight.contains(packet_id) {
            self.refuse(Refusal::ProtocolError, sink);
        }
    }

    /// There may be room for what waits.
    fn after_answer(&mut self, answered: Result<(), Refusal>, sink: &mut impl Sink) {
        match answered {
            Ok(()) => self.send_waiting(sink),
            Err(refusal) => self.refuse(refusal, sink),
        }
    }

    #[inline]
    fn finish(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        if self.in_flight.release(packet_id) && self.outbox.is_some() {
            self.send_waiting(sink);
        }
    }
}

fn is_exactly_once(exchanges: &Exchanges, packet_id: PacketId) -> bool {
    exchanges.sent.contains(packet_id) || exchanges.released.contains(packet_id)
}

#[inline]
fn write(packet_id: PacketId, acknowledgement: Acknowledgement, output: &mut Vec<u8>) {
    match acknowledgement {
        Acknowledgement::Ack => encode::puback(output, packet_id),
        Acknowledgement::Rec | Acknowledgement::RecAgain => encode::pubrec(output, packet_id),
    }
}
