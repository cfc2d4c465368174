//! The filters with wildcards, level by level. Iterative throughout: the depth of a filter costs no stack.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::leaf::Leaf;

/// The root: no levels yet. As a link it means that there is none, for nothing leads to the root.
const ROOT: u32 = 0;

/// A prefix of filters. Small, for a filter of 32 levels has 32 of them; the names of literal levels are in the
/// edges, of which there is one table for the whole trie.
#[derive(Default, Debug)]
struct Node {
    /// Filters that end here.
    here: Option<Box<Leaf>>,
    /// Filters that end with `#` behind this prefix.
    below: Option<Box<Leaf>>,
    /// The prefix that goes on with `+`.
    plus: u32,
    /// The number of prefixes that go on with a literal level.
    literals: u32,
}

impl Node {
    const fn is_bare(&self) -> bool {
        self.here.is_none() && self.below.is_none() && self.plus == ROOT && self.literals == 0
    }
}

/// From a prefix to the one that has a literal level more.
#[derive(Debug)]
struct Edge {
    level: Box<str>,
    from: u32,
    to: u32,
}

/// Which of a node's leaves a filter belongs to.
#[derive(Clone, Copy)]
enum End {
    Here,
    Below,
}

#[derive(Debug)]
pub(crate) struct Trie {
    hasher: FixedState,
    /// Linked by index, so that dropping a deep trie is dropping an array.
    nodes: Vec<Node>,
    edges: HashTable<Edge>,
    /// Nodes that are free to be used again.
    free: Vec<u32>,
    /// The way to the filter in hand: working memory of a change.
    path: Vec<u32>,
}

