//! Retained messages whose time is over: they go as if an empty one had come, whatever stops meanwhile.

use engine::Envelope;

use super::documents::load;
use super::world::{BEGIN, INSTANCE, Process, World, batch, envelope};
use crate::engine::RetainedStats;
use crate::keeper::EXPIRED_PER_ROUND_MAX;
use crate::memory_disk::Stop;

/// A retained message that expires so many milliseconds after the beginning.
fn until<'a>(millis: u64, topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope { expires_at: Some(contract::time::UnixMillis(BEGIN + millis)), ..retained(topic, payload) }
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope { retain: true, ..envelope(topic, payload, engine::RetentionClass::Day, BEGIN) }
}

fn counted(messages: &[Envelope<'_>]) -> RetainedStats {
    let bytes = messages.iter().map(|it| it.size_bytes() as u64).sum();
    RetainedStats { messages: messages.len() as u64, bytes }
}

fn stats(process: &Process) -> RetainedStats {
    process.shared.retained_stats(INSTANCE)
}

#[test]
fn what_has_expired_goes_when_its_time_is_over_and_no_longer_counts() {
    let world = World::new();
    let mut process = world.start();
    let all = [until(1_000, "a", b"1"), until(2_000, "b", b"22"), retained("c", b"333")];
    assert!(process.append(1, batch(&all)));
    for (millis, left) in [(999, &all[..]), (1_000, &all[1..]), (1_999, &all[1..]), (2_000, &all[2..])] {
        world.set_time(BEGIN + millis);
        process.keep();
        assert_eq!(stats(&process), counted(left), "after {millis} ms");
    }
    assert_eq!((load(&process, "r/a"), load(&process, "r/b")), (None, None));
    assert!(load(&process, "r/c").is_some());
    // Deleted once more by an empty one: that changes nothing.
    assert!(process.append(2, batch(&[retained("a", b"")])));
    assert_eq!(stats(&process), counted(&all[2..]));
}

#[test]
fn a_newer_message_of_the_topic_stays_whatever_its_predecessor_said() {
    let world = World::new();
    let mut process = world.start();
    let newer = [until(5_000, "a", b"later"), retained("b", b"never")];
    assert!(process.append(1, batch(&[until(1_000, "a", b"1"), until(1_000, "b", b"1")])));
    // On the way to the documents, and there.
    process.shared.store.carry().expect("carried");
    assert!(process.append(2, batch(&newer)));
    world.set_time(BEGIN + 1_000);
    process.keep();
    assert_eq!(stats(&process), counted(&newer));
    world.set_time(BEGIN + 5_000);
    process.keep();
    assert_eq!(stats(&process), counted(&newer[1..]));
    // What comes behind a deletion stands, in memory and after a stop.
    let again = retained("a", b"again");
    assert!(process.append(3, batch(&[again])));
    process.keep();
    let expected = counted(&[again, newer[1]]);
    assert_eq!(stats(&process), expected);
    assert!(load(&process, "r/a").is_some());
    let process = world.after(Stop::Power).start();
    process.keep();
    assert_eq!(stats(&process), expected);
    assert!(load(&process, "r/a").is_some());
}

#[test]
fn what_was_deleted_stays_away_after_a_stop() {
    // Carried away before it was deleted, after it, both, or not at all: from the journal alone.
    for (before, after) in [(false, false), (true, false), (false, true), (true, true)] {
        for stop in [Stop::Process, Stop::Power] {
            let world = World::new();
            let mut process = world.start();
            let all = [until(1_000, "a", b"1"), until(9_000, "b", b"1")];
            assert!(process.append(1, batch(&all)));
            if before {
                process.shared.store.carry().expect("carried");
            }
            world.set_time(BEGIN + 1_000);
            process.keep();
            if after {
                process.shared.store.carry().expect("carried");
                assert_eq!(load(&process, "r/a"), None);
            }
            let world = world.after(stop);
            let process = world.start();
            // The view's thread begins with a round.
            process.keep();
            assert_eq!((load(&process, "r/a"), stats(&process)), (None, counted(&all[1..])));
            world.set_time(BEGIN + 9_000);
            process.keep();
            assert_eq!((load(&process, "r/b"), stats(&process)), (None, RetainedStats::default()));
        }
    }
}

#[test]
fn what_expired_while_the_engine_was_down_goes_with_the_first_round() {
    let world = World::new();
    let mut process = world.start();
    assert!(process.append(1, batch(&[until(1_000, "a", b"1")])));
    process.shared.store.carry().expect("carried");
    let world = world.after(Stop::Power);
    world.set_time(BEGIN + 1_000);
    let process = world.start();
    process.keep();
    assert_eq!((load(&process, "r/a"), stats(&process)), (None, RetainedStats::default()));
    process.shared.store.carry().expect("carried");
    // Gone where documents are kept, too: a clock that was set back does not bring it again.
    let world = world.after(Stop::Power);
    world.set_time(BEGIN);
    let process = world.start();
    assert_eq!((load(&process, "r/a"), stats(&process)), (None, RetainedStats::default()));
}

#[test]
fn a_round_deletes_no_more_than_its_bound() {
    let world = World::new();
    let mut process = world.start();
    let topics: Vec<_> = (0..=EXPIRED_PER_ROUND_MAX).map(|number| format!("t/{number}")).collect();
    let messages: Vec<_> = topics.iter().map(|topic| until(1_000, topic, b"1")).collect();
    assert!(process.append(1, batch(&messages)));
    world.set_time(BEGIN + 1_000);
    for left in [EXPIRED_PER_ROUND_MAX + 1, 1, 0] {
        assert_eq!(stats(&process).messages, left as u64);
        process.keep();
    }
}
