//! What the ring takes, keeps, lets go of, and answers to alarm rules.

use contract::metrics::{InstanceSample, find};
use contract::time::UnixMillis;

use super::*;
use crate::metrics::NODE_LATE_SECS;

/// A minute that begins with a slot.
const BEGIN: u64 = 1_800_000_000 / 60 * 60;

fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn instance(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(0x1000 + number))
}

fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp((BEGIN + second).cast_signed(), 0).expect("a time")
}

/// The slot of ten seconds that begins at this second.
fn slot(second: u64, instances: &[(InstanceId, InstanceSample)]) -> MetricsReport {
    MetricsReport {
        boot: Uuid::from_u128(7),
        slot: UnixMillis::from_secs(BEGIN + second),
        slot_millis: 10_000,
        instances: instances.iter().cloned().collect(),
        refused_before_instance: BTreeMap::new(),
        more: false,
    }
}

fn sample(connections: u64, messages_in: u64) -> InstanceSample {
    InstanceSample { connections, messages_in, ..InstanceSample::default() }
}

fn cars(second: u64, connections: u64, messages_in: u64) -> MetricsReport {
    slot(second, &[(instance(1), sample(connections, messages_in))])
}

/// Value, whether complete, and the second until which: of the 60 seconds that are known at `now`.
fn read(ring: &Ring, metric: &str, now: u64) -> Option<(u64, bool, u64)> {
    let metric = find(metric).expect("a metric");
    let reading = ring.read(instance(1), metric, None, TimeDelta::seconds(60), at(now))?;
    Some((reading.value, reading.is_complete, unix_secs(reading.until) - BEGIN))
}

#[test]
fn a_gauge_is_the_newest_and_a_counter_the_sum_of_the_window() {
    let ring = Ring::default();
    assert_eq!(read(&ring, "connections", 0), None, "nobody has told of anything");
    for (nth, messages) in (0..12).zip(1..) {
        ring.take(node(1), &[cars(nth * 10, 100 + nth, messages)], at(nth * 10 + 10));
    }
    assert_eq!(read(&ring, "connections", 121), Some((111, true, 120)));
    assert_eq!(read(&ring, "messages_in", 121), Some(((7..=12).sum(), true, 120)));
    assert_eq!(read(&ring, "messages_out", 121), Some((0, true, 120)), "told of, and nothing happened");
    let other =
        ring.read(instance(2), find("connections").expect("one"), None, TimeDelta::seconds(60), at(121));
    assert_eq!(other.map(|reading| (reading.value, reading.is_complete)), Some((0, true)));
}

#[test]
fn nodes_are_added_up_and_their_slots_counted_once() {
    let ring = Ring::default();
    for nth in 0..6 {
        let reports = [cars(nth * 10, 5, 10)];
        ring.take(node(1), &reports, at(nth * 10 + 10));
        ring.take(node(1), &reports, at(nth * 10 + 11));
        ring.take(node(2), &[cars(nth * 10, 3, 1)], at(nth * 10 + 11));
        ring.take(node(3), &[slot(nth * 10, &[])], at(nth * 10 + 11));
    }
    assert_eq!(read(&ring, "connections", 61), Some((8, true, 60)));
    assert_eq!(read(&ring, "messages_in", 61), Some((66, true, 60)));
    // Both went to a node that has told of more; the slower one holds the window.
    ring.take(node(1), &[cars(60, 9, 0)], at(70));
    assert_eq!(read(&ring, "connections", 70), Some((8, true, 60)));
    ring.take(node(2), &[slot(60, &[])], at(70));
    ring.take(node(3), &[slot(60, &[])], at(70));
    assert_eq!(read(&ring, "connections", 70), Some((9, true, 70)), "the second has named it no more");
}

#[test]
fn what_is_missing_is_said() {
    let ring = Ring::default();
    ring.take(node(1), &[cars(0, 5, 1), cars(10, 5, 1)], at(20));
    assert_eq!(
        read(&ring, "messages_in", 20),
        Some((2, false, 20)),
        "nobody has told of the window's beginning"
    );
    let ring = Ring::default();
    for nth in [0, 1, 2, 4, 5, 6] {
        ring.take(node(1), &[cars(nth * 10, 5, 1)], at(nth * 10 + 10));
    }
    assert_eq!(read(&ring, "messages_in", 70), Some((5, false, 70)), "a slot has been left out");
    ring.take(node(1), &[cars(30, 5, 1)], at(71));
    assert_eq!(read(&ring, "messages_in", 71), Some((6, true, 70)), "it comes late and in no order");
}

