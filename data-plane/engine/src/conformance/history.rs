//! What every [`History`] answers. Everything is compared with a plain search through what was appended.

use std::collections::BTreeMap;

use contract::feed::TopicHistory;
use contract::message::{MessageId, MessageProperties, MessagesAnswer, Order, StoredMessage};
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::{TopicFilter, first_level};

use super::{CONTENT, Outcomes, SHARD, Subject, append, batch, instance, message, rich_message};
use crate::{Envelope, FoundMessage, HistoryQuery, HistoryRules, Pos, RECORD_HEADER_BYTES};

const NOW: UnixMillis = UnixMillis(1_000_000);

/// Rules that show everything of these topic resources.
fn rules(levels: &[&str]) -> HistoryRules {
    let shown = TopicHistory { retention_secs: 1_000, retention_bytes: None, since: UnixMillis(0) };
    HistoryRules { now: NOW, topics: levels.iter().map(|level| ((*level).into(), shown)).collect() }
}

fn filter(text: &str) -> TopicFilter {
    text.parse().expect("a filter of a test")
}

fn topics(answer: &MessagesAnswer) -> Vec<&str> {
    answer.items.iter().map(|item| item.topic.as_str()).collect()
}

fn ids(items: &[StoredMessage]) -> Vec<MessageId> {
    items.iter().map(|item| item.id).collect()
}

/// Everything that a query finds, page by page.
fn ask_all<S: Subject>(subject: &S, query: &HistoryQuery, rules: &HistoryRules) -> Vec<StoredMessage> {
    let (mut query, mut all) = (query.clone(), Vec::new());
    for _ in 0..100_000 {
        let answer = subject.history().query(instance(1), &query, rules).expect("a history that works");
        assert!(answer.complete, "nothing is damaged");
        assert!(answer.items.len() <= query.limit as usize, "no more than were asked for");
        all.extend(answer.items);
        let Some(next) = answer.next else { return all };
        assert_ne!(Some(next), query.after, "a page leads on");
        query.after = Some(next);
    }
    panic!("the pages of {query:?} have no end");
}

/// A message is found as soon as its completion is called, whole, by search and by identifier.
pub fn what_is_acknowledged_is_found<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let history = subject.history();
    for number in 1..=20_u8 {
        let payload = [number; 3];
        let published = Envelope {
            qos: Qos::ExactlyOnce,
            retain: true,
            stored_at: UnixMillis(number.into()),
            ..rich_message("a/b", &payload)
        };
        let application = Envelope { publisher: "", ..message("a/c", b"") };
        let record = append(subject.log(), number.into(), &[published, application]).record;
        let expected = StoredMessage {
            id: Pos::of_record(record).message_id(SHARD),
            topic: "a/b".into(),
            client_id: Some("somebody".into()),
            qos: Qos::ExactlyOnce,
            retain: true,
            stored_at: UnixMillis(number.into()),
            bytes: 3,
            payload: contract::base64::Base64(payload.into()),
            expires_at: Some(UnixMillis(u64::MAX)),
            properties: MessageProperties::default(),
            content: CONTENT.into(),
        };
        let query = HistoryQuery { topic_filter: Some(filter("a/b")), limit: 1, ..HistoryQuery::default() };
        let answer = history.query(instance(1), &query, &rules(&["a"])).expect("a history that works");
        assert_eq!(answer.items, std::slice::from_ref(&expected));
        let whole = |message| Ok(FoundMessage { message, complete: true });
        assert_eq!(history.get(instance(1), expected.id, &rules(&["a"])), whole(Some(expected.clone())));
        let second = MessageId { index: 1, ..expected.id };
        let second = history.get(instance(1), second, &rules(&["a"])).expect("a history that works").message;
        assert_eq!(second.map(|message| (message.topic, message.client_id)), Some(("a/c".into(), None)));
        for nowhere in [
            MessageId { index: 2, ..expected.id },
            MessageId { record: record + 1, ..expected.id },
            MessageId { shard: 7, ..expected.id },
        ] {
            assert_eq!(history.get(instance(1), nowhere, &rules(&["a"])), whole(None), "{nowhere}");
        }
        assert_eq!(history.get(instance(1), expected.id, &rules(&["b"])), whole(None), "no rule shows it");
    }
}

