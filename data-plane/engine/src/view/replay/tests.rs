//! The specification of what the suite of every engine does not see: segments that overlap, budgets, damage, and how
//! little is read.

use std::cell::Cell;
use std::io;

use contract::qos::Qos;
use contract::topic::TopicFilter;

use super::*;
use crate::view::tests::{Segment, instance, message};
use crate::view::{Footer, Index, ReadAt};
use crate::{Envelope, ReplayFilter};

/// Bytes that count how often they are read, and of which some cannot be.
struct Counted<'a> {
    bytes: &'a [u8],
    end: usize,
    reads: Cell<usize>,
}

impl<'a> Counted<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, end: bytes.len(), reads: Cell::new(0) }
    }
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.bytes[..self.end].read_at(at, into)
    }
}

fn with_query<T>(filter: &str, ask: impl FnOnce(&ReplayQuery<'_>) -> T) -> T {
    let filter: TopicFilter = filter.parse().expect("a filter");
    let filters = [ReplayFilter { filter: &filter, since: Pos::START }];
    ask(&ReplayQuery {
        filters: &filters,
        from: Pos::START,
        to: Pos::of_record(1_000_000),
        qos_min: Qos::AtMostOnce,
        history_only: false,
        stored_since: UnixMillis(0),
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
    })
}

const fn begin() -> ReplayPage {
    ReplayPage { messages: Vec::new(), next: Pos::START, lost: false }
}

fn records(page: &ReplayPage) -> Vec<u64> {
    page.messages.iter().map(|it| it.pos.record).collect()
}

/// A filter, the QoS from which on messages are wanted, and which records that are.
type Case = (&'static str, Qos, fn(&u64) -> bool);

/// Messages at the records, on topics of their own among ten.
fn segment(numbers: impl Iterator<Item = u64>) -> Segment {
    let mut segment = Segment::default();
    for number in numbers {
        let topic = format!("a/{}", number % 10);
        let qos = if number % 3 == 0 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
        let message = Envelope { qos, ..message(number, &topic) };
        segment.add(Pos::of_record(number), &message).expect("it has room");
    }
    segment
}

#[test]
fn a_message_in_several_segments_is_given_once_and_in_order() {
    let (odd, all, few) =
        (segment((1..=99).step_by(2)), segment((40..=60).chain(90..=100)), segment((2..=100).step_by(6)));
    let sealed = odd.sealed();
    let footer = Footer::parse(&sealed).expect("it was just written");
    let sources = [
        Source { index: Index::Live(&few.index), bytes: &few.bytes },
        Source { index: Index::Sealed(&footer), bytes: &sealed },
        Source { index: Index::Live(&all.index), bytes: &all.bytes },
    ];
    let is_there = |it: &u64| it % 2 == 1 || (40..=60).contains(it) || (90..=100).contains(it) || it % 6 == 2;
    let cases: [Case; 4] = [
        ("#", Qos::AtMostOnce, |_| true),
        ("a/1", Qos::AtMostOnce, |it| it % 10 == 1),
        ("a/+", Qos::ExactlyOnce, |it| it % 3 == 0),
        ("a/9", Qos::ExactlyOnce, |it| it % 10 == 9 && it % 3 == 0),
    ];
    for (filter, qos_min, is_for) in cases {
        let expected: Vec<_> = (1..=100).filter(is_there).filter(is_for).collect();
        with_query(filter, |query| {
            let query = &ReplayQuery { qos_min, ..*query };
            for rows_max in [1, 2, 7, u64::MAX] {
                for messages_max in [1, 5, usize::MAX] {
                    let (mut page, mut found) = (begin(), Vec::new());
                    let query = ReplayQuery { messages_max, ..*query };
                    for _ in 0..1_000 {
                        let from = page.next;
                        page.messages.clear();
                        let is_at_end = replay_within(&sources, instance(1), &query, &mut page, rows_max);
                        assert!(page.next > from && !page.lost);
                        found.extend(records(&page));
                        if is_at_end {
                            break;
                        }
                    }
                    assert_eq!(found, expected, "{filter}, {rows_max} rows, {messages_max} messages");
                    assert_eq!(page.next, query.to);
                }
            }
            assert_eq!(backlog(&sources, instance(1), query).messages, expected.len() as u64);
            let (mut messages, mut bytes) = (1, u64::MAX);
            let behind = newest(&sources, instance(1), query, &mut messages, &mut bytes);
            assert_eq!(
                (behind, messages),
                (Some(Pos::of_record(expected[expected.len() - 2]).successor()), 0)
            );
        });
    }
}

#[test]
fn records_that_lie_together_are_read_together() {
    let segment = segment(1..=10_000);
    let bytes = segment.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    for (filter, messages, reads_max) in [("#", 10_000, 95), ("a/3", 1_000, 95), ("a/+", 10_000, 95)] {
        let counted = Counted::new(&bytes);
        let sources = [Source { index: Index::Sealed(&footer), bytes: &counted }];
        let mut page = begin();
        assert!(with_query(filter, |query| replay(&sources, instance(1), query, &mut page)));
        assert_eq!((page.messages.len(), page.lost), (messages, false));
        assert!(counted.reads.get() <= reads_max, "{filter} takes {} reads", counted.reads.get());

        let counted = Counted::new(&bytes);
        let sources = [Source { index: Index::Sealed(&footer), bytes: &counted }];
        let mut page = ReplayPage { next: Pos::of_record(9_990), ..begin() };
        with_query(filter, |query| replay(&sources, instance(1), query, &mut page));
        assert!(page.messages.len() <= 11 && !page.messages.is_empty());
        assert!(counted.reads.get() <= 40, "the end of {filter} takes {} reads", counted.reads.get());
    }
}

#[test]
fn damage_costs_what_is_damaged_and_is_said() {
    let segment = segment(1..=100);
    let place = |number: usize| number * segment.bytes.len() / 100;
    let live = |bytes: &dyn ReadAt| {
        let sources = [Source { index: Index::Live(&segment.index), bytes }];
        let mut page = begin();
        assert!(with_query("#", |query| replay(&sources, instance(1), query, &mut page)));
        page
    };
    assert!(!live(&segment.bytes).lost);
    let mut flipped = segment.bytes.clone();
    flipped[place(50)] ^= 1;
    let page = live(&flipped);
    assert!(page.lost && page.messages.len() == 99, "{}", page.messages.len());
    // Cut: what lies in front of the cut is there, although it was to be read with what lies behind.
    let mut cut = Counted::new(&segment.bytes);
    cut.end = place(50);
    let page = live(&cut);
    assert!(page.lost && (48..=51).contains(&page.messages.len()), "{}", page.messages.len());
    assert_eq!(page.next, Pos::of_record(1_000_000));

    let large = Segment::of(2_000);
    let mut bytes = large.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    let index = usize::try_from(footer.begins_at()).expect("it is in memory");
    bytes[index + 30_000] ^= 1;
    let sources = [Source { index: Index::Sealed(&footer), bytes: &bytes }];
    let mut page = begin();
    with_query("#", |query| {
        assert!(replay(&sources, instance(1), query, &mut page));
        assert!(backlog(&sources, instance(1), query).lost);
    });
    let found = records(&page);
    assert!(page.lost && found.len() > 800 && found.len() < 2_000);
    assert!(found.iter().copied().eq(1..=found.len() as u64), "what lies in front of it is whole");
}
