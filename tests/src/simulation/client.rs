//! A correct client of MQTT 3.1.1 or 5.0. Whatever the specification has a client keep, it keeps when its connection ends; it
//! sends again what it must, in order, and uses the lowest free packet identifier at once.

mod hearing;

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use mqtt::{Connect, ConnectProperties, Options, PacketId, Publish, UserProperties, Version, client};

use super::account::{ClientAt, Number, payload_of};
use super::scene::Scene;
use super::wire::{Wire, WireId};

/// What a client is and does.
#[derive(Clone, Debug)]
pub struct Character {
    /// What it speaks. In 5.0 it names its subscriptions, by where their filters stand in its list.
    pub version: Version,
    /// Messages of QoS 1 and 2 that it takes unacknowledged, as it says in 5.0.
    pub receive_max: u16,
    /// Which of the instances it is in.
    pub instance: usize,
    /// The same names occur in every instance.
    pub client_id: String,
    /// Whether it wants its session kept.
    pub lasting: bool,
    /// What it asks for when it subscribes.
    pub qos: Qos,
    /// The filters that it subscribes to, and no others.
    pub filters: Vec<TopicFilter>,
    /// The topics that it publishes to; none: it does not.
    pub topics: Vec<&'static str>,
    /// Messages that it has under way at most.
    pub window: usize,
    /// In so many of a thousand of its steps it acknowledges what it has; slow ones seldom do.
    pub answers_permille: usize,
    /// What is to be published when it goes without a word.
    pub will: Option<LastWish>,
}

/// A will, without what it says: that is another thing for each connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastWish {
    /// Where.
    pub topic: &'static str,
    /// With which QoS.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
}

impl Character {
    /// One who comes when all is over, and looks.
    #[must_use]
    pub fn newcomer(instance: usize) -> Self {
        Self {
            version: Version::V311,
            receive_max: u16::MAX,
            instance,
            client_id: "newcomer".to_owned(),
            lasting: false,
            qos: Qos::AtLeastOnce,
            filters: Vec::new(),
            topics: Vec::new(),
            window: 0,
            answers_permille: 1_000,
            will: None,
        }
    }
}

/// What a client knows of its session at the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    /// There is none.
    Absent,
    /// There may be one.
    Unknown,
    /// There is one: the node has said so in a way that binds it.
    There,
    /// It is to be discarded: until the node confirms that, the client asks for a clean one.
    Discarding,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Offline,
    /// CONNECT is sent.
    Connecting {
        clean: bool,
        /// What was known when it was sent.
        kept: Kept,
    },
    Online {
        clean: bool,
    },
}

/// A message that is not yet acknowledged to the end.
#[derive(Clone, Debug)]
struct Outgoing {
    packet_id: PacketId,
    /// None: it is empty, and removes a retained one.
    number: Option<Number>,
    topic: &'static str,
    qos: Qos,
    retain: bool,
    /// PUBREC has come.
    released: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ack {
    /// PUBACK.
    Had(PacketId),
    /// PUBREC.
    Received(PacketId),
    /// PUBCOMP.
    Completed(PacketId),
}

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered.
#[derive(Clone, Debug)]
struct Asking {
    packet_id: PacketId,
    filter: TopicFilter,
    ends: bool,
}

/// A client of the simulation.
#[derive(Debug)]
pub struct Client {
    at: ClientAt,
    /// What it is.
    pub character: Character,
    stage: Stage,
    wire: Option<WireId>,
    kept: Kept,
    outgoing: VecDeque<Outgoing>,
    /// Identifiers of QoS 2 between PUBLISH and PUBREL.
    received: BTreeSet<PacketId>,
    /// Those that have come on this connection and that it has not acknowledged to the end.
    unanswered: BTreeSet<PacketId>,
    /// What it has yet to send, in order.
    acks: VecDeque<Ack>,
    asking: Option<Asking>,
}

impl Client {
    /// A client that has never connected.
    #[must_use]
    pub fn new(at: ClientAt, character: Character) -> Self {
        Self {
            at,
            character,
            stage: Stage::Offline,
            wire: None,
            kept: Kept::Absent,
            outgoing: VecDeque::new(),
            received: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            acks: VecDeque::new(),
            asking: None,
        }
    }

    /// Its place in the run.
    #[must_use]
    pub const fn at(&self) -> ClientAt {
        self.at
    }

    /// Its connection, if it has one.
    #[must_use]
    pub const fn wire(&self) -> Option<WireId> {
        self.wire
    }

    /// Whether it is connected and waits for nothing.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Online { .. })
            && self.outgoing.is_empty()
            && self.received.is_empty()
            && self.acks.is_empty()
            && self.asking.is_none()
    }

    /// Whether it has to be connected for a run to be over.
    #[must_use]
    pub fn must_settle(&self) -> bool {
        self.character.lasting || self.wire.is_some()
    }
}

