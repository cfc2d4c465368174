//! Which topics have a retained message, how many each instance has with how many bytes, and when they expire: known
//! without a look at the disk, since a limit is checked with each one that comes, and a wildcard may match one topic in a
//! thousand.

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use engine::view::retained::Walk;
use engine::{RETAINED_PREFIX, expires_at_of};
use hashbrown::HashMap;

use super::expiring::Expiring;
use super::key;
use super::packed_keys::PackedKeys;

/// What is retained.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    /// Instance, key and bytes of each document. 10 to 20 bytes an entry where topics begin as their neighbours do.
    keys: PackedKeys,
    expiring: Expiring,
    instances: HashMap<InstanceId, Sum, foldhash::fast::RandomState>,
}

/// What an instance has retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Retained {
    /// A retained message, whose record this is, is put in the place of whatever its topic has; none: that is deleted.
    /// `full` is its key.
    pub(crate) fn set(&mut self, full: &[u8], record: Option<&[u8]>) {
        let Some((instance, _)) = key::split(full) else { return };
        self.expiring.set(full, record.and_then(expires_at_of));
        let bytes = record.map(|record| u32::try_from(record.len()).unwrap_or(u32::MAX));
        let before = match bytes {
            Some(bytes) => self.keys.insert(full, bytes),
            None => self.keys.remove(full),
        };
        let sum = self.instances.entry(instance).or_default();
        if let Some(before) = before {
            sum.messages -= 1;
            sum.bytes -= u64::from(before);
        }
        if let Some(bytes) = bytes {
            sum.messages += 1;
            sum.bytes += u64::from(bytes);
        }
        if sum.messages == 0 {
            self.instances.remove(&instance);
        }
    }

    /// Whether no message's time is over.
    pub(crate) fn is_none_due(&self, now: UnixMillis) -> bool {
        self.expiring.first_due(now).is_none()
    }

    /// Forgets a message whose time is over, and answers its key.
    pub(crate) fn take_expired(&mut self, now: UnixMillis) -> Option<Vec<u8>> {
        let full = self.expiring.first_due(now)?;
        self.set(&full, None);
        Some(full)
    }

    pub(crate) fn of(&self, instance: InstanceId) -> Sum {
        self.instances.get(&instance).copied().unwrap_or_default()
    }

    /// Leads a walk over the topics of an instance, past so many at most. Whether it has come to its end.
    pub(crate) fn walk(&self, instance: InstanceId, walk: &mut dyn Walk, topics_max: usize) -> bool {
        let prefix = key::full(instance, RETAINED_PREFIX.as_bytes());
        let Some(first) = walk.place() else { return true };
        let mut place = [&prefix, first].concat();
        let mut left = topics_max;
        let mut is_over = true;
        self.keys.walk(&mut place, |full, place| {
            let Some(topic) = full.strip_prefix(prefix.as_slice()) else { return false };
            // What is no text is no topic.
            if let Ok(topic) = std::str::from_utf8(topic) {
                walk.come_to(topic);
                let Some(next) = walk.place() else { return false };
                place.truncate(prefix.len());
                place.extend_from_slice(next);
                left = left.saturating_sub(1);
                is_over = left > 0;
            }
            is_over
        });
        is_over
    }
}