/// No filter, cursor or identifier shows anything of another instance, even of a batch that both share.
pub fn instances_are_apart<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let history = subject.history();
    let of = |number| Envelope { instance: instance(number), ..message("a/b", b"") };
    let record = append(subject.log(), 1, &[of(1), of(2), of(1)]).record;
    append(subject.log(), 2, &[of(2)]);
    let all = HistoryQuery::default();
    for (asked, expected) in
        [(1, vec![(record, 2), (record, 0)]), (2, vec![(record + 1, 0), (record, 1)]), (3, vec![])]
    {
        for topic_filter in [None, Some(filter("#")), Some(filter("a/b"))] {
            let query = HistoryQuery { topic_filter, ..all.clone() };
            let answer = history.query(instance(asked), &query, &rules(&["a"])).expect("it works");
            let found: Vec<_> = answer.items.iter().map(|item| (item.id.record, item.id.index)).collect();
            assert_eq!(found, expected, "instance {asked}, {query:?}");
        }
    }
    let of_two = Pos { record, index: 1 }.message_id(SHARD);
    let found = |asked| history.get(instance(asked), of_two, &rules(&["a"])).expect("it works").message;
    assert_eq!((found(1), found(2).is_some()), (None, true));
}

/// A filter finds what it would receive.
pub fn filters_match_as_mqtt_says<S: Subject>(make: impl Fn() -> S) {
    const TOPICS: &[&str] = &[
        "a",
        "a/",
        "a//",
        "a/b",
        "a/b/",
        "a/b/c",
        "a/bc",
        "a/b/c/d",
        "a//b",
        "ab",
        "ab/c",
        "a!",
        "a!/b",
        "b/a/b",
        "/a",
        "/",
        "$x",
        "$x/a",
        "é/ü",
        "é",
        "b/\u{10ffff}/c",
    ];
    const FILTERS: &[&str] = &[
        "#",
        "+",
        "+/#",
        "+/+",
        "a",
        "a/#",
        "a/+",
        "a/+/#",
        "a/b",
        "a/b/#",
        "a/b/+",
        "a//#",
        "a/+/c",
        "a/+/+/d",
        "+/b",
        "+/b/#",
        "/#",
        "/+",
        "$x/#",
        "$x",
        "é/#",
        "b/+/c",
        "c/#",
        "ab/#",
        "a!/#",
        "a/b/c/d/e",
    ];
    let subject = make();
    let stored: Vec<_> = TOPICS.iter().map(|topic| message(topic, b"")).collect();
    append(subject.log(), 1, &stored);
    let levels: Vec<_> = TOPICS.iter().map(|topic| first_level(topic)).collect();
    for shown in [&levels[..], &["a", "$x"]] {
        let rules = rules(shown);
        for text in FILTERS {
            let filter = filter(text);
            let found = |topic: &&&str| filter.matches(topic) && shown.contains(&first_level(topic));
            let expected: Vec<_> = TOPICS.iter().filter(found).copied().collect();
            let query = HistoryQuery {
                topic_filter: Some(filter.clone()),
                order: Order::Oldest,
                ..HistoryQuery::default()
            };
            let answer = subject.history().query(instance(1), &query, &rules).expect("it works");
            assert_eq!(topics(&answer), expected, "{text} of {shown:?}");
        }
    }
}

/// Some hundred messages of a few topics and clients, told apart by numbers that are not random but look so.
fn append_many<S: Subject>(subject: &S) -> Vec<StoredMessage> {
    const TOPICS: [&str; 7] = ["a", "a/1", "a/2", "a/2/x", "b/1", "b/2/x", "c"];
    const CLIENTS: [&str; 4] = ["one", "two", "three", ""];
    let outcomes = Outcomes::new(200);
    let mut number = 0_u64;
    let mut batches = Vec::new();
    for id in 0..200 {
        let mut messages = Vec::new();
        for _ in 0..=id % 4 {
            number += 1;
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let pick = |of: usize, at: u32| usize::try_from(mixed >> at).expect("32 bits") % of;
            // Clocks of workers differ a little, so that times do not quite follow positions.
            let stored_at = 1_000 + number * 10 + mixed % 25;
            messages.push((TOPICS[pick(7, 0)], CLIENTS[pick(4, 8)], stored_at, pick(60, 16)));
        }
        let payload = [b'p'; 60];
        let envelopes: Vec<_> = messages
            .iter()
            .map(|&(topic, publisher, stored_at, bytes)| Envelope {
                publisher,
                stored_at: UnixMillis(stored_at),
                ..message(topic, &payload[..bytes])
            })
            .collect();
        outcomes.submit(subject.log(), id, 0, batch(&envelopes));
        batches.push(messages);
    }
    let mut stored = Vec::new();
    for messages in batches {
        let record = outcomes.next().record;
        for (index, (topic, publisher, stored_at, bytes)) in (0..).zip(messages) {
            stored.push(StoredMessage {
                id: Pos { record, index }.message_id(SHARD),
                topic: topic.into(),
                client_id: (!publisher.is_empty()).then(|| publisher.into()),
                qos: Qos::AtLeastOnce,
                retain: false,
                stored_at: UnixMillis(stored_at),
                bytes: bytes as u64,
                payload: contract::base64::Base64(vec![b'p'; bytes]),
                expires_at: None,
                properties: MessageProperties::default(),
                content: Vec::new(),
            });
        }
    }
    stored
}

