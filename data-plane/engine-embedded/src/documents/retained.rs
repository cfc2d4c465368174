//! How many retained messages each instance has, and their bytes: known exactly without a look at the disk, since a
//! limit is checked with each one that comes.
//!
//! Of each only a hash of its key is kept, under a seed of this process: two that meet would be counted as one, which
//! among a million has a chance of one in thirty million.

use std::hash::{BuildHasher, RandomState};

use contract::ids::InstanceId;
use hashbrown::HashMap;

use super::key;

/// What is retained.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    hasher: RandomState,
    /// Bytes of each document. 20 to 40 bytes an entry.
    bytes: HashMap<u64, u32, foldhash::fast::RandomState>,
    instances: HashMap<InstanceId, Sum, foldhash::fast::RandomState>,
}

/// What an instance has retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Retained {
    /// A retained message is put in the place of whatever its topic has, or deleted. `full` is its key.
    pub(crate) fn set(&mut self, full: &[u8], bytes: Option<usize>) {
        let Some((instance, _)) = key::split(full) else { return };
        let hash = self.hasher.hash_one(full);
        let before = match bytes {
            Some(bytes) => self.bytes.insert(hash, u32::try_from(bytes).unwrap_or(u32::MAX)),
            None => self.bytes.remove(&hash),
        };
        let sum = self.instances.entry(instance).or_default();
        if let Some(before) = before {
            // Two keys whose hashes meet are counted as one: a sum may be short of what goes.
            sum.messages = sum.messages.saturating_sub(1);
            sum.bytes = sum.bytes.saturating_sub(u64::from(before));
        }
        if let Some(bytes) = bytes {
            sum.messages += 1;
            sum.bytes += u64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        if *sum == Sum::default() {
            self.instances.remove(&instance);
        }
    }

    pub(crate) fn of(&self, instance: InstanceId) -> Sum {
        self.instances.get(&instance).copied().unwrap_or_default()
    }
}