#[test]
fn a_lost_node_is_missed_until_it_is_gone_for_good() {
    let ring = Ring::default();
    for nth in 0..60 {
        ring.take(node(1), &[cars(nth * 10, 5, 1)], at(nth * 10 + 10));
        if nth < 12 {
            ring.take(node(2), &[cars(nth * 10, 3, 1)], at(nth * 10 + 10));
        }
        let now = nth * 10 + 10;
        let expected = match now {
            0..60 => continue,
            60..=120 => Some((8, true, now)),
            // Late at first: the window waits. Then lost: the others are read, and it is said that one is missing.
            121..=150 => Some((8, true, 120)),
            151..420 => Some((5, false, now)),
            _ => Some((5, true, now)),
        };
        assert_eq!(read(&ring, "connections", now), expected, "at {now}");
    }
    assert_eq!(read(&ring, "connections", 600 + NODE_LATE_SECS + 1), None, "all are lost");
}

#[test]
fn a_node_that_starts_again_is_one_node() {
    let ring = Ring::default();
    for nth in 0..3 {
        ring.take(node(1), &[cars(nth * 10, 5, 1)], at(nth * 10 + 10));
    }
    for nth in 3..6 {
        let again = MetricsReport { boot: Uuid::from_u128(8), ..cars(nth * 10, 2, 1) };
        ring.take(node(1), &[again], at(nth * 10 + 10));
    }
    assert_eq!(read(&ring, "connections", 60), Some((2, true, 60)));
    assert_eq!(read(&ring, "messages_in", 60), Some((6, true, 60)));
}

#[test]
fn a_slot_in_parts_is_told_with_the_last_of_them() {
    let ring = Ring::default();
    for nth in 0..6 {
        let first = MetricsReport { more: true, ..cars(nth * 10, 5, 1) };
        let last = slot(nth * 10, &[(instance(2), sample(1, 1))]);
        ring.take(node(1), &[first], at(nth * 10 + 10));
        if nth == 0 {
            assert_eq!(read(&ring, "connections", 10), None);
        }
        ring.take(node(1), &[last], at(nth * 10 + 10));
    }
    assert_eq!(read(&ring, "messages_in", 60), Some((6, true, 60)));
}

#[test]
fn reasons_are_told_apart_or_added_up() {
    let ring = Ring::default();
    let refused = BTreeMap::from([("not_authorized".to_owned(), 2), ("connections_max".to_owned(), 3)]);
    let sample = InstanceSample { refused, ..InstanceSample::default() };
    let refused_before_instance = BTreeMap::from([("malformed_packet".to_owned(), 9)]);
    ring.take(
        node(1),
        &[MetricsReport { refused_before_instance, ..slot(0, &[(instance(1), sample)]) }],
        at(10),
    );
    let metric = find("refused").expect("a metric");
    for (reason, expected) in
        [(None, 5), (Some("not_authorized"), 2), (Some("connections_max"), 3), (Some("malformed_packet"), 0)]
    {
        let reading =
            ring.read(instance(1), metric, reason, TimeDelta::seconds(10), at(10)).expect("told of");
        assert_eq!((reading.value, reading.is_complete), (expected, true), "{reason:?}");
    }
}

#[test]
fn what_cannot_be_a_slot_is_not_taken() {
    for (what, report, now) in [
        ("its length divides no minute", MetricsReport { slot_millis: 7_000, ..cars(0, 1, 1) }, 10),
        ("it has no length", MetricsReport { slot_millis: 0, ..cars(0, 1, 1) }, 10),
        ("it has no whole seconds", MetricsReport { slot_millis: 500, ..cars(0, 1, 1) }, 10),
        ("it begins between two slots", cars(5, 1, 1), 10),
        ("it is of tomorrow", cars(86_400, 1, 1), 10),
        ("it is older than the ring", cars(0, 1, 1), RING_MINUTES * 60),
    ] {
        let ring = Ring::default();
        ring.take(node(1), &[report], at(now));
        assert!(ring.dirty_minutes().is_empty(), "{what}");
    }
    let ring = Ring::default();
    ring.take(node(1), &[slot(0, &[(PLATFORM, sample(1, 1))])], at(10));
    let chunks = ring.chunks(PLATFORM, BEGIN, BEGIN + 60);
    let told = chunks[0].1.slots().next().expect("the slot").values().count();
    assert_eq!(told, 1, "no node counts for the platform's own row");
}

