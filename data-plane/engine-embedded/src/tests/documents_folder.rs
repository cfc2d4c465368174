//! The documents' folder on a real disk: taken away, cut, swapped for an older copy, or not to be read at all.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use engine::conformance::wait;
use engine::{Append, Batch, BatchId, Change, Key};
use nix::errno::Errno;
use tempfile::TempDir;

use super::world::{INSTANCE, SHARD};
use crate::documents::disk::{DiskDocuments, Unopened, unless_it_panics};
use crate::engine::{Engine, OpenError};
use crate::options::{Options, SEGMENT_BYTES_MIN};

fn options(directory: &TempDir) -> Options {
    Options { segment_bytes: SEGMENT_BYTES_MIN, ..Options::new(directory.path()) }
}

/// Commits a document under each of the numbers.
fn commit(engine: &Engine, numbers: RangeInclusive<u32>) {
    for number in numbers {
        commit_at_once(engine, number..=number);
    }
}

/// The same in one batch.
fn commit_at_once(engine: &Engine, numbers: RangeInclusive<u32>) {
    let (said, heard) = sync_channel(1);
    let id = u128::from(*numbers.start()) << 32 | u128::from(*numbers.end());
    let mut batch = Batch::new();
    for number in numbers {
        let (key, body) = (format!("k/{number:06}"), body(number));
        batch.change(&Change { instance: INSTANCE, key: key.as_bytes(), body: Some(&body) }).expect("fits");
    }
    let completion = Box::new(move |outcome: Result<_, _>| said.send(outcome.is_ok()).expect("heard"));
    let append = Append { id: BatchId(id.to_le_bytes()), origin: 0, batch, completion };
    engine.log().submit(SHARD, append).expect("taken");
    assert!(heard.recv_timeout(Duration::from_mins(1)).expect("completed"));
}

/// What does not compress.
fn body(number: u32) -> [u8; 200] {
    let (mut body, mut chance) = ([0; 200], number);
    for byte in &mut body {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = chance.to_be_bytes()[0];
    }
    body
}

fn count(engine: &Engine) -> usize {
    let state = engine.state();
    let mut after: Option<Key> = None;
    let mut count = 0;
    loop {
        let page = wait(state.scan(INSTANCE, b"k/", after.as_ref(), 1_000)).expect("the documents answer");
        count += page.len();
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return count,
        }
    }
}

/// An engine with so many documents, closed so that the folder has all of them.
fn closed(numbers: u32) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(options(&directory)).expect("opens");
    commit(&engine, 1..=numbers);
    engine.close();
    directory
}

