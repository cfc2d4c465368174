//! The specification of the footer: what was added is found, and no bytes do harm. Queries are specified by the suite
//! that every engine passes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;

use contract::feed::TopicHistory;
use contract::ids::InstanceId;
use contract::message::{MessagesAnswer, Order};
use contract::qos::Qos;
use contract::time::UnixMillis;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    AddError, FOOTER_VERSION, Footer, FooterBuilder, FooterError, Index, KeptPages, ReadAt, Source, View,
    get, query,
};
use crate::{Batch, Envelope, HistoryQuery, HistoryRules, Pos, Record, RetentionClass, Shard};

const TRAILER: usize = 40;

pub(super) const fn instance(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

pub(super) fn message(number: u64, topic: &str) -> Envelope<'_> {
    Envelope {
        instance: instance(1),
        qos: Qos::AtLeastOnce,
        retain: false,
        retention: Some(RetentionClass::Day),
        history: true,
        expires_at: None,
        stored_at: UnixMillis(number),
        workers: 0,
        content: &[],
        topic,
        publisher: if number.is_multiple_of(2) { "even" } else { "odd" },
        payload: b"payload",
    }
}

/// A segment that grows.
#[derive(Default)]
pub(super) struct Segment {
    pub(super) bytes: Vec<u8>,
    pub(super) index: FooterBuilder,
}

impl Segment {
    pub(super) fn add(&mut self, pos: Pos, envelope: &Envelope<'_>) -> Result<(), AddError> {
        let mut batch = Batch::new();
        batch.append(envelope).expect("a message of a test fits");
        let record = batch.records().next().expect("it has one").expect("it can be read");
        self.index.add(pos, self.bytes.len() as u64, &record)?;
        self.bytes.extend_from_slice(record.bytes);
        Ok(())
    }

    /// Messages at records 1, 2, …, each on a topic of its own among ten.
    pub(super) fn of(count: u64) -> Self {
        let mut segment = Self::default();
        for number in 1..=count {
            let topic = format!("a/{}", number % 10);
            segment.add(Pos::of_record(number), &message(number, &topic)).expect("it has room");
        }
        segment
    }

    pub(super) fn sealed(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.extend(self.index.finish());
        bytes
    }
}

fn rules() -> HistoryRules {
    let shown = TopicHistory { retention_secs: 1_000, retention_bytes: None, since: UnixMillis(0) };
    HistoryRules { now: UnixMillis(1_000), topics: BTreeMap::from([("a".into(), shown)]) }
}

fn ask(bytes: &dyn ReadAt, footer: &Footer, wanted: &HistoryQuery) -> MessagesAnswer {
    let sources = [Source { index: Index::Sealed(footer), bytes }];
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
    query(&view, instance(1), wanted, &rules())
}

#[test]
fn a_footer_says_what_the_segment_has() {
    let mut segment = Segment::of(700);
    let other = Envelope { instance: instance(2), ..message(9_000, "x") };
    segment.add(Pos { record: 700, index: 1 }, &other).expect("it has room");
    let bytes = segment.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    assert_eq!((footer.len(), footer.begins_at()), (701, segment.bytes.len() as u64));
    assert!(footer.instances().eq([instance(1), instance(2)]));
    assert_eq!(footer.positions(), Some((Pos::START, Pos { record: 700, index: 1 })));
    assert_eq!(footer.times(), Some((UnixMillis(1), UnixMillis(9_000))));
    assert_eq!(footer.times(), segment.index.times());
    assert_eq!((segment.index.len(), segment.index.last()), (701, Some(Pos { record: 700, index: 1 })));
    assert!(footer.memory_bytes() < 1_000);

    let empty = FooterBuilder::new().finish();
    let empty = Footer::parse(&empty).expect("no message is a footer too");
    assert!(empty.is_empty() && empty.positions().is_none() && empty.times().is_none());
}

