//! The two clients, which keep to the protocol and remember what they have to over connections.

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{Packet, PacketId, ReasonCode};

use super::{ID, Outgoing, PUBLISHER, RELAYED, SUBSCRIBER, Said, WINDOW, World, is_relayed};

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
            Outgoing::Released => Said::Other(Packet::PubRel(packet_id, ReasonCode::Success)),
        };
        self.sides[PUBLISHER].inbound.push_back(packet);
    }

    /// A client takes the next packet of the node.
    pub(super) fn answer(&mut self, side: usize) {
        self.flush(side);
        let Some(bytes) = self.sides[side].outbound.pop_front() else { return };
        let frame = mqtt::frame(&bytes, usize::MAX).expect("lawful").expect("whole");
        match client::decode(self.version, frame).expect("lawful") {
            ServerPacket::PubAck(packet_id, reason) => {
                if let Some(Outgoing::Published(number, Qos::AtLeastOnce)) =
                    self.outgoing.remove(&packet_id.get())
                {
                    if !reason.is_error() {
                        self.promise(number);
                    }
                    self.order.retain(|id| *id != packet_id.get());
                }
            }
            ServerPacket::PubRec(packet_id, reason) if reason.is_error() => {
                self.outgoing.remove(&packet_id.get());
                self.order.retain(|id| *id != packet_id.get());
            }
            ServerPacket::PubRec(packet_id, _) => {
                if let Some(outgoing) = self.outgoing.get_mut(&packet_id.get()) {
                    if let Outgoing::Published(number, _) = *outgoing {
                        *outgoing = Outgoing::Released;
                        self.promise(number);
                    }
                    self.send(packet_id.get());
                }
            }
            ServerPacket::PubComp(packet_id, _) => {
                if let Some(Outgoing::Released) = self.outgoing.get(&packet_id.get()) {
                    self.outgoing.remove(&packet_id.get());
                    self.order.retain(|id| *id != packet_id.get());
                }
            }
            ServerPacket::Publish(publish) => {
                let number = u32::from_be_bytes(publish.payload.try_into().expect("four bytes"));
                let packet_id = publish.packet_id.expect("no QoS 0 here");
                let ids: Vec<_> = publish.subscription_ids().map(u32::from).collect();
                assert_eq!(ids, vec![ID; usize::from(self.version.is_v5())]);
                self.take(number, publish.qos, packet_id);
            }
            ServerPacket::PubRel(packet_id, _) => {
                self.known.remove(&packet_id.get());
                self.unanswered.remove(&packet_id.get());
                let answer = Packet::PubComp(packet_id, ReasonCode::Success);
                self.sides[SUBSCRIBER].inbound.push_back(Said::Other(answer));
            }
            ServerPacket::SubAck { .. } => self.is_subscribed = true,
            other @ (ServerPacket::ConnAck { .. }
            | ServerPacket::UnsubAck { .. }
            | ServerPacket::PingResp
            | ServerPacket::Disconnect(_)
            | ServerPacket::Auth(_)) => {
                panic!("{other:?} was not asked for")
            }
        }
    }

    /// A message has come. In 5.0 the client does not want some of them: it says so, and the exchange is over.
    fn take(&mut self, number: u32, qos: Qos, packet_id: PacketId) {
        let is_new = qos == Qos::AtLeastOnce || self.known.insert(packet_id.get());
        if is_new {
            self.receive(number, qos);
        }
        self.unanswered.insert(packet_id.get());
        if self.unanswered.len() > usize::from(self.receive_max) {
            self.fault = Some(format!("{} are unacknowledged", self.unanswered.len()));
        }
        let is_unwanted = is_new && self.version.is_v5() && number % 7 == 3;
        let reason = if is_unwanted { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
        if is_unwanted {
            self.unwanted.insert(number);
            self.known.remove(&packet_id.get());
        }
        if is_unwanted || qos != Qos::ExactlyOnce {
            self.unanswered.remove(&packet_id.get());
        }
        let answer = match qos {
            Qos::ExactlyOnce => Packet::PubRec(packet_id, reason),
            Qos::AtLeastOnce | Qos::AtMostOnce => Packet::PubAck(packet_id, reason),
        };
        self.sides[SUBSCRIBER].inbound.push_back(Said::Other(answer));
    }

    fn receive(&mut self, number: u32, qos: Qos) {
        let count = self.received.entry(number).or_default();
        *count += 1;
        if qos == Qos::ExactlyOnce && *count > 1 && !self.unwanted.contains(&number) {
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
