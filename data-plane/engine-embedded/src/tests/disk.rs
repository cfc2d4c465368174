//! A real directory, with threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use contract::message::Order;
use engine::{Append, BatchId, History, HistoryQuery, RefusedWhy, RetentionClass};

use super::world::{BEGIN, INSTANCE, SHARD, numbered, rules};
use crate::engine::{Engine, OpenError};
use crate::files::{Disk, Files};
use crate::options::{Options, SEGMENT_BYTES_MIN};

fn options(directory: &std::path::Path) -> Options {
    Options { segment_bytes: SEGMENT_BYTES_MIN, ..Options::new(directory) }
}

/// Commits numbered messages and waits for each.
fn say(engine: &Engine, numbers: std::ops::RangeInclusive<u64>) {
    let log = engine.log();
    for number in numbers {
        let (sender, receiver) = sync_channel(1);
        let completion = Box::new(move |outcome| sender.send(outcome).expect("someone waits"));
        let batch = numbered(number, RetentionClass::Month, BEGIN);
        let id = BatchId(u128::from(number).to_le_bytes());
        log.submit(SHARD, Append { id, origin: 0, batch, completion }).expect("taken");
        receiver.recv().expect("completed").expect("committed");
    }
}

/// The numbers that are stored, oldest first, page by page.
fn numbers(history: &dyn History) -> Vec<u64> {
    let mut query = HistoryQuery { order: Order::Oldest, limit: 50, ..HistoryQuery::default() };
    let mut numbers = Vec::new();
    loop {
        let answer = history.query(INSTANCE, &query, &rules(BEGIN)).expect("the history answers");
        assert!(answer.complete);
        numbers.extend(answer.items.iter().map(|it| {
            std::str::from_utf8(&it.payload.0).expect("a number").parse::<u64>().expect("a number")
        }));
        query.after = answer.next;
        if query.after.is_none() {
            return numbers;
        }
    }
}

#[test]
fn what_was_committed_is_there_after_closing_and_after_dropping() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(options(directory.path())).expect("opens");
    say(&engine, 1..=30);
    engine.close();
    let engine = Engine::open(options(directory.path())).expect("opens again");
    say(&engine, 31..=60);
    let (log, history) = (engine.log(), engine.history());
    drop(engine);
    let batch = numbered(1, RetentionClass::Day, BEGIN);
    let append = Append { id: BatchId([9; 16]), origin: 0, batch, completion: Box::new(|_| ()) };
    assert_eq!(log.submit(SHARD, append).map_err(|it| it.why), Err(RefusedWhy::Stopped));
    assert_eq!(
        history.query(INSTANCE, &HistoryQuery::default(), &rules(BEGIN)).map(|it| it.items.len()),
        Err(engine::QueryError::Stopped)
    );
    let engine = Engine::open(options(directory.path())).expect("opens once more");
    assert_eq!(numbers(&*engine.history()), (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_directory_has_one_engine_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(options(directory.path())).expect("opens");
    let Err(error) = Engine::open(options(directory.path())) else { panic!("opened twice") };
    assert!(matches!(error, OpenError::Locked { .. }));
    let expected =
        format!("the message log in `{}` is in use by another process", directory.path().display());
    assert_eq!(error.to_string(), expected);
    drop(engine);
    Engine::open(options(directory.path())).expect("opens when the first is gone");
}

#[test]
fn a_query_beside_writing_and_sealing_misses_nothing_and_meets_nothing_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(options(directory.path())).expect("opens");
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (history, done) = (engine.history(), Arc::clone(&done));
            thread::spawn(move || {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let numbers = numbers(&*history);
                    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
                    assert!(numbers.len() >= seen);
                    seen = numbers.len();
                }
            })
        })
        .collect();
    for number in 1..=300 {
        say(&engine, number..=number);
        let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
        let answer = engine.history().query(INSTANCE, &newest, &rules(BEGIN)).expect("answers");
        // What was acknowledged is found at once.
        assert_eq!(answer.items[0].id.record, number);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().expect("no reader panicked");
    }
    assert!(engine.stats().sealed > 0);
}

#[test]
fn more_queries_than_may_run_are_told_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(Options { queries_max: 1, ..options(directory.path()) }).expect("opens");
    say(&engine, 1..=1);
    assert_eq!(numbers(&*engine.history()), [1]);
    assert_eq!(numbers(&*engine.history()), [1], "a turn is given back");
}

#[test]
fn files_do_what_they_promise() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = Disk::open(directory.path()).expect("opens");
    let mut file = files.create("a").expect("made");
    assert!(files.create("a").is_err());
    let parts = [b"one".as_slice(), b"", b"two"];
    file.append(&mut parts.map(std::io::IoSlice::new)).expect("written");
    file.sync().expect("synced");
    files.append("a").expect("opened").append(&mut [std::io::IoSlice::new(b"3")]).expect("written");
    let read = files.open("a").expect("opened");
    let mut buffer = [0; 10];
    assert_eq!(read.read_at(2, &mut buffer).expect("read"), 5);
    assert_eq!((&buffer[..5], read.bytes().expect("a length")), (b"etwo3".as_slice(), 7));
    files.truncate("a", 3).expect("cut");
    files.rename("a", "b").expect("renamed");
    files.sync_directory().expect("synced");
    let names: Vec<_> = files.list().expect("listed").into_iter().map(|it| (it.name, it.bytes)).collect();
    assert_eq!(names, [("b".to_owned(), 3)]);
    files.remove("b").expect("removed");
    assert_eq!(read.read_at(0, &mut buffer).expect("still open"), 3);
    let space = files.space().expect("it says");
    assert!(space.total >= space.available && space.used_percent() <= 100);
}
