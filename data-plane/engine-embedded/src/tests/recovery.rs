//! What is there after a stop.

use engine::{Log, Pos, ReadError, RetentionClass};
use proptest::prelude::*;

use super::world::{BEGIN, SHARD, World, numbered};
use crate::engine::OpenError;
use crate::files::Files;
use crate::journal::segment::SEGMENT_HEADER;
use crate::memory_disk::Stop;

const DAY: RetentionClass = RetentionClass::Day;

/// The journal's segments, oldest first.
fn journal(world: &World) -> Vec<String> {
    world.disk.names().into_iter().filter(|it| it.starts_with("journal-")).collect()
}

/// A world whose disk has so many messages in one segment, and the places where their records begin.
fn one_segment(count: u64) -> (World, String, Vec<usize>) {
    let mut world = World::new();
    world.options.segment_bytes = 1_000_000;
    let mut process = world.start();
    let starts = (1..=count).map(|number| {
        let at = process.shared.stats().journal_bytes;
        assert!(process.say(number));
        usize::try_from(at).expect("small")
    });
    let starts = starts.collect();
    let name = journal(&world).remove(0);
    (world, name, starts)
}

#[test]
fn an_empty_directory_is_an_empty_log() {
    let world = World::new();
    assert_eq!(world.start().read(Pos::START), []);
    for stop in [Stop::Process, Stop::Power] {
        let mut process = world.after(stop).start();
        assert_eq!(process.numbers(), Vec::<u64>::new());
        assert!(process.say(1));
    }
}

#[test]
fn the_same_segment_goes_on_under_the_next_numbers() {
    let (world, name, _) = one_segment(3);
    let world = world.after(Stop::Power);
    let mut process = world.start();
    assert!(process.say(4));
    assert_eq!(process.stored(), (1..=4).map(|it| (Pos::of_record(it), it)).collect::<Vec<_>>());
    assert_eq!(journal(&world), [name]);
}

#[test]
fn batch_ids_are_known_again() {
    let (world, ..) = one_segment(3);
    let mut process = world.after(Stop::Power).start();
    assert!(process.say(2));
    assert_eq!(process.last().expect("committed").record, 2);
    assert_eq!(process.numbers(), [1, 2, 3]);
}

#[test]
fn a_torn_end_is_left_out_and_said_and_its_numbers_are_not_given_again() {
    let (world, name, starts) = one_segment(3);
    for cut in starts[2] + 1..starts[2] + 100 {
        let world = world.after(Stop::Power);
        world.disk.edit(&name, |bytes| bytes.truncate(cut));
        let mut process = world.start();
        assert_eq!(process.shared.stats().cut_bytes, (cut - starts[2]) as u64);
        assert_eq!(process.shared.health().damage, []);
        assert!(process.say(7));
        let next = process.last().expect("committed").record;
        // Behind all that the bytes can have been: a record has 64 and more.
        assert!(next > 3 + (cut - starts[2]) as u64 / 64, "{next}");
        for _ in 0..2 {
            assert_eq!(process.read(Pos::START), [(1, 1), (2, 2), (next, 7)]);
            assert_eq!(process.stored().last(), Some(&(Pos::of_record(next), 7)));
            // It stays no damage, and is not counted again.
            process = world.after(Stop::Power).start();
            assert_eq!((process.shared.health().damage, process.shared.stats().cut_bytes), (vec![], 0));
            assert!(process.query(&engine::HistoryQuery::default()).complete);
        }
        process.keep();
        assert_eq!((process.numbers(), process.shared.health().damage), (vec![1, 2, 7], vec![]));
    }
}

#[test]
fn acknowledged_records_that_the_disk_lost_at_the_end_lend_their_numbers_to_nobody() {
    let (world, name, starts) = one_segment(6);
    // The disk forgot a record that it had synced, and with it the way to those behind it.
    world.disk.edit(&name, |bytes| bytes[starts[2]..].fill(0));
    let mut process = world.start();
    assert!(process.say(9));
    assert!(process.last().expect("committed").record > 6);
    assert_eq!(process.numbers(), [1, 2, 9]);
}