fn folder(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("documents")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Every file below.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("listed").map(|it| it.expect("listed").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn documents_are_there_after_closing_and_the_folder_can_be_opened_again_at_once() {
    let directory = closed(50);
    for _ in 0..2 {
        let engine = Engine::open(options(&directory)).expect("opens");
        assert_eq!((count(&engine), engine.health().documents_lost), (50, vec![]));
        let state = engine.state();
        engine.close();
        assert_eq!(
            wait(state.load(INSTANCE, &Key::new(*b"k").expect("a key"))),
            Err(engine::StateError::Stopped)
        );
    }
}

#[test]
fn a_folder_that_was_taken_away_is_said_unless_the_journal_has_everything() {
    // Nothing was sealed: the journal begins with the first record.
    let directory = closed(2);
    fs::remove_dir_all(folder(&directory)).expect("removed");
    let engine = Engine::open(options(&directory)).expect("opens");
    assert_eq!((count(&engine), engine.health().documents_lost), (2, vec![]));
    drop(engine);

    let directory = closed(50);
    fs::remove_dir_all(folder(&directory)).expect("removed");
    for _ in 0..2 {
        let engine = Engine::open(options(&directory)).expect("opens");
        assert_eq!(engine.health().documents_lost.len(), 1);
        assert!(count(&engine) < 50);
        engine.close();
    }
}

#[test]
fn an_older_copy_of_the_folder_is_brought_up_to_date_or_said() {
    let directory = closed(20);
    let older = directory.path().join("older");
    copy(&folder(&directory), &older);
    for (numbers, is_exact) in [(21..=21, true), (22..=80, false)] {
        let engine = Engine::open(options(&directory)).expect("opens");
        let newest = *numbers.end() as usize;
        commit(&engine, numbers);
        engine.close();
        let (there, aside) = (folder(&directory), directory.path().join("aside"));
        fs::rename(&there, &aside).expect("renamed");
        copy(&older, &there);
        let engine = Engine::open(options(&directory)).expect("opens");
        assert_eq!(engine.health().documents_lost.is_empty(), is_exact, "{:?}", engine.health());
        assert_eq!(count(&engine) == newest, is_exact);
        engine.close();
        fs::remove_dir_all(&there).expect("removed");
        fs::rename(&aside, &there).expect("renamed");
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_put_aside_and_said() {
    let directory = closed(50);
    for file in files(&folder(&directory)) {
        fs::write(file, b"this is no database").expect("written");
    }
    let engine = Engine::open(options(&directory)).expect("opens");
    let lost = engine.health().documents_lost;
    assert!(lost.iter().any(|it| it.contains("put aside")), "{lost:?}");
    assert!(directory.path().join("documents.damaged").is_dir());
    commit(&engine, 51..=51);
    engine.close();
    let engine = Engine::open(options(&directory)).expect("opens");
    assert_eq!(engine.health().documents_lost, lost);
}

/// What a power cut leaves of a batch that was not synced: some of its sectors were written, and some are 0.
#[test]
fn a_hole_in_the_databases_journal_costs_nothing_that_the_log_still_has() {
    let directory = closed(1);
    let engine = Engine::open(options(&directory)).expect("opens");
    commit(&engine, 2..=2);
    engine.close();
    let journals = files(&folder(&directory)).into_iter();
    let journal = journals.filter(|it| it.extension().is_some_and(|it| it == "jnl")).max().expect("one");
    let mut bytes = fs::read(&journal).expect("read");
    let at =
        bytes[..bytes.len().min(16_384)].windows(200).rposition(|it| it == body(2)).expect("it is there");
    bytes[at + 50..at + 150].fill(0);
    fs::write(&journal, bytes).expect("written");
    for _ in 0..2 {
        let engine = Engine::open(options(&directory)).expect("opens");
        assert_eq!((count(&engine), engine.health().documents_lost), (2, vec![]));
        engine.close();
    }
    assert!(journal.with_extension("torn").is_file(), "it is kept for whoever wants to know");
    assert!(!directory.path().join("documents.damaged").exists());
}

/// That the system does not let us read says nothing of what is there: nothing is put aside for it.
#[test]
fn what_cannot_be_read_now_is_not_damaged() {
    let at_the_bottom = |errno: Errno| std::io::Error::from_raw_os_error(errno as i32);
    for errno in [Errno::EIO, Errno::EMFILE, Errno::EACCES, Errno::ENOMEM] {
        let storage = fjall::Error::Storage(fjall::LsmError::Io(at_the_bottom(errno)));
        for error in [fjall::Error::Io(at_the_bottom(errno)), storage] {
            let refused = Unopened::from(std::io::Error::other(error));
            assert!(matches!(refused, Unopened::Refused(_)), "{errno}: {refused:?}");
        }
        assert!(matches!(Unopened::from(at_the_bottom(errno)), Unopened::Refused(_)), "{errno}");
    }
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    for error in [
        cut(),
        std::io::Error::other(fjall::Error::Io(cut())),
        std::io::Error::other(fjall::Error::InvalidTrailer),
    ] {
        assert!(matches!(Unopened::from(error), Unopened::Damaged(_)));
    }
    let panicked = unless_it_panics::<()>(|| panic!("what a damaged file may do"));
    assert!(matches!(panicked, Err(Unopened::Damaged(_))));
}

/// Each file of the folder is cut, and each has a byte flipped: what is answered is exact, or something is said.
#[test]
fn a_file_that_is_cut_or_flipped_is_never_passed_over_in_silence() {
    let directory = closed(60);
    let documents = DiskDocuments::open(&folder(&directory)).expect("opens");
    documents.write_tables();
    drop(documents);
    let engine = Engine::open(options(&directory)).expect("opens");
    commit(&engine, 61..=80);
    engine.close();
    let whole = directory.path().join("whole");
    copy(&folder(&directory), &whole);
    let names: Vec<_> =
        files(&whole).into_iter().filter(|it| fs::metadata(it).is_ok_and(|it| it.len() > 0)).collect();
    for name in names {
        let relative = name.strip_prefix(&whole).expect("below").to_owned();
        for damage in [cut as fn(Vec<u8>) -> Vec<u8>, empty, flip] {
            fs::remove_dir_all(folder(&directory)).expect("removed");
            copy(&whole, &folder(&directory));
            let path = folder(&directory).join(&relative);
            fs::write(&path, damage(fs::read(&path).expect("read"))).expect("written");
            match Engine::open(options(&directory)) {
                Ok(engine) => {
                    let is_said = !engine.health().documents_lost.is_empty();
                    assert!(is_said || count(&engine) == 80, "{}: {:?}", relative.display(), engine.health());
                }
                Err(error) => {
                    assert!(matches!(error, OpenError::Documents(_)), "{}: {error}", relative.display());
                }
            }
        }
    }
}

/// What stands around a damaged block is saved.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that waits for a thread has a bound")]
fn a_damaged_table_costs_what_is_in_its_block() {
    let directory = closed(1);
    let engine = Engine::open(options(&directory)).expect("opens");
    commit_at_once(&engine, 1..=2_000);
    // What is sealed is in the documents alone.
    let begun = Instant::now();
    while engine.stats().sealed == 0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is sealed");
        std::thread::sleep(Duration::from_millis(5));
    }
    engine.close();
    let documents = DiskDocuments::open(&folder(&directory)).expect("opens");
    documents.write_tables();
    drop(documents);
    let is_table = |it: &PathBuf| it.components().any(|it| it.as_os_str() == "tables");
    let tables = files(&folder(&directory)).into_iter().filter(is_table);
    let table = tables.max_by_key(|it| fs::metadata(it).map_or(0, |it| it.len())).expect("a table");
    let bytes = fs::read(&table).expect("read");
    fs::write(&table, flip(bytes)).expect("written");
    let engine = Engine::open(options(&directory)).expect("opens");
    let (lost, saved) = (engine.health().documents_lost, count(&engine));
    assert!(lost.len() == 1 && (1_900..2_000).contains(&saved), "{lost:?} {saved}");
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

fn empty(_: Vec<u8>) -> Vec<u8> {
    Vec::new()
}

fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes
}
