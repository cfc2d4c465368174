//! What every [`Replay`](crate::Replay) gives again. Everything is compared with a plain search through what was
//! appended.

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::{CONTENT, Outcomes, Subject, append, instance, message, rich_message};
use crate::{
    Backlog, Batch, Change, Envelope, HistoryQuery, HistoryRules, Pos, ReplayFilter, ReplayQuery, Replayed,
    RetentionClass,
};

const END: Pos = Pos::of_record(u64::MAX);

fn filter(text: &str) -> TopicFilter {
    text.parse().expect("a filter of a test")
}

/// Everything that the filters are for, in one page.
const fn everything<'a>(filters: &'a [ReplayFilter<'a>]) -> ReplayQuery<'a> {
    ReplayQuery {
        filters,
        from: Pos::START,
        to: END,
        qos_min: Qos::AtMostOnce,
        history_only: false,
        stored_since: UnixMillis(0),
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
    }
}

/// Numbers that are not random but look so.
struct Mixed(u64);

impl Mixed {
    fn next(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % of
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.next(of.len() as u64);
        &of[usize::try_from(at).expect("less than the length")]
    }
}

/// A message that was appended.
struct Stored {
    instance: InstanceId,
    pos: Pos,
    topic: &'static str,
    qos: Qos,
    history: bool,
    stored_at: u64,
    record: Vec<u8>,
}

impl Stored {
    fn is_wanted(&self, asked: InstanceId, query: &ReplayQuery<'_>) -> bool {
        let is_for = |it: &ReplayFilter<'_>| it.filter.matches(self.topic) && self.pos >= it.since;
        self.instance == asked
            && (query.from..query.to).contains(&self.pos)
            && self.qos >= query.qos_min
            && (self.history || !query.history_only)
            && self.stored_at >= query.stored_since.0
            && query.filters.iter().any(is_for)
    }

    fn replayed(&self) -> Replayed {
        Replayed { pos: self.pos, record: self.record.as_slice().into() }
    }
}

const TOPICS: [&str; 9] = ["a", "a/1", "a/2", "a/2/x", "b/1", "b/2/x", "c", "/", "$x/1"];

/// Hundreds of messages of two instances on a few topics, with changes of documents and messages that are not logged
/// among them.
fn append_many<S: Subject>(subject: &S) -> Vec<Stored> {
    let mut mixed = Mixed(1);
    let outcomes = Outcomes::new(300);
    let mut batches = Vec::new();
    for id in 0..300_u32 {
        let mut batch = Batch::new();
        let mut messages = Vec::new();
        for _ in 0..=mixed.next(5) {
            if mixed.next(6) == 0 {
                let change = Change { instance: instance(1), key: b"s/somebody", body: Some(b"progress") };
                batch.change(&change).expect("it is short");
            }
            let payload = vec![b'p'; usize::try_from(mixed.next(60)).expect("few")];
            let envelope = Envelope {
                instance: instance(u128::from(1 + mixed.next(2))),
                qos: *mixed.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
                history: mixed.next(2) == 0,
                retention: *mixed.pick(&[
                    None,
                    Some(RetentionClass::Day),
                    Some(RetentionClass::Day),
                    Some(RetentionClass::Month),
                ]),
                stored_at: UnixMillis(1_000 + u64::from(id) * 10 + mixed.next(25)),
                expires_at: *mixed.pick(&[None, None, Some(UnixMillis(1_500))]),
                content: if mixed.next(3) == 0 { CONTENT } else { &[] },
                ..message("", &payload)
            };
            let topic = *mixed.pick(&TOPICS);
            batch.append(&Envelope { topic, ..envelope }).expect("a message of a test fits");
            messages.push(Stored {
                instance: envelope.instance,
                pos: Pos::START,
                topic,
                qos: envelope.qos,
                history: envelope.history,
                stored_at: envelope.stored_at.0,
                record: if envelope.retention.is_some() { vec![0] } else { Vec::new() },
            });
        }
        for (record, stored) in batch.records().zip(&mut messages) {
            if !stored.record.is_empty() {
                stored.record = record.expect("it was just made").bytes.to_vec();
            }
        }
        outcomes.submit(subject.log(), id.into(), 0, batch);
        batches.push(messages);
    }
    let mut stored = Vec::new();
    for messages in batches {
        let record = outcomes.next().record;
        let placed = (0..).zip(messages).map(|(index, it)| Stored { pos: Pos { record, index }, ..it });
        stored.extend(placed.filter(|it| !it.record.is_empty()));
    }
    stored
}

/// Everything that a query selects, page by page.
fn replay_all<S: Subject>(subject: &S, asked: InstanceId, query: &ReplayQuery<'_>) -> Vec<Replayed> {
    let (mut query, mut all) = (*query, Vec::new());
    for _ in 0..100_000 {
        let page = subject.replay().replay(asked, &query).expect("an engine that works");
        assert!(!page.lost, "nothing is damaged");
        assert!(page.messages.len() <= query.messages_max.max(1), "no more than were asked for");
        let bytes: usize = page.messages.iter().map(|it| it.record.len()).sum();
        assert!(bytes <= query.bytes_max || page.messages.len() == 1, "nor more bytes");
        assert!(page.messages.iter().all(|it| (query.from..page.next).contains(&it.pos)));
        all.extend(page.messages);
        if page.next >= query.to.min(head(subject)) {
            return all;
        }
        assert!(page.next > query.from, "a page leads on");
        query.from = page.next;
    }
    panic!("the pages of {query:?} have no end");
}

fn head<S: Subject>(subject: &S) -> Pos {
    subject.log().bounds(super::SHARD).expect("the log works").head
}

/// Filters by their texts, and the message from which on they count.
const FILTERS: [&[(&str, usize)]; 12] = [
    &[("a", 0)],
    &[("a/2", 0), ("b/1", 0), ("none", 0)],
    &[("a/2", 300), ("a/2", 100)],
    &[("#", 0)],
    &[("#", 250), ("a/1", 0)],
    &[("+/1", 0), ("$x/1", 50)],
    &[("a/#", 0), ("a/2/x", 100), ("+/2/+", 30)],
    &[("a/+", 400), ("a/#", 200), ("a/1", 100)],
    &[("b/#", 0), ("/", 0)],
    &[("+/+", 0)],
    &[("none/#", 0)],
    &[],
];

/// Ranges by the messages at their ends, what a message must be, and when it must have been stored.
const KINDS: [(usize, usize, Qos, bool, u64); 7] = [
    (0, usize::MAX, Qos::AtMostOnce, false, 0),
    (0, usize::MAX, Qos::AtLeastOnce, false, 0),
    (150, 500, Qos::AtMostOnce, false, 0),
    (100, 104, Qos::AtMostOnce, false, 0),
    (50, usize::MAX, Qos::ExactlyOnce, true, 0),
    (0, usize::MAX, Qos::AtMostOnce, false, 2_500),
    (500, 400, Qos::AtMostOnce, false, 0),
];

/// Lets `check` look at every combination of filters and kinds.
fn with_queries(stored: &[Stored], mut check: impl FnMut(InstanceId, &ReplayQuery<'_>)) {
    let at = |number: usize| stored.get(number).map_or(END, |it| it.pos);
    for filters in FILTERS {
        let texts: Vec<_> = filters.iter().map(|(text, _)| filter(text)).collect();
        let since = filters.iter().map(|(_, since)| if *since == 0 { Pos::START } else { at(*since) });
        let filters: Vec<_> =
            texts.iter().zip(since).map(|(filter, since)| ReplayFilter { filter, since }).collect();
        for (from, to, qos_min, history_only, stored_since) in KINDS {
            let query = ReplayQuery {
                from: if from == 0 { Pos::START } else { at(from) },
                to: at(to),
                qos_min,
                history_only,
                stored_since: UnixMillis(stored_since),
                ..everything(&filters)
            };
            for asked in [1, 2, 3] {
                check(instance(asked), &query);
            }
        }
    }
}

/// Whatever the filters, the range and the pages, what is given again is what a plain search finds, in order, each
/// message once.
pub fn replays_are_those_of_a_plain_search<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let stored = append_many(&subject);
    assert!(stored.len() > 600, "there is something to replay");
    with_queries(&stored, |asked, query| {
        let wanted = stored.iter().filter(|it| it.is_wanted(asked, query));
        let expected: Vec<_> = wanted.map(Stored::replayed).collect();
        for (messages_max, bytes_max) in
            [(usize::MAX, usize::MAX), (1, usize::MAX), (0, 0), (17, usize::MAX), (usize::MAX, 1_000)]
        {
            if messages_max < 2 && expected.len() > 150 {
                // Many pages of one message say no more than some.
                continue;
            }
            let query = ReplayQuery { messages_max, bytes_max, ..*query };
            let found = replay_all(&subject, asked, &query);
            assert!(found == expected, "{query:?}: {} of {}", found.len(), expected.len());
        }
    });
}

/// What waits is counted as it would be replayed; the newest of it begin where a plain count says.
pub fn backlogs_are_counted_as_they_are_replayed<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let stored = append_many(&subject);
    with_queries(&stored, |asked, query| {
        let wanted: Vec<_> = stored.iter().filter(|it| it.is_wanted(asked, query)).collect();
        let bytes_of = |messages: &[&Stored]| messages.iter().map(|it| it.record.len() as u64).sum::<u64>();
        let expected = Backlog { messages: wanted.len() as u64, bytes: bytes_of(&wanted), lost: false };
        assert_eq!(subject.replay().backlog(asked, query), Ok(expected), "{query:?}");

        let total = expected.bytes;
        for (messages, bytes) in
            [(0, u64::MAX), (1, u64::MAX), (10, u64::MAX), (u64::MAX, total / 2), (u64::MAX, total), (5, 300)]
        {
            let from = subject.replay().newest(asked, query, messages, bytes).expect("it works");
            let newest = (0..=wanted.len()).map(|skipped| &wanted[skipped..]);
            let fits = |it: &&[&Stored]| it.len() as u64 <= messages && bytes_of(it) <= bytes;
            let newest = newest.into_iter().find(fits).expect("none is always few enough");
            let found: Vec<_> = wanted.iter().filter(|it| it.pos >= from).map(|it| it.pos).collect();
            let expected: Vec<_> = newest.iter().map(|it| it.pos).collect();
            assert_eq!(found, expected, "the newest {messages}, {bytes} bytes of {query:?}");
            assert!(newest.len() < wanted.len() || from == query.from, "all of it begins where it begins");
        }
    });
}

