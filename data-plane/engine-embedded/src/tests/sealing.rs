//! Sealing: every message once, before, during and after, wherever it is interrupted.

use engine::{HistoryQuery, Log, Pos, RetentionClass};

use super::world::{BEGIN, SHARD, World, numbered};
use crate::memory_disk::Stop;
use crate::seal::seal_oldest;

/// Four classes in turn, in a journal of several segments.
fn world(count: u64) -> (World, super::world::Process) {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=count {
        let class = RetentionClass::ALL[usize::try_from(number % 4).expect("small")];
        assert!(process.append(number, numbered(number, class, BEGIN + number)));
    }
    (world, process)
}

#[test]
fn a_closed_segment_goes_into_segments_of_its_classes() {
    let (world, process) = world(20);
    let expected = process.stored();
    assert_eq!(expected.len(), 20);
    let closed = process.shared.stats().journal_segments - 1;
    assert!(closed >= 2);
    process.keep();
    let stats = process.shared.stats();
    assert_eq!((stats.journal_segments, stats.sealed_segments), (1, closed * 4));
    assert_eq!(process.stored(), expected);
    let count = |prefix: &str| world.disk.names().iter().filter(|it| it.starts_with(prefix)).count();
    assert_eq!(
        (count("journal-"), count("history-"), world.disk.names().len()),
        (1, closed * 4, closed * 4 + 1)
    );
    // The log begins with what is left of the journal.
    let oldest = process.shared.bounds(SHARD).expect("it runs").oldest;
    assert_eq!(process.read(oldest).len() as u64, 21 - oldest.record);
    for stop in [Stop::Process, Stop::Power] {
        assert_eq!(world.after(stop).start().stored(), expected);
    }
}

#[test]
fn stopped_at_any_step_it_loses_nothing_and_doubles_nothing() {
    let (_, process) = world(20);
    let expected = process.stored();
    let mut seen_unfinished = false;
    for steps in 0.. {
        let (world, process) = world(20);
        world.disk.stop_after(steps);
        while matches!(seal_oldest(&process.shared), Ok(true)) {}
        // Who still looks sees everything once.
        assert_eq!(process.stored(), expected, "after {steps} steps");
        for stop in [Stop::Process, Stop::Power, Stop::Torn(100)] {
            let world = world.after(stop);
            seen_unfinished |= world.disk.names().iter().any(|it| it.ends_with(".unfinished"));
            let process = world.start();
            assert_eq!(process.stored(), expected, "after {steps} steps, {stop:?}");
            assert!(world.disk.names().iter().all(|it| !it.ends_with(".unfinished")));
            process.keep();
            assert_eq!(process.stored(), expected, "after {steps} steps, {stop:?}, and sealing again");
            assert_eq!(process.shared.stats().journal_segments, 1);
        }
        if seal_oldest(&process.shared).is_ok() {
            assert!(steps > 20 && seen_unfinished);
            return;
        }
    }
}

#[test]
fn sealing_that_failed_is_said_and_tried_again() {
    let (world, process) = world(20);
    let expected = process.stored();
    world.disk.fail_writes(true);
    process.keep();
    assert!(process.shared.health().sealing_failed.is_some());
    assert_eq!(process.stored(), expected);
    world.disk.fail_writes(false);
    process.keep();
    assert_eq!((process.shared.health().sealing_failed, process.stored()), (None, expected));
    assert_eq!(process.shared.stats().journal_segments, 1);
}

#[test]
fn messages_without_a_class_are_in_the_log_and_in_no_history() {
    let world = World::new();
    let mut process = world.start();
    let payload = format!("{:0100}", 5);
    let day = super::world::envelope("t/a", payload.as_bytes(), RetentionClass::Day, BEGIN);
    for number in 1..=20 {
        let message = engine::Envelope { retention: None, ..day };
        assert!(process.append(number, super::world::batch(&[message])));
    }
    assert_eq!((process.numbers().len(), process.read(Pos::START).len()), (0, 20));
    process.keep();
    let stats = process.shared.stats();
    assert_eq!((stats.journal_segments, stats.sealed_segments), (1, 0));
}

