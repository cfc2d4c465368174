//! Messages and their acknowledgements, in both directions: what is answered to what, and in which order.

use std::num::NonZeroU16;

use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{PacketId, Publish, ReasonCode, Version, encode};

use super::Session;
use super::attached::PubRecAnswer;
use super::gates::Effect;
use crate::exchanges::{Acknowledgement, Answer, Exchanges, OWED_MAX};
use crate::lasting::Part;
use crate::sink::{Accepted, Sink};

/// Bytes of an acknowledgement with a reason code and an empty text.
const REFUSAL_BYTES: usize = 6;

// --- messages of the client ---
impl Session {
    #[inline]
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>, sink: &mut impl Sink) {
        match publish.topic_alias {
            None => self.take_publish(publish, sink),
            Some(alias) => self.on_publish_aliased(publish, alias, sink),
        }
    }

    #[cold]
    fn on_publish_aliased(&mut self, publish: &Publish<'_>, alias: NonZeroU16, sink: &mut impl Sink) {
        let theirs = self.v5.as_mut().map(|v5| &mut v5.theirs);
        match theirs.map_or(Err(Refusal::ProtocolError), |theirs| theirs.resolve(alias, publish.topic)) {
            Ok(topic) => self.take_publish(&Publish { topic: &topic, topic_alias: None, ..*publish }, sink),
            Err(refusal) => self.refuse(refusal, sink),
        }
    }

    #[inline]
    fn take_publish(&mut self, publish: &Publish<'_>, sink: &mut impl Sink) {
        match (publish.qos, publish.packet_id) {
            (Qos::AtMostOnce, _) => {
                if let Err(refusal) = sink.publish(publish) {
                    sink.refused(refusal);
                }
            }
            (Qos::AtLeastOnce, Some(packet_id)) => {
                if self.exchanges.is_some() && self.has_spent_its_quota() {
                    return self.refuse(Refusal::ReceiveMax, sink);
                }
                match sink.publish(publish) {
                    Ok(Accepted::Now) if self.exchanges.is_none() => {
                        encode::puback(sink.output(), self.version, packet_id, ReasonCode::Success);
                    }
                    Ok(accepted) => self.acknowledge(packet_id, Acknowledgement::Ack, accepted, sink),
                    Err(refusal) => self.refuse_message(packet_id, Acknowledgement::Ack, refusal, sink),
                }
            }
            (Qos::ExactlyOnce, Some(packet_id)) => self.on_publish_exactly_once(publish, packet_id, sink),
            (Qos::AtLeastOnce | Qos::ExactlyOnce, None) => self.refuse(Refusal::MalformedPacket, sink),
        }
    }

    /// Whether the client of 5.0 has as many messages unacknowledged as it was told it may [MQTT-3.3.4-7].
    #[inline]
    fn has_spent_its_quota(&self) -> bool {
        let used = || self.exchanges.as_ref().map_or(0, |exchanges| exchanges.quota_used());
        self.v5.as_ref().is_some_and(|v5| used() >= usize::from(v5.receive_max))
    }

    /// Until it is released, a packet identifier stands for one message, which is not handed on again [MQTT-4.3.3-2].
    fn on_publish_exactly_once(&mut self, publish: &Publish<'_>, packet_id: PacketId, sink: &mut impl Sink) {
        let exchanges = self.exchanges.get_or_insert_default();
        let lasting = self.attached.as_deref().map(|attached| &attached.lasting);
        let has_come = exchanges.has_received(packet_id);
        let received = match lasting {
            None => has_come.then_some(true),
            Some(lasting) => lasting.has_received(packet_id),
        };
        let unreleased = lasting.map_or_else(|| exchanges.unreleased(), |lasting| lasting.unreleased());
        let (mut unreleased_max, mut is_counted) = (usize::from(self.received_max), self.attached.is_none());
        if let Some(v5) = &self.v5 {
            if !has_come && exchanges.quota_used() >= usize::from(v5.receive_max) {
                return self.refuse(Refusal::ReceiveMax, sink);
            }
            // What came on earlier connections does not count for what the client was told, so there is room for it
            // beside that.
            unreleased_max = usize::from(v5.receive_max).saturating_mul(2);
            is_counted = true;
        }
        if let Some(is_safe) = received {
            sink.repeated(publish);
            if is_counted {
                exchanges.receive(packet_id);
            }
            if !exchanges.owes(packet_id, Acknowledgement::Rec)
                && !exchanges.owes(packet_id, Acknowledgement::RecAgain)
            {
                self.acknowledge_again(packet_id, is_safe, sink);
            }
            return;
        }
        if unreleased >= unreleased_max {
            return self.refuse(Refusal::InFlightMessagesMax, sink);
        }
        match sink.publish(publish) {
            Ok(accepted) => {
                if is_counted {
                    exchanges.receive(packet_id);
                }
                if let Some(attached) = self.attached.as_deref_mut() {
                    attached.lasting.receive(packet_id, accepted == Accepted::Later);
                }
                self.acknowledge(packet_id, Acknowledgement::Rec, accepted, sink);
            }
            Err(refusal) => self.refuse_message(packet_id, Acknowledgement::Rec, refusal, sink),
        }
    }

    /// 5.0 has a word for a message that is refused, and its exchange ends there; 3.1.1 has none, and saying nothing would
    /// leave the client waiting [MQTT-3.3.5-2].
    #[cold]
    fn refuse_message(
        &mut self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        refusal: Refusal,
        sink: &mut impl Sink,
    ) {
        if !self.version.is_v5() || ends_connection(refusal) {
            return self.refuse(refusal, sink);
        }
        sink.refused(refusal);
        self.acknowledge_as(packet_id, acknowledgement, Answer::Refused(refusal), true, sink);
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

    fn acknowledge(
        &mut self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        accepted: Accepted,
        sink: &mut impl Sink,
    ) {
        if accepted == Accepted::Now && self.owed() == 0 {
            return write_taken(packet_id, acknowledgement, self.version, sink.output());
        }
        let (answer, is_due) = match accepted {
            Accepted::Now => (Answer::Taken, true),
            Accepted::Unmatched => (Answer::Unmatched, true),
            Accepted::Later => (Answer::Taken, false),
        };
        self.acknowledge_as(packet_id, acknowledgement, answer, is_due, sink);
    }

    /// Acknowledges in the order of the messages [MQTT-4.6.0-2], [MQTT-4.6.0-3]: behind one that has to wait, every
    /// later one waits too.
    fn acknowledge_as(
        &mut self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        answer: Answer,
        is_due: bool,
        sink: &mut impl Sink,
    ) {
        let owed = self.exchanges.as_ref().map_or(0, |exchanges| exchanges.owed());
        if is_due && owed == 0 {
            return self.write_answer(packet_id, acknowledgement, answer, sink.output());
        }
        if owed >= OWED_MAX {
            return self.refuse(Refusal::InFlightMessagesMax, sink);
        }
        self.exchanges.get_or_insert_default().owe(packet_id, acknowledgement, answer, is_due);
    }

    #[inline]
    fn write_answer(
        &self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        answer: Answer,
        output: &mut Vec<u8>,
    ) {
        match answer {
            Answer::Taken => write_taken(packet_id, acknowledgement, self.version, output),
            Answer::Unmatched => self.write_unmatched(packet_id, acknowledgement, output),
            Answer::Refused(refusal) => self.write_refusal(packet_id, acknowledgement, refusal, output),
        }
    }

    #[cold]
    fn write_unmatched(&self, packet_id: PacketId, acknowledgement: Acknowledgement, output: &mut Vec<u8>) {
        let (version, reason) = (self.version, ReasonCode::NoMatchingSubscribers);
        match acknowledgement {
            Acknowledgement::Ack => encode::puback(output, version, packet_id, reason),
            Acknowledgement::Rec | Acknowledgement::RecAgain => {
                encode::pubrec(output, version, packet_id, reason);
            }
        }
    }

    #[cold]
    fn write_refusal(
        &self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        refusal: Refusal,
        output: &mut Vec<u8>,
    ) {
        let (version, reason, why) = (self.version, ReasonCode::of_publish(refusal), refusal.name());
        match (acknowledgement, self.wants_words(REFUSAL_BYTES, why)) {
            (Acknowledgement::Ack, true) => encode::puback_because(output, packet_id, reason, why),
            (Acknowledgement::Ack, false) => encode::puback(output, version, packet_id, reason),
            (_, true) => encode::pubrec_because(output, packet_id, reason, why),
            (_, false) => encode::pubrec(output, version, packet_id, reason),
        }
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
            Some((acknowledgement, answer)) => {
                self.write_answer(packet_id, acknowledgement, answer, output);
            }
            None => exchanges.make_due(packet_id),
        }
        wrote |= self.write_due(output);
        wrote
    }

    #[inline]
    fn write_due(&mut self, output: &mut Vec<u8>) -> bool {
        let mut wrote = false;
        while let Some(exchanges) = self.exchanges.as_deref_mut()
            && let Some((packet_id, acknowledgement, answer)) = exchanges.next_due()
        {
            self.write_answer(packet_id, acknowledgement, answer, output);
            wrote = true;
        }
        wrote
    }

    /// A message that was accepted [`Later`](Accepted::Later) will not be safe. In 5.0 the client is told so, in its
    /// place; in 3.1.1, which has no other word for it, it is sent away [MQTT-3.3.5-2], and so is a client of 5.0 whose
    /// lasting session has noted the message as received. `packet_id` says of which message; a session that is closed
    /// already stays as it is.
    pub fn not_committed(&mut self, packet_id: PacketId, refusal: Refusal, sink: &mut impl Sink) {
        debug_assert!(
            self.closed.is_some() || self.exchanges.as_ref().is_some_and(|it| it.owed() > 0),
            "the acknowledgement of {packet_id} is owed"
        );
        if self.closed.is_some() {
            return;
        }
        let is_noted = self.lasting().is_some_and(|lasting| lasting.has_received(packet_id).is_some());
        let exchanges = self.exchanges.as_deref_mut().filter(|_| self.version.is_v5() && !is_noted);
        let Some(exchanges) = exchanges.filter(|_| !ends_connection(refusal)) else {
            return self.refuse(refusal, sink);
        };
        if exchanges.make_refused(packet_id, refusal) == Some(Acknowledgement::Rec) {
            exchanges.release(packet_id);
        }
        sink.refused(refusal);
        self.write_due(sink.output());
    }

    /// Acknowledgements that the client waits for, because a message is not safe yet.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.exchanges.as_ref().map_or(0, |exchanges| exchanges.owed())
    }

    /// PUBCOMP answers in any case [MQTT-4.3.3-2], [MQTT-4.3.3-11]: the client may have lost the one before. Only what has
    /// not been received by PUBREC cannot be released.
    pub(super) fn on_pubrel(&mut self, packet_id: PacketId, sink: &mut impl Sink) {
        let mut was_received = false;
        if let Some(exchanges) = &mut self.exchanges {
            if exchanges.owes(packet_id, Acknowledgement::Rec) {
                return self.refuse(Refusal::ProtocolError, sink);
            }
            was_received = exchanges.release(packet_id);
        }
        let mut stamp = None;
        if let Some(attached) = self.attached.as_deref_mut() {
            (was_received, stamp) = attached.lasting.release(packet_id);
        } else if was_received {
            return encode::pubcomp(sink.output(), self.version, packet_id, ReasonCode::Success);
        }
        let reason = if was_received { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        match self.attached.as_deref_mut().zip(stamp) {
            // Before that is safe the client must not use the identifier for another message.
            Some((attached, stamp)) => attached.gate(stamp, Effect::PubComp(packet_id, reason)),
            None => encode::pubcomp(sink.output(), self.version, packet_id, reason),
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

    /// A message of QoS 1 or 2 that was delivered and held back, and whose time was over before it was sent
    /// [MQTT-3.3.2-5]: as if the client had refused it.
    pub fn retract(&mut self, packet_id: PacketId, qos: Qos, sink: &mut impl Sink) {
        match qos {
            _ if self.closed.is_some() => {}
            Qos::AtMostOnce => debug_assert!(false, "it has no packet identifier"),
            Qos::AtLeastOnce => self.on_puback(packet_id, sink),
            Qos::ExactlyOnce => self.on_pubrec(packet_id, true, sink),
        }
    }

    /// PUBREL answers in any case [MQTT-4.3.3-1]: to a message that is not in flight it lets the client forget it. Only a
    /// refusal, in 5.0, ends the exchange without one [MQTT-4.3.3-4].
    pub(super) fn on_pubrec(&mut self, packet_id: PacketId, is_refused: bool, sink: &mut impl Sink) {
        if self.attached.is_none()
            && !is_refused
            && let Some(exchanges) = &mut self.exchanges
            && exchanges.sent.remove(packet_id)
        {
            exchanges.released.insert(packet_id);
            return encode::pubrel(sink.output(), self.version, packet_id, ReasonCode::Success);
        }
        let answer = match self.attached.as_deref_mut() {
            None => self.on_pubrec_of_clean(packet_id, is_refused),
            Some(attached) => attached.on_pubrec(packet_id, is_refused),
        };
        let reason = match answer {
            Ok(PubRecAnswer::PubRel) => ReasonCode::Success,
            Ok(PubRecAnswer::Unknown) => ReasonCode::PacketIdentifierNotFound,
            Ok(PubRecAnswer::Later) => return,
            Ok(PubRecAnswer::Over) => return self.send_waiting(sink),
            Err(refusal) => return self.refuse(refusal, sink),
        };
        encode::pubrel(sink.output(), self.version, packet_id, reason);
    }

    /// Of one that is not taken as it mostly is.
    fn on_pubrec_of_clean(&mut self, packet_id: PacketId, is_refused: bool) -> Result<PubRecAnswer, Refusal> {
        let exchanges = self.exchanges.get_or_insert_default();
        if is_refused && exchanges.sent.remove(packet_id) {
            self.in_flight.release(packet_id);
            return Ok(PubRecAnswer::Over);
        }
        let is_released = exchanges.released.contains(packet_id);
        if !is_released && self.in_flight.contains(packet_id) {
            return Err(Refusal::ProtocolError); // a message of QoS 1
        }
        Ok(match (is_released, is_refused) {
            (_, true) => PubRecAnswer::Later,
            (true, false) => PubRecAnswer::PubRel,
            (false, false) => PubRecAnswer::Unknown,
        })
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

/// What acknowledges a message that was taken: the same in every version.
#[inline]
fn write_taken(
    packet_id: PacketId,
    acknowledgement: Acknowledgement,
    version: Version,
    output: &mut Vec<u8>,
) {
    match acknowledgement {
        Acknowledgement::Ack => encode::puback(output, version, packet_id, ReasonCode::Success),
        Acknowledgement::Rec | Acknowledgement::RecAgain => {
            encode::pubrec(output, version, packet_id, ReasonCode::Success);
        }
    }
}

fn is_exactly_once(exchanges: &Exchanges, packet_id: PacketId) -> bool {
    exchanges.sent.contains(packet_id) || exchanges.released.contains(packet_id)
}

/// Whether a message that is refused takes the connection with it in 5.0 too: where the client has broken the protocol,
/// or what is wrong is not with this message.
const fn ends_connection(refusal: Refusal) -> bool {
    !matches!(
        refusal,
        Refusal::NotAuthorized
            | Refusal::TopicNotProvisioned
            | Refusal::TopicNameInvalid
            | Refusal::TopicBytesMax
            | Refusal::TopicLevelsMax
            | Refusal::PayloadBytesMax
            | Refusal::PayloadFormatInvalid
            | Refusal::PropertiesBytesMax
            | Refusal::UserPropertiesMax
            | Refusal::RetainedMax
            | Refusal::StorageUnavailable
    )
}