#[test]
fn positions_ascend_and_distances_have_a_bound() {
    let mut segment = Segment::of(3);
    for (pos, error) in [
        (Pos::of_record(3), AddError::Order),
        (Pos::of_record(1), AddError::Order),
        (Pos::of_record(2 + (1 << 32)), AddError::Full),
    ] {
        assert_eq!(segment.add(pos, &message(4, "a")), Err(error), "{pos}");
    }
    let far = Pos::of_record(1 + u64::from(u32::MAX));
    segment.add(far, &message(4, "a")).expect("as far as may be");
    let bytes = segment.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    assert_eq!(footer.positions(), Some((Pos::START, far)));
    let last = ask(&bytes, &footer, &HistoryQuery { limit: 1, ..HistoryQuery::default() });
    assert_eq!(last.items[0].id, far.message_id(Shard(0)));
}

#[test]
fn what_is_no_footer_is_told_apart() {
    let bytes = Segment::of(5).sealed();
    let trailer = bytes.len() - TRAILER;
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    let later = {
        let mut bytes = with(trailer + 20, 3);
        seal_trailer(&mut bytes);
        bytes
    };
    for (bytes, error) in [
        (Vec::new(), FooterError::Missing),
        (vec![0; 100], FooterError::Missing),
        (bytes[..bytes.len() - 1].to_vec(), FooterError::Missing),
        (with(trailer, 255), FooterError::Damaged),
        (with(trailer - 1, 7), FooterError::Damaged),
        (bytes[trailer - 4..].to_vec(), FooterError::Damaged),
        (later, FooterError::Version(3)),
    ] {
        assert_eq!(Footer::parse(&bytes).map(|footer| footer.len()), Err(error));
    }
    assert_eq!(FOOTER_VERSION, 2);
}

/// Makes the checksum of a trailer right again.
fn seal_trailer(bytes: &mut [u8]) {
    let trailer = bytes.len() - TRAILER;
    let checksum = crc32fast::hash(&bytes[trailer..trailer + 28]);
    bytes[trailer + 28..trailer + 32].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes every checksum of a footer right again, so that what is behind them is put to the test.
fn seal_all(bytes: &mut [u8], begins_at: usize) {
    let trailer = bytes.len() - TRAILER;
    let length = trailer - begins_at;
    let pages = length.div_ceil(4_096 + 4);
    let sums_at = trailer - pages * 4;
    let sums = super::pages::checksums(&bytes[begins_at..sums_at]);
    for (at, sum) in sums.iter().enumerate() {
        bytes[sums_at + at * 4..][..4].copy_from_slice(&sum.to_le_bytes());
    }
    let of_sums = crc32fast::hash(&bytes[sums_at..trailer]);
    bytes[trailer + 16..trailer + 20].copy_from_slice(&of_sums.to_le_bytes());
    seal_trailer(bytes);
}

#[test]
fn a_damaged_record_costs_its_message_and_is_said() {
    let segment = Segment::of(30);
    let mut bytes = segment.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    let record = segment.bytes.len() / 30;
    bytes[record * 7 + record / 2] ^= 1;
    let answer = ask(&bytes, &footer, &HistoryQuery::default());
    assert_eq!((answer.items.len(), answer.complete), (29, false));
    let sources = [Source { index: Index::Sealed(&footer), bytes: &bytes }];
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
    let found = |record| {
        get(&view, instance(1), Pos::of_record(record).message_id(Shard(0)), &rules()).message.is_some()
    };
    assert_eq!((found(7), found(8), found(9)), (true, false, true));
}

#[test]
fn a_damaged_page_of_the_index_is_said_and_another_segment_is_not_hidden() {
    let (first, mut second) = (Segment::of(300), Segment::default());
    second.add(Pos::of_record(500), &message(500, "a/1")).expect("it has room");
    let (mut damaged, whole) = (first.sealed(), second.sealed());
    let footers = [&damaged, &whole].map(|bytes| Footer::parse(bytes).expect("it was just written"));
    damaged[first.bytes.len() + 50] ^= 1;
    let sources = [&damaged, &whole].map(|bytes| bytes as &dyn ReadAt);
    let sources: Vec<_> = footers
        .iter()
        .zip(sources)
        .map(|(footer, bytes)| Source { index: Index::Sealed(footer), bytes })
        .collect();
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
    let oldest = HistoryQuery { order: Order::Oldest, ..HistoryQuery::default() };
    let answer = query(&view, instance(1), &oldest, &rules());
    assert_eq!((answer.items.len(), answer.complete, answer.next), (1, false, None));
}

#[test]
fn what_was_dropped_or_is_missing_is_said() {
    let segment = Segment::of(10);
    let sources = [Source { index: Index::Live(&segment.index), bytes: &segment.bytes }];
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(5), whole: false };
    let answer = query(&view, instance(1), &HistoryQuery::default(), &rules());
    assert_eq!((answer.covered_from, answer.complete), (UnixMillis(5), false));
}

