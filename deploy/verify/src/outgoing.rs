//! The sending half of a correct client's session: what is in flight, under which packet identifier, and what is sent
//! again after a reconnect. It outlives connections, as the state of a real device's flash would.

use std::collections::BTreeMap;

use contract::qos::Qos;
use mqtt::{PacketId, Publish, client};

/// A message in flight.
#[derive(Clone, Debug)]
struct Flight {
    packet_id: PacketId,
    topic: String,
    payload: Vec<u8>,
    qos: Qos,
    retain: bool,
    /// PUBREC has come: PUBREL is sent from now on.
    is_released: bool,
}

/// What a client has in flight, by the order in which it began.
#[derive(Default, Debug)]
pub(crate) struct Outgoing {
    flights: BTreeMap<u64, Flight>,
}

/// What an answer of the broker means for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The broker has it now (PUBACK, PUBREC).
    Acknowledged(u64),
    /// Nothing new.
    Nothing,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Sends a message for the first time. `number` grows from message to message.
    pub(crate) fn publish(
        &mut self,
        number: u64,
        (topic, payload, qos, retain): (String, Vec<u8>, Qos, bool),
        out: &mut Vec<u8>,
    ) {
        let flight =
            Flight { packet_id: self.free_packet_id(), topic, payload, qos, retain, is_released: false };
        flight.write(false, out);
        self.flights.insert(number, flight);
    }

    /// Sends everything again that is not finished, in the order in which it began [MQTT-4.4.0-1]. `is_known`: the
    /// broker still has the session, so that it may have had these.
    pub(crate) fn resend(&self, is_known: bool, out: &mut Vec<u8>) {
        for flight in self.flights.values() {
            flight.write(is_known, out);
        }
    }

    pub(crate) fn puback(&mut self, packet_id: PacketId) -> Step {
        match self.find(packet_id) {
            Some((number, flight)) if flight.qos == Qos::AtLeastOnce => {
                self.flights.remove(&number);
                Step::Acknowledged(number)
            }
            _ => Step::Nothing,
        }
    }

    /// PUBREC is answered with PUBREL, whatever it belongs to.
    pub(crate) fn pubrec(&mut self, packet_id: PacketId, out: &mut Vec<u8>) -> Step {
        client::pubrel(out, packet_id);
        match self.find(packet_id) {
            Some((number, flight)) if flight.qos == Qos::ExactlyOnce && !flight.is_released => {
                flight.is_released = true;
                Step::Acknowledged(number)
            }
            _ => Step::Nothing,
        }
    }

    /// Ends a message of QoS 2: its packet identifier may be used again at once.
    pub(crate) fn pubcomp(&mut self, packet_id: PacketId) {
        if let Some((number, flight)) = self.find(packet_id)
            && flight.is_released
        {
            self.flights.remove(&number);
        }
    }

    fn find(&mut self, packet_id: PacketId) -> Option<(u64, &mut Flight)> {
        let mut flights = self.flights.iter_mut();
        flights.find(|(_, it)| it.packet_id == packet_id).map(|(&number, flight)| (number, flight))
    }

    /// The smallest that is free: identifiers are used again as soon as they may be, which a broker must bear.
    fn free_packet_id(&self) -> PacketId {
        let is_free = |id: &PacketId| self.flights.values().all(|it| it.packet_id != *id);
        (1..=u16::MAX).filter_map(PacketId::new).find(is_free).expect("a window is smaller than 65 535")
    }
}

impl Flight {
    fn write(&self, dup: bool, out: &mut Vec<u8>) {
        if self.is_released {
            client::pubrel(out, self.packet_id);
            return;
        }
        let publish = Publish {
            dup,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: Some(self.packet_id),
            payload: &self.payload,
            ..Publish::default()
        };
        client::publish(out, &publish).expect("topics of ours are short");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("not 0")
    }

    fn outgoing(qos: &[Qos]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        for (number, &qos) in qos.iter().enumerate() {
            let message = ("a".to_owned(), vec![b'x'], qos, false);
            outgoing.publish(number as u64, message, &mut Vec::new());
        }
        outgoing
    }

    #[test]
    fn what_is_not_finished_is_sent_again_in_order() {
        let mut it = outgoing(&[Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce, Qos::AtLeastOnce]);
        assert_eq!(it.puback(id(1)), Step::Acknowledged(0));
        assert_eq!(it.puback(id(1)), Step::Nothing, "said twice");
        assert_eq!(it.puback(id(2)), Step::Nothing, "the wrong answer for QoS 2");
        let mut out = Vec::new();
        assert_eq!(it.pubrec(id(3), &mut out), Step::Acknowledged(2));
        assert_eq!(it.pubrec(id(3), &mut out), Step::Nothing);
        assert_eq!(out, [0x62, 2, 0, 3, 0x62, 2, 0, 3]);
        let mut again = Vec::new();
        it.resend(true, &mut again);
        let expected: &[&[u8]] =
            &[&[0x3C, 6, 0, 1, b'a', 0, 2, b'x'], &[0x62, 2, 0, 3], &[0x3A, 6, 0, 1, b'a', 0, 4, b'x']];
        assert_eq!(again, expected.concat());
        it.pubcomp(id(2));
        it.pubcomp(id(3));
        assert_eq!(it.len(), 2, "an answer that does not fit ends nothing");
    }

    #[test]
    fn an_identifier_is_used_again_as_soon_as_it_is_free() {
        let mut it = outgoing(&[Qos::ExactlyOnce, Qos::ExactlyOnce]);
        it.pubrec(id(1), &mut Vec::new());
        assert_eq!(it.free_packet_id(), id(3));
        it.pubcomp(id(1));
        assert_eq!(it.free_packet_id(), id(1));
    }
}
