//! What is dropped, and what is said of it.

use engine::{HistoryQuery, RetentionClass};

use super::world::{BEGIN, World, numbered};
use crate::memory_disk::Stop;

const DAY_MILLIS: u64 = 86_400_000;

fn sealed(world: &World) -> usize {
    world.disk.names().iter().filter(|it| it.starts_with("history-")).count()
}

#[test]
fn a_segment_goes_when_its_class_no_longer_keeps_it() {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=30 {
        let class = if number % 2 == 0 { RetentionClass::Day } else { RetentionClass::Week };
        assert!(process.append(number, numbered(number, class, BEGIN)));
    }
    process.keep();
    let both = sealed(&world);
    world.set_time(BEGIN + DAY_MILLIS - 1);
    process.keep();
    assert_eq!((process.numbers().len(), sealed(&world)), (30, both));

    world.set_time(BEGIN + DAY_MILLIS);
    process.keep();
    assert_eq!(sealed(&world), both / 2);
    assert!(process.numbers().iter().filter(|it| *it % 2 == 0).count() < 6);
    assert_eq!(process.numbers().iter().filter(|it| *it % 2 == 1).count(), 15);
    // Nothing went before its time.
    assert_eq!(process.query(&HistoryQuery::default()).covered_from.0, 0);

    world.set_time(BEGIN + 7 * DAY_MILLIS);
    process.keep();
    assert_eq!((sealed(&world), process.shared.stats().dropped_segments), (0, both as u64));
}

#[test]
fn a_file_that_could_not_be_removed_goes_later() {
    for steps in 0.. {
        let world = World::new();
        let mut process = world.start();
        for number in 1..=30 {
            // Some are sealed in place, which makes two files, and some are not.
            let is_short = number > 15 && number % 2 == 0;
            let class = if is_short { RetentionClass::Week } else { RetentionClass::Day };
            assert!(process.append(number, numbered(number, class, BEGIN)));
        }
        process.keep();
        world.set_time(BEGIN + 8 * DAY_MILLIS);
        world.disk.stop_after(steps);
        process.keep();
        let has_failed = process.shared.health().sealing_failed.is_some();
        world.disk.stop_after(u64::from(u32::MAX));
        process.keep();
        assert_eq!((sealed(&world), process.shared.health().sealing_failed), (0, None), "{steps}");
        if !has_failed {
            assert!(steps > 5);
            break;
        }
    }
}

#[test]
fn a_small_segment_is_closed_by_age_so_that_it_can_go() {
    let mut world = World::new();
    world.options.segment_bytes = 1_000_000;
    let mut process = world.start();
    assert!(process.say(1));
    process.keep();
    assert_eq!(process.shared.stats().journal_segments, 1);
    world.set_time(BEGIN + world.options.segment_millis);
    process.keep();
    assert!(process.writer.step(), "asked to close");
    process.keep();
    assert_eq!((process.numbers(), sealed(&world)), (vec![1], 1));
    // An empty one stays open.
    world.set_time(BEGIN + 3 * DAY_MILLIS);
    process.keep();
    assert_eq!((process.numbers(), sealed(&world), process.shared.stats().journal_segments), (vec![], 0, 1));
}

#[test]
fn the_oldest_go_for_room_and_that_is_said_after_a_restart_too() {
    let mut world = World::new();
    world.options.stored_bytes_max = Some(6_000);
    let mut process = world.start();
    for number in 1..=60 {
        world.set_time(BEGIN + number);
        assert!(process.say(number));
    }
    process.keep();
    let stats = process.shared.stats();
    assert!(stats.journal_bytes + stats.sealed_bytes <= 6_000 && stats.dropped_segments > 0, "{stats:?}");
    let kept = process.numbers();
    assert!(kept.len() > 5 && kept.is_sorted_by(|a, b| a + 1 == *b) && kept.ends_with(&[60]), "{kept:?}");
    let covered = process.query(&HistoryQuery::default()).covered_from;
    assert_eq!(covered.0, BEGIN + kept[0]);
    let again = world.after(Stop::Power).start();
    assert_eq!((again.numbers(), again.query(&HistoryQuery::default()).covered_from), (kept, covered));
}
