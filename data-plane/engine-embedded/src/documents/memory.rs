//! Documents in memory that keep what was persisted and may lose the rest, as those on a disk do. For tests.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use engine::Rev;

use super::{DocumentView, DocumentWrite, Documents, LOSSES_MAX, StoredDocument};
use crate::shared::lock;

/// The documents; its clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryDocuments(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: Image,
    persisted: Image,
    /// What was applied since, oldest first.
    unpersisted: VecDeque<Applied>,
    fails: bool,
    fails_writes: bool,
    /// Writes so far.
    steps: u64,
    /// From this step on nothing is done any more.
    stop_at: Option<u64>,
}

#[derive(Clone, Debug)]
struct Image {
    rows: BTreeMap<Vec<u8>, StoredDocument>,
    position: u64,
    losses: Vec<String>,
}

#[derive(Clone, Debug)]
enum Applied {
    Writes(Vec<(Vec<u8>, Option<StoredDocument>)>, u64),
    Loss(String),
}

impl Default for Image {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), position: 1, losses: Vec::new() }
    }
}

impl Image {
    fn apply(&mut self, applied: &Applied) {
        match applied {
            Applied::Writes(writes, position) => {
                for (key, document) in writes {
                    match document {
                        Some(document) => self.rows.insert(key.clone(), document.clone()),
                        None => self.rows.remove(key),
                    };
                }
                self.position = *position;
            }
            Applied::Loss(loss) => {
                self.losses.push(loss.clone());
                let over = self.losses.len().saturating_sub(LOSSES_MAX);
                self.losses.drain(..over);
            }
        }
    }
}

impl Inner {
    /// One write more.
    fn step(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|it| self.steps >= it) {
            return Err(io::Error::other("the documents have stopped"));
        }
        self.steps += 1;
        if self.fails_writes {
            // As after a write that failed: opened again, with what was durable.
            self.now = self.persisted.clone();
            self.unpersisted.clear();
            return Err(io::Error::other("the documents were told to fail"));
        }
        Ok(())
    }

    fn apply(&mut self, applied: Applied) -> io::Result<()> {
        self.step()?;
        self.now.apply(&applied);
        self.unpersisted.push_back(applied);
        Ok(())
    }
}

impl MemoryDocuments {
    /// The documents that a machine finds after it has stopped: what was persisted, and of what was applied since the
    /// first `kept` steps. These stay as they are.
    #[must_use]
    pub fn after_stop(&self, kept: usize) -> Self {
        let inner = lock(&self.0);
        let mut image = inner.persisted.clone();
        inner.unpersisted.iter().take(kept).for_each(|applied| image.apply(applied));
        Self(Arc::new(Mutex::new(Inner { now: image.clone(), persisted: image, ..Inner::default() })))
    }

    /// How many steps were applied since the last time that all was persisted.
    pub fn unpersisted_steps(&self) -> usize {
        lock(&self.0).unpersisted.len()
    }

    /// Lets everything fail from now on, or work again.
    pub fn fail(&self, fails: bool) {
        lock(&self.0).fails = fails;
    }

    /// Lets nothing be applied or persisted from now on, or again. Each failure leaves what was persisted, which is
    /// read.
    pub fn fail_writes(&self, fails: bool) {
        lock(&self.0).fails_writes = fails;
    }

    /// Writes nothing any more after so many writes more: the machine stops.
    pub fn stop_after(&self, steps: u64) {
        let mut inner = lock(&self.0);
        inner.stop_at = Some(inner.steps + steps);
    }

    fn inner(&self) -> io::Result<std::sync::MutexGuard<'_, Inner>> {
        let inner = lock(&self.0);
        if inner.fails { Err(io::Error::other("the documents were told to fail")) } else { Ok(inner) }
    }
}

impl Documents for MemoryDocuments {
    fn position(&self) -> io::Result<u64> {
        Ok(self.inner()?.now.position)
    }

    fn apply(&self, writes: &mut dyn Iterator<Item = DocumentWrite<'_>>, position: u64) -> io::Result<()> {
        let owned = |it: DocumentView<'_>| StoredDocument { rev: it.rev, body: it.body.to_vec() };
        let writes = writes.map(|write| (write.key.to_vec(), write.document.map(owned))).collect();
        self.inner()?.apply(Applied::Writes(writes, position))
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<StoredDocument>> {
        Ok(self.inner()?.now.rows.get(key).cloned())
    }

    fn range(&self, from: &[u8], each: &mut dyn FnMut(&[u8], DocumentView<'_>) -> bool) -> io::Result<()> {
        let inner = self.inner()?;
        for (key, document) in inner.now.rows.range(from.to_vec()..) {
            let StoredDocument { rev: Rev(rev), body } = document;
            if !each(key, DocumentView { rev: Rev(*rev), body }) {
                break;
            }
        }
        Ok(())
    }

    fn persist(&self) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.step()?;
        let inner = &mut *inner;
        for applied in inner.unpersisted.drain(..) {
            inner.persisted.apply(&applied);
        }
        Ok(())
    }

    fn losses(&self) -> io::Result<Vec<String>> {
        Ok(self.inner()?.now.losses.clone())
    }

    fn note_loss(&self, loss: &str) -> io::Result<()> {
        self.inner()?.apply(Applied::Loss(loss.replace('\n', " ")))
    }
}