#[test]
fn a_start_that_did_not_come_to_its_first_record_gives_no_number_again() {
    let (world, name, _) = one_segment(3);
    world.disk.edit(&name, |bytes| bytes.fill(0xEE));
    // The segment is put aside, and the machine stops before the next one is begun.
    world.disk.stop_after(2);
    assert!(world.try_start().is_err());
    let world = world.after(Stop::Power);
    assert!(world.disk.names().iter().all(|it| it.starts_with("damaged-")));
    let mut process = world.start();
    assert!(process.say(9));
    assert!(process.last().expect("committed").record > 3);
}

#[test]
fn a_sector_that_cannot_be_read_costs_what_is_in_it_and_not_the_node() {
    let (world, name, starts) = one_segment(60);
    let end = world.disk.after(Stop::Power).open(&name).and_then(|it| it.bytes()).expect("it is there");
    let end = usize::try_from(end).expect("small");
    for at in [0, 5_000, end - 1] {
        let world = world.after(Stop::Power);
        let sector = at / 4096 * 4096..(at / 4096 + 1) * 4096;
        world.disk.fail_reads(&name, sector.clone());
        let is_whole = |it: &u64| {
            let at = usize::try_from(*it).expect("small");
            let (from, to) = (starts[at - 1], starts.get(at).copied().unwrap_or(end));
            to <= sector.start || from >= sector.end
        };
        let mut expected: Vec<_> = (1..=60).filter(is_whole).collect();
        assert!(expected.len() < 60);
        let mut process = world.start();
        let damage = process.shared.health().damage;
        assert_eq!((damage.len(), process.shared.stats().cut_bytes), (1, 0), "byte {at}");
        assert_eq!(process.numbers(), expected, "byte {at}");
        assert!(!process.query(&engine::HistoryQuery::default()).complete);
        assert!(process.say(99) && process.last().expect("committed").record > 60);
        expected.push(99);
        process.keep();
        assert_eq!((process.numbers(), process.shared.health().sealing_failed), (expected, None));
        // Nothing was thrown away: the disk may give it another time.
        let aside = world.disk.names().into_iter().find(|it| it.starts_with("damaged-")).expect("kept");
        world.disk.fail_reads(&aside, 0..0);
        assert_eq!(world.disk.open(&aside).and_then(|it| it.bytes()).expect("it is there"), end as u64);
        // What was made of it lacks some all the same, and that is said as long as it lies there.
        let process = world.after(Stop::Process).start();
        assert_eq!(process.shared.health().damage.len(), 1, "byte {at}");
        assert!(!process.query(&engine::HistoryQuery::default()).complete, "byte {at}");
    }
}

#[test]
fn a_sector_that_is_lost_while_the_engine_runs_costs_what_is_in_it() {
    let (world, name, _) = one_segment(60);
    let process = world.start();
    world.disk.fail_reads(&name, 4_096..8_192);
    for _ in 0..2 {
        let answer = process.query(&engine::HistoryQuery::default());
        assert!(!answer.complete && answer.items.len() > 30);
    }
    assert!(
        matches!(process.shared.read(SHARD, Pos::of_record(1), 1_000_000), Ok(page) if page.next < Pos::of_record(60))
    );
}

#[test]
fn what_a_power_cut_left_of_the_next_segment_is_no_damage() {
    let (world, ..) = one_segment(1);
    let next = "journal-00000000000000000002-00000000000000aa";
    for bytes in [0, 1, SEGMENT_HEADER] {
        let world = world.after(Stop::Power);
        world.disk.put(next, vec![0; bytes]);
        let mut process = world.start();
        assert_eq!(process.shared.health().damage, []);
        assert!(process.say(2));
        assert_eq!(process.read(Pos::START), [(1, 1), (2, 2)]);
        assert!(!journal(&world).contains(&next.to_owned()));
    }
}

