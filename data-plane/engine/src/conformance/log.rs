//! What every [`Log`] does.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Outcomes, PATIENCE, SHARD, Subject, append, batch, batch_id, message};
use crate::{
    Append, AppendError, Committed, CommittedBatch, CommittedBatches, Log, ORIGINS_MAX, Pos, ReadError,
    RefusedWhy, Shard,
};

const ORIGINS: u16 = 4;
const BATCHES_EACH: u16 = 50;

/// Everything from `from` to the head, page by page.
fn read_all(log: &dyn Log, mut from: Pos, bytes_max: usize) -> Vec<CommittedBatch> {
    let mut all = Vec::new();
    loop {
        let page = log.read(SHARD, from, bytes_max).expect("nothing was trimmed");
        if page.batches.is_empty() {
            assert_eq!((page.next, page.bounds.head), (from, from), "an empty page is at the head");
            return all;
        }
        assert!(page.next > from, "a page that is not empty leads on");
        from = page.next;
        all.extend(page.batches);
    }
}

fn id_of(origin: u16, number: u16) -> u128 {
    u128::from(origin) << 64 | u128::from(number)
}

/// Batches of several threads at once, each with one to three messages. Answers the record of each batch id.
fn append_from_many(log: &dyn Log) -> BTreeMap<u64, u128> {
    std::thread::scope(|scope| {
        let origin = |origin: u16| {
            let outcomes = Outcomes::new(BATCHES_EACH.into());
            for number in 0..BATCHES_EACH {
                let payload = number.to_be_bytes();
                let messages = vec![message("a/b", &payload); 1 + usize::from(number % 3)];
                outcomes.submit(log, id_of(origin, number), origin, batch(&messages));
            }
            (0..BATCHES_EACH)
                .map(|number| (outcomes.next().record, id_of(origin, number)))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..ORIGINS).map(|number| scope.spawn(move || origin(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

/// Records are counted from 1 without gaps, whatever the size of a page, and a batch is where its completion said.
pub fn positions_have_no_gap<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let records = append_from_many(log);
    let count = u64::from(ORIGINS) * u64::from(BATCHES_EACH);
    assert!(records.keys().copied().eq(1..=count), "completions name every record once: {records:?}");
    for bytes_max in [1, 500, usize::MAX] {
        let read = read_all(log, Pos::START, bytes_max);
        assert!(read.iter().map(|batch| batch.record).eq(1..=count), "pages of {bytes_max} bytes");
        for found in read {
            let id = records[&found.record];
            assert_eq!(found.id, batch_id(id), "record {}", found.record);
            let number = u16::try_from(id & 0xFFFF).expect("two bytes");
            let payload = number.to_be_bytes();
            let expected = batch(&vec![message("a/b", &payload); 1 + usize::from(number % 3)]);
            assert_eq!(found.batch, expected, "record {}", found.record);
        }
    }
    for origin in 0..ORIGINS {
        let of_one: Vec<_> = records.values().filter(|id| **id >> 64 == u128::from(origin)).collect();
        assert!(of_one.is_sorted(), "origin {origin} is in the order of its calls");
    }
    let bounds = log.bounds(SHARD).expect("a log that works");
    assert_eq!((bounds.oldest, bounds.head), (Pos::START, Pos::of_record(count + 1)));
    let middle = log.read(SHARD, Pos { record: 7, index: 1 }, 1).expect("it is there");
    assert_eq!(middle.batches[0].record, 7, "a page begins with the batch that the position stands in");
}

/// The same batch id again is the same record, in one burst and later, and followers hear it once.
pub fn a_batch_id_is_appended_once<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let heard = follow(log);
    let outcomes = Outcomes::new(8);
    let a = || batch(&[message("a", b"1")]);
    for id in [1, 1, 2, 1] {
        outcomes.submit(log, id, 0, a());
    }
    let first: Vec<_> = (0..4).map(|_| outcomes.next().record).collect();
    assert_eq!(first, [1, 1, 2, 1]);
    outcomes.submit(log, 2, 3, a());
    outcomes.submit(log, 3, 3, a());
    assert_eq!((outcomes.next().record, outcomes.next().record), (2, 3));
    let records = |batches: &[CommittedBatch]| batches.iter().map(|batch| batch.record).collect::<Vec<_>>();
    assert_eq!(records(&read_all(log, Pos::START, usize::MAX)), [1, 2, 3]);
    assert_eq!(records(&heard.until(3)), [1, 2, 3]);
}

/// Completions of many batches come in the order of submission, on one thread that is not the submitter's.
pub fn completions_come_in_submission_order_on_one_thread<S: Subject>(make: impl Fn() -> S) {
    const BATCHES: u64 = 500;
    let subject = make();
    let called = Arc::new(Mutex::new(Vec::new()));
    let (done, all_done) = sync_channel(1);
    for number in 0..BATCHES {
        let (called, done) = (Arc::clone(&called), done.clone());
        let completion = Box::new(move |_| {
            let mut called = called.lock().unwrap_or_else(PoisonError::into_inner);
            called.push((number, std::thread::current().id()));
            if number + 1 == BATCHES {
                done.try_send(()).expect("the last comes once");
            }
        });
        let append = Append {
            id: batch_id(number.into()),
            origin: u16::try_from(number % 3).expect("below 3"),
            batch: batch(&[message("a", b"")]),
            completion,
        };
        subject.log().submit(SHARD, append).expect("small batches are taken");
    }
    all_done.recv_timeout(PATIENCE).expect("every completion is called");
    let called = called.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(called.iter().map(|(number, _)| *number).eq(0..BATCHES), "{called:?}");
    let (_, thread) = called[0];
    assert!(called.iter().all(|(_, other)| *other == thread), "one thread calls them");
    assert_ne!(thread, std::thread::current().id());
}

/// A completion runs outside the log's locks: it may submit.
pub fn a_completion_may_submit<S: Subject>(make: impl Fn() -> S) {
    let subject = Arc::new(make());
    let outcomes = Outcomes::new(1);
    let second = outcomes.append(2, 0, batch(&[message("a", b"second")]));
    let log = Arc::downgrade(&subject);
    let first = Append {
        id: batch_id(1),
        origin: 0,
        batch: batch(&[message("a", b"first")]),
        completion: Box::new(move |_| {
            if let Some(subject) = log.upgrade() {
                subject.log().submit(SHARD, second).expect("it is taken");
            }
        }),
    };
    subject.log().submit(SHARD, first).expect("it is taken");
    assert_eq!(outcomes.next().record, 2);
    // The engine does not end on its own thread.
    while Arc::strong_count(&subject) > 1 {
        std::thread::yield_now();
    }
}

/// What a follower has heard.
struct Heard {
    from: Pos,
    batches: std::sync::mpsc::Receiver<CommittedBatches>,
}

impl Heard {
    /// Everything up to this record.
    fn until(&self, record: u64) -> Vec<CommittedBatch> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &CommittedBatch| last.record < record) {
            let batches = self.batches.recv_timeout(PATIENCE).expect("a follower is called");
            assert!(!batches.is_empty(), "a follower is called for something");
            heard.extend(batches.iter().cloned());
        }
        heard
    }
}

fn follow(log: &dyn Log) -> Heard {
    let (said, batches) = sync_channel(10_000);
    let follower = Box::new(move |batches: &CommittedBatches| {
        said.try_send(Arc::clone(batches)).expect("there is room");
    });
    Heard { from: log.follow(SHARD, follower).expect("there are few followers"), batches }
}

/// A follower hears everything from the position that it was told, in order, each once, while others write.
pub fn a_follower_hears_every_batch_in_order<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let from_start = follow(log);
    assert_eq!(from_start.from, Pos::START);
    let later = std::thread::scope(|scope| {
        let writers = scope.spawn(|| append_from_many(log));
        let later = follow(log);
        writers.join().expect("it does not panic");
        later
    });
    let all = read_all(log, Pos::START, usize::MAX);
    let last = all.last().expect("something was written").record;
    assert_eq!(from_start.until(last), all);
    // One more, so that who began to follow at the end hears something too.
    let after = append(log, u128::MAX, &[message("a", b"last")]).record;
    let behind = read_all(log, later.from, usize::MAX);
    assert_eq!(later.until(after), behind);
    assert_eq!(behind.first().map(CommittedBatch::first), Some(later.from));
}

/// Reading below what was trimmed names the oldest position, and what was not trimmed is read as before.
pub fn what_was_trimmed_says_so<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    for number in 1..=5 {
        append(log, number, &[message("a", b"1"), message("a", b"2")]);
    }
    let all = read_all(log, Pos::START, usize::MAX);
    for (before, oldest) in [
        (Pos::of_record(3), Pos::of_record(3)),
        (Pos::START, Pos::of_record(3)),
        (Pos { record: 4, index: 1 }, Pos { record: 4, index: 1 }),
    ] {
        log.trim(SHARD, before).expect("a log that works");
        assert_eq!(log.read(SHARD, Pos::START, 1), Err(ReadError::Trimmed { oldest }), "before {before}");
        assert_eq!(log.bounds(SHARD).map(|bounds| bounds.oldest), Ok(oldest));
        let kept = usize::try_from(oldest.record).expect("small") - 1;
        assert_eq!(read_all(log, oldest, usize::MAX), all[kept..], "from {oldest}");
    }
    let end = Pos::of_record(6);
    log.trim(SHARD, Pos::of_record(1_000)).expect("a log that works");
    let bounds = log.bounds(SHARD).expect("a log that works");
    assert_eq!((bounds.oldest, bounds.head), (end, end), "no more than there is");
    assert_eq!(append(log, 6, &[message("a", b"")]).record, 6, "numbers go on");
}

