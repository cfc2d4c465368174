//! Committing: groups, repeated batches, credit, and what a failing disk means.

use std::sync::{Arc, Mutex};

use engine::{
    AppendError, Batch, Committed, Durability, FollowError, Log, Pos, ReadError, RefusedWhy, RetentionClass,
};

use super::world::{self, BEGIN, SHARD, World, numbered};
use crate::files::Space;
use crate::health::Writing;

const DAY: RetentionClass = RetentionClass::Day;

fn committed(record: u64) -> Committed {
    Committed { record, messages: 1, durability: Durability::Synced }
}

#[test]
fn what_is_waiting_is_committed_by_one_sync_and_completed_in_order() {
    let world = World::new();
    let mut process = world.start();
    let syncs = world.disk.syncs();
    for number in 1..=4 {
        process.submit(number, numbered(number, DAY, BEGIN)).expect("taken");
    }
    assert!(process.outcomes.lock().expect("no panic").is_empty());
    assert!(process.writer.step());
    let outcomes = process.outcomes.lock().expect("no panic").clone();
    assert_eq!(outcomes, (1..=4).map(|it| (it, Ok(committed(it)))).collect::<Vec<_>>());
    assert_eq!(world.disk.syncs(), syncs + 1);
    assert_eq!(process.read(Pos::START), (1..=4).map(|it| (it, it)).collect::<Vec<_>>());
    assert_eq!(process.numbers(), [1, 2, 3, 4]);
}

#[test]
fn a_batch_that_comes_again_is_appended_once_and_told_once() {
    let world = World::new();
    let mut process = world.start();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let follower = Box::new(move |batches: &engine::CommittedBatches| {
        heard.lock().expect("no panic").extend(batches.iter().map(|it| it.record));
    });
    assert_eq!(process.shared.follow(SHARD, follower), Ok(Pos::START));
    for number in [1, 2, 1, 3, 2] {
        process.submit(number, numbered(number, DAY, BEGIN)).expect("taken");
    }
    process.writer.step();
    process.append(2, numbered(2, DAY, BEGIN));
    let records: Vec<_> =
        process.outcomes.lock().expect("no panic").iter().map(|it| it.1.expect("committed").record).collect();
    assert_eq!(records, [1, 2, 1, 3, 2, 2]);
    assert_eq!(process.numbers(), [1, 2, 3]);
    assert_eq!(*told.lock().expect("no panic"), [1, 2, 3]);
    assert_eq!((process.shared.stats().batches, process.shared.stats().repeated_batches), (3, 3));
}

#[test]
fn an_origin_has_its_own_credit_and_gets_it_back() {
    let world = World::new();
    let mut process = world.start();
    let room = process.shared.room_bytes(SHARD, 0);
    let one = numbered(1, DAY, BEGIN);
    process.submit(1, one.clone()).expect("taken");
    assert_eq!(process.shared.room_bytes(SHARD, 0), room - one.as_bytes().len());
    assert_eq!(process.shared.room_bytes(SHARD, 1), room);
    process.writer.step();
    assert_eq!(process.shared.room_bytes(SHARD, 0), room);
    let payload = vec![b'0'; 3_000_000];
    let large = super::world::envelope("t/a", &payload, DAY, BEGIN);
    for number in 2..4 {
        process.submit(number, super::world::batch(&[large])).expect("taken");
    }
    assert_eq!(process.submit(4, super::world::batch(&[large])), Err(RefusedWhy::NoRoom));
    process.writer.step();
    assert_eq!(process.shared.room_bytes(SHARD, 0), room);
    assert_eq!(process.submit(5, Batch::new()), Err(RefusedWhy::Invalid));
}

