//! The two clients, which keep to the protocol and remember what they have to over connections.

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{Packet, PacketId};

use super::{Outgoing, PUBLISHER, RELAYED, SUBSCRIBER, Said, WINDOW, World, is_relayed};

impl World {
    pub(super) fn publish(&mut self, qos: Qos) {
        let Some(free) = (1..=WINDOW).find(|id| !self.outgoing.contains_key(id)) else { return };
        if self.sides[PUBLISHER].session.is_none() {
            return;
        }
        let number = self.published;
        self.published += 1;
        if !self.is_subscribed {
            self.too_early = self.published;
        }
        self.outgoing.insert(free, Outgoing::Published(number, qos));
        self.order.push(free);
        self.send(free);
    }

    pub(super) fn send(&mut self, id: u16) {
        let packet_id = PacketId::new(id).expect("from 1");
        let packet = match self.outgoing[&id] {
            Outgoing::Published(number, qos) => Said::Publish(number, qos, packet_id),
            Outgoing::Released => Said::Other(Packet::PubRel(packet_id)),
        };
        self.sides[PUBLISHER].inbound.push_back(packet);
    }

    /// A client takes the next packet of the node.
    pub(super) fn answer(&mut self, side: usize) {
        self.flush(side);
        let Some(bytes) = self.sides[side].outbound.pop_front() else { return };
        let frame = mqtt::frame(&bytes, usize::MAX).expect("lawful").expect("whole");
        match client::decode(frame).expect("lawful") {
            ServerPacket::PubAck(packet_id) => {
                if let Some(Outgoing::Published(number, Qos::AtLeastOnce)) =
                    self.outgoing.remove(&packet_id.get())
                {
                    self.promise(number);
                    self.order.retain(|id| *id != packet_id.get());
                }
            }
            ServerPacket::PubRec(packet_id) => {
                if let Some(outgoing) = self.outgoing.get_mut(&packet_id.get()) {
                    if let Outgoing::Published(number, _) = *outgoing {
                        *outgoing = Outgoing::Released;
                        self.promise(number);
                    }
                    self.send(packet_id.get());
                }
            }
            ServerPacket::PubComp(packet_id) => {
                if let Some(Outgoing::Released) = self.outgoing.get(&packet_id.get()) {
                    self.outgoing.remove(&packet_id.get());
                    self.order.retain(|id| *id != packet_id.get());
                }
            }
            ServerPacket::Publish(publish) => {
                let number = u32::from_be_bytes(publish.payload.try_into().expect("four bytes"));
                let packet_id = publish.packet_id.expect("no QoS 0 here");
                let is_new = publish.qos == Qos::AtLeastOnce || self.known.insert(packet_id.get());
                if is_new {
                    self.receive(number, publish.qos);
                }
                let answer = match publish.qos {
                    Qos::ExactlyOnce => Packet::PubRec(packet_id),
                    Qos::AtLeastOnce | Qos::AtMostOnce => Packet::PubAck(packet_id),
                };
                self.sides[SUBSCRIBER].inbound.push_back(Said::Other(answer));
            }
            ServerPacket::PubRel(packet_id) => {
                self.known.remove(&packet_id.get());
                self.sides[SUBSCRIBER].inbound.push_back(Said::Other(Packet::PubComp(packet_id)));
            }
            ServerPacket::SubAck { .. } => self.is_subscribed = true,
            other @ (ServerPacket::ConnAck { .. } | ServerPacket::UnsubAck(_) | ServerPacket::PingResp) => {
                panic!("{other:?} was not asked for")
            }
        }
    }

    fn receive(&mut self, number: u32, qos: Qos) {
        let count = self.received.entry(number).or_default();
        *count += 1;
        if qos == Qos::ExactlyOnce && *count > 1 {
            self.fault = Some(format!("{number} arrived twice"));
        }
        let newest = &mut self.newest[usize::from(qos.bits())];
        // What was sent before the subscription may have been stored before it, and once more after.
        if *count == 1 && number < RELAYED && number >= self.too_early {
            if number < *newest {
                self.fault = Some(format!("{number} arrived first after {newest}"));
            }
            *newest = number;
        }
    }

    fn promise(&mut self, number: u32) {
        if number >= self.too_early && !is_relayed(number) {
            self.promised.insert(number);
        }
    }
}
