//! The route table of one instance: exact filters by hash, the others in a trie.

use std::sync::Arc;

use contract::refusal::Refusal;
use contract::topic::{self, TopicFilter};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::epochs::{Epochs, TopicSlots, filter_slot};
use crate::route_set::{RouteSet, Target};
use crate::subscriber::{ClientKey, Subscriber, WorkerId};
pub use crate::subscribers::Inserted;
use crate::subscribers::Subscribers;
use crate::trie::Trie;

/// Levels of a filter, at most, whatever a plan says: the largest value that `topic_levels_max` may have.
pub const FILTER_LEVELS_MAX: usize = 200;

/// The working memory of a look-up: one for each worker, used again and again.
#[derive(Default, Debug)]
pub struct Scratch {
    found: Vec<(WorkerId, Target)>,
    nodes: [Vec<u32>; 2],
}

/// What is kept of working memory after an unusual answer, in elements.
const SCRATCH_KEPT_MAX: usize = 16 * 1024;

impl Scratch {
    /// Nothing allocated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn clear(&mut self) {
        self.found.clear();
        self.found.shrink_to(SCRATCH_KEPT_MAX);
        for nodes in &mut self.nodes {
            nodes.clear();
            nodes.shrink_to(SCRATCH_KEPT_MAX);
        }
    }
}

/// All subscriptions of one instance on this node. Each change bumps its epoch before it returns.
///
/// It has no lock of its own: its owner takes one, to change it or when a publisher does not know a topic.
#[derive(Debug)]
pub struct RouteTable {
    seed: u64,
    epochs: Arc<Epochs>,
    exact: HashMap<Box<str>, Subscribers, FixedState>,
    wildcard: Trie,
    subscriptions: u64,
}

impl RouteTable {
    /// An empty table. The seed is chosen by chance, outside, and never told to clients; it belongs to the instance,
    /// as its topics' slots depend on it.
    #[must_use]
    pub fn new(seed: u64, epochs: Arc<Epochs>) -> Self {
        Self {
            seed,
            epochs,
            exact: HashMap::with_hasher(FixedState::with_seed(seed)),
            wildcard: Trie::new(seed),
            subscriptions: 0,
        }
    }

    /// The seed: what [`TopicSlots::of`] wants.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Leads `filter` to a client. A client has one subscription to a filter: the same again replaces the QoS.
    pub fn insert(
        &mut self,
        filter: &TopicFilter,
        subscriber: Subscriber,
        subscriptions_max: u64,
    ) -> Result<Inserted, Refusal> {
        let text = filter.as_str();
        if topic::levels(text) > FILTER_LEVELS_MAX {
            return Err(Refusal::TopicLevelsMax);
        }
        let full = self.subscriptions >= subscriptions_max;
        if full && !self.contains(filter, subscriber.worker, subscriber.client) {
            return Err(Refusal::SubscriptionsMax);
        }
        let inserted = if is_exact(text) {
            match self.exact.entry(text.into()) {
                Entry::Occupied(mut here) => here.get_mut().insert(subscriber),
                Entry::Vacant(here) => {
                    here.insert(Subscribers::One(subscriber));
                    Inserted::New
                }
            }
        } else {
            self.wildcard.insert(text, subscriber)
        };
        if inserted == Inserted::New {
            self.subscriptions += 1;
        }
        if inserted != Inserted::Replaced(subscriber.qos) {
            self.epochs.bump(filter_slot(self.seed, filter));
        }
        Ok(inserted)
    }

    /// Ends a client's subscription to `filter`; false when it had none.
    pub fn remove(&mut self, filter: &TopicFilter, worker: WorkerId, client: ClientKey) -> bool {
        let text = filter.as_str();
        let removed = if is_exact(text) {
            match self.exact.get_mut(text) {
                Some(here) if here.holds_only(worker, client) => self.exact.remove(text).is_some(),
                Some(here) => here.remove(worker, client),
                None => false,
            }
        } else {
            self.wildcard.remove(text, worker, client)
        };
        if removed {
            self.subscriptions -= 1;
            self.epochs.bump(filter_slot(self.seed, filter));
        }
        removed
    }

    /// Everyone who wants `topic`. A client with several subscriptions that match is there once, with the highest QoS
    /// of them [MQTT-3.3.5-1].
    ///
    /// The work is at most one look at each node of the trie, and the sorting of what was found.
    #[must_use]
    pub fn matches(&self, topic: &str, scratch: &mut Scratch) -> RouteSet {
        scratch.clear();
        let found = &mut scratch.found;
        let exact = self.exact.get(topic);
        if let Some(exact) = exact {
            exact.append_to(found);
        }
        let mut filters = usize::from(exact.is_some());
        self.wildcard.matches(topic, &mut scratch.nodes, |subscribers| {
            subscribers.append_to(found);
            filters += 1;
        });
        if filters > 1 {
            // Within a client the QoS decides, as it is the lowest part of a target: the last of a client is its best.
            found.sort_unstable();
            found.dedup_by(|next, kept| {
                let same = kept.0 == next.0 && kept.1.client() == next.1.client();
                if same {
                    kept.1 = next.1;
                }
                same
            });
        }
        RouteSet::from_sorted(found)
    }

    /// The slots of a topic in this table's instance.
    #[must_use]
    pub fn slots(&self, topic: &str) -> TopicSlots {
        TopicSlots::of(self.seed, topic)
    }

    /// Subscriptions of all clients.
    #[must_use]
    pub const fn subscriptions(&self) -> u64 {
        self.subscriptions
    }

    /// Whether nobody is subscribed to anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    fn contains(&self, filter: &TopicFilter, worker: WorkerId, client: ClientKey) -> bool {
        let text = filter.as_str();
        let here = if is_exact(text) { self.exact.get(text) } else { self.wildcard.get(text) };
        here.is_some_and(|here| here.contains(worker, client))
    }
}

fn is_exact(filter: &str) -> bool {
    !filter.contains(['+', '#'])
}