#[test]
fn a_message_in_two_segments_is_answered_once() {
    let (live, later) = (Segment::of(50), Segment::of(80));
    let sealed = live.sealed();
    let footer = Footer::parse(&sealed).expect("it was just written");
    let sources = [
        Source { index: Index::Live(&later.index), bytes: &later.bytes },
        Source { index: Index::Sealed(&footer), bytes: &sealed },
    ];
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
    for order in [Order::Newest, Order::Oldest] {
        for limit in [200, 9] {
            let mut wanted = HistoryQuery { order, limit, ..HistoryQuery::default() };
            let mut records = Vec::new();
            loop {
                let answer = query(&view, instance(1), &wanted, &rules());
                records.extend(answer.items.iter().map(|item| item.id.record));
                wanted.after = answer.next;
                if answer.next.is_none() {
                    break;
                }
            }
            if order == Order::Newest {
                records.reverse();
            }
            assert!(records.iter().copied().eq(1..=80), "{order:?} {limit}: {records:?}");
        }
    }
}

/// Rows are passed over 256 at a time: here each of them is of one moment, so that a boundary missed by one row shows.
#[test]
fn a_time_takes_neither_more_nor_less() {
    let mut segment = Segment::default();
    for number in 0..1_000_u64 {
        let topic = if number % 9 == 0 { "a/rare" } else { "a/often" };
        let stored = Envelope { stored_at: UnixMillis(number / 256), ..message(number, topic) };
        segment.add(Pos::of_record(number + 1), &stored).expect("it has room");
    }
    let bytes = segment.sealed();
    let footer = Footer::parse(&bytes).expect("it was just written");
    for index in [Index::Live(&segment.index), Index::Sealed(&footer)] {
        let sources = [Source { index, bytes: &bytes }];
        let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
        for (from, to) in [(0, 1), (1, 2), (1, 3), (2, 2), (3, 4), (4, 9)] {
            for (topic, step) in [(None, 1), (Some("a/rare"), 9)] {
                for order in [Order::Newest, Order::Oldest] {
                    let mut wanted = HistoryQuery {
                        topic_filter: topic.map(|topic| topic.parse().expect("a filter")),
                        from: UnixMillis(from),
                        to: UnixMillis(to),
                        order,
                        ..HistoryQuery::default()
                    };
                    let mut found = Vec::new();
                    loop {
                        let answer = query(&view, instance(1), &wanted, &rules());
                        found.extend(answer.items.iter().map(|item| item.id.record - 1));
                        wanted.after = answer.next;
                        if answer.next.is_none() {
                            break;
                        }
                    }
                    found.sort_unstable();
                    let numbers = (0..1_000).filter(|number| (from..to).contains(&(number / 256)));
                    let expected: Vec<u64> = numbers.filter(|number| number % step == 0).collect();
                    assert_eq!(found, expected, "{from}..{to} {topic:?} {order:?}");
                }
            }
        }
    }
}

/// Counts the bytes that are read.
struct Counted<'a>(&'a [u8], Cell<u64>);

impl ReadAt for Counted<'_> {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.1.set(self.1.get() + into.len() as u64);
        self.0.read_at(at, into)
    }
}