#[test]
fn damage_in_the_middle_is_said_and_the_rest_is_served_at_its_place() {
    let (world, name, starts) = one_segment(4);
    for at in starts[1]..starts[2] {
        let world = world.after(Stop::Power);
        world.disk.edit(&name, |bytes| bytes[at] ^= 0x10);
        let mut process = world.start();
        let damage = process.shared.health().damage;
        assert_eq!(damage.len(), 1, "byte {at}");
        assert_eq!((damage[0].segment.as_str(), damage[0].offset), (name.as_str(), starts[1] as u64));
        assert_eq!(damage[0].bytes, (starts[2] - starts[1]) as u64);
        assert_eq!((damage[0].first, damage[0].next), (2, 3));
        assert_eq!(process.shared.stats().damaged, 1);

        // The segment is left as it is, and writing goes on in a new one.
        assert!(process.say(5));
        let expected = [1, 3, 4, 5].map(|it| (Pos::of_record(it), it));
        assert_eq!(process.stored(), expected);
        assert!(!process.query(&engine::HistoryQuery::default()).complete);
        let next = Pos::of_record(3);
        let read = |from| process.shared.read(SHARD, from, 10_000).map(|it| it.batches.len());
        assert_eq!(read(Pos::of_record(1)), Ok(1));
        assert_eq!(read(Pos::of_record(2)), Err(ReadError::Damaged { next }));
        assert_eq!(read(next), Ok(3));
    }
}

