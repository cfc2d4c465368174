//! The specification of looking by rank: replays and queries find what a plain match finds, whatever grows in between,
//! and look at little else.

use std::collections::BTreeMap;

use contract::feed::TopicHistory;
use contract::message::Order;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::first_level;
use proptest::prelude::*;

use super::*;
use crate::view::any_topics::{any_filter, any_topic};
use crate::view::merge;
use crate::view::tests::{Segment, instance, message};
use crate::view::{Footer, Index, Source, View, backlog, newest, query, replay};
use crate::{HistoryQuery, HistoryRules, Pos, ReplayFilter, ReplayPage, ReplayQuery, Shard};

const END: Pos = Pos::of_record(u64::MAX);

fn parsed(filter: &str) -> TopicFilter {
    filter.parse().expect("a filter of a test")
}

/// Filters, each with the record from which on it holds.
type Held = Vec<(TopicFilter, u64)>;

fn is_for(held: &Held, number: u64, topic: &str) -> bool {
    held.iter().any(|(filter, since)| number >= *since && filter.matches(topic))
}

fn replayed(source: Source<'_>, held: &Held, from: u64) -> [Vec<u64>; 2] {
    let filters: Vec<_> =
        (held.iter()).map(|(filter, since)| ReplayFilter { filter, since: Pos::of_record(*since) }).collect();
    let query = ReplayQuery {
        filters: &filters,
        from: Pos::of_record(from),
        to: END,
        qos_min: Qos::AtMostOnce,
        history_only: false,
        stored_since: UnixMillis(0),
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
    };
    let sources = [source];
    let mut page = ReplayPage { messages: Vec::new(), next: query.from, lost: false };
    assert!(replay(&sources, instance(1), &query, &mut page) && !page.lost);
    let found: Vec<_> = page.messages.iter().map(|it| it.pos.record).collect();
    assert_eq!(backlog(&sources, instance(1), &query).messages, found.len() as u64);
    // From the newest on, one after the other.
    let mut backwards = Vec::new();
    while let Some(behind) =
        newest(&sources, instance(1), &query, &mut (backwards.len() as u64), &mut u64::MAX.clone())
    {
        backwards.push(behind.record);
    }
    backwards.reverse();
    [found, backwards]
}

fn queried(source: Source<'_>, filter: &TopicFilter, levels: &[&str]) -> Vec<u64> {
    let shown = TopicHistory { retention_secs: 1_000, retention_bytes: None, since: UnixMillis(0) };
    let topics = levels.iter().map(|level| (Box::from(*level), shown)).collect::<BTreeMap<_, _>>();
    let rules = HistoryRules { now: UnixMillis(1_000), topics };
    let sources = [source];
    let view = View { shard: Shard(0), sources: &sources, dropped_before: UnixMillis(0), whole: true };
    let topic_filter = Some(filter.clone());
    let mut wanted = HistoryQuery { topic_filter, order: Order::Oldest, ..HistoryQuery::default() };
    let mut found = Vec::new();
    loop {
        let answer = query(&view, instance(1), &wanted, &rules);
        found.extend(answer.items.iter().map(|item| item.id.record));
        wanted.after = answer.next;
        if wanted.after.is_none() {
            return found;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_grows_and_what_is_sealed_is_found_as_by_a_plain_match(
        pool in prop::collection::vec(any_topic(), 1..80),
        rows in prop::collection::vec(any::<prop::sample::Index>(), 1..500),
        growth in prop::collection::vec(1..250_usize, 1..4),
        filters in prop::collection::vec((any_filter(), 0..500_u64), 1..5),
        from in 0..100_u64,
    ) {
        let held: Held = filters.iter().map(|(filter, since)| (parsed(filter), *since)).collect();
        let topics: Vec<_> = (1..).zip(rows.iter().map(|at| at.get(&pool).as_str())).collect();
        let levels = ["", "a", "ab", "a-", "$a"];
        let mut segment = Segment::default();
        let mut rest = &topics[..];
        for step in growth.into_iter().chain([usize::MAX]) {
            let (more, later) = rest.split_at(step.min(rest.len()));
            for (number, topic) in more {
                segment.add(Pos::of_record(*number), &message(*number, topic)).expect("it has room");
            }
            rest = later;
            segment.index.keep_order();
            let there = &topics[..topics.len() - rest.len()];
            let numbers = |is_wanted: &dyn Fn(u64, &str) -> bool| -> Vec<u64> {
                there.iter().filter(|(number, topic)| is_wanted(*number, topic)).map(|it| it.0).collect()
            };
            let of_replay = numbers(&|number, topic| number >= from && is_for(&held, number, topic));
            let sealed = segment.sealed();
            let footer = Footer::parse(&sealed).expect("it was just written");
            for source in [
                Source { index: Index::Live(&segment.index), bytes: &segment.bytes },
                Source { index: Index::Sealed(&footer), bytes: &sealed },
            ] {
                let [forwards, backwards] = replayed(source, &held, from);
                prop_assert_eq!(&forwards, &of_replay);
                prop_assert_eq!(&backwards, &of_replay);
                for (filter, _) in &held {
                    let shown = |topic: &str| levels.contains(&first_level(topic));
                    let expected = numbers(&|_, topic| shown(topic) && filter.matches(topic));
                    prop_assert_eq!(queried(source, filter, &levels), expected, "{}", filter);
                }
            }
        }
    }
}

#[test]
fn what_cannot_match_is_jumped_over() {
    let mut segment = Segment::default();
    let mut number = 0;
    for device in 0..1_000 {
        for what in ["battery", "humidity", "position/x", "position/y", "signal", "temperature"] {
            number += 1;
            let topic = format!("d/{device}/{what}");
            segment.add(Pos::of_record(number), &message(number, &topic)).expect("it has room");
        }
    }
    let source = Source { index: Index::Live(&segment.index), bytes: &segment.bytes };
    for (filter, found, looks) in [
        ("d/17/#", 6, 6),
        ("d/17/+", 4, 8),
        ("d/+/temperature", 1_000, 2_002),
        ("d/+/none", 0, 2_002),
        ("+/17/signal", 1, 5),
        ("+/+/position/#", 2_000, 4_002),
        ("#", 6_000, 6_000),
        ("x/#", 0, 0),
    ] {
        let mut table = merge::table(&source, instance(1)).expect("it has messages");
        let (mut left, mut taken) = (looks, Vec::new());
        let mut ranked = Ranked::new(&mut *table);
        let is_all = ranked.matching(&parsed(filter), "", &mut left, |topic| taken.push(topic));
        assert_eq!(is_all, Ok(true), "{filter} looks at more than {looks}");
        assert_eq!(taken.len(), found, "{filter}");
        if looks > 0 {
            let mut few = (looks - left) - 1;
            let is_all = Ranked::new(&mut *table).matching(&parsed(filter), "", &mut few, drop);
            assert_eq!(is_all, Ok(false), "{filter}");
        }
    }
}