/// One topic among a thousand in fifty thousand messages: what is read is a small part of the index.
#[test]
fn a_query_reads_what_it_needs() {
    let mut segment = Segment::default();
    for number in 1..=50_000_u64 {
        let topic = format!("a/{}", number % 1_000);
        segment.add(Pos::of_record(number), &message(number, &topic)).expect("it has room");
    }
    let bytes = segment.sealed();
    let counted = Counted(&bytes, Cell::new(0));
    let footer = Footer::open(&counted, bytes.len() as u64).expect("it was just written");
    let index_bytes = bytes.len() as u64 - footer.begins_at();
    let opening = counted.1.take();
    assert!(opening * 100 < index_bytes, "{opening} of {index_bytes} to open");
    let wanted = HistoryQuery {
        topic_filter: Some("a/77".parse().expect("a filter")),
        limit: 3,
        ..HistoryQuery::default()
    };
    let answer = ask(&counted, &footer, &wanted);
    assert_eq!(answer.items.iter().map(|item| item.id.record).collect::<Vec<_>>(), [49_077, 48_077, 47_077]);
    let asking = counted.1.take();
    assert!(asking * 10 < index_bytes, "{asking} of {index_bytes} to ask");
}

fn any_query() -> impl Strategy<Value = HistoryQuery> {
    let filter = prop::sample::select(vec![None, Some("a/3"), Some("a/#"), Some("+/+"), Some("#")]);
    (filter, any::<bool>(), prop::sample::select(vec![None, Some("odd")]), 0..400_u64).prop_map(
        |(filter, newest, client, from)| HistoryQuery {
            topic_filter: filter.map(|filter| filter.parse().expect("a filter")),
            order: if newest { Order::Newest } else { Order::Oldest },
            client_id: client.map(Into::into),
            from: UnixMillis(from),
            ..HistoryQuery::default()
        },
    )
}

