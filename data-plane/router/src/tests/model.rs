//! The table against the plainest matcher there is: every subscription asked one by one.

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use proptest::prelude::*;

use super::{ANY, filter, subscriber, table, worker};
use crate::{ClientKey, Inserted, Scratch};

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$x", "+", "é"])
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    (prop::collection::vec(level(), 1..6), any::<bool>()).prop_map(|(mut levels, hash)| {
        if hash {
            levels.pop();
            levels.push("#");
        }
        let text = levels.join("/");
        filter(if text.is_empty() { "#" } else { &text })
    })
}

fn any_topic() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$x", "c", "é"]);
    prop::collection::vec(level, 1..7)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic is not empty", |topic| !topic.is_empty())
}

fn any_qos() -> impl Strategy<Value = Qos> {
    prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

#[derive(Clone, Debug)]
enum Step {
    Insert(TopicFilter, usize, u32, Qos),
    Remove(TopicFilter, usize, u32),
    /// One of those that are there.
    RemoveHeld(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_filter(), 0_usize..3, 0_u32..4, any_qos())
            .prop_map(|(filter, worker, slot, qos)| Step::Insert(filter, worker, slot, qos)),
        1 => (any_filter(), 0_usize..3, 0_u32..4)
            .prop_map(|(filter, worker, slot)| Step::Remove(filter, worker, slot)),
        2 => (0_usize..40).prop_map(Step::RemoveHeld),
    ]
}

type Held = BTreeMap<(TopicFilter, usize, u32), Qos>;

/// One entry for each client, the best QoS of its filters that match.
fn naive(held: &Held, topic: &str) -> Vec<(usize, u32, Qos)> {
    let mut clients = BTreeMap::new();
    for ((filter, worker, slot), &qos) in held {
        if filter.matches(topic) {
            let best = clients.entry((*worker, *slot)).or_insert(qos);
            *best = qos.max(*best);
        }
    }
    clients.into_iter().map(|((worker, slot), qos)| (worker, slot, qos)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_table_answers_as_the_plainest_matcher(
        steps in prop::collection::vec(step(), 1..80),
        topics in prop::collection::vec(any_topic(), 1..12),
    ) {
        let (mut table, epochs) = table();
        let (mut held, mut scratch) = (Held::new(), Scratch::new());
        // What a publisher remembers of each topic.
        let mut remembered: Vec<_> = topics
            .iter()
            .map(|topic| (epochs.stamp(table.slots(topic)), table.matches(topic, &mut scratch)))
            .collect();
        for step in steps {
            match step {
                Step::Insert(filter, worker, slot, qos) => {
                    let inserted = table.insert(&filter, subscriber(worker, slot, qos), ANY);
                    let before = held.insert((filter, worker, slot), qos);
                    prop_assert_eq!(inserted, Ok(before.map_or(Inserted::New, Inserted::Replaced)));
                }
                Step::Remove(filter, worker_index, slot) => {
                    let removed = table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0));
                    prop_assert_eq!(removed, held.remove(&(filter, worker_index, slot)).is_some());
                }
                Step::RemoveHeld(at) => {
                    if let Some((filter, worker_index, slot)) = held.keys().nth(at).cloned() {
                        prop_assert!(table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0)));
                        held.remove(&(filter, worker_index, slot));
                    }
                }
            }
            prop_assert_eq!(table.subscriptions(), held.len() as u64);
            for (topic, (stamp, routes)) in topics.iter().zip(&mut remembered) {
                let now = table.matches(topic, &mut scratch);
                let found: Vec<_> = now.iter().map(|it| (it.worker.index(), it.client.slot(), it.qos)).collect();
                prop_assert_eq!(found, naive(&held, topic), "{}", topic);
                if epochs.is_current(stamp) {
                    prop_assert_eq!(&*routes, &now, "what a publisher remembers of {} is true", topic);
                } else {
                    *stamp = epochs.stamp(table.slots(topic));
                    *routes = now;
                }
            }
        }
        for (filter, worker_index, slot) in held.into_keys() {
            prop_assert!(table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0)));
        }
        prop_assert!(table.is_empty());
    }
}
