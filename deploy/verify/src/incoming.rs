//! The receiving half of a correct client's session: which messages of QoS 2 it has had and not yet been told to
//! forget. It outlives connections.

use std::collections::BTreeSet;

use contract::qos::Qos;
use mqtt::{PacketId, Publish, client};

/// The packet identifiers of QoS 2 that are taken.
#[derive(Default, Debug)]
pub(crate) struct Incoming {
    received: BTreeSet<PacketId>,
}

impl Incoming {
    /// Answers a PUBLISH. Whether it is a message to the application, rather than one that it has had under the same
    /// identifier [MQTT-4.3.3-2].
    pub(crate) fn publish(&mut self, publish: &Publish<'_>, out: &mut Vec<u8>) -> bool {
        match (publish.qos, publish.packet_id) {
            (Qos::ExactlyOnce, Some(packet_id)) => {
                client::pubrec(out, packet_id);
                self.received.insert(packet_id)
            }
            (_, Some(packet_id)) => {
                client::puback(out, packet_id);
                true
            }
            (_, None) => true,
        }
    }

    /// Answers a PUBREL: the identifier is free again.
    pub(crate) fn pubrel(&mut self, packet_id: PacketId, out: &mut Vec<u8>) {
        self.received.remove(&packet_id);
        client::pubcomp(out, packet_id);
    }

    /// The broker has no session any more: what it sends now under an identifier is another message.
    pub(crate) fn forget(&mut self) {
        self.received.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_message_of_qos_2_is_one_until_it_is_released() {
        let mut incoming = Incoming::default();
        let packet_id = PacketId::new(7);
        let publish = |qos: Qos| Publish {
            dup: true,
            qos,
            retain: false,
            topic: "a",
            packet_id,
            payload: b"",
            ..Publish::default()
        };
        let mut out = Vec::new();
        assert!(incoming.publish(&publish(Qos::ExactlyOnce), &mut out));
        assert!(!incoming.publish(&publish(Qos::ExactlyOnce), &mut out));
        incoming.pubrel(packet_id.expect("not 0"), &mut out);
        assert!(incoming.publish(&publish(Qos::ExactlyOnce), &mut out));
        incoming.forget();
        assert!(incoming.publish(&publish(Qos::ExactlyOnce), &mut out));
        assert!(incoming.publish(&publish(Qos::AtLeastOnce), &mut out), "QoS 1 may come twice");
        assert!(incoming.publish(&publish(Qos::AtLeastOnce), &mut out));
        let kinds: Vec<u8> = out.chunks(4).map(|packet| packet[0]).collect();
        assert_eq!(kinds, [0x50, 0x50, 0x70, 0x50, 0x50, 0x40, 0x40], "everything is answered");
    }
}
