//! The bounded cache of decoded credentials in front of the disk.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use contract::feed::CredentialDocument;
use contract::ids::InstanceId;
use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};

use crate::apply::ReplicaError;
use crate::lock;

/// The most credentials held. A reconnect storm of more clients reads the disk's own block cache instead.
pub(crate) const CREDENTIALS_MAX: usize = 16_384;
/// The most bytes held, counted as the rows on disk, which are near what a decoded one takes.
pub(crate) const CREDENTIAL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Two generations: what is asked for moves to the young one; when that is half of the bound, it becomes the old one
/// and what was old and not asked for since goes. So the cache forgets what is least used, at no cost per hit.
pub(crate) struct CredentialCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Held, RandomState>,
    young_bytes: usize,
    old: HashMap<Key, Held, RandomState>,
    /// Grows with every change of configuration: what was read from disk before one is not kept after it.
    changes: u64,
}

#[derive(Clone)]
struct Held {
    document: Arc<CredentialDocument>,
    bytes: usize,
}

#[derive(PartialEq, Eq)]
struct Key(InstanceId, Box<str>);

#[derive(Hash)]
struct KeyRef<'a>(InstanceId, &'a str);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef(self.0, &self.1).hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl CredentialCache {
    pub(crate) fn new() -> Self {
        Self { generations: Mutex::new(Generations::default()) }
    }

    /// The credential held, else what `load` finds (with the bytes of its row), which is then held. An absent one is
    /// not: names that do not exist must not push out those that do.
    pub(crate) fn get_or_load(
        &self,
        instance: InstanceId,
        username: &str,
        load: impl FnOnce() -> Result<Option<(CredentialDocument, usize)>, ReplicaError>,
    ) -> Result<Option<Arc<CredentialDocument>>, ReplicaError> {
        let changes = {
            let mut generations = lock(&self.generations);
            if let Some(held) = generations.get(&KeyRef(instance, username)) {
                return Ok(Some(held));
            }
            generations.changes
        };
        let Some((document, bytes)) = load()? else { return Ok(None) };
        let held = Held { document: Arc::new(document), bytes };
        let document = Arc::clone(&held.document);
        let mut generations = lock(&self.generations);
        if generations.changes == changes {
            generations.insert(Key(instance, username.into()), held);
        }
        Ok(Some(document))
    }

    /// To be called once the change is on disk, before anybody is told of it.
    pub(crate) fn forget<'a>(&self, changed: impl Iterator<Item = (InstanceId, &'a str)>) {
        let mut generations = lock(&self.generations);
        generations.changes += 1;
        for (instance, username) in changed {
            generations.remove(&KeyRef(instance, username));
        }
    }

    /// As [`Self::forget`], for everything.
    pub(crate) fn forget_all(&self) {
        let mut generations = lock(&self.generations);
        *generations = Generations { changes: generations.changes + 1, ..Generations::default() };
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let generations = lock(&self.generations);
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn get(&mut self, key: &KeyRef<'_>) -> Option<Arc<CredentialDocument>> {
        if let Some(held) = self.young.get(key) {
            return Some(Arc::clone(&held.document));
        }
        let (key, held) = self.old.remove_entry(key)?;
        let document = Arc::clone(&held.document);
        self.insert(key, held);
        Some(document)
    }

    fn insert(&mut self, key: Key, held: Held) {
        if self.young.len() >= CREDENTIALS_MAX / 2 || self.young_bytes + held.bytes > CREDENTIAL_BYTES_MAX / 2
        {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if held.bytes > CREDENTIAL_BYTES_MAX / 2 {
            return; // one row alone is past the bound
        }
        self.young_bytes += held.bytes;
        if let Some(before) = self.young.insert(key, held) {
            self.young_bytes -= before.bytes;
        }
    }

    fn remove(&mut self, key: &KeyRef<'_>) {
        if let Some(held) = self.young.remove(key) {
            self.young_bytes -= held.bytes;
        }
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use contract::grant::Grants;
    use contract::ids::CredentialId;
    use uuid::Uuid;

    use super::*;

    fn instance() -> InstanceId {
        InstanceId(Uuid::nil())
    }

    fn document(username: &str, credential: u128) -> CredentialDocument {
        CredentialDocument {
            id: CredentialId(Uuid::from_u128(credential)),
            instance: instance(),
            username: username.to_owned(),
            client_id: None,
            enabled: true,
            secrets: Vec::new(),
            grants: Grants::default(),
        }
    }

    /// Asks for `username`, with rows of `bytes` on disk; returns whether the disk was read.
    fn ask(cache: &CredentialCache, username: &str, bytes: usize) -> bool {
        let mut read = false;
        let found = cache.get_or_load(instance(), username, || {
            read = true;
            Ok(Some((document(username, 1), bytes)))
        });
        assert_eq!(found.expect("loads").expect("there").username, username);
        read
    }

    #[test]
    fn what_is_asked_for_stays_and_the_number_is_bounded() {
        let cache = CredentialCache::new();
        assert!(ask(&cache, "often", 10));
        for number in 0..3 * CREDENTIALS_MAX {
            ask(&cache, &format!("once-{number}"), 10);
            assert!(number % 1_000 != 0 || !ask(&cache, "often", 10), "after {number} others");
            assert!(cache.len() <= CREDENTIALS_MAX);
        }
        assert!(ask(&cache, "once-0", 10), "long forgotten");
    }

    #[test]
    fn the_bytes_are_bounded() {
        let cache = CredentialCache::new();
        for number in 0..100 {
            ask(&cache, &format!("large-{number}"), CREDENTIAL_BYTES_MAX / 10);
            assert!(cache.len() <= 10);
        }
        ask(&cache, "huge", CREDENTIAL_BYTES_MAX);
        assert!(ask(&cache, "huge", CREDENTIAL_BYTES_MAX), "one that is past the bound alone is not held");
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = CredentialCache::new();
        let stale = cache.get_or_load(instance(), "robot", || {
            cache.forget([(instance(), "robot")].into_iter()); // the change arrives while the disk is read
            Ok(Some((document("robot", 1), 10)))
        });
        assert!(stale.expect("loads").is_some());
        assert!(ask(&cache, "robot", 10), "the disk is asked again");
        assert!(!ask(&cache, "robot", 10));
        cache.forget_all();
        assert!(ask(&cache, "robot", 10));
    }

    #[test]
    fn what_is_absent_is_not_held() {
        let cache = CredentialCache::new();
        let absent = cache.get_or_load(instance(), "nobody", || Ok(None)).expect("loads");
        assert_eq!((absent, cache.len()), (None, 0));
    }
}
