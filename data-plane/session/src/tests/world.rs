//! A whole world around two lasting sessions: a client that publishes, one that subscribes, a log that stores batches in
//! order, and crashes. Each step moves one thing; what holds is checked at every step and at the quiet end.

mod clients;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::{Options, Packet, PacketId, Publish, Subscribe, Version};

use super::kept::{Documents, envelope};
use super::script::{bounds, settings_of};
use crate::{
    Accepted, Asked, Bounds, ChangeId, ClientSide, Close, Delivered, Ended, Lasting, Message, Millis,
    Rendering, Rules, Session, Settings, Sink,
};

/// The two sessions.
const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;

const TOPIC: &str = "t";

/// The identifier of the subscription in 5.0.
const ID: u32 = 300;

/// Messages of the publishing client under way at one time, and the widest window of a session.
const WINDOW: u16 = 3;

/// Messages that the node only passes on: to nobody here, and nothing is promised of them.
const fn is_relayed(number: u32) -> bool {
    number % 5 == 4
}

/// Numbers of messages that others have relayed to the subscriber begin here.
const RELAYED: u32 = 1_000_000;

/// Where a session's effects go.
#[derive(Default)]
struct Surroundings {
    output: Vec<u8>,
    watermark: u64,
    /// Messages that this round's batch takes.
    taken: Vec<(u32, Qos, PacketId)>,
}

impl Sink for Surroundings {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        let number = u32::from_be_bytes(publish.payload.try_into().expect("four bytes"));
        if is_relayed(number) {
            return Ok(Accepted::Now);
        }
        self.taken.push((number, publish.qos, publish.packet_id.expect("no QoS 0 here")));
        Ok(Accepted::Later)
    }

    fn since(&self, _filter: &TopicFilter) -> Pos {
        Pos::of_record(self.watermark)
    }

    fn subscribe(&mut self, _filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        Ok(asked.options.qos)
    }

    fn unix_now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn is_own(&self, _publisher: &str) -> bool {
        false
    }

    fn unsubscribe(&mut self, _filter: &TopicFilter) {}

    fn refused(&mut self, refusal: Refusal) {
        assert_eq!(refusal, Refusal::StorageUnavailable, "nothing else goes wrong");
    }

    fn close(&mut self, close: Close) {
        assert_eq!(close, Close::Refused(Refusal::StorageUnavailable), "nobody breaks the protocol");
    }
}

/// Delivers by whatever subscription there is; `None`: there is none.
fn deliver(
    session: &mut Session,
    pos: Option<Pos>,
    message: &mut Message<'_>,
    output: &mut Vec<u8>,
) -> Option<Delivered> {
    let (_, granted) = session.subscriptions().next()?;
    Some(match (session.special(TOPIC, false).filter(|_| granted.is_special()), pos) {
        (Some(special), pos) => session.deliver_special(pos, message, &special, output),
        (None, Some(pos)) => session.deliver_logged(pos, message, granted.qos(), output),
        (None, None) => session.deliver(message, granted.qos(), output),
    })
}

/// One client's session on the node, and its connection.
#[derive(Default)]
struct Side {
    session: Option<Session>,
    detached: Option<Box<Lasting>>,
    stored: Documents,
    around: Surroundings,
    /// From the client.
    inbound: VecDeque<Said>,
    outbound: VecDeque<Vec<u8>>,
    connection: u32,
    /// The page that is being read.
    page: Option<std::ops::Range<Pos>>,
}