/// A position that was not reached, and a shard that is none, are no empty pages.
pub fn what_is_ahead_is_refused<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    append(log, 1, &[message("a", b"")]);
    let head = Pos::of_record(2);
    let page = log.read(SHARD, head, usize::MAX).expect("the head can be read from");
    assert!(page.batches.is_empty());
    assert_eq!(log.read(SHARD, Pos::of_record(3), usize::MAX), Err(ReadError::Ahead { head }));
    assert_eq!(log.read(Shard(9), Pos::START, 1), Err(ReadError::UnknownShard));
    assert_eq!(log.bounds(Shard(9)), Err(ReadError::UnknownShard));
}

/// What no log takes comes back whole, its completion uncalled.
pub fn what_is_no_batch_comes_back<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let outcomes = Outcomes::new(4);
    let some = || batch(&[message("a", b"")]);
    for (shard, origin, batch) in
        [(SHARD, 0, batch(&[])), (SHARD, ORIGINS_MAX, some()), (Shard(9), 0, some())]
    {
        let refused = log.submit(shard, outcomes.append(1, origin, batch)).expect_err("it is no batch");
        assert_eq!(refused.why, RefusedWhy::Invalid);
        assert_eq!((refused.append.id, refused.append.origin), (batch_id(1), origin));
    }
    assert_eq!(log.room_bytes(Shard(9), 0), 0);
    outcomes.submit(log, 1, 0, some());
    assert_eq!(outcomes.next().record, 1);
    assert!(outcomes.heard.try_recv().is_err(), "a refused batch completes nothing");
}

