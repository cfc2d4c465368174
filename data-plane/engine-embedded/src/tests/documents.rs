//! Documents and the log they come from: what a stop at any step leaves of both, and how the one waits for the other.

use std::collections::BTreeMap;

use contract::ids::InstanceId;
use engine::conformance::wait;
use engine::{
    Batch, Change, Document, Envelope, Key, Log, RefusedWhy, RetentionClass, Rev, State, WriteError,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::world::{BEGIN, INSTANCE, Process, SHARD, World, batch, envelope};
use crate::engine::RetainedStats;
use crate::health::Writing;
use crate::memory_disk::Stop;

const DAY: RetentionClass = RetentionClass::Day;

const OTHER: InstanceId = InstanceId(Uuid::from_u128(8));

/// What documents are, by instance and key.
type Model = BTreeMap<(InstanceId, Vec<u8>), Vec<u8>>;

fn change<'a>(key: &'a str, body: Option<&'a [u8]>) -> Change<'a> {
    Change { instance: INSTANCE, key: key.as_bytes(), body }
}

/// A batch of a message that says `number`, between two changes that say so too.
pub(super) fn mixed(number: u64) -> Batch {
    let text = format!("{number:0100}");
    let mut mixed = Batch::new();
    mixed.change(&change("s/a", Some(text.as_bytes()))).expect("fits");
    mixed.append(&envelope("t/a", text.as_bytes(), DAY, BEGIN)).expect("fits");
    mixed.change(&change(&format!("p/{number}"), Some(text.as_bytes()))).expect("fits");
    mixed
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope { retain: true, ..envelope(topic, payload, DAY, BEGIN) }
}

/// Every document, page by page.
fn all(process: &Process) -> Model {
    let mut all = Model::new();
    let mut after: Option<(InstanceId, Key)> = None;
    loop {
        let from = after.as_ref().map(|(instance, key)| (*instance, key));
        let page = wait(process.shared.scan_all(b"", from, 3)).expect("the documents answer");
        let Some((instance, key, _)) = page.last() else { return all };
        after = Some((*instance, key.clone()));
        for (instance, key, document) in page {
            let loaded = wait(process.shared.load(instance, &key)).expect("the documents answer");
            assert_eq!(loaded.as_ref(), Some(&document));
            all.insert((instance, key.as_bytes().to_vec()), document.body);
        }
    }
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a key of a test")
}

pub(super) fn load(process: &Process, name: &str) -> Option<Document> {
    wait(process.shared.load(INSTANCE, &key(name))).expect("the documents answer")
}

/// The numbers that the documents of [`mixed`] say.
pub(super) fn said(process: &Process) -> Vec<u64> {
    let documents = all(process);
    let number = |body: &[u8]| std::str::from_utf8(body).expect("text").parse::<u64>().expect("a number");
    let numbers: Vec<_> = documents
        .iter()
        .filter(|((_, key), _)| key.starts_with(b"p/"))
        .map(|(_, body)| number(body))
        .collect();
    let newest = documents.get(&(INSTANCE, b"s/a".to_vec())).map(|body| number(body));
    assert_eq!(newest, numbers.iter().copied().max(), "both changes of a batch are there, or none");
    let mut numbers = numbers;
    numbers.sort_unstable();
    numbers
}

#[test]
fn changes_are_seen_when_their_batch_is_completed_and_have_its_record_as_revision() {
    let world = World::new();
    let mut process = world.start();
    process.submit(1, mixed(1)).expect("taken");
    assert_eq!(load(&process, "s/a"), None);
    process.writer.step();
    assert_eq!(load(&process, "s/a").map(|it| it.rev), Some(Rev(1)));
    let mut alone = Batch::new();
    alone.change(&change("s/a", None)).expect("fits");
    alone.change(&change("s/b", Some(b"b"))).expect("fits");
    assert!(process.append(2, alone));
    let committed = process.last().expect("committed");
    assert_eq!((committed.record, committed.messages), (2, 0));
    assert_eq!(load(&process, "s/a"), None);
    assert_eq!(load(&process, "s/b"), Some(Document { rev: Rev(2), body: b"b".to_vec() }));
    let page = process.shared.read(SHARD, engine::Pos::START, 10_000).expect("read");
    assert_eq!(page.batches.iter().map(|it| it.batch.len()).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_page_has_a_bound_of_bytes_and_leads_on() {
    let world = World::new();
    let mut process = world.start();
    let body = vec![7; engine::SCAN_BYTES_MAX / 2];
    for number in 1..=5 {
        let mut one = Batch::new();
        one.change(&change(&format!("k/{number}"), Some(&body))).expect("fits");
        assert!(process.append(number, one));
        if number == 3 {
            process.shared.store.carry().expect("carried");
        }
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = wait(process.shared.scan(INSTANCE, b"k/", after.as_ref(), 100)).expect("answers");
        let Some((key, _)) = page.last() else { break };
        after = Some(key.clone());
        pages.push(page.len());
    }
    assert_eq!(pages, [2, 2, 1]);
    let of_all = wait(process.shared.scan_all(b"k/", None, 100)).expect("answers");
    assert_eq!((of_all.len(), all(&process).len()), (2, 5));
}

#[test]
fn a_stop_at_any_step_leaves_a_batch_whole_or_not_at_all() {
    let mut reached_end = false;
    for steps in 0.. {
        if reached_end {
            break;
        }
        let world = World::new();
        let mut process = world.start();
        world.disk.stop_after(steps);
        let mut acknowledged = 0;
        for number in 1..=12 {
            if !process.append(number, mixed(number)) {
                break;
            }
            acknowledged = number;
            assert_eq!(said(&process), (1..=number).collect::<Vec<_>>());
            process.keep();
        }
        reached_end = acknowledged == 12;
        for stop in (0..700).step_by(60).map(Stop::Torn).chain((0..20).map(Stop::Drawn)) {
            let world = world.after(stop);
            let mut process = world.start();
            let documents = said(&process);
            assert_eq!(documents, process.numbers(), "{steps} {stop:?}");
            assert!(documents.len() as u64 >= acknowledged, "{steps} {stop:?}");
            assert!(process.shared.health().documents_lost.is_empty(), "{:?}", process.shared.health());
            assert!(process.append(99, mixed(99)));
            assert_eq!(said(&process).last(), Some(&99));
        }
    }
}

#[test]
fn a_failed_write_or_sync_changes_no_document_and_is_not_acknowledged() {
    for fail in [crate::memory_disk::MemoryDisk::fail_writes, crate::memory_disk::MemoryDisk::fail_syncs] {
        let world = World::new();
        let mut process = world.start();
        assert!(process.append(1, mixed(1)));
        fail(&world.disk, true);
        assert!(!process.append(2, mixed(2)));
        assert_eq!(said(&process), [1]);
        assert!(matches!(process.shared.health().writing, Writing::Failed { .. }));
        fail(&world.disk, false);
        assert_eq!(process.submit(3, mixed(3)), Err(RefusedWhy::Failed));
        let put = wait(process.shared.put(INSTANCE, &key("x"), vec![1], Rev::ABSENT));
        assert!(matches!(put, Err(WriteError::State(_))));
        process.keep();
        assert_eq!(said(&world.after(Stop::Power).start()), [1]);
    }
}

#[test]
fn a_full_disk_takes_no_change() {
    let world = World::new();
    let mut process = world.start();
    world.disk.set_space(crate::files::Space { total: 100, available: 4 });
    process.shared.probe_space();
    assert_eq!(process.submit(1, mixed(1)), Err(RefusedWhy::Full));
    assert_eq!(wait(process.shared.put(INSTANCE, &key("x"), vec![1], Rev::ABSENT)), Err(WriteError::Full));
    world.disk.set_space(crate::files::Space { total: 100, available: 50 });
    process.keep();
    assert!(process.append(1, mixed(1)));
}

#[test]
fn no_segment_is_sealed_before_its_changes_are_durable() {
    let world = World::new();
    let mut process = world.start();
    world.documents.fail(true);
    for number in 1..=20 {
        assert!(process.append(number, mixed(number)));
    }
    process.keep();
    let stats = process.shared.stats();
    assert!(stats.sealed_segments == 0 && stats.journal_segments > 3);
    assert!(process.shared.health().sealing_failed.is_some());
    world.documents.fail(false);
    process.keep();
    assert_eq!((process.shared.stats().journal_segments, process.shared.health().sealing_failed), (1, None));
    assert_eq!(said(&process), (1..=20).collect::<Vec<_>>());
    assert_eq!(said(&world.after(Stop::Power).start()), (1..=20).collect::<Vec<_>>());
}

#[test]
fn changes_that_fill_the_memory_are_refused_until_they_are_carried_away() {
    let mut world = World::new();
    world.options.overlay_bytes_max = 4_000;
    world.options.segment_bytes = 1_000_000;
    let mut process = world.start();
    let taken = (1..100).find(|number| !process.append(*number, mixed(*number))).expect("there is a bound");
    assert_eq!(process.submit(taken, mixed(taken)), Err(RefusedWhy::NoRoom));
    assert_eq!(process.shared.room_bytes(SHARD, 0), 0);
    // Messages alone change no document.
    assert!(process.say(200));
    process.keep();
    assert!(process.shared.room_bytes(SHARD, 0) > 0);
    assert!(process.append(taken, mixed(taken)));
    assert_eq!(said(&process), (1..=taken).collect::<Vec<_>>());
}

#[test]
fn the_last_retained_message_of_a_topic_stands_and_an_empty_one_deletes_it() {
    let world = World::new();
    let mut process = world.start();
    let stats = |process: &Process| process.shared.retained_stats(INSTANCE);
    let round = batch(&[retained("a", b"1"), retained("b", b"22"), retained("a", b"333")]);
    assert!(process.append(1, round));
    let a = load(&process, "r/a").expect("it is retained");
    assert_eq!((a.rev, Envelope::from_record(&a.body).map(|it| it.payload)), (Rev(1), Ok(&b"333"[..])));
    let size = |topic: &str, payload: &[u8]| retained(topic, payload).size_bytes() as u64;
    let expected = RetainedStats { messages: 2, bytes: size("a", b"333") + size("b", b"22") };
    assert_eq!(stats(&process), expected);
    assert_eq!(process.shared.retained_stats(OTHER), RetainedStats::default());
    // Counted again after a start, from the journal and from the documents alike.
    for carried in [false, true] {
        if carried {
            process.shared.store.carry().expect("carried");
        }
        let again = world.after(Stop::Process).start();
        assert_eq!(stats(&again), expected);
        assert_eq!(load(&again, "r/a"), Some(a.clone()));
    }
    let world = world.after(Stop::Process);
    let mut process = world.start();
    assert!(process.append(2, batch(&[retained("a", b""), retained("c", b""), retained("b", b"2")])));
    let expected = RetainedStats { messages: 1, bytes: size("b", b"2") };
    assert_eq!((load(&process, "r/a"), load(&process, "r/c"), stats(&process)), (None, None, expected));
    process.shared.store.carry().expect("carried");
    assert_eq!((load(&process, "r/a"), stats(&world.after(Stop::Process).start())), (None, expected));
}

#[test]
fn a_topic_that_is_too_long_for_a_key_retains_nothing() {
    let mut process = World::new().start();
    let longest = "x".repeat(engine::KEY_BYTES_MAX - 2);
    let longer = format!("{longest}x");
    assert!(process.append(1, batch(&[retained(&longest, b"1"), retained(&longer, b"1")])));
    assert_eq!(process.shared.retained_stats(INSTANCE).messages, 1);
    assert!(load(&process, &format!("r/{longest}")).is_some());
}

#[test]
fn damage_to_a_record_that_the_documents_do_not_have_is_said_and_remembered() {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=9 {
        assert!(process.append(number, mixed(number)));
    }
    let name = world.disk.names().remove(0);
    world.disk.edit(&name, |bytes| bytes[200] ^= 1);
    let world = world.after(Stop::Power);
    let mut process = world.start();
    assert_eq!(process.shared.health().documents_lost.len(), 1);
    assert_eq!(said(&process), process.numbers());
    assert!(process.append(20, mixed(20)));
    for _ in 0..2 {
        let process = world.after(Stop::Power).start();
        assert_eq!(process.shared.health().documents_lost.len(), 1, "it is not said twice");
    }
}

#[test]
fn damage_to_what_the_documents_have_costs_none_of_them() {
    for records in [2, 1] {
        let world = World::new();
        let mut process = world.start();
        for number in 1..=records {
            assert!(process.append(number, mixed(number)));
        }
        process.shared.store.carry().expect("carried");
        let name = world.disk.names().remove(0);
        world.disk.edit(&name, |bytes| bytes[200] ^= 1);
        let process = world.after(Stop::Process).start();
        let health = process.shared.health();
        assert_eq!(load(&process, "s/a").map(|it| it.rev), Some(Rev(records)));
        // At the end of the log it looks like what a crash leaves: that it was committed is known from the documents.
        assert_eq!(
            (health.damage.len(), health.documents_lost.len()),
            if records == 2 { (1, 0) } else { (0, 1) }
        );
    }
}

#[test]
fn documents_that_are_too_old_for_the_journal_are_said_and_those_that_are_not_are_made_anew() {
    let world = World::new();
    let mut process = world.start();
    let empty = world.documents.after_stop(0);
    for number in 1..=3 {
        assert!(process.append(number, mixed(number)));
    }
    process.shared.store.carry().expect("carried");
    let mut lost = world.after(Stop::Process);
    lost.options.documents = Some(std::sync::Arc::new(empty.clone()));
    let process_again = lost.start();
    assert_eq!(said(&process_again), [1, 2, 3], "the journal has everything");
    assert!(process_again.shared.health().documents_lost.is_empty());
    for number in 4..=30 {
        assert!(process.append(number, mixed(number)));
    }
    process.keep();
    let mut lost = world.after(Stop::Process);
    lost.options.documents = Some(std::sync::Arc::new(empty.after_stop(0)));
    let process = lost.start();
    assert_eq!(process.shared.health().documents_lost.len(), 1);
    assert!(said(&process).len() < 30);
}

#[test]
fn documents_that_are_ahead_of_the_log_are_said_and_no_number_is_given_again() {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=9 {
        assert!(process.append(number, mixed(number)));
    }
    process.shared.store.carry().expect("carried");
    let mut older = World::new();
    older.options.documents = Some(std::sync::Arc::new(world.documents.clone()));
    let mut process = older.start();
    assert_eq!(process.shared.health().documents_lost.len(), 1);
    assert!(process.append(10, mixed(10)));
    assert!(process.last().expect("committed").record > 9);
    assert_eq!(said(&process), (1..=10).collect::<Vec<_>>());
}

#[test]
fn revisions_grow_across_a_restart() {
    let world = World::new();
    let mut process = world.start();
    let first = put(&mut process, "a", b"1", Rev::ABSENT).expect("there is none");
    process.shared.store.carry().expect("carried");
    let mut process = world.after(Stop::Power).start();
    assert_eq!(put(&mut process, "a", b"2", Rev::ABSENT), Err(WriteError::Conflict { found: first }));
    assert!(put(&mut process, "a", b"2", first).expect("it is the one") > first);
}

/// A document put while the log's steps are taken beside it.
fn put(process: &mut Process, name: &str, body: &[u8], expect: Rev) -> Result<Rev, WriteError> {
    let shared = std::sync::Arc::clone(&process.shared);
    let (name, body) = (key(name), body.to_vec());
    std::thread::scope(|scope| {
        let putting = scope.spawn(move || wait(shared.put(INSTANCE, &name, body, expect)));
        while !putting.is_finished() {
            process.writer.try_step();
            std::thread::yield_now();
        }
        putting.join().expect("it does not panic")
    })
}

/// What a test does to documents.
#[derive(Clone, Debug)]
enum Act {
    /// Of one of two instances, under one of a few keys.
    Put(bool, u8, u8),
    Delete(bool, u8),
    Retain(u8, Option<u8>),
    /// The acts before it are a batch.
    Commit,
    Carry,
    /// From now on documents fail, or work again.
    Fail(bool),
    Keep,
    Kill(Option<usize>),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (any::<bool>(), 0..12_u8, any::<u8>()).prop_map(|(of, key, body)| Act::Put(of, key, body)),
        4 => (any::<bool>(), 0..12_u8).prop_map(|(of, key)| Act::Delete(of, key)),
        4 => (0..6_u8, prop::option::of(any::<u8>())).prop_map(|(topic, payload)| Act::Retain(topic, payload)),
        8 => Just(Act::Commit),
        2 => Just(Act::Carry),
        1 => any::<bool>().prop_map(Act::Fail),
        1 => Just(Act::Keep),
        1 => prop::option::of(0..4_usize).prop_map(Act::Kill),
    ]
}

fn name_of(key: u8) -> String {
    // Prefixes of one another among them, and some before and behind the retained ones.
    format!("{}{}", ["a/", "r", "r/x", "s/"][usize::from(key % 4)], "k".repeat(usize::from(key / 4)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is committed, carried away, failing and killed in between: documents are what the committed batches made.
    #[test]
    fn documents_are_what_was_committed(acts in prop::collection::vec(any_act(), 1..80)) {
        let mut world = World::new();
        let mut process = world.start();
        let (mut model, mut number) = (Model::new(), 0);
        let mut pending = Batch::new();
        let mut next = model.clone();
        for act in acts {
            match act {
                Act::Put(of, key, body) => {
                    let (instance, name) = (if of { INSTANCE } else { OTHER }, name_of(key));
                    let body = vec![body; usize::from(body)];
                    pending.change(&Change { instance, key: name.as_bytes(), body: Some(&body) }).expect("fits");
                    next.insert((instance, name.into_bytes()), body);
                }
                Act::Delete(of, key) => {
                    let (instance, name) = (if of { INSTANCE } else { OTHER }, name_of(key));
                    pending.change(&Change { instance, key: name.as_bytes(), body: None }).expect("fits");
                    next.remove(&(instance, name.into_bytes()));
                }
                Act::Retain(topic, payload) => {
                    let topic = format!("x/{topic}");
                    let payload = payload.map(|it| vec![it; 10]).unwrap_or_default();
                    let message = retained(&topic, &payload);
                    pending.append(&message).expect("fits");
                    let record = batch(&[message]).as_bytes()[4..].to_vec();
                    let key = (INSTANCE, format!("r/{topic}").into_bytes());
                    if payload.is_empty() { next.remove(&key) } else { next.insert(key, record) };
                }
                Act::Commit if !pending.is_empty() => {
                    number += 1;
                    prop_assert!(process.append(number, std::mem::take(&mut pending)));
                    model.clone_from(&next);
                }
                Act::Commit => {}
                Act::Carry => drop(process.shared.store.carry()),
                Act::Fail(fails) => {
                    // Only what is written: reading goes on from the overlay's side of it.
                    world.documents.fail_writes(fails);
                }
                Act::Keep => process.keep(),
                Act::Kill(kept) => {
                    let documents = world.documents.after_stop(kept.unwrap_or(usize::MAX));
                    world = world.after(if kept.is_some() { Stop::Power } else { Stop::Process });
                    world.documents = documents;
                    world.options.documents = Some(std::sync::Arc::new(world.documents.clone()));
                    process = world.start();
                    prop_assert!(process.shared.health().documents_lost.is_empty());
                    pending.clear();
                    next.clone_from(&model);
                }
            }
            prop_assert_eq!(&all(&process), &model);
        }
        for prefix in ["", "a", "r/", "r/x", "s/k"] {
            let found = wait(process.shared.scan(INSTANCE, prefix.as_bytes(), None, 100)).expect("answers");
            let expected = model.iter().filter(|((of, key), _)| *of == INSTANCE && key.starts_with(prefix.as_bytes()));
            let found: Vec<_> = found.iter().map(|(key, it)| (key.as_bytes(), &it.body)).collect();
            prop_assert_eq!(found, expected.map(|((_, key), body)| (&key[..], body)).collect::<Vec<_>>());
        }
        let retained = model.iter().filter(|((of, key), _)| *of == INSTANCE && key.starts_with(b"r/"));
        let sum = retained.fold(RetainedStats::default(), |sum, (_, body)| RetainedStats {
            messages: sum.messages + 1,
            bytes: sum.bytes + body.len() as u64,
        });
        prop_assert_eq!(process.shared.retained_stats(INSTANCE), sum);
    }
}

#[test]
fn what_waits_for_a_reader_is_indexed_before_it_asks() {
    let indexed = |process: &Process| {
        let layout = process.shared.layout.load();
        let newest = layout.journal.last().expect("one is always written");
        let index = newest.index.read().expect("no panic");
        index.read_bytes() == newest.end() && index.read_bytes() > 0
    };
    let world = World::new();
    let mut process = world.start();
    assert!(process.say(1) && process.append(2, batch(&[retained("t/a", b"1")])));
    process.keep();
    assert!(!indexed(&process), "nobody is expected: sealing indexes it");
    assert!(process.append(3, mixed(3)));
    process.keep();
    assert!(indexed(&process), "a session is there");
    assert!(process.say(4) && !indexed(&process));
    process.keep();
    assert!(indexed(&process));

    let again = world.after(Stop::Process).start();
    again.keep();
    assert!(!indexed(&again), "nobody has come yet");
    assert_eq!(wait(again.shared.scan_all(b"s/", None, 10)).expect("answers").len(), 1);
    again.keep();
    assert!(indexed(&again), "the sessions were read");
}
