//! What a client hears, and what a correct one makes of it.

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish, ReasonCode};

use super::{Ack, Client, Kept, Outgoing, Stage};
use crate::simulation::account::{Delivery, Wrong, number_of};
use crate::simulation::groups::wants;
use crate::simulation::scene::Scene;

impl Client {
    /// Reads one packet, or learns that the connection has ended.
    pub fn read(&mut self, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(at) = self.wire else { return Ok(()) };
        if let Some(bytes) = scene.wires[at].next_for_client() {
            let frame = mqtt::frame(&bytes, usize::MAX).ok().flatten().ok_or("no whole packet")?;
            let packet = client::decode(self.character.version, frame)
                .map_err(|error| format!("no packet of a server: {error}"))?;
            return self.hear(&packet, scene);
        }
        if scene.wires[at].node_gone {
            scene.trace.note(format_args!("client {} finds wire {at} closed", self.at));
            scene.wires[at].leave(false);
            self.gone(scene);
        }
        Ok(())
    }

    fn hear(&mut self, packet: &ServerPacket<'_>, scene: &mut Scene) -> Result<(), Wrong> {
        match packet {
            ServerPacket::ConnAck { session_present, reason, .. } => {
                self.on_connack(*session_present, *reason, scene)
            }
            ServerPacket::Publish(publish) => self.on_publish(publish, scene),
            ServerPacket::PubAck(packet_id, reason) => self.on_puback(*packet_id, *reason, scene),
            ServerPacket::PubRec(packet_id, reason) => self.on_pubrec(*packet_id, *reason, scene),
            ServerPacket::PubRel(packet_id, _) => {
                scene.trace.note(format_args!("client {} hears PUBREL {packet_id}", self.at));
                self.received.remove(packet_id);
                self.acks.push_back(Ack::Completed(*packet_id));
                Ok(())
            }
            ServerPacket::PubComp(packet_id, _) => self.on_pubcomp(*packet_id, scene),
            ServerPacket::SubAck { packet_id, codes } => self.on_suback(*packet_id, codes, scene),
            ServerPacket::UnsubAck { packet_id, .. } => self.on_suback(*packet_id, &[], scene),
            ServerPacket::PingResp => Ok(()),
            ServerPacket::Disconnect(_) | ServerPacket::Auth(_) => {
                Err(format!("client {} got {packet:?}", self.at))
            }
        }
    }

    fn on_connack(&mut self, present: bool, code: ReasonCode, scene: &mut Scene) -> Result<(), Wrong> {
        scene.trace.note(format_args!("client {} hears CONNACK {code:?} present {present}", self.at));
        let Stage::Connecting { clean, kept } = self.stage else {
            return Err(format!("client {} got a second CONNACK", self.at));
        };
        if code != ReasonCode::Success {
            return Err(format!("client {} is refused: {code:?}", self.at));
        }
        self.stage = Stage::Online { clean };
        match (clean, present, kept) {
            (true, true, _) => return Err(format!("client {} has a clean session that is old", self.at)),
            (true, false, _) => {
                self.kept = Kept::Absent;
                scene.account.began_anew(self.at);
            }
            (false, false, Kept::There) if !scene.account.may_be_over(self.at, scene.millis) => {
                return Err(format!("the session of client {} is lost", self.at));
            }
            (false, true, Kept::Absent) => {
                return Err(format!("client {} has a session that was discarded", self.at));
            }
            (false, false, _) => {
                self.forget(scene);
                self.kept = Kept::Unknown;
            }
            (false, true, _) => {
                if scene.account.may_be_new(self.at) {
                    self.received.clear();
                }
            }
        }
        for outgoing in self.outgoing.clone() {
            if outgoing.released {
                scene.trace.note(format_args!("client {} PUBREL {}", self.at, outgoing.packet_id));
                self.write(scene, |out| client::pubrel(out, outgoing.packet_id));
            } else {
                self.send(scene, &outgoing, true);
            }
        }
        Ok(())
    }

    fn on_publish(&mut self, publish: &Publish<'_>, scene: &mut Scene) -> Result<(), Wrong> {
        let Publish { topic, payload, qos, retain, dup, packet_id, .. } = *publish;
        scene.trace.note(format_args!(
            "client {} hears PUBLISH {topic} `{}` qos {} id {packet_id:?} retain {retain} dup {dup}",
            self.at,
            String::from_utf8_lossy(payload),
            qos.bits()
        ));
        self.check_properties(publish)?;
        if let Some(packet_id) = packet_id
            && self
                .acks
                .iter()
                .any(|ack| matches!(ack, Ack::Had(id) | Ack::Completed(id) if *id == packet_id))
        {
            return Err(format!("client {} got packet identifier {packet_id} twice", self.at));
        }
        let is_new = match (qos, packet_id) {
            (Qos::AtLeastOnce, Some(packet_id)) => {
                self.acks.push_back(Ack::Had(packet_id));
                if let Some(number) = number_of(payload) {
                    scene.account.has_under(self.at, packet_id, number);
                }
                true
            }
            (Qos::ExactlyOnce, Some(packet_id)) => {
                self.acks.push_back(Ack::Received(packet_id));
                let is_new = self.received.insert(packet_id);
                if !is_new && !dup {
                    return Err(format!("client {} got identifier {packet_id} again without DUP", self.at));
                }
                is_new
            }
            (_, _) => true,
        };
        if !is_new {
            return Ok(());
        }
        scene.account.delivered(self.at, Delivery { topic, payload, qos, retain })
    }