// --- what it does ---
impl Client {
    /// Does something of its own accord.
    pub fn act(&mut self, scene: &mut Scene) {
        match self.stage {
            Stage::Offline => self.connect(scene),
            Stage::Connecting { .. } => {
                if scene.chance.permille(10) {
                    self.leave(scene);
                }
            }
            Stage::Online { .. } => self.act_online(scene),
        }
    }

    fn act_online(&mut self, scene: &mut Scene) {
        if !self.acks.is_empty() && scene.chance.permille(self.character.answers_permille) {
            return self.answer(scene);
        }
        match scene.chance.below(100) {
            0..70 => self.publish(scene),
            70..86 => self.ask(scene),
            86..90 => self.leave(scene),
            // A second connection while the first still stands: the node has to take the session over.
            90..93 => self.connect(scene),
            _ => self.answer(scene),
        }
    }

    /// Goes without a word, and does not come back.
    pub fn vanish(&mut self, scene: &mut Scene) {
        if let Some(wire) = self.wire.take() {
            scene.trace.note(format_args!("client {} vanishes from wire {wire}", self.at));
            scene.wires[wire].leave(true);
            self.gone(scene);
        }
    }

    /// Does what is left to be done, and begins nothing.
    pub fn finish(&mut self, scene: &mut Scene) {
        match self.stage {
            Stage::Offline if self.must_settle() => self.connect(scene),
            Stage::Offline | Stage::Connecting { .. } => {}
            Stage::Online { .. } => self.answer(scene),
        }
    }

    fn connect(&mut self, scene: &mut Scene) {
        let clean = !self.character.lasting
            || self.kept == Kept::Discarding
            || (!scene.is_ending && scene.chance.permille(30));
        if let Some(wire) = self.wire.take() {
            // The client has given the old connection up; the node may not know yet.
            scene.wires[wire].leave(scene.chance.permille(500));
            self.gone(scene);
        }
        let kept = self.kept;
        if clean {
            self.forget(scene);
            self.kept = Kept::Discarding;
        } else if kept == Kept::Absent {
            self.kept = Kept::Unknown;
        }
        let payload = self.character.will.map(|LastWish { topic, qos, .. }| {
            payload_of(scene.account.will_made(self.at, !clean, topic, qos, scene.trace.now()))
        });
        let will = self.character.will.zip(payload.as_deref()).map(|(wish, payload)| mqtt::Will {
            topic: wish.topic,
            payload,
            qos: wish.qos,
            retain: wish.retain,
            ..mqtt::Will::default()
        });
        let mut wire = Wire::default();
        wire.send(|out| {
            let connect = Connect {
                client_id: &self.character.client_id,
                version: self.character.version,
                clean_start: clean,
                will,
                // Longer than the plan allows: the node holds it to that.
                properties: ConnectProperties {
                    session_expiry_secs: if clean { 0 } else { u32::MAX },
                    receive_max: self.character.receive_max,
                    ..ConnectProperties::default()
                },
                ..Connect::default()
            };
            client::connect(out, &connect).expect("a short packet");
        });
        let at = scene.open(self.at, wire);
        scene.trace.note(format_args!("client {} CONNECT clean {clean} on wire {at}", self.at));
        self.wire = Some(at);
        self.stage = Stage::Connecting { clean, kept };
    }

    /// Forgets its session, as a client does that asks for a clean one or is told that there was none.
    fn forget(&mut self, scene: &mut Scene) {
        self.outgoing.clear();
        self.received.clear();
        self.acks.clear();
        self.asking = None;
        scene.account.forgotten(self.at);
    }

    fn leave(&mut self, scene: &mut Scene) {
        let Some(wire) = self.wire.take() else { return };
        let arrives = scene.chance.permille(500);
        if arrives && scene.chance.permille(500) {
            scene.wires[wire].send(client::disconnect);
            scene.account.said_goodbye(self.at);
        }
        scene.trace.note(format_args!("client {} leaves wire {wire}", self.at));
        scene.wires[wire].leave(arrives);
        self.gone(scene);
    }

    fn gone(&mut self, scene: &mut Scene) {
        scene.account.ended(self.at, scene.millis);
        // What was agreed on a clean session ends with the connection.
        if let Stage::Online { clean: true } = self.stage {
            self.forget(scene);
        }
        self.wire = None;
        self.stage = Stage::Offline;
        self.acks.clear();
        self.unanswered.clear();
        self.asking = None;
    }

    fn free_packet_id(&self) -> PacketId {
        let asking = self.asking.as_ref().map(|asking| asking.packet_id);
        let is_free = |id: &PacketId| {
            Some(*id) != asking && self.outgoing.iter().all(|outgoing| outgoing.packet_id != *id)
        };
        (1..).find_map(|id| PacketId::new(id).filter(is_free)).expect("a few are in use")
    }