/// A message is given again as soon as its completion is called.
pub fn what_is_acknowledged_is_replayed<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let wanted = filter("a/b");
    let filters = [ReplayFilter { filter: &wanted, since: Pos::START }];
    let mut from = Pos::START;
    for id in 0..50 {
        let record = append(subject.log(), id, &[rich_message("a/b", b"1"), message("a/c", b"2")]).record;
        let query = ReplayQuery { from, ..everything(&filters) };
        let page = subject.replay().replay(instance(1), &query).expect("it works");
        let found: Vec<_> = page.messages.iter().map(|it| it.pos).collect();
        assert_eq!((found, page.lost), (vec![Pos::of_record(record)], false));
        assert_eq!(page.next, head(&subject), "the range ends at the head");
        let envelope = Envelope::from_record(&page.messages[0].record).expect("a record");
        assert_eq!(envelope, rich_message("a/b", b"1"));
        from = page.next;
    }
    let query = ReplayQuery { from, ..everything(&filters) };
    let page = subject.replay().replay(instance(1), &query).expect("it works");
    assert_eq!((page.messages.len(), page.next), (0, from), "nothing more came");
}

/// What was stored for those who were away is given again, and no history shows it.
pub fn history_shows_only_what_is_for_it<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let hidden = Envelope { history: false, ..message("a/b", b"hidden") };
    let shown = message("a/b", b"shown");
    let mut messages = [hidden; 12];
    messages[10] = shown;
    let mut records = Vec::new();
    for id in 0..10 {
        records.push(append(subject.log(), id, &messages).record);
    }
    // What is hidden does not count against the bytes that are shown.
    let retention_bytes = Some(3 * shown.size_bytes() as u64 + 10);
    let rule = contract::feed::TopicHistory { retention_secs: 1_000, retention_bytes, since: UnixMillis(0) };
    let rules = HistoryRules { now: UnixMillis(1_000), topics: [("a".into(), rule)].into() };
    let expected: Vec<_> = records.iter().rev().take(3).copied().collect();
    for topic_filter in [None, Some(filter("a/b")), Some(filter("a/#"))] {
        let query = HistoryQuery { topic_filter, ..HistoryQuery::default() };
        let answer = subject.history().query(instance(1), &query, &rules).expect("it works");
        assert!(answer.items.iter().all(|it| it.payload.0 == b"shown"));
        assert!(answer.items.iter().map(|it| it.id.record).eq(expected.iter().copied()), "{query:?}");
    }
    for index in 0..12 {
        let id = Pos { record: expected[0], index }.message_id(super::SHARD);
        let found = subject.history().get(instance(1), id, &rules).expect("it works").message;
        assert_eq!(found.is_some(), index == 10);
    }
    let wanted = filter("#");
    let filters = [ReplayFilter { filter: &wanted, since: Pos::START }];
    for (history_only, count) in [(false, 120), (true, 10)] {
        let query = ReplayQuery { history_only, ..everything(&filters) };
        assert_eq!(replay_all(&subject, instance(1), &query).len(), count);
    }
}

/// The position of a moment has nothing of that moment or later before it, and is that of the first such message.
pub fn a_moment_has_a_position<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    assert_eq!(subject.replay().position_at(instance(1), UnixMillis(0)), Ok(head(&subject)));
    let stored = append_many(&subject);
    for asked in [1, 2, 3] {
        for time in (900..4_300).step_by(37).chain([0, u64::MAX]) {
            let mut of_one = stored.iter().filter(|it| it.instance == instance(asked));
            let expected = of_one.find(|it| it.stored_at >= time).map_or(head(&subject), |it| it.pos);
            let found = subject.replay().position_at(instance(asked), UnixMillis(time));
            assert_eq!(found, Ok(expected), "{time} of {asked}");
        }
    }
}
