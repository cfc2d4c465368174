//! Documents in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use contract::ids::InstanceId;

use super::{Memory, lock};
use crate::{Answer, DOCUMENT_BYTES_MAX, Document, Key, Rev, SCAN_MAX, State, StateError, WriteError, ready};

/// The documents of every instance.
#[derive(Default)]
pub(super) struct Documents {
    instances: BTreeMap<InstanceId, BTreeMap<Key, Document>>,
    /// The revision that was given last, to whatever document: so it grows across deletion.
    last: u64,
    bytes: usize,
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
        self.bytes = bytes;
        self.last += 1;
        let rev = Rev(self.last);
        self.instances.entry(instance).or_default().insert(key.clone(), Document { rev, body });
        Ok(rev)
    }

    fn delete(&mut self, instance: InstanceId, key: &Key, expect: Rev) -> Result<(), WriteError> {
        self.bytes -= self.expect(instance, key, expect)?;
        if let Some(documents) = self.instances.get_mut(&instance) {
            documents.remove(key);
        }
        Ok(())
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
}

impl State for Memory {
    fn load<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
    ) -> Answer<'a, Result<Option<Document>, StateError>> {
        let documents = lock(&self.documents);
        ready(Ok(documents.instances.get(&instance).and_then(|documents| documents.get(key)).cloned()))
    }

    fn put<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        body: Vec<u8>,
        expect: Rev,
    ) -> Answer<'a, Result<Rev, WriteError>> {
        let bytes_max = self.options.stored_bytes_max;
        ready(lock(&self.documents).put(instance, key, body, expect, bytes_max))
    }

    fn delete<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        expect: Rev,
    ) -> Answer<'a, Result<(), WriteError>> {
        ready(lock(&self.documents).delete(instance, key, expect))
    }

    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>> {
        ready(Ok(lock(&self.documents).scan(instance, prefix, after, limit)))
    }
}