/// A packet of a client on its way; that it has been bytes is of no interest.
enum Said {
    /// A message with its number as payload.
    Publish(u32, Qos, PacketId),
    Other(Packet<'static>),
}

/// A batch on its way into the log.
struct Batch {
    record: u64,
    messages: Vec<(u32, Qos, PacketId)>,
    connection: u32,
    changes: Vec<(usize, ChangeId, Documents)>,
}

/// What the publishing client does with an identifier.
#[derive(Clone, Copy)]
enum Outgoing {
    Published(u32, Qos),
    Released,
}

pub(super) struct World {
    version: Version,
    rules: Rules,
    now: u64,
    sides: [Side; 2],
    log: BTreeMap<Pos, (u32, Qos)>,
    batches: VecDeque<Batch>,
    next_record: u64,
    watermark: u64,
    // --- the clients ---
    outgoing: BTreeMap<u16, Outgoing>,
    /// In the order of the messages.
    order: Vec<u16>,
    published: u32,
    /// Those that have to arrive.
    promised: BTreeSet<u32>,
    /// Those sent before the subscription was acknowledged.
    too_early: u32,
    is_subscribed: bool,
    /// Identifiers of QoS 2 that the subscribing client holds.
    known: BTreeSet<u16>,
    /// Those that have come on this connection and are not acknowledged to the end, and how many there may be.
    unanswered: BTreeSet<u16>,
    receive_max: u16,
    /// What the subscribing client has said that it does not want.
    unwanted: BTreeSet<u32>,
    received: BTreeMap<u32, u32>,
    /// The newest that has arrived, by QoS.
    newest: [u32; 3],
    relayed: u32,
    fault: Option<String>,
}

/// How many kinds of steps there are.
pub(super) const STEPS: u8 = 21;

impl World {
    pub(super) fn new(version: Version, rules: Rules) -> Self {
        let mut world = Self {
            version,
            rules,
            now: 0,
            sides: Default::default(),
            log: BTreeMap::new(),
            batches: VecDeque::new(),
            next_record: 1,
            watermark: 1,
            outgoing: BTreeMap::new(),
            order: Vec::new(),
            published: 0,
            promised: BTreeSet::new(),
            too_early: 0,
            is_subscribed: false,
            known: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            receive_max: WINDOW,
            unwanted: BTreeSet::new(),
            received: BTreeMap::new(),
            newest: [0; 3],
            relayed: 0,
            fault: None,
        };
        world.connect(PUBLISHER);
        world.connect(SUBSCRIBER);
        world
    }

    /// Takes the steps, then comes to rest. The answer is what went wrong.
    pub(super) fn run(mut self, steps: &[u8]) -> Result<(), String> {
        for &step in steps {
            self.step(step % STEPS);
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
        }
        self.rest()
    }

    fn step(&mut self, step: u8) {
        match step {
            0 => self.publish(Qos::AtLeastOnce),
            1 | 2 => self.publish(Qos::ExactlyOnce),
            3 | 4 => self.hear(PUBLISHER),
            5 | 6 => self.hear(SUBSCRIBER),
            7 | 8 => self.answer(PUBLISHER),
            9 | 10 => self.answer(SUBSCRIBER),
            11 => self.hand_in(),
            12 => self.commit(true),
            13 => self.want(),
            14 => self.take_page(),
            15 => self.reconnect(PUBLISHER),
            16 => self.reconnect(SUBSCRIBER),
            17 => self.tick(),
            18 => self.relay(),
            19 => self.crash(),
            _ => self.fail(),
        }
    }