#[test]
fn a_damaged_segment_is_kept_aside_and_remembered() {
    let (world, _) = world(20);
    let first = world.disk.names().remove(0);
    world.disk.edit(&first, |bytes| bytes[64 + 70] ^= 1);
    let process = world.start();
    let expected = process.stored();
    assert_eq!(expected.len(), 19);
    process.keep();
    assert_eq!(process.stored(), expected);
    assert!(!process.query(&HistoryQuery::default()).complete);
    let damage = process.shared.health().damage;
    assert_eq!((damage.len(), damage[0].first, damage[0].next), (1, 1, 2));
    assert!(world.disk.names().contains(&damage[0].segment));
    let again = world.after(Stop::Power).start();
    assert_eq!((again.stored(), again.shared.health().damage), (expected, damage));
    assert!(!again.query(&HistoryQuery::default()).complete);
}

#[test]
fn damage_that_comes_after_the_start_is_found_when_it_is_read() {
    let (world, process) = world(20);
    let first = world.disk.names().remove(0);
    world.disk.edit(&first, |bytes| bytes[64 + 70] ^= 1);
    let answer = process.query(&HistoryQuery::default());
    assert_eq!((answer.items.len(), answer.complete), (19, false));
    process.keep();
    assert_eq!(process.stored().len(), 19);
    assert!(!process.query(&HistoryQuery::default()).complete);
    assert_eq!(process.shared.health().damage.len(), 1);
}

#[test]
fn indexes_that_are_too_large_together_are_let_go_and_made_again() {
    let mut world = World::new();
    world.options.index_bytes_max = 0;
    let mut process = world.start();
    for number in 1..=20 {
        assert!(process.say(number));
    }
    let expected = process.stored();
    // Sealing does not get on.
    world.disk.fail_writes(true);
    process.keep();
    let layout = process.shared.layout.load();
    let closed = &layout.journal[..layout.journal.len() - 1];
    assert!(closed.iter().all(|it| it.index.try_read().is_ok_and(|it| it.builder.is_empty())));
    assert_eq!(process.stored(), expected);
}

#[test]
fn the_newest_messages_are_indexed_ahead_only_while_somebody_asks() {
    let world = World::new();
    let mut process = world.start();
    let indexed = |process: &super::world::Process| {
        let layout = process.shared.layout.load();
        layout
            .journal
            .last()
            .expect("one is written")
            .index
            .try_read()
            .expect("nobody holds it")
            .builder
            .len()
    };
    assert!(process.say(1));
    process.keep();
    assert_eq!(indexed(&process), 0, "nobody has asked");
    assert_eq!(process.numbers(), [1]);
    assert!(process.say(2));
    process.keep();
    assert_eq!(indexed(&process), 2);
    world.set_time(BEGIN + 60_000);
    assert!(process.say(3));
    process.keep();
    assert_eq!(indexed(&process), 2, "nobody has asked for a minute");
    assert_eq!(process.numbers(), [1, 2, 3]);
}

#[test]
fn memory_of_one_segment_does_no_harm_to_the_next() {
    let (world, mut process) = world(20);
    process.keep();
    // Fewer classes, other topics.
    for number in 21..=60 {
        let payload = format!("{number:0100}");
        let topic = format!("t/{number}");
        let message =
            super::world::envelope(&topic, payload.as_bytes(), RetentionClass::Week, BEGIN + number);
        assert!(process.append(number, super::world::batch(&[message])));
    }
    process.keep();
    assert!(process.shared.stats().sealed >= 8);
    let expected: Vec<_> = (1..=60).collect();
    assert_eq!(process.numbers(), expected);
    assert_eq!(world.after(Stop::Power).start().numbers(), expected);
}
