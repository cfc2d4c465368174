//! Documents in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::MutexGuard;

use contract::ids::InstanceId;
use contract::time::UnixMillis;

use super::{Memory, lock};
use crate::{
    Answer, Batch, DOCUMENT_BYTES_MAX, Document, Entry, FoundDocument, Key, RETAINED_PREFIX, Rev, SCAN_MAX,
    State, StateError, WriteError, expires_at_of, ready,
};

/// Retained messages that are deleted before one look at the documents, since their time is over.
const EXPIRED_AT_ONCE: usize = 64;

/// The documents of every instance.
#[derive(Default)]
pub(super) struct Documents {
    instances: BTreeMap<InstanceId, BTreeMap<Key, Document>>,
    /// The revision that was given last, to whatever document: so it grows across deletion.
    last: u64,
    bytes: usize,
    /// Retained messages that expire, those first that do so first.
    expiring: BTreeSet<(UnixMillis, InstanceId, Key)>,
}

impl Documents {
    fn expect(&self, instance: InstanceId, key: &Key, expect: Rev) -> Result<usize, WriteError> {
        let found = self.instances.get(&instance).and_then(|documents| documents.get(key));
        let rev = found.map_or(Rev::ABSENT, |found| found.rev);
        if rev != expect {
            return Err(WriteError::Conflict { found: rev });
        }
        Ok(found.map_or(0, |found| key.as_bytes().len() + found.body.len()))
    }

    fn put(
        &mut self,
        instance: InstanceId,
        key: &Key,
        body: Vec<u8>,
        expect: Rev,
        bytes_max: usize,
    ) -> Result<Rev, WriteError> {
        if body.len() > DOCUMENT_BYTES_MAX {
            return Err(WriteError::TooLong);
        }
        let before = self.expect(instance, key, expect)?;
        let bytes = self.bytes - before + key.as_bytes().len() + body.len();
        if bytes > bytes_max {
            return Err(WriteError::Full);
        }
        Ok(self.set(instance, key.clone(), body))
    }

    fn set(&mut self, instance: InstanceId, key: Key, body: Vec<u8>) -> Rev {
        self.last += 1;
        let rev = Rev(self.last);
        self.remove(instance, &key);
        self.bytes += key.as_bytes().len() + body.len();
        self.expiring.extend(expiry(instance, &key, &body));
        self.instances.entry(instance).or_default().insert(key, Document { rev, body });
        rev
    }

    fn remove(&mut self, instance: InstanceId, key: &Key) {
        let removed = self.instances.get_mut(&instance).and_then(|documents| documents.remove(key));
        let Some(removed) = removed else { return };
        self.bytes -= key.as_bytes().len() + removed.body.len();
        if let Some(expiry) = expiry(instance, key, &removed.body) {
            self.expiring.remove(&expiry);
        }
    }

    /// Deletes retained messages whose time is over, so many at most as one look may.
    fn delete_expired(&mut self, now: UnixMillis) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some((_, instance, key)) = self.expiring.first().filter(|(at, ..)| *at <= now).cloned()
            else {
                return;
            };
            self.remove(instance, &key);
        }
    }

    /// What a committed batch does to documents. There is no bound here: the log has one.
    pub(super) fn apply(&mut self, batch: &Batch) {
        if !batch.has_documents() {
            return;
        }
        for entry in batch.entries() {
            let (instance, key, body) = match entry.expect("a batch in memory is what was added to it") {
                Entry::Change(change) => {
                    let key = Key::new(change.key).expect("the key of a change is one");
                    (change.instance, key, change.body)
                }
                Entry::Message(message) if message.envelope.retain => {
                    let envelope = message.envelope;
                    let Some(key) = Key::retained(envelope.topic) else { continue };
                    (envelope.instance, key, (!envelope.payload.is_empty()).then_some(message.bytes))
                }
                Entry::Message(_) => continue,
            };
            match body {
                Some(body) => {
                    self.set(instance, key, body.to_vec());
                }
                None => self.remove(instance, &key),
            }
        }
    }

    fn delete(&mut self, instance: InstanceId, key: &Key, expect: Rev) -> Result<(), WriteError> {
        self.expect(instance, key, expect)?;
        self.remove(instance, key);
        Ok(())
    }

    /// The first key that is not before these bytes.
    pub(super) fn find_at_or_after(&self, instance: InstanceId, key: &[u8]) -> Option<&Key> {
        let range = (Bound::Included(key), Bound::Unbounded);
        self.instances.get(&instance)?.range::<[u8], _>(range).next().map(|(key, _)| key)
    }

    /// The document under a key.
    pub(super) fn find(&self, instance: InstanceId, key: &Key) -> Option<&Document> {
        self.instances.get(&instance)?.get(key)
    }

    fn scan(
        &self,
        instance: InstanceId,
        prefix: &[u8],
        after: Option<&Key>,
        limit: usize,
    ) -> Vec<(Key, Document)> {
        let documents = self.instances.get(&instance).into_iter();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = documents.flat_map(|documents| documents.range::<Key, _>((from, Bound::Unbounded)));
        behind
            .skip_while(|(key, _)| key.as_bytes() < prefix)
            .take_while(|(key, _)| key.as_bytes().starts_with(prefix))
            .take(limit.min(SCAN_MAX))
            .map(|(key, document)| (key.clone(), document.clone()))
            .collect()
    }

    fn scan_all(&self, prefix: &[u8], after: Option<(InstanceId, &Key)>, limit: usize) -> Vec<FoundDocument> {
        let limit = limit.min(SCAN_MAX);
        let from = after.map_or(Bound::Unbounded, |(instance, _)| Bound::Included(instance));
        let mut found = Vec::new();
        for &instance in self.instances.range((from, Bound::Unbounded)).map(|(instance, _)| instance) {
            let after = after.filter(|(first, _)| *first == instance).map(|(_, key)| key);
            let documents = self.scan(instance, prefix, after, limit - found.len());
            found.extend(documents.into_iter().map(|(key, document)| (instance, key, document)));
            if found.len() == limit {
                break;
            }
        }
        found
    }
}

/// When a retained message expires, and which one it is.
fn expiry(instance: InstanceId, key: &Key, body: &[u8]) -> Option<(UnixMillis, InstanceId, Key)> {
    let expires_at =
        expires_at_of(body).filter(|_| key.as_bytes().starts_with(RETAINED_PREFIX.as_bytes()))?;
    Some((expires_at, instance, key.clone()))
}

impl Memory {
    /// The documents, without those whose time is over.
    pub(super) fn documents(&self) -> MutexGuard<'_, Documents> {
        let mut documents = lock(&self.log.shared.documents);
        documents.delete_expired((self.options.clock)());
        documents
    }
}

impl State for Memory {
    fn load<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
    ) -> Answer<'a, Result<Option<Document>, StateError>> {
        let documents = self.documents();
        ready(Ok(documents.find(instance, key).cloned()))
    }

    fn put<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        body: Vec<u8>,
        expect: Rev,
    ) -> Answer<'a, Result<Rev, WriteError>> {
        let bytes_max = self.options.stored_bytes_max;
        ready(self.documents().put(instance, key, body, expect, bytes_max))
    }

    fn delete<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        expect: Rev,
    ) -> Answer<'a, Result<(), WriteError>> {
        ready(self.documents().delete(instance, key, expect))
    }

    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>> {
        ready(Ok(self.documents().scan(instance, prefix, after, limit)))
    }

    fn scan_all<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<(InstanceId, &'a Key)>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<FoundDocument>, StateError>> {
        ready(Ok(self.documents().scan_all(prefix, after, limit)))
    }
}