    fn publish(&mut self, scene: &mut Scene) {
        if self.character.topics.is_empty() || self.outgoing.len() >= self.character.window {
            return;
        }
        let topic = *scene.chance.one_of(&self.character.topics);
        let qos = *scene.chance.one_of(&[
            Qos::AtMostOnce,
            Qos::AtLeastOnce,
            Qos::AtLeastOnce,
            Qos::ExactlyOnce,
            Qos::ExactlyOnce,
        ]);
        let retain = scene.chance.permille(100);
        let is_empty = retain && scene.chance.permille(200);
        let now = scene.trace.now();
        let number = (!is_empty).then(|| scene.account.sent(self.at, topic, qos, now));
        let packet_id = self.free_packet_id();
        let outgoing = Outgoing { packet_id, number, topic, qos, retain, released: false };
        self.send(scene, &outgoing, false);
        if qos != Qos::AtMostOnce {
            self.outgoing.push_back(outgoing);
        }
    }

    fn send(&self, scene: &mut Scene, outgoing: &Outgoing, dup: bool) {
        let Outgoing { packet_id, number, topic, qos, retain, .. } = *outgoing;
        let packet_id = (qos != Qos::AtMostOnce).then_some(packet_id);
        scene.trace.note(format_args!(
            "client {} PUBLISH {number:?} {topic} qos {} id {packet_id:?} retain {retain} dup {dup}",
            self.at,
            qos.bits()
        ));
        let payload = number.map(payload_of).unwrap_or_default();
        self.write(scene, |out| {
            let publish =
                Publish { dup, qos, retain, topic, packet_id, payload: &payload, ..Publish::default() };
            mqtt::publish(out, self.character.version, &publish).expect("a short packet");
        });
    }

    fn write(&self, scene: &mut Scene, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(wire) = self.wire {
            scene.wires[wire].send(write);
        }
    }

    fn ask(&mut self, scene: &mut Scene) {
        if self.asking.is_some() || self.character.filters.is_empty() {
            return;
        }
        let filter = scene.chance.one_of(&self.character.filters).clone();
        if scene.chance.permille(200) {
            self.unsubscribe(filter, scene);
        } else {
            self.subscribe(&filter, scene);
        }
    }

    /// Subscribes.
    pub fn subscribe(&mut self, filter: &TopicFilter, scene: &mut Scene) {
        let (packet_id, qos) = (self.free_packet_id(), self.character.qos);
        scene.trace.note(format_args!("client {} SUBSCRIBE {packet_id} {filter}", self.at));
        scene.account.asked(self.at, filter);
        self.write(scene, |out| {
            let written = if self.character.version.is_v5() {
                let options = Options::of(qos);
                let at = self.character.filters.iter().position(|it| it == filter).unwrap_or(0);
                let id = u32::try_from(at + 1).ok().and_then(NonZeroU32::new);
                let filters = [(filter.as_str(), options)];
                client::subscribe_v5(out, packet_id, &filters, id, UserProperties::default())
            } else {
                client::subscribe(out, packet_id, &[(filter.as_str(), qos)])
            };
            written.expect("a short packet");
        });
        self.asking = Some(Asking { packet_id, filter: filter.clone(), ends: false });
    }

    fn unsubscribe(&mut self, filter: TopicFilter, scene: &mut Scene) {
        let packet_id = self.free_packet_id();
        scene.trace.note(format_args!("client {} UNSUBSCRIBE {packet_id} {filter}", self.at));
        scene.account.unsubscribing(self.at, &filter);
        self.write(scene, |out| {
            let written = if self.character.version.is_v5() {
                client::unsubscribe_v5(out, packet_id, &[filter.as_str()], UserProperties::default())
            } else {
                client::unsubscribe(out, packet_id, &[filter.as_str()])
            };
            written.expect("a short packet");
        });
        self.asking = Some(Asking { packet_id, filter, ends: true });
    }

    /// Sends acknowledgements, some or all, in their order.
    fn answer(&mut self, scene: &mut Scene) {
        let all = self.acks.len();
        let some = if scene.is_ending { all } else { all.min(1 + scene.chance.below(4)) };
        for ack in self.acks.drain(..some).collect::<Vec<_>>() {
            scene.trace.note(format_args!("client {} {ack:?}", self.at));
            if let Ack::Had(packet_id) | Ack::Completed(packet_id) = ack {
                self.unanswered.remove(&packet_id);
            }
            if let Ack::Had(packet_id) = ack {
                scene.account.answers(self.at, packet_id);
            }
            self.write(scene, |out| match ack {
                Ack::Had(packet_id) => client::puback(out, packet_id),
                Ack::Received(packet_id) => client::pubrec(out, packet_id),
                Ack::Completed(packet_id) => client::pubcomp(out, packet_id),
            });
        }
    }
}
