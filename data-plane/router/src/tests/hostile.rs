//! Filters and topics that are made to hurt. The bound is counted in looks at nodes, not in time: one at each at most.

use contract::qos::Qos;
use contract::refusal::Refusal;

use super::{ANY, SEED, filter, matches, subscriber, table, worker};
use crate::subscriber::{ClientKey, WorkerId};
use crate::trie::Trie;
use crate::{FILTER_LEVELS_MAX, Inserted, Subscriber, TopicSlots};

const NOBODY: (WorkerId, ClientKey) = (worker_0(), ClientKey::new(0, 0));

const fn worker_0() -> WorkerId {
    match WorkerId::new(0) {
        Some(worker) => worker,
        None => panic!("there is a worker 0"),
    }
}

fn insert(trie: &mut Trie, filter: &str, subscriber: Subscriber) -> Option<Subscriber> {
    trie.leaf(filter).insert(subscriber)
}

fn remove(trie: &mut Trie, filter: &str) -> bool {
    trie.change(filter, |leaf| leaf.remove(NOBODY.0, NOBODY.1)).unwrap_or(false)
}

/// The looks and the matches.
fn look(trie: &Trie, topic: &str) -> (usize, usize) {
    let mut found = 0;
    let looks = trie.matches(topic, &mut [Vec::new(), Vec::new()], |_| found += 1);
    (looks, found)
}

#[test]
fn sixty_five_thousand_slashes_are_one_topic_and_no_filter() {
    let slashes = "/".repeat(65_535);
    let (mut table, _) = table();
    let refused = table.insert(&filter(&slashes), subscriber(0, 1, Qos::AtMostOnce), ANY);
    assert_eq!(refused, Err(Refusal::TopicLevelsMax));
    assert!(!table.remove(&filter(&slashes), worker(0), ClientKey::new(1, 0)));
    assert_eq!(matches(&table, &slashes), []);

    for text in ["#", "/#", "+/+/#", "//+/#", &format!("{}#", "+/".repeat(FILTER_LEVELS_MAX - 1))] {
        assert_eq!(
            table.insert(&filter(text), subscriber(0, 1, Qos::AtMostOnce), ANY),
            Ok(Inserted::New),
            "{text}"
        );
    }
    assert_eq!(matches(&table, &slashes), [(0, 1, 0)]);
    assert_ne!(TopicSlots::of(SEED, &slashes), TopicSlots::of(SEED, "a"));
}

/// Deeper than any table lets in, to see that depth costs no stack: to insert, find, match, remove and drop.
#[test]
fn a_filter_of_32_768_levels_costs_no_stack() {
    let deep = format!("{}#", "+/".repeat(32_767));
    let topic = vec!["x"; 40_000].join("/");
    let mut trie = Trie::new(SEED);
    assert_eq!(insert(&mut trie, &deep, subscriber(0, 0, Qos::AtMostOnce)), None);
    assert_eq!(trie.prefixes(), 32_768);
    assert!(trie.get(&deep).is_some());
    assert_eq!(look(&trie, &topic), (32_768, 1));
    assert!(remove(&mut trie, &deep));
    assert_eq!((trie.prefixes(), look(&trie, &topic)), (1, (1, 0)));

    insert(&mut trie, &deep, subscriber(0, 0, Qos::AtMostOnce));
    insert(&mut trie, &vec!["x"; 32_768].join("/"), subscriber(0, 0, Qos::AtMostOnce));
    assert_eq!(trie.prefixes(), 65_536);
    drop(trie);
}

/// `+/a/+/b…`: at each of twelve levels either way, so that one topic walks all 4096 of them at once.
#[test]
fn four_thousand_crossing_filters_cost_one_look_at_each_prefix() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut trie = Trie::new(SEED);
    let crossing: Vec<String> = (0..4096_u32)
        .map(|choice| {
            let level = |at: usize| if choice >> at & 1 == 0 { "+" } else { names[at] };
            let levels: Vec<_> = (0..names.len()).map(level).collect();
            // Each goes on alone, as deep as a plan allows, to nowhere.
            let tail = "/+".repeat(32 - names.len() - 1);
            format!("{}{tail}/{choice}", levels.join("/"))
        })
        .collect();
    for text in &crossing {
        insert(&mut trie, text, subscriber(0, 0, Qos::AtMostOnce));
    }
    assert_eq!(
        trie.prefixes(),
        (1 << 13) - 1 + 4096 * 20,
        "a full tree of twelve levels and a tail of twenty each"
    );

    let tail = "/x".repeat(32 - names.len() - 1);
    let topic = format!("{}{tail}/77", names.join("/"));
    let (looks, found) = look(&trie, &topic);
    assert_eq!(found, 1);
    assert_eq!(looks, trie.prefixes() - 4095, "all but the ends of the others");
    assert_eq!(
        look(&trie, "a/b/c/d/e/f/x"),
        ((1 << 7) - 1 + (1 << 6), 0),
        "names no longer help after six levels"
    );

    for text in &crossing {
        assert!(remove(&mut trie, text), "{text}");
    }
    assert_eq!(trie.prefixes(), 1, "nothing is left behind");
}

#[test]
fn every_depth_of_pluses_at_once() {
    let mut trie = Trie::new(SEED);
    for depth in 1..FILTER_LEVELS_MAX {
        insert(&mut trie, &format!("{}#", "+/".repeat(depth)), subscriber(0, 0, Qos::AtMostOnce));
        insert(&mut trie, &vec!["+"; depth].join("/"), subscriber(0, 0, Qos::AtMostOnce));
    }
    assert_eq!(trie.prefixes(), FILTER_LEVELS_MAX, "they share their prefixes");
    for levels in [1, 2, 100, FILTER_LEVELS_MAX, 5_000] {
        let (looks, found) = look(&trie, &vec!["x"; levels].join("/"));
        assert!(looks <= FILTER_LEVELS_MAX);
        let deeper_than_all = usize::from(levels < FILTER_LEVELS_MAX);
        assert_eq!(found, levels.min(FILTER_LEVELS_MAX - 1) + deeper_than_all, "{levels} levels");
    }
}

#[test]
fn prefixes_that_lead_nowhere_go_and_the_rest_stays() {
    let mut trie = Trie::new(SEED);
    for text in ["a/+/c/d", "a/+/c", "a/+/#", "a/+"] {
        insert(&mut trie, text, subscriber(0, 0, Qos::AtMostOnce));
    }
    assert_eq!(trie.prefixes(), 5);
    for (text, left) in [("a/+/c/d", 4), ("a/+", 4), ("a/+/c", 3), ("a/+/#", 1)] {
        assert!(remove(&mut trie, text));
        assert_eq!(trie.prefixes(), left, "after {text}");
    }
    insert(&mut trie, "b/+/c", subscriber(0, 0, Qos::AtMostOnce));
    assert_eq!((trie.prefixes(), look(&trie, "b/x/c").1), (4, 1), "what was freed is used again");
}