/// The plain search, the oldest first.
fn search<'a>(stored: &'a [StoredMessage], query: &HistoryQuery) -> Vec<&'a StoredMessage> {
    let mut found: Vec<_> = stored
        .iter()
        .filter(|message| {
            query.topic_filter.as_ref().is_none_or(|filter| filter.matches(&message.topic))
                && query
                    .client_id
                    .as_deref()
                    .is_none_or(|client| message.client_id.as_deref() == Some(client))
                && (query.from..query.to).contains(&message.stored_at)
        })
        .collect();
    if query.order == Order::Newest {
        found.reverse();
    }
    found
}

/// Every combination of topic filter, client, time and order, on pages of several sizes, finds what a plain search
/// finds.
pub fn selections_are_those_of_a_plain_search<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let stored = append_many(&subject);
    let rules = rules(&["a", "b", "c"]);
    let filters = [None, Some("a/2"), Some("a/#"), Some("+/+/x"), Some("b/+"), Some("none")];
    let clients = [None, Some("two"), Some("nobody")];
    let times =
        [(0, u64::MAX), (2_000, 3_000), (2_000, 2_001), (0, 1_500), (5_500, u64::MAX), (3_000, 2_000)];
    for topic_filter in filters {
        for client_id in clients {
            for (from, to) in times {
                for (order, limit, rows_max) in [
                    (Order::Newest, 200, u64::MAX),
                    (Order::Newest, 7, 50),
                    (Order::Oldest, 200, 33),
                    (Order::Oldest, 13, u64::MAX),
                ] {
                    let query = HistoryQuery {
                        topic_filter: topic_filter.map(filter),
                        client_id: client_id.map(Into::into),
                        from: UnixMillis(from),
                        to: UnixMillis(to),
                        order,
                        limit,
                        rows_max,
                        ..HistoryQuery::default()
                    };
                    let found = ask_all(&subject, &query, &rules);
                    let expected = search(&stored, &query);
                    assert!(found.iter().eq(expected), "{query:?}");
                }
            }
        }
    }
}

/// Pages of any size and any budget, put together, are the whole, in both orders; a cursor may be any message.
pub fn pages_make_the_whole<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let stored = append_many(&subject);
    let rules = rules(&["a", "b", "c"]);
    for order in [Order::Newest, Order::Oldest] {
        let whole = HistoryQuery { order, ..HistoryQuery::default() };
        let expected: Vec<_> = search(&stored, &whole).into_iter().map(|message| message.id).collect();
        for (limit, rows_max, answer_bytes_max) in
            [(1, 1, u64::MAX), (3, 2, u64::MAX), (200, 10, u64::MAX), (200, u64::MAX, 200), (50, u64::MAX, 0)]
        {
            let query = HistoryQuery { limit, answer_bytes_max, rows_max, ..whole.clone() };
            assert_eq!(ids(&ask_all(&subject, &query, &rules)), expected, "{query:?}");
        }
        for (at, after) in expected.iter().enumerate().step_by(61) {
            let query = HistoryQuery { after: Some(*after), ..whole.clone() };
            assert_eq!(ids(&ask_all(&subject, &query, &rules)), expected[at + 1..], "after {after}");
        }
    }
}