    /// Not more at one time than it takes, and marked by subscriptions that match.
    fn check_properties(&mut self, publish: &Publish<'_>) -> Result<(), Wrong> {
        self.unanswered.extend(publish.packet_id);
        let most = usize::from(self.character.receive_max);
        if self.character.version.is_v5() && self.unanswered.len() > most {
            return Err(format!("client {} has {} unacknowledged", self.at, self.unanswered.len()));
        }
        for id in publish.subscription_ids() {
            let filter = usize::try_from(id.get() - 1).ok().and_then(|at| self.character.filters.get(at));
            if !filter.is_some_and(|filter| wants(filter, publish.topic)) {
                return Err(format!("client {} got `{}` for subscription {id}", self.at, publish.topic));
            }
        }
        Ok(())
    }

    fn outgoing(&self, packet_id: PacketId) -> Option<usize> {
        self.outgoing.iter().position(|outgoing| outgoing.packet_id == packet_id)
    }

    fn on_puback(&mut self, packet_id: PacketId, reason: ReasonCode, scene: &mut Scene) -> Result<(), Wrong> {
        scene.trace.note(format_args!("client {} hears PUBACK {packet_id} {reason:?}", self.at));
        let outgoing = self.outgoing(packet_id).and_then(|at| self.outgoing.remove(at));
        let outgoing = outgoing.filter(|outgoing| outgoing.qos == Qos::AtLeastOnce);
        let Some(outgoing) = outgoing else {
            return Err(format!("client {} got PUBACK {packet_id} for nothing", self.at));
        };
        if !reason.is_error() {
            acknowledged(&outgoing, scene);
        }
        Ok(())
    }

    fn on_pubrec(&mut self, packet_id: PacketId, reason: ReasonCode, scene: &mut Scene) -> Result<(), Wrong> {
        scene.trace.note(format_args!("client {} hears PUBREC {packet_id} {reason:?}", self.at));
        let at = self.outgoing(packet_id).filter(|at| self.outgoing[*at].qos == Qos::ExactlyOnce);
        let Some(at) = at else {
            return Err(format!("client {} got PUBREC {packet_id} for nothing", self.at));
        };
        if reason.is_error() {
            self.outgoing.remove(at);
            return Ok(());
        }
        self.write(scene, |out| client::pubrel(out, packet_id));
        if std::mem::replace(&mut self.outgoing[at].released, true) {
            return Ok(());
        }
        acknowledged(&self.outgoing[at], scene);
        Ok(())
    }

    fn on_pubcomp(&mut self, packet_id: PacketId, scene: &mut Scene) -> Result<(), Wrong> {
        scene.trace.note(format_args!("client {} hears PUBCOMP {packet_id}", self.at));
        let at = self.outgoing(packet_id).filter(|at| self.outgoing[*at].released);
        let Some(at) = at else {
            return Err(format!("client {} got PUBCOMP {packet_id} for nothing", self.at));
        };
        self.outgoing.remove(at);
        Ok(())
    }

    fn on_suback(
        &mut self,
        packet_id: PacketId,
        granted: &[ReasonCode],
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        scene.trace.note(format_args!("client {} hears SUBACK {packet_id} {granted:?}", self.at));
        let asking = self.asking.take().filter(|asking| asking.packet_id == packet_id);
        let Some(asking) = asking.filter(|asking| asking.ends == granted.is_empty()) else {
            return Err(format!("client {} got SUBACK {packet_id} for nothing", self.at));
        };
        if let Stage::Online { clean: false } = self.stage {
            self.kept = Kept::There;
            let is_here = self.wire.is_some_and(|wire| !scene.wires[wire].node_gone);
            scene.account.session_is_safe(self.at, is_here);
        }
        match granted {
            [] => {}
            &[code] if !code.is_error() => {
                let qos = code.granted_qos().ok_or("SUBACK grants no QoS")?;
                let now = scene.trace.now();
                scene.account.subscribed(self.at, &asking.filter, qos, now);
            }
            _ => return Err(format!("client {} was refused `{}`", self.at, asking.filter)),
        }
        Ok(())
    }
}

fn acknowledged(outgoing: &Outgoing, scene: &mut Scene) {
    if let Some(number) = outgoing.number {
        scene.account.acknowledged(number);
    }
}
