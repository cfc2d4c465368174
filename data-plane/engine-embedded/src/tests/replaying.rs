//! Replays over what is sealed and what is not: nothing is missing without being said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{
    Backlog, Envelope, Pos, QueryError, Replay, ReplayFilter, ReplayPage, ReplayQuery, RetentionClass,
};
use proptest::prelude::*;

use super::world::{BEGIN, INSTANCE, Process, World, batch, envelope, numbered};
use crate::files::Files;
use crate::memory_disk::Stop;
use crate::{retention, seal};

const END: Pos = Pos::of_record(u64::MAX);

fn with_query<T>(from: Pos, stored_since: u64, ask: impl FnOnce(ReplayQuery<'_>) -> T) -> T {
    let filter: TopicFilter = "t/a".parse().expect("a filter");
    let filters = [ReplayFilter { filter: &filter, since: Pos::START }];
    ask(ReplayQuery {
        filters: &filters,
        from,
        to: END,
        qos_min: Qos::AtLeastOnce,
        history_only: false,
        stored_since: UnixMillis(stored_since),
        messages_max: 7,
        bytes_max: usize::MAX,
    })
}

fn page(process: &Process, from: Pos, stored_since: u64) -> ReplayPage {
    with_query(from, stored_since, |query| process.shared.replay(INSTANCE, &query).expect("it replays"))
}

fn backlog(process: &Process, from: Pos, stored_since: u64) -> Backlog {
    with_query(from, stored_since, |query| process.shared.backlog(INSTANCE, &query).expect("it counts"))
}

/// Where the messages stand and the numbers they say, page by page, and whether something is lost.
fn replayed(process: &Process, mut from: Pos, stored_since: u64) -> (Vec<(Pos, u64)>, bool) {
    let (mut found, mut lost) = (Vec::new(), false);
    loop {
        let page = page(process, from, stored_since);
        found.extend(page.messages.iter().map(|it| {
            let payload = Envelope::from_record(&it.record).expect("a record").payload;
            let text = std::str::from_utf8(payload).expect("a number");
            (it.pos, text.parse::<u64>().expect("a number"))
        }));
        lost |= page.lost;
        if page.next == from {
            return (found, lost);
        }
        from = page.next;
    }
}

fn numbers(process: &Process, from: Pos) -> (Vec<u64>, bool) {
    let (found, lost) = replayed(process, from, 0);
    (found.into_iter().map(|it| it.1).collect(), lost)
}

/// Messages of two classes, of which the first half is sealed.
fn world(count: u64) -> (World, Process) {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=count {
        let class = if number % 3 == 0 { RetentionClass::Week } else { RetentionClass::Day };
        assert!(process.append(number, numbered(number, class, BEGIN + number)));
        if number == count / 2 {
            process.keep();
        }
    }
    (world, process)
}

#[test]
fn pages_lead_from_what_is_sealed_to_what_is_not() {
    let (world, process) = world(60);
    let expected: Vec<_> = (1..=60).collect();
    assert!(process.shared.stats().sealed_segments > 3 && process.shared.stats().journal_segments > 3);
    assert_eq!(numbers(&process, Pos::START), (expected.clone(), false));
    for from in [2, 17, 30, 59, 61] {
        let expected: Vec<_> = (from..=60).collect();
        assert_eq!(numbers(&process, Pos::of_record(from)), (expected, false));
    }
    process.keep();
    assert_eq!(numbers(&process, Pos::START), (expected.clone(), false));
    for stop in [Stop::Process, Stop::Power] {
        assert_eq!(numbers(&world.after(stop).start(), Pos::START), (expected.clone(), false));
    }
    let counted = backlog(&process, Pos::of_record(11), 0);
    assert_eq!((counted.messages, counted.lost), (50, false));
    let newest = with_query(Pos::START, 0, |query| process.shared.newest(INSTANCE, &query, 45, u64::MAX));
    assert_eq!(numbers(&process, newest.expect("it works")).0, expected[15..]);
}

#[test]
fn a_page_looks_at_a_bounded_number_of_segments_and_goes_on_behind_them() {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=500 {
        let payload = format!("{number:0100}");
        let topic = if number == 500 { "t/a" } else { "t/b" };
        let message = envelope(topic, payload.as_bytes(), RetentionClass::Day, BEGIN);
        assert!(process.append(number, batch(&[message])));
    }
    process.keep();
    let first = page(&process, Pos::START, 0);
    assert!(first.messages.is_empty() && first.next > Pos::START && first.next < Pos::of_record(500));
    assert_eq!(numbers(&process, Pos::START), (vec![500], false));
}

#[test]
fn damage_is_said_where_it_is_and_what_is_whole_is_replayed() {
    let (world, process) = world(60);
    drop(process);
    let journal = world.disk.names().into_iter().find(|it| it.starts_with("journal-")).expect("one");
    world.disk.edit(&journal, |bytes| bytes[64 + 70] ^= 1);
    for keeps in [false, true] {
        let process = world.start();
        let (damage, broken) = (process.shared.health().damage, numbers(&process, Pos::START));
        assert_eq!(damage.len(), 1);
        let first = damage[0].first;
        let expected: Vec<_> = (1..=60).filter(|it| *it != first).collect();
        assert_eq!(broken, (expected.clone(), true));
        assert!(!numbers(&process, Pos::of_record(first + 1)).1, "behind it nothing is lost");
        assert!(
            backlog(&process, Pos::START, 0).lost && !backlog(&process, Pos::of_record(first + 1), 0).lost
        );
        if keeps {
            process.keep();
            assert_eq!(numbers(&process, Pos::START), (expected, true));
        }
    }
}

#[test]
fn a_sealed_segment_that_is_damaged_or_gone_is_said() {
    let (world, process) = world(60);
    drop(process);
    let sealed: Vec<_> = world.disk.names().into_iter().filter(|it| it.starts_with("history-")).collect();
    // In the first record of one; the index of another; a third is gone.
    world.disk.edit(&sealed[0], |bytes| bytes[50] ^= 1);
    world.disk.edit(&sealed[1], |bytes| bytes.truncate(bytes.len() - 1));
    let process = world.start();
    world.disk.remove(&sealed[2]).expect("it was there");
    let (found, lost) = numbers(&process, Pos::START);
    assert!(lost && found.len() > 40 && found.is_sorted_by(|a, b| a < b), "{found:?}");
    assert!(backlog(&process, Pos::START, 0).lost);
    assert_eq!(numbers(&process, Pos::of_record(31)), ((31..=60).collect(), false));
}

#[test]
fn what_was_dropped_before_its_time_is_said_after_a_restart_too() {
    let mut world = World::new();
    world.options.stored_bytes_max = Some(6_000);
    let mut process = world.start();
    for number in 1..=60 {
        world.set_time(BEGIN + number);
        assert!(process.say(number));
    }
    process.keep();
    for process in [process, world.after(Stop::Power).start()] {
        let (kept, lost) = numbers(&process, Pos::START);
        assert!(lost && kept.len() > 5 && kept.len() < 60 && kept.ends_with(&[60]), "{kept:?}");
        assert!(backlog(&process, Pos::START, 0).lost);
        // From what is left on, by position or by time, nothing is missing.
        assert_eq!(numbers(&process, Pos::of_record(kept[0])), (kept.clone(), false));
        assert!(!replayed(&process, Pos::START, BEGIN + kept[0]).1);
        assert!(!backlog(&process, Pos::START, BEGIN + kept[0]).lost);
    }
}

#[test]
fn what_is_dropped_while_it_is_looked_for_is_said() {
    for counts in [false, true] {
        let mut world = World::new();
        world.options.stored_bytes_max = Some(6_000);
        let mut process = world.start();
        for number in 1..=60 {
            world.set_time(BEGIN + number);
            assert!(process.say(number));
        }
        process.shared.store.carry().expect("carried");
        while seal::seal_oldest(&process.shared).expect("sealed") {}
        // With the first segment that is opened the oldest ones go.
        let (shared, is_dropped) = (Arc::clone(&process.shared), AtomicBool::new(false));
        world.disk.on_open(move || {
            if !is_dropped.swap(true, Ordering::Relaxed) {
                retention::drop_over(&shared).expect("dropped");
            }
        });
        if counts {
            let counted = backlog(&process, Pos::START, 0);
            assert!(counted.lost && counted.messages < 60, "{counted:?}");
        } else {
            let page = page(&process, Pos::START, 0);
            assert!(page.lost && page.messages[0].pos > Pos::of_record(1), "{page:?}");
        }
    }
}

#[test]
fn what_is_over_is_missing_without_being_lost() {
    let (world, process) = world(60);
    world.set_time(BEGIN + 2 * 86_400_000);
    process.keep();
    let (found, lost) = numbers(&process, Pos::START);
    assert!(!lost && found.iter().filter(|it| *it % 3 == 0).count() == 20 && found.len() < 60, "{found:?}");
}

#[test]
fn an_engine_that_has_stopped_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = crate::Engine::open(crate::Options::new(directory.path())).expect("opens");
    let replay = engine.replay();
    engine.close();
    let asked = with_query(Pos::START, 0, |query| replay.replay(INSTANCE, &query));
    assert_eq!(asked, Err(QueryError::Stopped));
    let filter: TopicFilter = "#".parse().expect("a filter");
    assert_eq!(replay.retained(INSTANCE, &filter, None, UnixMillis(0), 1), Err(QueryError::Stopped));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is flipped in the files of messages: what is replayed is what was said, and what is missing is said to be.
    #[test]
    fn a_flipped_byte_is_never_passed_over(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u32), 1..4),
        keeps in any::<bool>(),
    ) {
        let (world, process) = world(43);
        drop(process);
        let mut names = world.disk.names();
        // Of the end of the log nobody knows where it was.
        let last = names.iter().rposition(|it| it.starts_with("journal-")).expect("one is written");
        names.remove(last);
        for (file, at, bit) in &flips {
            world.disk.edit(&names[file.index(names.len())], |bytes| {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            });
        }
        let Ok(process) = world.try_start() else { return Ok(()) };
        if keeps {
            process.keep();
        }
        let (found, lost) = replayed(&process, Pos::START, 0);
        prop_assert!(found.iter().all(|(pos, number)| *pos == Pos::of_record(*number)), "{found:?}");
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        prop_assert!(lost || found.len() == 43, "{found:?}");
        let counted = backlog(&process, Pos::START, 0);
        prop_assert!(counted.lost || counted.messages == 43, "{counted:?}");
    }
}
