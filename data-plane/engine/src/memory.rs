//! An engine in memory: every trait, nothing that outlives the process. For tests, and the simplest reading of what
//! the traits promise; not for messages that anyone wants back.

mod bus;
mod history;
mod leases;
mod log;
mod replay;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::time::UnixMillis;

use crate::{Committed, CommittedBatches, Completion};

/// The engine. Dropping it stops it: what was taken is still committed and told.
pub struct Memory {
    log: log::LogThread,
    bus: bus::Inboxes,
    leases: Mutex<leases::Held>,
    options: MemoryOptions,
}

/// The bounds of an engine in memory, and its clock.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// The most bytes of one origin's batches that wait to be committed.
    pub origin_bytes_max: usize,
    /// The most bytes of batches that can be read, of documents, and of the history, each.
    pub stored_bytes_max: usize,
    /// The bytes of records at which a segment of the history is sealed.
    pub segment_bytes: usize,
    /// The present, for leases and for messages that expire.
    pub clock: fn() -> UnixMillis,
}

impl MemoryOptions {
    /// Generous bounds for a test, and a clock.
    #[must_use]
    pub const fn new(clock: fn() -> UnixMillis) -> Self {
        let mebibyte = 1024 * 1024;
        Self {
            origin_bytes_max: 8 * mebibyte,
            stored_bytes_max: 256 * mebibyte,
            segment_bytes: mebibyte,
            clock,
        }
    }
}

impl Memory {
    /// Starts an engine, whose log has a thread of its own.
    #[must_use]
    pub fn start(options: MemoryOptions) -> Self {
        Self {
            log: log::LogThread::start(options),
            bus: bus::Inboxes::default(),
            leases: Mutex::default(),
            options,
        }
    }

    /// Commits what was taken, calls every completion, lets its followers go, and takes nothing more.
    pub fn stop(&self) {
        self.log.stop();
        self.bus.stop();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whoever panicked with a lock held has left nothing half done: every change here is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one turn of the log's thread has to tell.
#[derive(Default)]
struct Told {
    completed: Vec<(Completion, Committed)>,
    committed: CommittedBatches,
    /// Bytes of batches that were committed before.
    repeated_bytes: usize,
}

#[cfg(test)]
mod tests;
