//! Sealing a segment as it is: every message once, wherever it is interrupted, and its file is written once.

use engine::{Batch, HistoryQuery, Pos, RetentionClass};

use super::world::{BEGIN, Process, World, batch, envelope};
use crate::files::Files;
use crate::memory_disk::Stop;
use crate::seal::seal_oldest;
use crate::seal_in_place;
use crate::sealed::SealedName;

const DAY: RetentionClass = RetentionClass::Day;
const WEEK: RetentionClass = RetentionClass::Week;

/// A message of 1 000 bytes: what is around it is little.
fn large(number: u64, class: RetentionClass) -> Batch {
    let payload = format!("{number:01000}");
    batch(&[envelope("t/a", payload.as_bytes(), class, BEGIN + number)])
}

/// So many messages, each of the class that `class` says, in segments of some twenty.
fn world(count: u64, class: impl Fn(u64) -> RetentionClass) -> (World, Process) {
    let mut world = World::new();
    world.options.segment_bytes = 20_000;
    let process = world.start();
    (world, fill(process, 1..=count, class))
}

fn fill(
    mut process: Process,
    numbers: std::ops::RangeInclusive<u64>,
    class: impl Fn(u64) -> RetentionClass,
) -> Process {
    for number in numbers {
        assert!(process.append(number, large(number, class(number))));
    }
    process
}

fn names(world: &World, part: &str) -> Vec<String> {
    world.disk.names().into_iter().filter(|it| it.contains(part)).collect()
}

/// What every segment is called, sealed or not.
fn counts(world: &World) -> [usize; 4] {
    let all = names(world, "history-").len();
    let [records, indexes] = [".records", ".index"].map(|it| names(world, it).len());
    [names(world, "journal-").len(), records, indexes, all - records - indexes]
}

#[test]
fn a_segment_of_one_class_keeps_its_file_and_gets_an_index() {
    let (world, process) = world(50, |_| DAY);
    let expected = process.stored();
    let journal = names(&world, "journal-");
    assert_eq!(journal.len(), 3);
    let bytes = |name: &str| world.disk.open(name).and_then(|it| it.bytes()).expect("it is there");
    let before: Vec<_> = journal.iter().map(|it| bytes(it)).collect();
    process.keep();
    assert_eq!((process.stored(), counts(&world)), (expected.clone(), [1, 2, 2, 0]));
    let records = names(&world, ".records");
    assert_eq!(records.iter().map(|it| bytes(it)).collect::<Vec<_>>(), before[..2]);
    let stats = process.shared.stats();
    let sealed: u64 = names(&world, "history-").iter().map(|it| bytes(it)).sum();
    assert_eq!((stats.sealed, stats.sealed_segments, stats.sealed_bytes), (2, 2, sealed));
    for stop in [Stop::Process, Stop::Power] {
        let process = world.after(stop).start();
        assert_eq!((process.stored(), process.shared.stats().sealed_bytes), (expected.clone(), sealed));
    }
}

#[test]
fn what_could_go_sooner_stays_as_long_as_it_is_little() {
    // One in twenty is of a shorter class: it stays with the others.
    let (few, process) = world(50, |number| if number % 20 == 5 { DAY } else { WEEK });
    let expected = process.stored();
    process.keep();
    assert_eq!((process.stored(), counts(&few)), (expected, [1, 2, 2, 0]));
    assert!(names(&few, "history-").iter().all(|it| it.starts_with("history-3-")));
    // One in four would be too much.
    let (many, process) = world(50, |number| if number % 4 == 0 { DAY } else { WEEK });
    let expected = process.stored();
    process.keep();
    assert_eq!((process.stored(), counts(&many)), (expected, [1, 0, 0, 4]));
}

#[test]
fn nothing_goes_before_its_time_with_a_file_of_a_shorter_class() {
    let (world, process) = world(50, |number| if number % 20 == 5 { WEEK } else { DAY });
    let expected = process.stored();
    process.keep();
    assert_eq!((process.stored(), counts(&world)), (expected, [1, 0, 0, 4]));
}

#[test]
fn stopped_at_any_step_it_loses_nothing_and_doubles_nothing() {
    let (_, process) = world(50, |_| DAY);
    let expected = process.stored();
    let mut seen_unfinished = false;
    let mut seen_index_alone = false;
    for steps in 0.. {
        let (world, process) = world(50, |_| DAY);
        world.disk.stop_after(steps);
        while matches!(seal_oldest(&process.shared), Ok(true)) {}
        // Who still looks sees everything once.
        assert_eq!(process.stored(), expected, "after {steps} steps");
        for stop in [Stop::Process, Stop::Power, Stop::Torn(100)] {
            let world = world.after(stop);
            let [_, records, indexes, _] = counts(&world);
            seen_unfinished |= !names(&world, ".unfinished").is_empty();
            seen_index_alone |= indexes > records;
            let process = world.start();
            assert_eq!(process.stored(), expected, "after {steps} steps, {stop:?}");
            let [_, records, indexes, whole] = counts(&world);
            assert_eq!((indexes, whole), (records, 0), "after {steps} steps, {stop:?}");
            process.keep();
            assert_eq!(process.stored(), expected, "after {steps} steps, {stop:?}, and sealing again");
            assert_eq!(process.shared.health().damage, []);
            assert_eq!(counts(&world)[0], 1);
        }
        if seal_oldest(&process.shared).is_ok() {
            assert!(steps >= 14 && seen_unfinished && seen_index_alone, "{steps}");
            return;
        }
    }
}

