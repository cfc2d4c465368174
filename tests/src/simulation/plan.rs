//! What a seed makes of a run: who is there, what they do, and what befalls the node.

use contract::qos::Qos;
use contract::topic::TopicFilter;

use super::chance::Chance;
use super::client::Character;

/// Namespaces of the node. The same topics and client identifiers occur in each.
pub const INSTANCES: usize = 2;

const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "d/b", "d//c", "$e/b"];

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
}

impl Plan {
    /// The plan of a run.
    pub fn draw(chance: &mut Chance) -> Self {
        let mut clients = Vec::new();
        for instance in 0..INSTANCES {
            for at in 0..2 + chance.below(3) {
                clients.push(character(instance, at, chance));
            }
        }
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
        }
    }
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
    Character {
        instance,
        client_id: format!("client-{at}"),
        lasting,
        qos,
        filters,
        topics,
        window: 1 + chance.below(6),
        answers_permille: *chance.one_of(&[900, 600, 100, 20]),
    }
}

fn filter(chance: &mut Chance) -> TopicFilter {
    chance.one_of(&FILTERS).parse().expect("a lawful filter")
}
