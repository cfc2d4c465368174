//! The route table of one instance: exact filters by hash, the others in a trie.

use std::sync::Arc;

use contract::refusal::Refusal;
use contract::topic::{self, TopicFilter};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::epochs::{Epochs, TopicSlots, filter_slot};
use crate::leaf::Leaf;
use crate::route_set::{RouteSet, Target};
use crate::subscriber::{ClientKey, Subscriber, WorkerId};
pub use crate::subscribers::Inserted;
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
/// Lasting subscriptions are counted apart from the clients that have them: they are there while the client is away,
/// and a client that has come back is a subscriber besides.
///
/// It has no lock of its own: its owner takes one, to change it or when a publisher does not know a topic.
#[derive(Debug)]
pub struct RouteTable {
    seed: u64,
    epochs: Arc<Epochs>,
    exact: HashMap<Box<str>, Leaf, FixedState>,
    wildcard: Trie,
    subscriptions: u64,
    lasting: u64,
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
            lasting: 0,
        }
    }

    /// The seed: what [`TopicSlots::of`] wants.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Leads `filter` to a client. A client has one subscription to a filter: the same again replaces it.
    pub fn insert(
        &mut self,
        filter: &TopicFilter,
        subscriber: Subscriber,
        subscriptions_max: u64,
    ) -> Result<Inserted, Refusal> {
        check_levels(filter)?;
        let contains = |leaf: &Leaf| leaf.contains(subscriber.worker, subscriber.client);
        if self.subscriptions >= subscriptions_max && !self.get(filter).is_some_and(contains) {
            return Err(Refusal::SubscriptionsMax);
        }
        let before = self.leaf(filter).insert(subscriber);
        self.note_insertion(filter, before, subscriber);
        Ok(before.map_or(Inserted::New, |before| Inserted::Replaced(before.qos)))
    }

    /// Ends a client's subscription to `filter`; false when it had none.
    pub fn remove(&mut self, filter: &TopicFilter, worker: WorkerId, client: ClientKey) -> bool {
        let removed = self.change(filter, |leaf| leaf.remove(worker, client)).unwrap_or(false);
        if removed {
            self.subscriptions -= 1;
            self.bump(filter);
        }
        removed
    }

    /// Counts one lasting subscription to `filter`, of QoS 1 or 2, whose client may be away.
    pub fn insert_lasting(&mut self, filter: &TopicFilter) -> Result<(), Refusal> {
        check_levels(filter)?;
        self.lasting += 1;
        if self.leaf(filter).add_lasting() {
            self.bump(filter);
        }
        Ok(())
    }

    /// Counts one fewer; false when there was none.
    pub fn remove_lasting(&mut self, filter: &TopicFilter) -> bool {
        let taken = self.change(filter, Leaf::take_lasting).flatten();
        self.note_taken(filter, taken)
    }

    /// Everyone who wants `topic`. A client with several subscriptions that match is there once, with the highest QoS
    /// of them [MQTT-3.3.4-2], and special if any of them is.
    ///
    /// The work is at most one look at each node of the trie, and the sorting of what was found.
    #[must_use]
    pub fn matches(&self, topic: &str, scratch: &mut Scratch) -> RouteSet {
        scratch.clear();
        let Scratch { found, nodes } = scratch;
        let (mut filters, mut is_lasting) = (0, false);
        let mut take = |leaf: &Leaf| {
            if let Some(live) = leaf.live() {
                live.append_to(found);
                filters += 1;
            }
            is_lasting |= leaf.is_lasting();
        };
        if let Some(exact) = self.exact.get(topic) {
            take(exact);
        }
        self.wildcard.matches(topic, nodes, take);
        if filters > 1 {
            found.sort_unstable();
            found.dedup_by(|next, kept| {
                let same = kept.0 == next.0 && kept.1.client() == next.1.client();
                if same {
                    kept.1 = kept.1.merged(next.1);
                }
                same
            });
        }
        RouteSet::from_sorted(found, is_lasting)
    }

    /// The slots of a topic in this table's instance.
    #[must_use]
    pub fn slots(&self, topic: &str) -> TopicSlots {
        TopicSlots::of(self.seed, topic)
    }

    /// Subscriptions of all clients that are connected.
    #[must_use]
    pub const fn subscriptions(&self) -> u64 {
        self.subscriptions
    }

    /// Lasting subscriptions, of clients that are connected or away.
    #[must_use]
    pub const fn lasting(&self) -> u64 {
        self.lasting
    }

    /// Whether nobody is subscribed to anything, connected or away.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.subscriptions == 0 && self.lasting == 0
    }

    fn get(&self, filter: &TopicFilter) -> Option<&Leaf> {
        let text = filter.as_str();
        if is_exact(text) { self.exact.get(text) } else { self.wildcard.get(text) }
    }

    /// What the filter leads to, bare if it is new: whoever asks adds something to it at once.
    fn leaf(&mut self, filter: &TopicFilter) -> &mut Leaf {
        let text = filter.as_str();
        if is_exact(text) { self.exact.entry(text.into()).or_default() } else { self.wildcard.leaf(text) }
    }

    /// Changes what the filter leads to, and takes it away when nothing is left.
    fn change<R>(&mut self, filter: &TopicFilter, change: impl FnOnce(&mut Leaf) -> R) -> Option<R> {
        let text = filter.as_str();
        if !is_exact(text) {
            return self.wildcard.change(text, change);
        }
        let leaf = self.exact.get_mut(text)?;
        let result = change(leaf);
        if leaf.is_bare() {
            self.exact.remove(text);
        }
        Some(result)
    }

    fn note_insertion(&mut self, filter: &TopicFilter, before: Option<Subscriber>, now: Subscriber) {
        if before.is_none() {
            self.subscriptions += 1;
        }
        if before != Some(now) {
            self.bump(filter);
        }
    }

    fn note_taken(&mut self, filter: &TopicFilter, was_last: Option<bool>) -> bool {
        let Some(was_last) = was_last else { return false };
        self.lasting -= 1;
        if was_last {
            self.bump(filter);
        }
        true
    }

    fn bump(&self, filter: &TopicFilter) {
        self.epochs.bump(filter_slot(self.seed, filter));
    }
}

fn check_levels(filter: &TopicFilter) -> Result<(), Refusal> {
    let is_too_deep = topic::levels(filter.as_str()) > FILTER_LEVELS_MAX;
    if is_too_deep { Err(Refusal::TopicLevelsMax) } else { Ok(()) }
}

fn is_exact(filter: &str) -> bool {
    !filter.contains(['+', '#'])
}