#[test]
fn the_ring_holds_two_hours_and_so_many_instances_and_bytes() {
    let ring = Ring::default();
    for minute in 0..RING_MINUTES + 5 {
        ring.take(node(1), &[cars(minute * 60, 1, 1)], at(minute * 60 + 10));
    }
    let minutes = ring.dirty_minutes();
    assert_eq!(minutes.len() as u64, RING_MINUTES);
    assert_eq!(minutes[0], BEGIN / 60 + 5);

    let ring = Ring::bounded(2, RING_BYTES_MAX);
    let three: Vec<_> = (1..=3).map(|number| (instance(number), sample(1, 1))).collect();
    ring.take(node(1), &[slot(0, &three)], at(10));
    assert!(ring.chunks(instance(3), BEGIN, BEGIN + 60).is_empty());
    assert_eq!(ring.chunks(PLATFORM, BEGIN, BEGIN + 60).len(), 1, "the platform's own has always room");

    let ring = Ring::bounded(RING_INSTANCES_MAX, 10 * (ROW_BYTES + 40));
    for minute in 0..60 {
        ring.take(node(1), &[cars(minute * 60, 1, 1)], at(minute * 60 + 10));
    }
    let held = ring.lock();
    let bytes = |minute: &Minute| minute.rows.values().map(|row| row.chunk.len() + ROW_BYTES).sum::<usize>();
    assert_eq!(held.bytes, held.minutes.values().map(bytes).sum::<usize>());
    assert!(held.bytes <= 10 * (ROW_BYTES + 40) && held.minutes.len() > 2, "{} minutes", held.minutes.len());
    assert_eq!(held.minutes.last_key_value().map(|(number, _)| *number), Some(BEGIN / 60 + 59), "the newest");
}

#[test]
fn what_comes_while_a_row_is_written_is_written_next_time() {
    let ring = Ring::default();
    ring.take(node(1), &[cars(0, 1, 1)], at(10));
    let minute = BEGIN / 60;
    let dirty = ring.dirty(minute);
    let of: Vec<_> = dirty.iter().map(|row| row.instance).collect();
    assert_eq!(of, [PLATFORM, instance(1)], "in the order of their ids");
    ring.take(node(1), &[slot(10, &[])], at(20));
    ring.written(minute, &dirty);
    let of: Vec<_> = ring.dirty(minute).iter().map(|row| row.instance).collect();
    assert_eq!(of, [PLATFORM]);
    ring.written(minute, &ring.dirty(minute));
    assert!(ring.dirty_minutes().is_empty());
    ring.take(node(1), &[slot(10, &[])], at(30));
    assert!(ring.dirty_minutes().is_empty(), "a repeat changes nothing");
}

/// What the database has of a minute.
fn kept(ring: &Ring, instance: InstanceId) -> Vec<Kept> {
    let rows = ring.chunks(instance, BEGIN, BEGIN + RING_MINUTES * 60);
    rows.into_iter().map(|(minute, chunk)| Kept { minute, instance, chunk: chunk.encode().into() }).collect()
}

#[test]
fn a_refill_lets_the_oldest_minutes_go_and_brings_none_of_them_back() {
    let full = Ring::default();
    let both = [(instance(1), sample(1, 1)), (instance(2), sample(1, 1))];
    for minute in 0..20 {
        full.take(node(1), &[slot(minute * 60, &both)], at(minute * 60 + 10));
    }
    let now = at(19 * 60 + 10);
    let ring = Ring::bounded(RING_INSTANCES_MAX, 24 * (ROW_BYTES + 40));
    ring.refill(kept(&full, instance(1)), now);
    ring.refill(kept(&full, instance(2)), now);
    ring.refill(kept(&full, PLATFORM), now);
    let held = ring.lock();
    assert!(held.bytes <= ring.bytes_max && held.minutes.len() > 2, "{} minutes", held.minutes.len());
    assert!(held.minutes.values().all(|minute| minute.rows.len() == 3), "each is whole");
    assert_eq!(held.minutes.last_key_value().map(|(number, _)| *number), Some(BEGIN / 60 + 19), "the newest");
    drop(held);
    assert!(ring.dirty_minutes().is_empty(), "the database has them");

    let ring = Ring::bounded(1, RING_BYTES_MAX);
    ring.refill(kept(&full, instance(1)), now);
    assert_eq!(ring.refill(kept(&full, instance(2)), now), 0, "further instances have no room");
}
