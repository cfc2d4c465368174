//! What nodes read: changes after a generation, urgent entries, exports.

mod changes;
mod export;
mod urgent;

use std::sync::Arc;
use std::time::Duration;

use contract::feed::{ChangesAnswer, ExportPage, FORMAT_VERSION, Generation, UrgentAnswer};
use contract::node::WAIT_SECS_MAX;
use store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::nodes::NodeCaller;
use crate::wake::POLL_PERIOD;

/// Answers nodes.
#[derive(Clone)]
pub struct Feed {
    core: Arc<Core>,
}

/// Why a page of an export was not given.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The cursor is none that a page has given.
    #[error("the cursor is not one of an export")]
    InvalidCursor,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Feed {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Listens for changes that any controller makes, until stopped; without it those who wait look once a second.
    pub async fn listen(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                ended = self.listen_once() => ended,
                () = stop.cancelled() => return self.core.wake.set_listening(false),
            };
            self.core.wake.set_listening(false);
            if let Err(error) = ended {
                tracing::warn!(error = ?error, "listening for changes failed, will begin again");
            }
            tokio::select! {
                () = tokio::time::sleep(POLL_PERIOD) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What changed after `after`, which the node has applied and so acknowledges; waits up to `wait` for something.
    pub async fn changes_after(
        &self,
        node: NodeCaller,
        after: Generation,
        wait: Duration,
    ) -> Result<ChangesAnswer, StoreError> {
        let mut connection = self.core.store.read_for_node().await?;
        store::nodes::see(&mut connection, node.node, Some(after), self.core.now()).await?;
        drop(connection);
        self.core.wake.progress.send_replace(());
        let mut seen = self.core.wake.feed.subscribe();
        let deadline = deadline(wait);
        loop {
            if let Some(answer) = self.look_for_changes(after).await? {
                return Ok(answer);
            }
            if !self.core.wake.look_again_before(deadline, &mut seen).await {
                let (format_version, changes) = (FORMAT_VERSION, Vec::new());
                return Ok(ChangesAnswer::Changes { format_version, generation: after, changes });
            }
        }
    }

    /// Urgent entries after `after`; waits up to `wait` for one.
    pub async fn urgent_after(
        &self,
        node: NodeCaller,
        after: u64,
        wait: Duration,
    ) -> Result<UrgentAnswer, StoreError> {
        let mut connection = self.core.store.read_for_node().await?;
        store::nodes::see(&mut connection, node.node, None, self.core.now()).await?;
        let timeline = store::feed::head(&mut connection).await?.timeline;
        drop(connection);
        let mut seen = self.core.wake.feed.subscribe();
        let deadline = deadline(wait);
        let (entries, sequence) = loop {
            if let Some(found) = self.look_for_urgent(after).await? {
                break found;
            }
            if !self.core.wake.look_again_before(deadline, &mut seen).await {
                break (Vec::new(), after);
            }
        };
        Ok(UrgentAnswer { format_version: FORMAT_VERSION, timeline, entries, sequence })
    }

    /// One page of an export, from the beginning when there is no cursor.
    pub async fn export_page(
        &self,
        node: NodeCaller,
        cursor: Option<&str>,
    ) -> Result<ExportPage, ExportError> {
        self.export(node, cursor).await
    }

    async fn listen_once(&self) -> Result<(), StoreError> {
        let mut listener = self.core.store.listen().await?;
        self.core.wake.set_listening(true);
        loop {
            // Whatever was written before the listener was there, or while its connection was lost, gave no notice.
            self.core.wake.feed.send_replace(());
            if !listener.wait().await? {
                tracing::warn!("the connection for notices of changes was lost and made again");
            }
        }
    }
}

/// When a wait that was asked for is over.
fn deadline(wait: Duration) -> Instant {
    Instant::now() + wait.min(Duration::from_secs(WAIT_SECS_MAX))
}