/// What an origin was told it has room for is taken, what goes beyond comes back; another origin feels nothing of it,
/// and credit returns with completions.
pub fn credit_is_each_origins_own<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let (whole, other) = (log.room_bytes(SHARD, 0), log.room_bytes(SHARD, 1));
    let (go_on, held) = sync_channel::<()>(1);
    let hold = Append {
        id: batch_id(u128::MAX),
        origin: 2,
        batch: batch(&[message("a", b"")]),
        completion: Box::new(move |_| held.recv_timeout(PATIENCE).expect("it is let go on")),
    };
    log.submit(SHARD, hold).expect("it is taken");

    let payload = vec![0; 1024 * 1024];
    let big = batch(&[message("a", &payload)]);
    let outcomes = Outcomes::new(10_000);
    let mut taken = 0;
    let refused = loop {
        let room = log.room_bytes(SHARD, 0);
        let refused = log.submit(SHARD, outcomes.append(taken, 0, big.clone()));
        assert_eq!(refused.is_ok(), big.as_bytes().len() <= room, "room is what is taken");
        match refused {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < 10_000, "credit has an end");
    };
    assert_eq!(refused.why, RefusedWhy::NoRoom);
    assert_eq!(refused.append.batch, big, "it comes back whole");
    assert!(taken > 0, "a batch of a mebibyte has room");
    assert_eq!(log.room_bytes(SHARD, 1), other, "another origin's credit is its own");

    go_on.try_send(()).expect("it waits");
    for _ in 0..taken {
        outcomes.next();
    }
    assert_eq!(log.room_bytes(SHARD, 0), whole, "credit has come back");
    log.submit(SHARD, refused.append).expect("and the batch is taken now");
    outcomes.next();
}

/// Credit returns with a batch's own completion, not with that of one before it in the same sync.
pub fn credit_returns_with_each_completion<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let log = subject.log();
    let whole = log.room_bytes(SHARD, 0);
    let small = batch(&[message("a", b"")]);
    let (runs, ran) = sync_channel::<()>(2);
    let mut go_ons = Vec::new();
    for number in 0..2 {
        let (go_on, held) = sync_channel::<()>(1);
        let runs = runs.clone();
        let completion = move |_: Result<Committed, AppendError>| {
            runs.send(()).expect("somebody listens");
            held.recv_timeout(PATIENCE).expect("it is let go on");
        };
        let id = batch_id(u128::MAX - number);
        let append = Append { id, origin: 2, batch: small.clone(), completion: Box::new(completion) };
        log.submit(SHARD, append).expect("it is taken");
        if number == 0 {
            ran.recv_timeout(PATIENCE).expect("the first completes, and holds the log up");
        }
        go_ons.push(go_on);
    }
    let outcomes = Outcomes::new(1);
    log.submit(SHARD, outcomes.append(0, 0, small.clone())).expect("it is taken");
    go_ons[0].try_send(()).expect("it waits");
    ran.recv_timeout(PATIENCE).expect("the second completes, with one behind it");
    assert_eq!(log.room_bytes(SHARD, 0), whole - small.as_bytes().len(), "it has not completed");
    go_ons[1].try_send(()).expect("it waits");
    outcomes.next();
    assert_eq!(log.room_bytes(SHARD, 0), whole, "now it has");
}

/// No completion is forgotten when the engine goes.
pub fn an_engine_that_goes_calls_every_completion<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let outcomes = Outcomes::new(100);
    for number in 0..100 {
        outcomes.submit(subject.log(), number, 0, batch(&[message("a", b"")]));
    }
    drop(subject);
    assert_eq!(outcomes.heard.try_iter().count(), 100);
}
