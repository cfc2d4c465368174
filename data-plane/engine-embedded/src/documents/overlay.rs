//! What committed batches have done to documents since those were moved on the last time: the newest of each key, in
//! memory. The log's thread writes here, the view's thread carries it away.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use engine::{Batch, Change, Entry, EnvelopeError, RETAINED_PREFIX, Rev};

use super::key;
use super::{DocumentView, DocumentWrite};

/// What an entry takes beside its key and body, about.
const ENTRY_BYTES: usize = 96;

/// What was written under a key; no body: deleted.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) rev: Rev,
    pub(crate) body: Option<Arc<[u8]>>,
}

/// Writes with their keys, in the order of the log.
pub(crate) type Writes = Vec<(Vec<u8>, Written)>;

/// Adds what a committed batch does to documents. Of a batch without a retained message only its changes are looked at.
pub(crate) fn add_writes_of(record: u64, batch: &Batch, writes: &mut Writes) -> Result<(), EnvelopeError> {
    if batch.has_retained() {
        add_writes(record, batch.entries(), writes)
    } else {
        add_writes(record, batch.changes().map(|change| change.map(Entry::Change)), writes)
    }
}

/// Adds what a record's entries do to documents. What is whole before an error has been added.
pub(crate) fn add_writes<'a>(
    record: u64,
    entries: impl Iterator<Item = Result<Entry<'a>, EnvelopeError>>,
    writes: &mut Writes,
) -> Result<(), EnvelopeError> {
    let written = |body: Option<&[u8]>| Written { rev: Rev(record), body: body.map(Arc::from) };
    for entry in entries {
        match entry? {
            Entry::Change(Change { instance, key, body }) => {
                writes.push((key::full(instance, key), written(body)));
            }
            Entry::Message(message) if message.envelope.retain => {
                let envelope = message.envelope;
                let key = [RETAINED_PREFIX, envelope.topic].concat();
                if key.len() <= engine::KEY_BYTES_MAX {
                    let body = (!envelope.payload.is_empty()).then_some(message.bytes);
                    writes.push((key::full(envelope.instance, key.as_bytes()), written(body)));
                }
            }
            Entry::Message(_) => {}
        }
    }
    Ok(())
}

/// The newest write of each key.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) entries: BTreeMap<Box<[u8]>, Written>,
    pub(crate) bytes: usize,
}

/// All that is not on the disk's side yet.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) active: Layer,
    /// On its way to the documents, which may have it already or not.
    pub(crate) moving: Option<Arc<Moving>>,
    /// Everything before this record has been looked at.
    pub(crate) next: u64,
}

/// A layer that is carried away, and the position that the documents have with it.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) layer: Layer,
    pub(crate) position: u64,
}

impl Layer {
    fn put(&mut self, key: Vec<u8>, written: Written) {
        let body_bytes = |it: &Written| it.body.as_ref().map_or(0, |body| body.len());
        let (key_bytes, bytes) = (key.len(), body_bytes(&written));
        match self.entries.insert(key.into_boxed_slice(), written) {
            Some(before) => self.bytes = self.bytes + bytes - body_bytes(&before),
            None => self.bytes += key_bytes + bytes + ENTRY_BYTES,
        }
    }

    /// The writes, in the order of their keys.
    pub(crate) fn writes(&self) -> impl Iterator<Item = DocumentWrite<'_>> {
        self.entries.iter().map(|(key, written)| DocumentWrite {
            key,
            document: written.body.as_deref().map(|body| DocumentView { rev: written.rev, body }),
        })
    }
}

impl Overlay {
    pub(crate) fn new(next: u64) -> Self {
        Self { active: Layer::default(), moving: None, next }
    }

    /// The bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.active.bytes + self.moving.as_ref().map_or(0, |it| it.layer.bytes)
    }

    /// Takes in what committed batches do to documents.
    pub(crate) fn add(&mut self, writes: Writes) {
        for (full, written) in writes {
            self.active.put(full, written);
        }
    }

    /// What is written under a key here.
    pub(crate) fn get(&self, full: &[u8]) -> Option<&Written> {
        let moving = || self.moving.as_ref().and_then(|it| it.layer.entries.get(full));
        self.active.entries.get(full).or_else(moving)
    }

    /// The newest writes from `from` on, in the order of their keys, at most `limit`.
    pub(crate) fn range(&self, from: &[u8], limit: usize) -> Vec<(Box<[u8]>, Written)> {
        let mut active =
            self.active.entries.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).peekable();
        let moving = self.moving.as_ref().map(|it| &it.layer.entries);
        let mut moving = moving
            .into_iter()
            .flat_map(|it| it.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)))
            .peekable();
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match (active.peek(), moving.peek()) {
                (Some((a, _)), Some((b, _))) if a <= b => {
                    moving.next_if(|(key, _)| key == a);
                    active.next()
                }
                (Some(_), None) => active.next(),
                (_, Some(_)) => moving.next(),
                (None, None) => None,
            };
            let Some((key, written)) = next else { break };
            found.push((key.clone(), written.clone()));
        }
        found
    }
}
