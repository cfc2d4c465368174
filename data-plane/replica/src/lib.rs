//! A node's local copy of its configuration, on disk. It talks to nobody: what to apply is handed in, and what live
//! connections must be looked at again is handed back.
//!
//! Three rules hold it together:
//! - **Forward only.** Rows and their generation are one durable batch; a batch at or below the generation held, or of
//!   another timeline, changes nothing. Only a whole export, which the controller must have asked for, may replace it.
//! - **The old serves until the new is whole.** An export fills a copy of its own; one batch makes it the serving one,
//!   and a crash before it leaves the old copy as it was.
//! - **Readers never wait for a writer.** Rules are immutable snapshots per instance; only credentials are read from
//!   disk, through a small cache.
//!
//! Calls that write, and [`Replica::credential`] on a miss, block on the disk: not for a worker's thread.

mod affected;
mod apply;
mod copy;
mod credentials;
mod directory;
mod edit;
mod export;
mod revocations;
mod rules;
mod shared_map;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use contract::feed::{CredentialDocument, FORMAT_VERSION, Generation, UrgentEntry};
use contract::ids::{InstanceId, TimelineId};
use fjall::{Database, Keyspace};

use crate::copy::{Copy, StoredPosition};
use crate::credentials::CredentialCache;
use crate::shared_map::SharedMap;

pub use crate::affected::Affected;
pub use crate::apply::ReplicaError;
pub use crate::directory::{Found, OpenError, REPLICA_FORMAT_VERSION};
pub use crate::export::Export;
pub use crate::revocations::Revocations;
pub use crate::rules::{InstanceRules, SigningKey, TopicRule};

/// How far a replica is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Changes after this are what to ask for; none when an export is needed first, even where an older copy serves.
    pub generation: Option<Generation>,
    /// Which history `urgent_sequence` belongs to; none before the first export.
    pub urgent_timeline: Option<TimelineId>,
    /// Urgent entries after this are what to ask for.
    pub urgent_sequence: u64,
}

/// A node's configuration: read by every thread through an `Arc`, written by one at a time.
pub struct Replica {
    database: Database,
    /// Says which copy serves.
    pointer: Keyspace,
    /// The serving copy; none before the first export.
    copy: ArcSwapOption<Copy>,
    instances: SharedMap<InstanceId, Arc<InstanceRules>>,
    labels: SharedMap<Box<str>, InstanceId>,
    credentials: CredentialCache,
    /// Held through a write, the disk's part included, so apart from what readers read.
    writer: Mutex<Writer>,
    position: Mutex<Position>,
    epochs: AtomicU64,
    found: Found,
    /// Locked as long as it is open: two nodes must not share a directory.
    _lock: File,
}

/// What only a writer needs.
struct Writer {
    /// What the serving copy's own row says; none without a copy.
    stored: Option<StoredPosition>,
    /// Rows of the serving copy could not be read, so that it is not whole.
    has_gaps: bool,
    /// The number of the newest copy ever begun.
    copies: u64,
    /// While an export is being taken: the urgent entries applied meanwhile, which its older pages may not have.
    during_export: Option<Vec<UrgentEntry>>,
}

impl Writer {
    fn position(&self) -> Position {
        let current = |stored: &StoredPosition| stored.feed_format == FORMAT_VERSION && !self.has_gaps;
        Position {
            generation: self.stored.as_ref().filter(|stored| current(stored)).map(|stored| stored.generation),
            urgent_timeline: self.stored.as_ref().map(|stored| stored.generation.timeline),
            urgent_sequence: self.stored.as_ref().map_or(0, |stored| stored.urgent_sequence),
        }
    }
}

impl Replica {
    /// Opens the replica in `dir`, which is made when it is absent.
    ///
    /// A damaged one is put aside, with a warning and [`Found::Damaged`], and an empty one begun: the node then takes
    /// an export. A copy of a release before or after this one serves, and [`Position::generation`] asks for an export.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        directory::open(dir)
    }

    /// How far it is.
    pub fn position(&self) -> Position {
        *lock(&self.position)
    }

    /// What [`Replica::open`] found in the directory.
    pub fn found(&self) -> Found {
        self.found
    }

    /// The rules of an instance as they are now; none for one that does not exist.
    pub fn instance(&self, instance: InstanceId) -> Option<Arc<InstanceRules>> {
        self.instances.get(&instance)
    }

    /// The instance with this label (the first label of its server name).
    pub fn instance_by_label(&self, label: &str) -> Option<InstanceId> {
        self.labels.get(label)
    }

    /// Every instance, in no order.
    pub fn instances(&self) -> Vec<Arc<InstanceRules>> {
        self.instances.values()
    }

    /// The credential with this user name, as it is now.
    pub fn credential(
        &self,
        instance: InstanceId,
        username: &str,
    ) -> Result<Option<Arc<CredentialDocument>>, ReplicaError> {
        if self.instances.get(&instance).is_none() {
            return Ok(None);
        }
        // The copy is taken within: the cache would keep what an old one says if it were taken before.
        self.credentials.get_or_load(instance, username, || {
            self.copy.load_full().map_or(Ok(None), |copy| copy.credential(instance, username))
        })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    /// A number that no snapshot of this process has had.
    fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a panicking holder leaves behind is still whole: every lock here guards plain values set in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