proptest! {
    /// Messages of one topic and publisher that stand one after the other are indexed together, and found one by one.
    #[test]
    fn messages_that_are_alike_are_indexed_like_any(
        runs in prop::collection::vec((0..3_usize, 0..3_usize, 1..6_usize), 1..20),
    ) {
        let texts = ["a/0", "a/1", "b"];
        let mut batch = Batch::new();
        let mut expected = Vec::new();
        for (topic, publisher, count) in runs {
            let first = Envelope { publisher: texts[publisher], ..message(1, texts[topic]) };
            batch.append(&first).expect("a message of a test fits");
            for _ in 1..count {
                batch.append_alike(Qos::AtLeastOnce, false, b"another").expect("a message of a test fits");
            }
            expected.resize(expected.len() + count, (topic, publisher));
        }
        let (mut known, mut unknown) = (FooterBuilder::new(), FooterBuilder::new());
        for (index, record) in (0..).zip(batch.records()) {
            let record = record.expect("it was appended");
            let pos = Pos { record: 1, index };
            known.add(pos, record.at as u64, &record).expect("it has room");
            unknown.add(pos, record.at as u64, &Record { is_alike: false, ..record }).expect("it has room");
        }
        prop_assert_eq!(known.finish(), unknown.finish());
        let mut bytes = batch.as_bytes().to_vec();
        bytes.extend(known.finish());
        let footer = Footer::parse(&bytes).expect("it was just written");
        let rules = rules();
        for index in [Index::Live(&known), Index::Sealed(&footer)] {
            let sources = [Source { index, bytes: &bytes }];
            let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
            for (number, text) in texts.iter().enumerate().take(2) {
                let of_topic = HistoryQuery {
                    topic_filter: Some(text.parse().expect("a filter")),
                    order: Order::Oldest,
                    ..HistoryQuery::default()
                };
                let of_publisher = HistoryQuery {
                    client_id: Some((*text).into()),
                    order: Order::Oldest,
                    ..HistoryQuery::default()
                };
                let found = |wanted: &HistoryQuery| -> Vec<usize> {
                    let items = query(&view, instance(1), wanted, &rules).items;
                    items.iter().map(|item| usize::from(item.id.index)).collect()
                };
                let places = |is_wanted: &dyn Fn(&(usize, usize)) -> bool| -> Vec<usize> {
                    expected.iter().enumerate().filter(|(_, it)| is_wanted(it)).map(|(at, _)| at).collect()
                };
                prop_assert_eq!(found(&of_topic), places(&|it| it.0 == number));
                // Of topic `b` there is no rule: it is not shown.
                prop_assert_eq!(found(&of_publisher), places(&|it| it.1 == number && it.0 < 2));
            }
        }
    }

    #[test]
    fn any_bytes_are_opened_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..400), sealed in any::<bool>()) {
        if sealed && bytes.len() >= TRAILER {
            let at = bytes.len() - TRAILER;
            bytes[at + 20..at + 28].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
            bytes[at + 32..].copy_from_slice(b"iotmqidx");
            seal_trailer(&mut bytes);
        }
        if let Ok(footer) = Footer::parse(&bytes) {
            ask(&bytes, &footer, &HistoryQuery::default());
        }
    }

    /// Without a checksum made right the damage is found; with all of them right every number is still checked.
    #[test]
    fn a_mutated_footer_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sealed in any::<bool>(),
        wanted in any_query(),
    ) {
        let segment = Segment::of(300);
        let mut bytes = segment.sealed();
        let begins_at = segment.bytes.len();
        let length = bytes.len() - begins_at;
        for (at, value) in damage {
            bytes[begins_at + at.index(length)] ^= value;
        }
        if sealed {
            seal_all(&mut bytes, begins_at);
        }
        if let Ok(footer) = Footer::parse(&bytes) {
            let answer = ask(&bytes, &footer, &wanted);
            prop_assert!(answer.items.len() <= 200);
            for item in answer.items {
                prop_assert!(item.topic.starts_with("a/") && item.payload.0 == b"payload");
            }
        }
    }

    /// Cut anywhere, a segment is one without a footer.
    #[test]
    fn a_cut_footer_is_missing(cut in any::<prop::sample::Index>()) {
        let bytes = Segment::of(50).sealed();
        let cut = cut.index(bytes.len());
        prop_assert!(Footer::parse(&bytes[..cut]).is_err());
    }
}

#[test]
fn pages_that_are_kept_are_read_once_and_have_a_bound() {
    let mut bytes = Segment::of(20_000).sealed();
    let pages = std::sync::Arc::new(KeptPages::new(20 * 4_096));
    let footer =
        Footer::parse(&bytes).expect("it was just written").keep_pages(std::sync::Arc::clone(&pages));
    let first = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    let answer = ask(&bytes, &footer, &first);
    assert!(answer.complete && answer.items.len() == 1);
    // What was read is believed: the index is not looked at again, the record is.
    let index = usize::try_from(footer.begins_at()).expect("it is in memory");
    let trailer = bytes.len() - TRAILER;
    bytes[index..trailer].fill(0);
    assert_eq!(ask(&bytes, &footer, &first), answer);
    // What was not read yet is damaged, and is not kept.
    let after = Some(Pos::of_record(7_100).message_id(Shard(0)));
    let within = HistoryQuery { after, ..first };
    for _ in 0..2 {
        assert!(!ask(&bytes, &footer, &within).complete);
    }

    let whole = Segment::of(20_000).sealed();
    let other = Footer::parse(&whole).expect("it was just written").keep_pages(std::sync::Arc::clone(&pages));
    let all =
        HistoryQuery { limit: 1, from: UnixMillis(20_000), order: Order::Oldest, ..HistoryQuery::default() };
    for from in (0..20_000).step_by(500) {
        let found = ask(&whole, &other, &HistoryQuery { from: UnixMillis(from), ..all.clone() });
        assert!(found.complete && found.items.len() == 1);
        assert!(pages.memory_bytes() <= 20 * 4_096);
    }
    assert_eq!(pages.memory_bytes(), 20 * 4_096, "the bound was met");
}