impl Trie {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            nodes: vec![Node::default()],
            edges: HashTable::new(),
            free: Vec::new(),
            path: Vec::new(),
        }
    }

    /// What this filter leads to, made bare if there was nothing: for something to be added to it at once.
    pub(crate) fn leaf(&mut self, filter: &str) -> &mut Leaf {
        let (levels, end) = split_end(filter);
        let mut at = ROOT;
        for level in levels {
            at = self.child(at, level);
        }
        self.nodes[at as usize].leaf(end).get_or_insert_default()
    }

    /// Changes what this filter leads to, and takes it away when nothing is left; `None` when there was nothing.
    pub(crate) fn change<R>(&mut self, filter: &str, change: impl FnOnce(&mut Leaf) -> R) -> Option<R> {
        let end = self.find_path(filter)?;
        let &at = self.path.last()?;
        let place = self.nodes[at as usize].leaf(end);
        let leaf = place.as_deref_mut()?;
        let result = change(leaf);
        if leaf.is_bare() {
            *place = None;
            self.prune(filter);
        }
        Some(result)
    }

    /// What exactly this filter leads to.
    pub(crate) fn get(&self, filter: &str) -> Option<&Leaf> {
        let (levels, end) = split_end(filter);
        let mut at = ROOT;
        for level in levels {
            at = self.find_child(at, level)?;
        }
        let node = &self.nodes[at as usize];
        match end {
            End::Here => node.here.as_deref(),
            End::Below => node.below.as_deref(),
        }
    }

    /// Calls `found` for each filter that matches `topic`. All prefixes that match so far go on together, level by
    /// level, so each node is looked at once at most; the answer is how many were.
    pub(crate) fn matches<'a>(
        &'a self,
        topic: &str,
        [current, next]: &mut [Vec<u32>; 2],
        mut found: impl FnMut(&'a Leaf),
    ) -> usize {
        current.push(ROOT);
        let mut looks = 0;
        // A wildcard in the first level matches no topic that begins with `$` [MQTT-4.7.2-1].
        let mut wildcards = !topic.starts_with('$');
        for level in topic.split('/') {
            looks += current.len();
            let hash = LevelHash::new(&self.hasher, level);
            for &at in &*current {
                let node = &self.nodes[at as usize];
                if wildcards {
                    if let Some(below) = &node.below {
                        found(below);
                    }
                    if node.plus != ROOT {
                        next.push(node.plus);
                    }
                }
                if node.literals > 0 {
                    next.extend(self.find_edge(hash.with(at), at, level));
                }
            }
            wildcards = true;
            std::mem::swap(current, next);
            next.clear();
            if current.is_empty() {
                return looks;
            }
        }
        looks += current.len();
        for &at in &*current {
            let node = &self.nodes[at as usize];
            if let Some(here) = &node.here {
                found(here);
            }
            // `a/#` also matches `a` [MQTT-4.7.1-2].
            if let Some(below) = &node.below {
                found(below);
            }
        }
        looks
    }

    /// The number of prefixes, the empty one among them.
    #[cfg(test)]
    pub(crate) fn prefixes(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// The prefix that has one level more, made if need be.
    fn child(&mut self, from: u32, level: &str) -> u32 {
        if let Some(to) = self.find_child(from, level) {
            return to;
        }
        let to = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            u32::try_from(self.nodes.len() - 1).expect("the memory of 2^32 nodes is not to be had")
        });
        let node = &mut self.nodes[from as usize];
        if level == "+" {
            node.plus = to;
        } else {
            node.literals += 1;
            let hasher = &self.hasher;
            self.edges.insert_unique(
                LevelHash::new(hasher, level).with(from),
                Edge { level: level.into(), from, to },
                |edge| LevelHash::new(hasher, &edge.level).with(edge.from),
            );
        }
        to
    }

    fn find_child(&self, from: u32, level: &str) -> Option<u32> {
        if level == "+" {
            let plus = self.nodes[from as usize].plus;
            return (plus != ROOT).then_some(plus);
        }
        self.find_edge(LevelHash::new(&self.hasher, level).with(from), from, level)
    }

    #[inline]
    fn find_edge(&self, hash: u64, from: u32, level: &str) -> Option<u32> {
        self.edges.find(hash, |edge| edge.from == from && *edge.level == *level).map(|edge| edge.to)
    }

    /// Leaves in `path` every node on the way to a filter, the root first.
    fn find_path(&mut self, filter: &str) -> Option<End> {
        let (levels, end) = split_end(filter);
        self.path.clear();
        let mut at = ROOT;
        self.path.push(at);
        for level in levels {
            at = self.find_child(at, level)?;
            self.path.push(at);
        }
        Some(end)
    }

    /// Takes away what leads nowhere any more, from the end of `path` towards the root.
    fn prune(&mut self, filter: &str) {
        let (levels, _) = split_end(filter);
        for level in levels.rev() {
            let Some(at) = self.path.pop() else { return };
            let Some(&from) = self.path.last() else { return };
            if !self.nodes[at as usize].is_bare() {
                return;
            }
            self.free.push(at);
            if level == "+" {
                self.nodes[from as usize].plus = ROOT;
                continue;
            }
            self.nodes[from as usize].literals -= 1;
            let hash = LevelHash::new(&self.hasher, level).with(from);
            if let Ok(edge) = self.edges.find_entry(hash, |edge| edge.to == at) {
                edge.remove();
            }
        }
        if self.nodes[ROOT as usize].is_bare() {
            // Nothing is left: the memory of a great past goes too.
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = Vec::new();
            self.edges = HashTable::new();
        }
    }
}

impl Node {
    fn leaf(&mut self, end: End) -> &mut Option<Box<Leaf>> {
        match end {
            End::Here => &mut self.here,
            End::Below => &mut self.below,
        }
    }
}

/// The hash of an edge: that of its level, which is worked out once for all the nodes it may lead from, and that of
/// the node.
#[derive(Clone, Copy)]
struct LevelHash<'a> {
    hasher: &'a FixedState,
    level: u64,
}

impl<'a> LevelHash<'a> {
    fn new(hasher: &'a FixedState, level: &str) -> Self {
        Self { hasher, level: hasher.hash_one(level) }
    }

    #[inline]
    fn with(self, from: u32) -> u64 {
        self.hasher.hash_one((self.level, from))
    }
}

/// The levels of a filter without a last `#`, and which leaf of the last node it has.
fn split_end(filter: &str) -> (impl DoubleEndedIterator<Item = &str>, End) {
    let (levels, end) = match filter.strip_suffix('#') {
        Some("") => (None, End::Below),
        Some(levels) => (Some(levels.strip_suffix('/').unwrap_or(levels)), End::Below),
        None => (Some(filter), End::Here),
    };
    (levels.into_iter().flat_map(|levels| levels.split('/')), end)
}