#[test]
fn dropped_with_a_stop_at_any_step_it_leaves_no_damage_and_no_index() {
    for steps in 0.. {
        let (world, process) = world(50, |_| DAY);
        process.keep();
        world.set_time(BEGIN + 86_400_000 + 50);
        world.disk.stop_after(steps);
        let done = crate::retention::drop_over(&process.shared).is_ok();
        for stop in [Stop::Process, Stop::Power] {
            let world = world.after(stop);
            let process = world.start();
            let [_, records, indexes, _] = counts(&world);
            assert_eq!((indexes, process.query(&HistoryQuery::default()).complete), (records, true));
            process.keep();
            assert_eq!(counts(&world), [1, 0, 0, 0], "after {steps} steps, {stop:?}");
        }
        if done {
            assert!(steps >= 6, "{steps}");
            return;
        }
    }
}

#[test]
fn the_index_that_a_query_has_made_is_used() {
    let (world, process) = world(50, |_| DAY);
    let expected = process.stored();
    // From here on the messages cannot be read: nobody needs to.
    for name in names(&world, "journal-") {
        world.disk.fail_reads(&name, 0..usize::MAX);
    }
    process.keep();
    assert_eq!((process.shared.health().damage.len(), counts(&world)), (0, [1, 2, 2, 0]));
    for name in world.disk.names() {
        world.disk.fail_reads(&name, 0..0);
    }
    assert_eq!(process.stored(), expected);
}

#[test]
fn a_query_that_looks_on_sees_everything() {
    let (_world, process) = world(50, |_| DAY);
    let before = process.shared.layout.load();
    let expected = process.stored();
    process.keep();
    // It had the segments as they were, and reads them to their ends.
    let found: u32 = before.journal.iter().map(|it| it.indexed().builder.len()).sum();
    assert_eq!((found as usize, process.stored()), (expected.len(), expected));
}

#[test]
fn a_damaged_segment_is_kept_aside_and_its_messages_are_served() {
    let (world, _) = world(50, |_| DAY);
    let first = names(&world, "journal-").remove(0);
    world.disk.edit(&first, |bytes| bytes[64 + 70] ^= 1);
    let process = world.start();
    let expected = process.stored();
    assert_eq!(expected.len(), 49);
    process.keep();
    assert_eq!((process.stored(), counts(&world)), (expected, [1, 1, 1, 1]));
    assert_eq!(names(&world, "damaged-").len(), 1);
}

#[test]
fn damage_that_is_met_while_sealing_is_said() {
    let (world, process) = world(50, |_| DAY);
    let first = names(&world, "journal-").remove(0);
    world.disk.edit(&first, |bytes| bytes[64 + 70] ^= 1);
    process.keep();
    assert_eq!((process.stored().len(), counts(&world)), (49, [1, 1, 1, 1]));
    assert_eq!(process.shared.health().damage.len(), 1);
}

#[test]
fn the_end_that_a_crash_left_does_no_harm() {
    let (world, process) = world(25, |_| DAY);
    let last = names(&world, "journal-").remove(1);
    drop(process);
    world.disk.edit(&last, |bytes| bytes.extend([0xEE; 77]));
    let process = fill(world.start(), 26..=50, |_| DAY);
    let expected = process.stored();
    assert_eq!(expected.len(), 50);
    process.keep();
    assert_eq!((process.stored(), counts(&world)[1]), (expected.clone(), counts(&world)[2]));
    assert!(counts(&world)[1] >= 2);
    assert_eq!(world.after(Stop::Power).start().stored(), expected);
}

#[test]
fn a_lost_index_is_said_and_costs_what_it_is_of() {
    let (world, process) = world(50, |_| DAY);
    process.keep();
    let index = names(&world, ".index").remove(0);
    world.disk.remove(&index).expect("it is there");
    let process = world.after(Stop::Process).start();
    let answer = process.query(&HistoryQuery::default());
    assert!(!answer.complete && answer.items.len() >= 25);
    assert_eq!(process.shared.stats().damaged, 1);
}

#[test]
fn an_attempt_that_failed_at_the_end_is_made_again() {
    let (world, process) = world(50, |_| DAY);
    let expected = process.stored();
    let layout = process.shared.layout.load();
    let segment = &layout.journal[0];
    let index = segment.indexed();
    let times = index.builder.times().expect("there are messages");
    let name = SealedName { class: DAY, first: segment.name.first, next: segment.next(), times };
    let seal = || seal_in_place::seal(&world.disk, segment, name, &index.builder);
    let first = seal().expect("sealed");
    assert_eq!(seal().expect("sealed again"), first);
    drop(index);
    process.keep();
    assert_eq!((process.stored(), counts(&world)), (expected, [1, 2, 2, 0]));
    assert!(process.stored()[0].0 == Pos::START);
}
