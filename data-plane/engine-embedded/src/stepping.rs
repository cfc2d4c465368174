//! The engine without its threads: whoever holds it takes their steps, in any order, over files and documents of his own
//! and under his own clock. The threads of [`Engine`](crate::Engine) take the same ones. For simulations.

use std::sync::Arc;

use contract::ids::InstanceId;
use engine::{History, Log, Replay, State};

use crate::engine::{OpenError, RetainedStats, assemble};
use crate::health::{Health, Stats};
use crate::keeper;
use crate::options::Options;
use crate::shared::Shared;
use crate::writer::Writer;

/// An engine that does nothing by itself. Dropping it is killing its process: what was not completed never is with success.
#[derive(Debug)]
pub struct Stepped {
    shared: Arc<Shared>,
    writer: Writer,
}

impl Stepped {
    /// Opens the log in the files of the options, which must name files and documents: a directory is not touched, nor
    /// locked.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let (shared, writer) = assemble(options)?;
        Ok(Self { shared, writer })
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.shared) as Arc<dyn Log>
    }

    /// The documents.
    #[must_use]
    pub fn state(&self) -> Arc<dyn State> {
        Arc::clone(&self.shared) as Arc<dyn State>
    }

    /// The stored messages.
    #[must_use]
    pub fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.shared) as Arc<dyn History>
    }

    /// Logged messages given again, and the retained ones.
    #[must_use]
    pub fn replay(&self) -> Arc<dyn Replay> {
        Arc::clone(&self.shared) as Arc<dyn Replay>
    }

    /// What the log's thread does in a turn: writes all that waits, syncs, completes, tells. False when nothing waits.
    /// After a write or a sync that failed, everything that waits is told so, and nothing is written any more.
    pub fn step_log(&mut self) -> bool {
        self.writer.try_step()
    }

    /// What the view's thread does in a round: deletes what has expired, moves documents on, seals, drops.
    pub fn step_view(&self) {
        keeper::round(&self.shared);
    }

    /// Moves the documents on now, whether it is time or not. Whether it succeeded.
    pub fn step_documents(&self) -> bool {
        self.shared.store.carry().is_ok()
    }

    /// Bytes of documents that are in memory and not yet carried away.
    #[must_use]
    pub fn overlay_bytes(&self) -> usize {
        self.shared.store.overlay_bytes()
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// What it has done and what it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// What an instance has retained.
    #[must_use]
    pub fn retained_stats(&self, instance: InstanceId) -> RetainedStats {
        self.shared.retained_stats(instance)
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        self.shared.store.close();
    }
}
