//! What a seed makes of a run: who is there, what they do, and what befalls the node.

use contract::durability::QueueOverflow;
use contract::qos::Qos;
use contract::topic::TopicFilter;
use mqtt::Version;

use super::chance::Chance;
use super::client::{Character, LastWish};

/// Namespaces of the node. The same topics and client identifiers occur in each.
pub const INSTANCES: usize = 2;

/// What is published to.
pub const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "d/b", "d//c", "$e/b"];

/// The topic whose messages expire, where any do.
const EXPIRING: &str = "a/c";

const SHARES: [&str; 4] = ["$share/g/#", "$share/g/#", "$share/h/a/#", "$share/g/+/b"];

const FILTERS: [&str; 9] = ["a", "a/b", "a/+", "+/b", "#", "a/#", "d//c", "$e/#", "+/+/c"];

/// What one run is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who is there.
    pub clients: Vec<Character>,
    /// Workers of the node.
    pub workers: usize,
    /// What the scheduler does before it comes to an end.
    pub steps: usize,
    /// In so many of ten thousand steps the machine stops.
    pub crashes_per_10_000: usize,
    /// In so many of a thousand of its turns the log gets on: the disk may be slow.
    pub log_permille: usize,
    /// Messages that a session may have in flight.
    pub in_flight_max: u64,
    /// Bytes that may wait for a client.
    pub outbox_bytes_max: u64,
    /// Bytes of documents that may be in memory before they are put away.
    pub overlay_bytes_max: usize,
    /// Journal segments of so many bytes.
    pub segment_bytes: u64,
    /// In each instance: every message of QoS 1 and 2 is logged, wanted or not.
    pub always: [bool; INSTANCES],
    /// So long a will of a lasting session waits for its client, in seconds.
    pub will_delay_secs: u32,
    /// After a start wills wait so long at least, in milliseconds.
    pub grace_millis: u64,
    /// So long a session lasts without a connection, in seconds.
    pub session_expiry_secs: u32,
    /// After so many milliseconds messages of one topic expire.
    pub message_expiry_millis: Option<u64>,
    /// What may wait for a session.
    pub queue: Option<QueuePlan>,
    /// In so many of ten thousand steps the disk begins or ceases to fail in some way.
    pub faults_per_10_000: usize,
}

/// What may wait for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuePlan {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// What is done about more.
    pub overflow: QueueOverflow,
}

/// A day: in a run nothing lasts so long.
const LONG_SECS: u32 = 86_400;

impl Plan {
    /// The plan of a run.
    pub fn draw(chance: &mut Chance) -> Self {
        let has_wills = chance.permille(350);
        let mut clients = Vec::new();
        for instance in 0..INSTANCES {
            for at in 0..2 + chance.below(3) {
                let mut character = character(instance, at, chance);
                character.will = if has_wills { last_wish(chance) } else { None };
                clients.push(character);
            }
        }
        if chance.permille(400) {
            for instance in 0..INSTANCES {
                for at in 0..2 + chance.below(3) {
                    clients.push(member(instance, at, chance));
                }
            }
        }
        let expires = chance.permille(250);
        let queue = chance.permille(250).then(|| QueuePlan {
            messages: 1 + chance.below(12) as u64,
            bytes: *chance.one_of(&[400, 100_000]),
            overflow: *chance.one_of(&[
                QueueOverflow::DropOldest,
                QueueOverflow::DropOldest,
                QueueOverflow::DropNew,
                QueueOverflow::Disconnect,
            ]),
        });
        Self {
            clients,
            workers: 1 + chance.below(3),
            steps: 2_000 + chance.below(2_000),
            crashes_per_10_000: *chance.one_of(&[0, 10, 30, 80]),
            log_permille: *chance.one_of(&[1_000, 300, 100]),
            in_flight_max: *chance.one_of(&[1, 2, 4, 20]),
            outbox_bytes_max: *chance.one_of(&[4_096, 1024 * 1024]),
            overlay_bytes_max: *chance.one_of(&[8 * 1024, 1024 * 1024]),
            segment_bytes: *chance.one_of(&[2 * 1024, 8 * 1024, 1024 * 1024]),
            always: [chance.permille(500), chance.permille(500)],
            will_delay_secs: *chance.one_of(&[0, 0, 3, 12]),
            grace_millis: *chance.one_of(&[0, 5_000]),
            session_expiry_secs: if expires { *chance.one_of(&[8, 12, 18, 25]) } else { LONG_SECS },
            message_expiry_millis: chance.permille(250).then(|| 500 + chance.below(8_000) as u64),
            queue,
            faults_per_10_000: *chance.one_of(&[0, 0, 0, 40, 100]),
        }
    }

    /// Whether sessions end while it lasts.
    #[must_use]
    pub const fn sessions_expire(&self) -> bool {
        self.session_expiry_secs < LONG_SECS
    }

    /// After how many milliseconds a message of a topic expires.
    #[must_use]
    pub fn expiry_of(&self, topic: &str) -> Option<u64> {
        self.message_expiry_millis.filter(|_| topic == EXPIRING)
    }
}

fn last_wish(chance: &mut Chance) -> Option<LastWish> {
    chance.permille(600).then(|| LastWish {
        topic: chance.one_of::<&str>(&TOPICS),
        qos: *chance.one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
        retain: chance.permille(200),
    })
}

fn character(instance: usize, at: usize, chance: &mut Chance) -> Character {
    // Of each instance the first publishes and the second is a lasting subscriber: else nothing is at stake.
    let lasting = at == 1 || chance.permille(700);
    let qos = if chance.permille(600) { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
    let filters = if at == 0 && chance.permille(500) { 0 } else { 1 + chance.below(4) };
    let filters = (0..filters).map(|_| filter(chance)).collect();
    let publishes = at == 0 || chance.permille(400);
    let topics =
        if publishes { (0..=chance.below(3)).map(|_| *chance.one_of(&TOPICS)).collect() } else { Vec::new() };
    let (version, receive_max) = version(chance);
    Character {
        version,
        receive_max,
        instance,
        client_id: format!("client-{at}"),
        lasting,
        qos,
        filters,
        topics,
        window: 1 + chance.below(6),
        answers_permille: *chance.one_of(&[900, 600, 100, 20]),
        will: None,
    }
}

/// A client that shares what it wants with others. It asks for nothing else, and so what it has it has of one group.
fn member(instance: usize, at: usize, chance: &mut Chance) -> Character {
    let (version, receive_max) = version(chance);
    Character {
        version,
        receive_max,
        instance,
        client_id: format!("member-{at}"),
        lasting: at == 0 || chance.permille(600),
        qos: if chance.permille(900) { Qos::ExactlyOnce } else { Qos::AtLeastOnce },
        filters: vec![chance.one_of(&SHARES).parse().expect("a lawful filter")],
        topics: if chance.permille(300) { vec![*chance.one_of(&TOPICS)] } else { Vec::new() },
        window: 1 + chance.below(4),
        answers_permille: *chance.one_of(&[900, 600, 100, 20]),
        will: None,
    }
}

/// What a client speaks, and what it takes.
fn version(chance: &mut Chance) -> (Version, u16) {
    let receive_max = *chance.one_of(&[1, 2, 3, 8, u16::MAX]);
    if chance.permille(500) { (Version::V5, receive_max) } else { (Version::V311, u16::MAX) }
}

fn filter(chance: &mut Chance) -> TopicFilter {
    chance.one_of(&FILTERS).parse().expect("a lawful filter")
}