    /// Everybody goes on until nothing moves any more.
    fn rest(mut self) -> Result<(), String> {
        for _ in 0..400 {
            for side in [PUBLISHER, SUBSCRIBER] {
                if self.sides[side].session.as_ref().is_none_or(Session::is_closed) {
                    self.reconnect(side);
                }
            }
            for step in 3..15 {
                self.step(step);
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
        }
        let missing: Vec<_> =
            self.promised.iter().filter(|number| !self.received.contains_key(number)).collect();
        if !missing.is_empty() {
            return Err(format!("{missing:?} were acknowledged and did not arrive"));
        }
        if !self.outgoing.is_empty() || !self.is_subscribed {
            return Err("somebody waits in vain".to_owned());
        }
        Ok(())
    }

    // --- connections ---

    fn connect(&mut self, side: usize) {
        let watermark = self.watermark;
        let kept = &mut self.sides[side];
        let mut lasting = match kept.detached.take() {
            Some(lasting) => lasting,
            None if kept.stored.0[0].is_some() => Box::new(kept.stored.restore()),
            None => Box::new(Lasting::new("owner", Pos::of_record(watermark))),
        };
        lasting.set_rules(self.rules);
        kept.around = Surroundings { watermark, ..Surroundings::default() };
        kept.inbound.clear();
        kept.outbound.clear();
        kept.page = None;
        kept.connection += 1;
        let window = u16::try_from(self.now / 10_000).unwrap_or(0) % WINDOW + 1;
        // What a client has received and not released is held to its own bound here.
        let in_flight_max = if side == PUBLISHER { WINDOW } else { window };
        let bounds = Bounds { in_flight_max, ..bounds() };
        // In 5.0 the client says how much it takes, and is told how much the node does.
        let client = ClientSide { receive_max: in_flight_max, ..ClientSide::default() };
        let bounds = if self.version.is_v5() { Bounds { in_flight_max: WINDOW, ..bounds } } else { bounds };
        let settings = Settings { bounds, client, receive_max: WINDOW, ..settings_of(self.version) };
        if side == SUBSCRIBER {
            self.unanswered.clear();
            self.receive_max = in_flight_max;
        }
        kept.session = Some(Session::attach(Millis(self.now), settings, lasting, &mut kept.around));
        if side == PUBLISHER {
            for id in self.order.clone() {
                self.send(id);
            }
        } else if !self.is_subscribed {
            let filters = vec![(TOPIC.parse().expect("a filter"), Options::of(Qos::ExactlyOnce))];
            let subscription_id = if self.version.is_v5() { NonZeroU32::new(ID) } else { None };
            let subscribe = Subscribe { packet_id: PacketId::MIN, filters, subscription_id };
            kept.inbound.push_back(Said::Other(Packet::Subscribe(subscribe)));
        }
    }

    fn reconnect(&mut self, side: usize) {
        // What a round has taken in is handed in at its end, whatever becomes of the client.
        self.hand_in();
        match self.sides[side].session.take() {
            Some(session) => self.sides[side].detached = session.end(Ended::Closed).lasting,
            None => self.connect(side),
        }
    }

    // --- the node ---

    /// Packets that were written go to the client one by one.
    fn flush(&mut self, side: usize) {
        let kept = &mut self.sides[side];
        let mut at = 0;
        while let Some(frame) = mqtt::frame(&kept.around.output[at..], usize::MAX).expect("lawful") {
            kept.outbound.push_back(kept.around.output[at..at + frame.total].to_vec());
            at += frame.total;
        }
        kept.around.output.clear();
    }

    /// The node takes the next packet of a client.
    fn hear(&mut self, side: usize) {
        let kept = &mut self.sides[side];
        kept.around.watermark = self.watermark;
        let (Some(session), Some(said)) = (&mut kept.session, kept.inbound.pop_front()) else { return };
        let now = Millis(self.now);
        match said {
            Said::Other(packet) => session.handle(now, packet, &mut kept.around),
            Said::Publish(number, qos, packet_id) => {
                let (payload, packet_id) = (&number.to_be_bytes()[..], Some(packet_id));
                let publish = Publish { qos, topic: TOPIC, packet_id, payload, ..Publish::default() };
                session.handle(now, Packet::Publish(publish), &mut kept.around);
            }
        }
    }

    /// The end of a round: messages and changes in one batch.
    fn hand_in(&mut self) {
        let messages = std::mem::take(&mut self.sides[PUBLISHER].around.taken);
        let mut changes = Vec::new();
        for (side, kept) in self.sides.iter_mut().enumerate() {
            let mut documents = Documents::default();
            let id = match (&mut kept.session, &mut kept.detached) {
                (Some(session), _) => session.write_changes(|part, bytes| documents.put(part, bytes)),
                (None, Some(lasting)) => lasting.write_changes(|part, bytes| documents.put(part, bytes)),
                (None, None) => None,
            };
            changes.extend(id.map(|id| (side, id, documents)));
        }
        if messages.is_empty() && changes.is_empty() {
            return;
        }
        let connection = self.sides[PUBLISHER].connection;
        self.batches.push_back(Batch { record: self.next_record, messages, connection, changes });
        self.next_record += 1;
    }

    /// The oldest batch is stored. When the node goes down just then, nobody is told.
    fn commit(&mut self, is_told: bool) {
        let Some(Batch { record, messages, connection, changes }) = self.batches.pop_front() else { return };
        for (index, &(number, qos, _)) in (0..).zip(&messages) {
            self.log.insert(Pos { record, index }, (number, qos));
        }
        for (side, id, documents) in changes {
            let kept = &mut self.sides[side];
            kept.stored.adopt(documents);
            match (&mut kept.session, &mut kept.detached) {
                _ if !is_told => {}
                (Some(session), _) => session.changes_committed(id, &mut kept.around),
                (None, Some(lasting)) => lasting.changes_committed(id),
                (None, None) => {}
            }
        }
        if !is_told {
            return;
        }
        self.feed(record);
        let kept = &mut self.sides[PUBLISHER];
        for (_, _, packet_id) in messages {
            if let Some(session) = kept.session.as_mut().filter(|_| kept.connection == connection) {
                session.committed(packet_id, &mut kept.around.output);
            }
        }
    }

    /// The worker is shown a record: it may want it, or is told that it has come by.
    fn feed(&mut self, record: u64) {
        let kept = &mut self.sides[SUBSCRIBER];
        let mut rendering = Rendering::new();
        let range = Pos::of_record(record)..Pos::of_record(record + 1);
        for (&pos, &(number, qos)) in self.log.range(range) {
            let Some(session) = &mut kept.session else { break };
            let payload = number.to_be_bytes();
            let mut message = rendering.message(TOPIC, &payload, qos);
            if deliver(session, Some(pos), &mut message, &mut kept.around.output).is_none() {
                break;
            }
        }
        self.watermark = record + 1;
    }

    fn want(&mut self) {
        let kept = &mut self.sides[SUBSCRIBER];
        if let Some(session) = &mut kept.session
            && let Some(range) = session.wanted_page(Pos::of_record(self.watermark), 0)
        {
            kept.page = Some(range);
        }
    }

    /// A page has two messages at most.
    fn take_page(&mut self) {
        let kept = &mut self.sides[SUBSCRIBER];
        let Some(range) = kept.page.take() else { return };
        let Some(session) = &mut kept.session else { return };
        let mut found = self.log.range(range.clone());
        let page: Vec<_> =
            found.by_ref().take(2).map(|(&pos, &(number, qos))| (pos, number.to_be_bytes(), qos)).collect();
        let next = found.next().map_or(range.end, |(&pos, _)| pos);
        let messages = page.iter().map(|(pos, payload, qos)| (*pos, envelope(TOPIC, *qos, payload)));
        let watermark = Pos::of_record(self.watermark);
        let mut rendering = Rendering::new();
        session.take_page(messages, next, watermark, UnixMillis(0), &mut rendering, &mut kept.around);
    }

    fn tick(&mut self) {
        self.now += 10_000;
        for kept in &mut self.sides {
            if let Some(session) = &mut kept.session {
                session.advance(Pos::of_record(self.watermark), Millis(self.now));
            }
        }
    }

    /// Somebody's message of QoS 2 that is not stored goes to the subscriber.
    fn relay(&mut self) {
        let kept = &mut self.sides[SUBSCRIBER];
        let Some(session) = kept.session.as_mut().filter(|it| it.subscriptions().next().is_some()) else {
            return;
        };
        let payload = (RELAYED + self.relayed).to_be_bytes();
        self.relayed += 1;
        let mut rendering = Rendering::new();
        let mut message = rendering.message(TOPIC, &payload, Qos::ExactlyOnce);
        let _ = deliver(session, None, &mut message, &mut kept.around.output);
    }

    /// The node goes down; some of what it has handed in may be stored. It comes back with nothing but that.
    fn crash(&mut self) {
        if !self.now.is_multiple_of(20_000) {
            self.commit(false);
        }
        self.batches.clear();
        self.now += 10_000;
        self.watermark = self.next_record;
        for side in [PUBLISHER, SUBSCRIBER] {
            self.sides[side].session = None;
            self.sides[side].detached = None;
            self.connect(side);
        }
    }

    /// Nothing of what was handed in is stored. That is told between rounds.
    fn fail(&mut self) {
        self.hand_in();
        let refusal = Refusal::StorageUnavailable;
        for Batch { messages, connection, changes, .. } in std::mem::take(&mut self.batches) {
            let kept = &mut self.sides[PUBLISHER];
            if let Some(session) = kept.session.as_mut().filter(|_| kept.connection == connection) {
                for (_, _, packet_id) in messages {
                    session.not_committed(packet_id, refusal, &mut kept.around);
                }
            }
            for (side, id, _) in changes {
                let kept = &mut self.sides[side];
                match (&mut kept.session, &mut kept.detached) {
                    (Some(session), _) => session.changes_failed(id, refusal, &mut kept.around),
                    (None, Some(lasting)) => lasting.changes_failed(id),
                    (None, None) => {}
                }
            }
        }
    }
}
