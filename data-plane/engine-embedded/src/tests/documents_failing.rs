//! Documents that cannot be written: for a while nobody notices, for long it is said.

use std::fs;
use std::iter;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::{AppendError, RefusedWhy, Rev};

use super::documents::{mixed, said};
use super::world::{BEGIN, World, numbered};
use crate::documents::disk::DiskDocuments;
use crate::documents::{DocumentView, DocumentWrite, Documents};
use crate::health::Writing;
use crate::keeper::DOCUMENTS_STUCK_MILLIS;
use crate::memory_disk::Stop;

#[test]
fn documents_that_are_in_the_way_for_long_end_writing() {
    let mut world = World::new();
    world.options.overlay_bytes_max = 4_000;
    world.options.segment_bytes = 1_000_000;
    let mut process = world.start();
    world.documents.fail_writes(true);
    for number in 1..=4 {
        assert!(process.append(number, mixed(number)));
    }
    for time in [BEGIN, BEGIN + DOCUMENTS_STUCK_MILLIS] {
        world.set_time(time);
        process.keep();
        let health = process.shared.health();
        assert!(health.sealing_failed.is_some());
        assert_eq!(health.writing, Writing::Good, "as long as there is room nobody waits");
    }
    let begin = BEGIN + DOCUMENTS_STUCK_MILLIS;
    let refused = (5..100).find(|number| !process.append(*number, mixed(*number))).expect("there is a bound");
    process.submit(200, numbered(200, engine::RetentionClass::Day, BEGIN)).expect("it changes no document");
    for time in [begin, begin + DOCUMENTS_STUCK_MILLIS - 1] {
        world.set_time(time);
        process.keep();
        assert_eq!(process.shared.health().writing, Writing::Good);
    }
    world.set_time(begin + DOCUMENTS_STUCK_MILLIS);
    process.keep();
    assert!(matches!(process.shared.health().writing, Writing::Failed { .. }));
    assert_eq!(process.last(), Err(AppendError::NotStored));
    assert_eq!(process.submit(refused, mixed(refused)), Err(RefusedWhy::Failed));
    assert!(!process.writer.step(), "the log's thread ends");
    assert_eq!(said(&world.after(Stop::Power).start()), (1..refused).collect::<Vec<_>>());
}

#[test]
fn documents_that_can_be_written_again_go_on() {
    let mut world = World::new();
    world.options.overlay_bytes_max = 4_000;
    let mut process = world.start();
    world.documents.fail_writes(true);
    let refused = (1..100).find(|number| !process.append(*number, mixed(*number))).expect("there is a bound");
    process.keep();
    world.set_time(BEGIN + DOCUMENTS_STUCK_MILLIS - 1);
    process.keep();
    world.documents.fail_writes(false);
    process.keep();
    world.documents.fail_writes(true);
    world.set_time(BEGIN + DOCUMENTS_STUCK_MILLIS);
    assert!(process.append(refused, mixed(refused)));
    process.keep();
    assert_eq!(process.shared.health().writing, Writing::Good, "each time is counted from its own beginning");
    assert_eq!(said(&process), (1..=refused).collect::<Vec<_>>());
}

fn put(documents: &DiskDocuments, number: u64) -> std::io::Result<()> {
    let (key, body) = ([[7; 16], [u8::try_from(number).expect("small"); 16]].concat(), number.to_le_bytes());
    let document = Some(DocumentView { rev: Rev(number), body: &body });
    documents.apply(&mut iter::once(DocumentWrite { key: &key, document }), number + 1)?;
    documents.persist()
}

fn numbers(documents: &DiskDocuments) -> Vec<u64> {
    let mut numbers = Vec::new();
    let each = &mut |_: &[u8], view: DocumentView<'_>| {
        numbers.push(view.rev.0);
        true
    };
    documents.range(&[], each).expect("it is read");
    numbers
}

/// The database's thread cannot write a table: from then on the database takes no write at all.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that waits for a thread has a bound")]
fn a_database_that_takes_no_more_writes_is_opened_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("documents");
    let documents = DiskDocuments::open(&folder).expect("opens");
    put(&documents, 1).expect("written");
    documents.write_tables();
    put(&documents, 2).expect("written");
    let (tables, aside) = (folder.join("keyspaces/1/tables"), directory.path().join("aside"));
    fs::rename(&tables, &aside).expect("there are tables");
    fs::write(&tables, b"no directory").expect("written");
    documents.ask_for_tables();
    let begun = Instant::now();
    while put(&documents, 3).is_ok() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it takes no more");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(put(&documents, 3).is_err(), "it cannot be opened again either");
    fs::remove_file(&tables).expect("removed");
    fs::rename(&aside, &tables).expect("put back");
    for number in 3..=4 {
        put(&documents, number).expect("it goes on by itself");
    }
    for _ in 0..2 {
        assert_eq!((documents.position().expect("known"), numbers(&documents)), (5, vec![1, 2, 3, 4]));
    }
    drop(documents);
    let documents = DiskDocuments::open(&folder).expect("opens");
    assert_eq!((documents.position().expect("known"), numbers(&documents)), (5, vec![1, 2, 3, 4]));
}

/// What stands in front of a hole stays, and says how far it is.
#[test]
fn a_hole_in_the_databases_journal_costs_what_stands_behind_its_beginning() {
    for hole in 1..=4_u64 {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("documents");
        let documents = DiskDocuments::open(&folder).expect("opens");
        for number in 1..=4 {
            put(&documents, number).expect("written");
        }
        drop(documents);
        make_hole(&folder, &hole.to_le_bytes(), u8::try_from(hole).expect("small"));
        for _ in 0..2 {
            let documents = DiskDocuments::open(&folder).expect("opens");
            let expected = (1..hole).collect::<Vec<_>>();
            assert_eq!((documents.position().expect("known"), numbers(&documents)), (hole, expected));
        }
        let documents = DiskDocuments::open(&folder).expect("opens");
        put(&documents, 9).expect("it is written on");
        drop(documents);
        assert_eq!(DiskDocuments::open(&folder).expect("opens").position().expect("known"), 10);
    }
}

/// Sets the number's document to 0 where the journal has it: behind its key and its revision.
fn make_hole(folder: &Path, body: &[u8], key: u8) {
    let journal = fs::read_dir(folder).expect("listed").map(|it| it.expect("listed").path());
    let journal = journal.filter(|it| it.extension().is_some_and(|it| it == "jnl")).max().expect("a journal");
    let mut bytes = fs::read(&journal).expect("read");
    let document = [&[key; 16], body, body].concat();
    let at = bytes[..bytes.len().min(4_096)]
        .windows(document.len())
        .rposition(|it| it == document)
        .expect("it is there");
    bytes[at + 24..at + 32].fill(0);
    fs::write(journal, bytes).expect("written");
}
