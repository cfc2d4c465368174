//! The table against the plainest matcher there is: every subscription asked one by one.

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{ANY, filter, subscriber, table, worker};
use crate::{ClientKey, Inserted, RouteSet, RouteTable, Scratch, Subscriber};

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
    Insert(TopicFilter, usize, u32, (Qos, bool)),
    Remove(TopicFilter, usize, u32),
    /// One of those that are there.
    RemoveHeld(usize),
    InsertLasting(TopicFilter),
    RemoveLasting(TopicFilter),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_filter(), 0_usize..3, 0_u32..4, (any_qos(), any::<bool>()))
            .prop_map(|(filter, worker, slot, wanted)| Step::Insert(filter, worker, slot, wanted)),
        1 => (any_filter(), 0_usize..3, 0_u32..4)
            .prop_map(|(filter, worker, slot)| Step::Remove(filter, worker, slot)),
        2 => (0_usize..40).prop_map(Step::RemoveHeld),
        2 => any_filter().prop_map(Step::InsertLasting),
        2 => any_filter().prop_map(Step::RemoveLasting),
    ]
}

/// Every subscription there is, as plain as can be.
#[derive(Default)]
struct Held {
    live: BTreeMap<(TopicFilter, usize, u32), (Qos, bool)>,
    lasting: BTreeMap<TopicFilter, u64>,
}

/// A route set, spelled out: clients, and whether anything lasts.
type Answer = (Vec<(usize, u32, Qos, bool)>, bool);

impl Held {
    /// One entry for each client: the best QoS of its filters that match, and whether any of them is special.
    fn answer(&self, topic: &str) -> Answer {
        let mut clients = BTreeMap::new();
        for ((filter, worker, slot), &(qos, is_special)) in &self.live {
            if filter.matches(topic) {
                let best = clients.entry((*worker, *slot)).or_insert((qos, is_special));
                *best = (qos.max(best.0), is_special || best.1);
            }
        }
        let plain = |((worker, slot), (qos, is_special))| (worker, slot, qos, is_special);
        let is_lasting = self.lasting.keys().any(|filter| filter.matches(topic));
        (clients.into_iter().map(plain).collect(), is_lasting)
    }

    fn forget_empty(&mut self) {
        self.lasting.retain(|_, count| *count > 0);
    }

    fn subscriptions(&self) -> u64 {
        self.live.len() as u64
    }

    fn lasting(&self) -> u64 {
        self.lasting.values().sum()
    }
}

fn spelled(set: &RouteSet) -> Answer {
    let plain = |it: Subscriber| (it.worker.index(), it.client.slot(), it.qos, it.is_special);
    (set.iter().map(plain).collect(), set.is_lasting())
}

/// Does the step to both; the answers must be the same.
fn apply(step: Step, table: &mut RouteTable, held: &mut Held) -> Result<(), TestCaseError> {
    let one_fewer = |count: Option<&mut u64>| {
        count.is_some_and(|count| {
            *count > 0 && {
                *count -= 1;
                true
            }
        })
    };
    match step {
        Step::Insert(filter, worker, slot, (qos, is_special)) => {
            let wanted = Subscriber { is_special, ..subscriber(worker, slot, qos) };
            let inserted = table.insert(&filter, wanted, ANY);
            let before = held.live.insert((filter, worker, slot), (qos, is_special));
            prop_assert_eq!(inserted, Ok(before.map_or(Inserted::New, |(qos, _)| Inserted::Replaced(qos))));
        }
        Step::Remove(filter, worker_index, slot) => {
            let removed = table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0));
            prop_assert_eq!(removed, held.live.remove(&(filter, worker_index, slot)).is_some());
        }
        Step::RemoveHeld(at) => {
            if let Some((filter, worker_index, slot)) = held.live.keys().nth(at).cloned() {
                prop_assert!(table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0)));
                held.live.remove(&(filter, worker_index, slot));
            }
        }
        Step::InsertLasting(filter) => {
            prop_assert_eq!(table.insert_lasting(&filter), Ok(()));
            *held.lasting.entry(filter).or_default() += 1;
        }
        Step::RemoveLasting(filter) => {
            let removed = table.remove_lasting(&filter);
            prop_assert_eq!(removed, one_fewer(held.lasting.get_mut(&filter)));
        }
    }
    held.forget_empty();
    Ok(())
}

/// Takes all of it away again.
fn empty(table: &mut RouteTable, held: Held) -> Result<(), TestCaseError> {
    for (filter, worker_index, slot) in held.live.into_keys() {
        prop_assert!(table.remove(&filter, worker(worker_index), ClientKey::new(slot, 0)));
    }
    for (filter, count) in held.lasting {
        for _ in 0..count {
            prop_assert!(table.remove_lasting(&filter));
        }
    }
    prop_assert!(table.is_empty());
    prop_assert_eq!((table.lasting(), table.subscriptions()), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn the_table_answers_as_the_plainest_matcher(
        steps in prop::collection::vec(step(), 1..100),
        topics in prop::collection::vec(any_topic(), 1..12),
    ) {
        let (mut table, epochs) = table();
        let (mut held, mut scratch) = (Held::default(), Scratch::new());
        // What a publisher remembers of each topic.
        let mut remembered: Vec<_> = topics
            .iter()
            .map(|topic| (epochs.stamp(table.slots(topic)), table.matches(topic, &mut scratch)))
            .collect();
        for step in steps {
            apply(step, &mut table, &mut held)?;
            prop_assert_eq!(table.subscriptions(), held.subscriptions());
            prop_assert_eq!(table.lasting(), held.lasting());
            for (topic, (stamp, routes)) in topics.iter().zip(&mut remembered) {
                let now = table.matches(topic, &mut scratch);
                prop_assert_eq!(spelled(&now), held.answer(topic), "{}", topic);
                if epochs.is_current(stamp) {
                    prop_assert_eq!(spelled(routes), spelled(&now), "what a publisher remembers of {} is true", topic);
                } else {
                    *stamp = epochs.stamp(table.slots(topic));
                    *routes = now;
                }
            }
        }
        empty(&mut table, held)?;
        for topic in &topics {
            prop_assert!(table.matches(topic, &mut scratch).is_empty());
        }
    }
}