#[test]
fn a_failed_write_or_sync_acknowledges_nothing_and_ends_the_log() {
    for fails in ["write", "sync"] {
        let world = World::new();
        let mut process = world.start();
        assert!(process.say(1));
        world.disk.fail_writes(fails == "write");
        world.disk.fail_syncs(fails == "sync");
        for number in [2, 1, 3] {
            process.submit(number, numbered(number, DAY, BEGIN)).expect("taken");
        }
        assert!(!process.writer.step(), "{fails}");
        let outcomes = process.outcomes.lock().expect("no panic")[1..].to_vec();
        // What was committed before is known to be, whatever became of the rest.
        let unknown = Err(AppendError::Unknown);
        assert_eq!(outcomes, [(2, unknown), (1, Ok(committed(1))), (3, unknown)], "{fails}");

        // A disk that works again proves nothing.
        world.disk.fail_writes(false);
        world.disk.fail_syncs(false);
        process.writer.end();
        assert_eq!(process.submit(4, numbered(4, DAY, BEGIN)), Err(RefusedWhy::Failed));
        assert_eq!(process.shared.room_bytes(SHARD, 0), 0);
        assert!(matches!(process.shared.health().writing, Writing::Failed { .. }));
        assert_eq!((process.numbers(), process.read(Pos::START)), (vec![1], vec![(1, 1)]), "{fails}");
        assert_eq!(process.shared.follow(SHARD, Box::new(|_| ())), Err(FollowError::Stopped));
    }
}

#[test]
fn a_full_disk_refuses_and_a_nearly_full_one_says_so() {
    let world = World::new();
    let mut process = world.start();
    for (available, writing, answer) in [
        (11, Writing::Good, Ok(())),
        (10, Writing::NearlyFull { used_percent: 90 }, Ok(())),
        (6, Writing::NearlyFull { used_percent: 94 }, Ok(())),
        (5, Writing::Full { used_percent: 95 }, Err(RefusedWhy::Full)),
        (0, Writing::Full { used_percent: 100 }, Err(RefusedWhy::Full)),
        (50, Writing::Good, Ok(())),
    ] {
        world.disk.set_space(Space { total: 100, available });
        process.keep();
        assert_eq!(process.shared.health().writing, writing);
        assert_eq!(process.submit(available, numbered(available, DAY, BEGIN)), answer, "{available}");
        assert_eq!(process.shared.room_bytes(SHARD, 0) == 0, answer.is_err());
    }
}

#[test]
fn reading_says_where_the_log_begins_and_ends() {
    let world = World::new();
    let mut process = world.start();
    let (oldest, head) = (Pos { record: 3, index: 0 }, Pos::of_record(6));
    for number in 1..=5 {
        process.say(number);
    }
    process.shared.trim(SHARD, oldest).expect("trimmed");
    process.shared.trim(SHARD, Pos::START).expect("trimming never goes back");
    let read = |pos| process.shared.read(SHARD, pos, 1).map(|it| it.batches.len());
    assert_eq!(read(Pos { record: 2, index: 9 }), Err(ReadError::Trimmed { oldest }));
    assert_eq!((read(oldest), read(head)), (Ok(1), Ok(0)));
    assert_eq!(read(Pos { record: 6, index: 1 }), Err(ReadError::Ahead { head }));
    assert_eq!(process.read(oldest), [(3, 3), (4, 4), (5, 5)]);
    // The history has a retention of its own.
    assert_eq!(process.numbers(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_waits_when_the_log_stops_is_written() {
    let world = World::new();
    let mut process = world.start();
    process.submit(1, numbered(1, DAY, BEGIN)).expect("taken");
    process.shared.queue.stop();
    assert_eq!(process.submit(2, numbered(2, DAY, BEGIN)), Err(RefusedWhy::Stopped));
    assert!(process.writer.step());
    assert!(!process.writer.step());
    process.writer.end();
    assert_eq!(process.last(), Ok(committed(1)));
    assert_eq!(process.shared.bounds(SHARD), Err(ReadError::Stopped));
}

#[test]
fn a_completion_that_panics_leaves_nobody_without_an_answer() {
    let world = World::new();
    let mut process = world.start();
    process.submit(1, numbered(1, DAY, BEGIN)).expect("taken");
    let id = engine::BatchId([7; 16]);
    let completion = Box::new(|_| panic!("a mistake"));
    let append = engine::Append { id, origin: 0, batch: numbered(2, DAY, BEGIN), completion };
    process.shared.submit(SHARD, append).map_err(|it| it.why).expect("taken");
    for number in 3..=4 {
        process.submit(number, numbered(number, DAY, BEGIN)).expect("taken");
    }
    let outcomes = Arc::clone(&process.outcomes);
    let world::Process { writer, shared, .. } = process;
    writer.run();
    let outcomes = outcomes.lock().expect("no panic").clone();
    let unknown = Err(AppendError::Unknown);
    assert_eq!(outcomes, [(1, Ok(committed(1))), (3, unknown), (4, unknown)]);
    assert!(matches!(shared.health().writing, Writing::Failed { .. }));
}
