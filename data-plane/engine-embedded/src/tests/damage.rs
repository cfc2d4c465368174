//! Any bytes in any file: nothing panics, nothing false is answered.

use contract::message::Order;
use engine::{History, HistoryQuery, Log, Pos, QueryError, ReadError, RetentionClass};
use proptest::prelude::*;

use super::world::{BEGIN, INSTANCE, SHARD, World, numbered, rules};
use crate::files::Files;
use crate::history::SEGMENTS_PER_QUERY_MAX;
use crate::memory_disk::Stop;

/// A disk with sealed segments of two classes, closed and open journal segments: a few dozen messages.
fn world() -> World {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=43 {
        let class = if number % 3 == 0 { RetentionClass::Week } else { RetentionClass::Day };
        assert!(process.append(number, numbered(number, class, BEGIN + number)));
        if number == 20 {
            process.keep();
        }
    }
    world
}

#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Fill(prop::sample::Index, prop::sample::Index, u8),
    Append(Vec<u8>),
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), 1..=255_u8).prop_map(|(at, value)| Change::Flip(at, value)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), index(), any::<u8>()).prop_map(|(from, to, value)| Change::Fill(from, to, value)),
        1 => prop::collection::vec(any::<u8>(), 1..200).prop_map(Change::Append),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &prop::sample::Index| if bytes.is_empty() { 0 } else { index.index(bytes.len()) };
        match self {
            Self::Flip(index, value) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= value;
                }
            }
            Self::Cut(index) => bytes.truncate(at(index)),
            Self::Fill(from, to, value) => {
                let (from, to) = (at(from), at(to));
                bytes[from.min(to)..from.max(to)].fill(*value);
            }
            Self::Append(more) => bytes.extend(more),
        }
    }
}

#[test]
fn a_sealed_segment_that_is_lost_or_damaged_is_said_once_and_the_rest_is_served() {
    let world = world();
    let names: Vec<_> = world.disk.names().into_iter().filter(|it| it.starts_with("history-")).collect();
    world.disk.edit(&names[1], |bytes| bytes.truncate(bytes.len() - 1));
    let process = world.start();
    world.disk.remove(&names[0]).expect("removed");
    for _ in 0..2 {
        let answer = process.query(&HistoryQuery::default());
        assert!(!answer.complete && answer.items.len() > 30);
        assert_eq!(process.shared.stats().damaged, 2);
    }
}

#[test]
fn who_asks_for_one_message_hears_whether_it_may_be_lost() {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=4 {
        assert!(process.say(number));
    }
    let name = world.disk.names().remove(0);
    let length = world.disk.open(&name).and_then(|it| it.bytes()).expect("it is there") - 64;
    let second = usize::try_from(64 + length / 4 + 70).expect("small");
    drop(process);
    world.disk.edit(&name, |bytes| bytes[second] ^= 1);
    let process = world.start();
    let get = |record| {
        let id = Pos::of_record(record).message_id(SHARD);
        let found = process.shared.get(INSTANCE, id, &rules(BEGIN)).expect("the history answers");
        (found.message.is_some(), found.complete)
    };
    assert_eq!([1, 2, 3, 9].map(get), [(true, true), (false, false), (true, true), (false, true)]);
}

#[test]
fn a_process_without_file_handles_calls_nothing_damaged() {
    let world = world();
    let process = world.start();
    let ask = || process.shared.query(INSTANCE, &HistoryQuery::default(), &rules(BEGIN + 100));
    world.disk.fail_opens(Some(nix::errno::Errno::EMFILE as i32));
    assert_eq!(ask().map(|it| it.items.len()), Err(QueryError::Failed));
    assert_eq!(process.shared.stats().damaged, 0);
    world.disk.fail_opens(None);
    assert_eq!(ask().map(|it| (it.items.len(), it.complete)), Ok((43, true)));
}

#[test]
fn a_query_looks_at_a_bounded_number_of_segments_and_goes_on_behind_them() {
    let world = World::new();
    let mut process = world.start();
    let count = 1_700;
    for number in 1..=count {
        let class = if number % 3 == 0 { RetentionClass::Week } else { RetentionClass::Day };
        assert!(process.append(number, numbered(number, class, BEGIN)));
    }
    process.keep();
    assert!(process.shared.stats().sealed_segments > 2 * SEGMENTS_PER_QUERY_MAX);
    let expected: Vec<_> = (1..=count).collect();
    for order in [Order::Oldest, Order::Newest] {
        let mut query = HistoryQuery { order, limit: 200, ..HistoryQuery::default() };
        let mut found = Vec::new();
        loop {
            let answer = process.query(&query);
            assert!(answer.complete);
            found.extend(answer.items.iter().map(|it| it.id.record));
            query.after = answer.next;
            if query.after.is_none() {
                break;
            }
        }
        if order == Order::Newest {
            found.reverse();
        }
        assert!(found == expected, "{order:?}");
        // Nothing is selected: the pages are empty, and yet they come to an end.
        let nobody = Some("nobody".into());
        let mut query = HistoryQuery { order, client_id: nobody, ..HistoryQuery::default() };
        let pages = (1..10).find(|_| {
            let answer = process.query(&query);
            assert!(answer.items.is_empty());
            query.after = answer.next;
            query.after.is_none()
        });
        assert!(pages.is_some_and(|it| it > 2), "{order:?}: {pages:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_answered_is_what_was_stored(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_change()), 1..6),
    ) {
        let world = world();
        let names = world.disk.names();
        for (file, change) in &changes {
            world.disk.edit(&names[file.index(names.len())], |bytes| change.apply(bytes));
        }
        let Ok(mut process) = world.try_start() else { return Ok(()) };
        let stored = process.stored();
        prop_assert!(stored.iter().all(|(pos, number)| pos.record == *number), "{stored:?}");
        prop_assert!(stored.is_sorted_by(|a, b| a < b));
        let mut from = process.shared.bounds(SHARD).expect("it runs").oldest;
        loop {
            match process.shared.read(SHARD, from, 500) {
                Ok(page) if page.batches.is_empty() => break,
                Ok(page) => from = page.next,
                Err(ReadError::Damaged { next }) => {
                    prop_assert!(next > from);
                    from = next;
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        // It goes on behind all that ever was, and what is whole stays so through sealing and another start.
        prop_assert!(process.say(1_000));
        process.keep();
        let sealed = process.stored();
        prop_assert!(sealed.starts_with(&stored) && sealed.len() == stored.len() + 1, "{stored:?} {sealed:?}");
        prop_assert_eq!(world.after(Stop::Power).start().stored(), sealed);
    }

    /// A record that is lost is never passed over in silence.
    #[test]
    fn a_flipped_byte_of_the_journal_is_said(at in any::<prop::sample::Index>(), bit in 0..8_u32, file in any::<prop::sample::Index>()) {
        let world = world();
        let names: Vec<_> = world.disk.names().into_iter().filter(|it| it.starts_with("journal-")).collect();
        let is_last = file.index(names.len()) == names.len() - 1;
        world.disk.edit(&names[file.index(names.len())], |bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        let process = world.start();
        let stats = process.shared.stats();
        prop_assert!(stats.damaged == 1 || (is_last && stats.cut_bytes > 0), "{stats:?}");
        prop_assert!(process.numbers().len() >= 42);
        prop_assert!(process.shared.bounds(SHARD).is_ok_and(|it| it.head >= Pos::of_record(43)));
    }
}
