//! A map that many threads read without a lock and one writer replaces piece by piece.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use foldhash::fast::RandomState;

/// A write copies one of these pieces.
const SHARDS: usize = 64;

/// Writers must exclude each other; a change to several keys is seen key by key.
pub(crate) struct SharedMap<K, V> {
    shards: Vec<ArcSwap<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone, V: Clone> SharedMap<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| ArcSwap::from_pointee(HashMap::default())).collect(),
            hasher: RandomState::default(),
        }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.shards[self.shard(key)].load().get(key).cloned()
    }

    pub(crate) fn values(&self) -> Vec<V> {
        self.shards.iter().flat_map(|shard| shard.load().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Puts (`Some`) and removes (`None`), each shard touched once.
    pub(crate) fn update(&self, changes: impl IntoIterator<Item = (K, Option<V>)>) {
        for (index, changes) in self.split(changes).into_iter().enumerate() {
            if changes.is_empty() {
                continue;
            }
            let mut map = HashMap::clone(&self.shards[index].load());
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
            }
            self.shards[index].store(Arc::new(map));
        }
    }

    /// Puts these in the place of all that is there.
    pub(crate) fn replace(&self, values: impl IntoIterator<Item = (K, V)>) {
        for (shard, values) in self.shards.iter().zip(self.split(values)) {
            shard.store(Arc::new(values.into_iter().collect()));
        }
    }

    fn split<T>(&self, items: impl IntoIterator<Item = (K, T)>) -> Vec<Vec<(K, T)>> {
        let mut split: Vec<Vec<(K, T)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for (key, item) in items {
            split[self.shard(&key)].push((key, item));
        }
        split
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        usize::try_from(self.hasher.hash_one(key) >> 58).expect("six bits fit") % SHARDS
    }
}
