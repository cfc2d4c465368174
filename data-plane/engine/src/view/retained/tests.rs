//! The specification of the look-up: it finds what a plain match finds, and looks at little else.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use contract::qos::Qos;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::view::any_topics::{any_filter, any_topic};
use crate::{Batch, RetentionClass};

const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(1));
const NOW: UnixMillis = UnixMillis(1_000);

/// Documents that count how often they are asked.
#[derive(Default)]
struct Shelf {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    seeks: Cell<usize>,
}

impl Shelf {
    fn of<'a>(topics: impl IntoIterator<Item = &'a str>) -> Self {
        let mut shelf = Self::default();
        for topic in topics {
            shelf.put(topic, None);
        }
        // What stands before and behind is of no concern.
        shelf.rows.insert(b"q/somebody".to_vec(), b"q".to_vec());
        shelf.rows.insert(b"s/somebody".to_vec(), b"s".to_vec());
        shelf
    }

    fn put(&mut self, topic: &str, expires_at: Option<UnixMillis>) {
        let mut batch = Batch::new();
        let message = Envelope {
            instance: INSTANCE,
            qos: Qos::AtLeastOnce,
            retain: true,
            retention: Some(RetentionClass::Day),
            history: false,
            expires_at,
            stored_at: UnixMillis(1),
            workers: 0,
            content: &[],
            topic,
            publisher: "somebody",
            payload: b"payload",
        };
        batch.append(&message).expect("it fits");
        let record = batch.records().next().expect("there is one").expect("it can be read");
        self.rows.insert(key(topic.as_bytes()), record.bytes.to_vec());
    }

    /// What is found page by page, and the seeks that it took.
    fn find(&self, filter: &TopicFilter, limit: usize) -> (Vec<String>, usize) {
        let (mut found, mut after) = (Vec::new(), None);
        self.seeks.set(0);
        loop {
            let page = retained(self, INSTANCE, filter, after.as_deref(), NOW, limit).expect("it works");
            assert!(page.messages.len() <= limit);
            found.extend(
                page.messages
                    .iter()
                    .map(|it| Envelope::from_record(&it.record).expect("a record").topic.to_owned()),
            );
            after = page.next;
            if after.is_none() {
                return (found, self.seeks.get());
            }
        }
    }
}

impl Seek for Shelf {
    fn walk(&self, instance: InstanceId, walk: &mut dyn Walk) -> Result<(), QueryError> {
        assert_eq!(instance, INSTANCE);
        while let Some(place) = walk.place() {
            self.seeks.set(self.seeks.get() + 1);
            let from = key(place);
            let row = self.rows.range::<[u8], _>((Bound::Included(&*from), Bound::Unbounded)).next();
            let topic = row.and_then(|(key, _)| key.strip_prefix(RETAINED_PREFIX.as_bytes()));
            let Some(topic) = topic else { break };
            walk.come_to(std::str::from_utf8(topic).expect("a topic"));
        }
        Ok(())
    }

    fn document(&self, instance: InstanceId, key: &Key) -> Result<Option<Document>, QueryError> {
        assert_eq!(instance, INSTANCE);
        let body = self.rows.get(key.as_bytes());
        Ok(body.map(|body| Document { rev: crate::Rev(7), body: body.clone() }))
    }
}

fn filter(text: &str) -> TopicFilter {
    text.parse().expect("a filter of a test")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_look_up_finds_what_a_plain_match_finds(
        topics in prop::collection::btree_set(any_topic(), 0..120),
        filters in prop::collection::vec(any_filter(), 20),
        limit in 1..8_usize,
    ) {
        let shelf = Shelf::of(topics.iter().map(String::as_str));
        for filter in &filters {
            let filter: TopicFilter = filter.parse().expect("a filter");
            let expected: Vec<_> = topics.iter().filter(|topic| filter.matches(topic)).cloned().collect();
            prop_assert_eq!(&shelf.find(&filter, limit).0, &expected, "{} by {}", filter, limit);
            prop_assert_eq!(&shelf.find(&filter, 1_000).0, &expected, "{}", filter);
        }
    }
}

#[test]
fn a_literal_level_is_jumped_to() {
    let mut topics = Vec::new();
    for device in 0..1_000 {
        topics.extend(
            ["battery", "humidity", "position/x", "position/y", "signal", "temperature"]
                .map(|what| format!("d/{device}/{what}")),
        );
    }
    let shelf = Shelf::of(topics.iter().map(String::as_str));
    for (text, found, seeks) in [
        ("d/17/temperature", 1, 1),
        ("d/17/none", 0, 1),
        ("d/17/#", 6, 8),
        ("d/17/+", 4, 8),
        ("d/+/temperature", 1_000, 2_002),
        ("d/+/position/y", 1_000, 2_002),
        ("d/+/none", 0, 2_002),
        ("+/17/signal", 1, 5),
        ("x/#", 0, 1),
    ] {
        let (topics, took) = shelf.find(&filter(text), 1_000);
        assert_eq!(topics.len(), found, "{text}");
        assert!(took <= seeks, "{text} takes {took} seeks");
    }
}

#[test]
fn a_page_has_bounds_and_leads_on() {
    let topics: Vec<_> = (0..=TOPICS_MAX).map(|number| format!("a/{number:05}/x")).collect();
    let mut shelf = Shelf::of(topics.iter().map(String::as_str));
    let nothing = filter("a/+/x/y");
    let page = retained(&shelf, INSTANCE, &nothing, None, NOW, 10).expect("it works");
    assert!(page.messages.is_empty() && page.next.is_some(), "it looks at a bounded number of topics");
    assert_eq!(shelf.find(&nothing, 10).0, Vec::<String>::new());

    let all = filter("#");
    let page = retained(&shelf, INSTANCE, &all, None, NOW, 0).expect("it works");
    assert_eq!((page.messages.len(), page.next.as_deref()), (1, Some("a/00000/x")));
    let page = retained(&shelf, INSTANCE, &all, None, NOW, usize::MAX).expect("it works");
    assert_eq!(page.messages.len(), RETAINED_PAGE_MAX);

    let large = vec![0; RETAINED_PAGE_BYTES_MAX];
    for topic in ["b", "c"] {
        shelf.rows.insert(key(topic.as_bytes()), large.clone());
    }
    let page = retained(&shelf, INSTANCE, &filter("+"), None, NOW, 10).expect("it works");
    assert_eq!((page.messages.len(), page.next.as_deref()), (1, Some("b")));
    assert_eq!(page.messages[0].pos, Pos::of_record(7));
}

#[test]
fn what_has_expired_takes_no_place() {
    let mut shelf = Shelf::of(["a/2", "a/4"]);
    shelf.put("a/1", Some(NOW));
    shelf.put("a/3", Some(UnixMillis(NOW.0 + 1)));
    assert_eq!(shelf.find(&filter("a/+"), 2).0, ["a/2", "a/3", "a/4"]);
}