/// A power cut may leave the end of a write and not its middle. What is behind the hole was not acknowledged either, and
/// may say of a document what holds only together with what was in the hole.
#[test]
fn a_hole_in_the_last_write_ends_the_log_there() {
    let mut world = World::new();
    world.options.segment_bytes = 1_000_000;
    let mut process = world.start();
    assert!(process.say(1));
    let length = |world: &World| {
        let bytes = world.disk.open(&journal(world)[0]).and_then(|it| it.bytes()).expect("it is there");
        usize::try_from(bytes).expect("it is small")
    };
    let begin = length(&world);
    for number in 2..=4 {
        process.submit(number, numbered(number, DAY, BEGIN)).expect("taken");
    }
    process.writer.step();
    let name = journal(&world).remove(0);
    let record = (length(&world) - begin) / 3;
    world.disk.edit(&name, |bytes| bytes[begin + record + 70] ^= 1);
    for _start in 0..2 {
        let process = world.after(Stop::Power).start();
        assert_eq!((process.shared.health().damage, process.numbers()), (vec![], vec![1, 2]));
    }
    let mut process = world.start();
    assert!(process.submit(4, numbered(4, DAY, BEGIN)).is_ok(), "it was not stored");
    process.writer.step();
    let stored = process.stored();
    assert_eq!(stored.iter().map(|it| it.1).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(stored[2].0.record > 4, "no number is given twice");
}

#[test]
fn a_closed_segment_that_is_cut_short_is_damaged() {
    let world = World::new();
    let mut process = world.start();
    let count = (1..100).find(|number| process.say(*number) && journal(&world).len() == 3).expect("it grows");
    let names = journal(&world);
    let per_segment = count / 2;
    world.disk.edit(&names[0], |bytes| bytes.truncate(bytes.len() - 1));
    let process = world.after(Stop::Power).start();
    let damage = process.shared.health().damage;
    assert_eq!((damage.len(), damage[0].first, damage[0].next), (1, per_segment, per_segment + 1));
    assert_eq!((damage[0].from.0, damage[0].to.0), (BEGIN, BEGIN));
    let expected: Vec<_> = (1..=count).filter(|it| *it != per_segment).collect();
    assert_eq!(process.numbers(), expected);
    let next = Pos::of_record(per_segment + 1);
    let read = process.shared.read(SHARD, Pos::of_record(per_segment), 1_000);
    assert_eq!(read.map(|_| ()), Err(ReadError::Damaged { next }));
}

#[test]
fn a_segment_of_which_nothing_is_left_is_put_aside_and_its_numbers_are_not_given_again() {
    let (world, name, _) = one_segment(3);
    world.disk.edit(&name, |bytes| bytes.fill(0xEE));
    let mut process = world.start();
    let damage = process.shared.health().damage;
    assert!(damage[0].segment.starts_with("damaged-") && damage[0].next > 3);
    assert!(process.say(9));
    assert!(process.stored()[0].0.record > 3);
    let again = world.after(Stop::Power).start();
    assert_eq!((again.numbers(), again.shared.health().damage.len()), (vec![9], 1));
}

#[test]
fn more_than_one_write_without_a_record_is_damage_and_no_torn_end() {
    let (world, name, _) = one_segment(3);
    world.disk.edit(&name, |bytes| bytes.extend(vec![0; 17 * 1024 * 1024]));
    let mut process = world.start();
    let damage = process.shared.health().damage;
    assert_eq!((damage.len(), damage[0].first, process.shared.stats().cut_bytes), (1, 4, 0));
    assert!(process.say(9));
    assert_eq!(process.stored()[3], (Pos::of_record(damage[0].next), 9));
}

#[test]
fn a_damaged_header_costs_no_record() {
    let (world, name, _) = one_segment(2);
    world.disk.edit(&name, |bytes| bytes[20] ^= 1);
    let process = world.start();
    let damage = process.shared.health().damage;
    assert_eq!((damage.len(), damage[0].first, damage[0].next), (1, 1, 1));
    assert_eq!(process.numbers(), [1, 2]);
    assert!(process.query(&engine::HistoryQuery::default()).complete);
}

#[test]
fn a_damaged_header_does_not_hide_damage_that_comes_later() {
    let (world, name, starts) = one_segment(3);
    world.disk.edit(&name, |bytes| bytes[20] ^= 1);
    let process = world.start();
    world.disk.edit(&name, |bytes| bytes[starts[1] + 70] ^= 1);
    let answer = process.query(&engine::HistoryQuery::default());
    assert_eq!((answer.items.len(), answer.complete), (2, false));
    process.keep();
    assert!(process.shared.health().damage.iter().any(|it| it.first < it.next), "sealing says it too");
}

#[test]
fn an_unknown_version_is_refused_by_name_and_left_alone() {
    let (world, name, _) = one_segment(2);
    world.disk.edit(&name, |bytes| {
        bytes[8] = 9;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let steps = world.disk.steps();
    let Err(error) = world.try_start() else { panic!("it was opened") };
    assert_eq!(
        error.to_string(),
        format!(
            "`{name}` has version 9 of the journal's form and this release reads version 1: \
             start the release that wrote it"
        )
    );
    assert!(matches!(error, OpenError::Version { found: 9, supported: 1, .. }));
    assert_eq!(world.disk.steps(), steps);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a power cut leaves of what no sync has seen, what was acknowledged is there, once, in order.
    #[test]
    fn what_was_acknowledged_survives_a_power_cut_at_any_step(
        groups in prop::collection::vec(1..4_usize, 1..12), steps in 0..60_u64, torn in 0..400_usize,
    ) {
        let world = World::new();
        let mut process = world.start();
        world.disk.stop_after(steps);
        let mut number = 0;
        for group in groups {
            for _ in 0..group {
                number += 1;
                // After the end of the disk it is refused.
                let _taken = process.submit(number, numbered(number, DAY, BEGIN));
            }
            if !process.writer.step() {
                break;
            }
            process.keep();
        }
        let outcomes = process.outcomes.lock().expect("no panic").clone();
        let acknowledged: Vec<_> = outcomes.iter().filter(|it| it.1.is_ok()).map(|it| it.0).collect();
        let mut process = world.after(Stop::Torn(torn)).start();
        let kept = process.numbers();
        prop_assert!(kept.starts_with(&acknowledged), "{acknowledged:?} {kept:?}");
        prop_assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
        prop_assert!(process.say(1_000));
        process.keep();
        prop_assert_eq!(process.numbers(), [&kept[..], &[1_000]].concat());
    }
}