/// A rule hides what is too old, what came before it began, and the oldest beyond its bytes; and the answer says from
/// when on it is whole.
pub fn rules_hide_what_is_too_old_or_too_much<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let stored = append_many(&subject);
    let latest = stored.iter().map(|message| message.stored_at.0).max().expect("there are some");
    let now = UnixMillis(latest + 1);
    let bytes_of = |message: &StoredMessage| {
        let client = message.client_id.as_deref().unwrap_or_default();
        RECORD_HEADER_BYTES as u64 + (message.topic.len() + client.len()) as u64 + message.bytes
    };
    let whole = TopicHistory { retention_secs: 1_000, retention_bytes: None, since: UnixMillis(0) };
    for rule in [
        whole,
        TopicHistory { retention_secs: 2, ..whole },
        TopicHistory { since: UnixMillis(3_000), ..whole },
        TopicHistory { retention_bytes: Some(0), ..whole },
        TopicHistory { retention_bytes: Some(500), ..whole },
        TopicHistory { retention_bytes: Some(9_000), retention_secs: 3, ..whole },
        TopicHistory { retention_bytes: Some(1 << 40), ..whole },
    ] {
        let topics = BTreeMap::from([("a".into(), rule), ("b".into(), whole)]);
        let rules = HistoryRules { now, topics };
        let earliest = rule.since.0.max(now.0.saturating_sub(rule.retention_secs * 1_000));
        let mut left = rule.retention_bytes.unwrap_or(u64::MAX);
        let mut is_over = false;
        let mut expected = Vec::new();
        for message in stored.iter().rev() {
            match first_level(&message.topic) {
                "a" if message.stored_at.0 >= earliest => {
                    is_over |= bytes_of(message) > left;
                    if !is_over {
                        left -= bytes_of(message);
                        expected.push(message.id);
                    }
                }
                "b" => expected.push(message.id),
                _ => {}
            }
        }
        let query = HistoryQuery { limit: 30, ..HistoryQuery::default() };
        assert_eq!(ids(&ask_all(&subject, &query, &rules)), expected, "{rule:?}");
        for message in &stored {
            let found = subject.history().get(instance(1), message.id, &rules).expect("it works");
            assert_eq!(found.message.is_some(), expected.contains(&message.id), "{rule:?} {message:?}");
        }
        let answer = subject.history().query(instance(1), &query, &rules).expect("it works");
        let hidden = stored
            .iter()
            .filter(|message| first_level(&message.topic) != "c" && !expected.contains(&message.id));
        let hidden_until = hidden.map(|message| message.stored_at.0 + 1).max().unwrap_or(0);
        assert!(answer.covered_from.0 <= now.0 && answer.covered_from.0 >= earliest, "{rule:?}");
        // Times do not quite follow positions: what is hidden for its bytes may be a little newer than what is not.
        assert!(answer.covered_from.0 + 25 >= hidden_until, "{rule:?}: {}", answer.covered_from.0);
    }
}

/// A list cuts payloads, and stops in front of what would be too much; the message itself has all of it.
pub fn payloads_are_cut_and_answers_bounded<S: Subject>(make: impl Fn() -> S) {
    let subject = make();
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    for id in 0..5 {
        append(subject.log(), id, &[message("a/b", &payload)]);
    }
    let rules = rules(&["a"]);
    let ask = |payload_bytes_max, answer_bytes_max| {
        let query = HistoryQuery { payload_bytes_max, answer_bytes_max, ..HistoryQuery::default() };
        subject.history().query(instance(1), &query, &rules).expect("it works")
    };
    for (payload_bytes_max, answer_bytes_max, items, bytes) in [
        (4_096, 1_000_000, 5, 4_096),
        (0, 0, 5, 0),
        (4_096, 10_000, 2, 4_096),
        (u64::MAX, 250_000, 2, 100_000),
        (u64::MAX, 0, 1, 100_000),
    ] {
        let answer = ask(payload_bytes_max, answer_bytes_max);
        assert_eq!(answer.items.len(), items, "{payload_bytes_max} {answer_bytes_max}");
        assert_eq!(answer.next.is_some(), items < 5);
        for item in answer.items {
            assert_eq!((item.bytes, &item.payload.0[..]), (100_000, &payload[..bytes]));
            let whole = subject.history().get(instance(1), item.id, &rules).expect("it works");
            assert_eq!(whole.message.expect("it is there").payload.0, payload);
        }
    }
}
