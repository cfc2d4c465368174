//! How far a change has come: applied on n of n nodes.

use std::sync::Arc;
use std::time::Duration;

use contract::feed::Generation;
use contract::ids::InstanceId;
use store::StoreError;
use store::nodes::Progress;

use crate::access::{Action, Caller};
use crate::core::Core;
use crate::error::GetError;
use crate::nodes::seen_since;
use crate::write::Written;

/// Watches changes reach the nodes.
#[derive(Clone)]
pub struct Rollout {
    core: Arc<Core>,
}

/// How far a change has come. It names no node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Reachable nodes that have it.
    pub applied: u64,
    /// Nodes that were heard of lately.
    pub reachable: u64,
    /// Nodes that were not.
    pub unreachable: u64,
    /// Connections that it has closed so far: for changes that travel in the urgent lane.
    pub closed: u64,
}

impl Applied {
    /// Whether every reachable node has it.
    #[must_use]
    pub const fn done(self) -> bool {
        self.applied >= self.reachable
    }
}

impl Rollout {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// How far the change with this generation number has come, or the newest of all; for whoever may see the instance.
    /// Answers with the number that it is of.
    pub async fn progress(
        &self,
        caller: &Caller,
        instance: InstanceId,
        number: Option<u64>,
    ) -> Result<(u64, Applied), GetError> {
        self.core.instance(caller, instance, Action::Read).await?;
        let mut connection = self.core.store.read().await?;
        let head = store::feed::head(&mut connection).await?;
        let generation = Generation { number: number.unwrap_or(head.number), ..head };
        let since = seen_since(&self.core);
        let progress = store::nodes::count_applied(&mut connection, generation, since).await?;
        Ok((generation.number, applied(progress, 0)))
    }

    /// Waits until every reachable node has what was written, or `wait` is over. What has a place in the urgent lane
    /// is waited for there, and not for its generation.
    pub async fn wait_applied(&self, written: Written, wait: Duration) -> Result<Applied, StoreError> {
        let mut seen = self.core.wake.progress.subscribe();
        let looking = async {
            loop {
                let now = self.look(written).await?;
                if now.done() {
                    return Ok(now);
                }
                // Reports may arrive at another controller, which wakes nobody here.
                let _ = tokio::time::timeout(LOOK_PERIOD, seen.changed()).await;
            }
        };
        match tokio::time::timeout(wait, looking).await {
            Ok(done) => done,
            Err(_) => self.look(written).await,
        }
    }

    async fn look(&self, written: Written) -> Result<Applied, StoreError> {
        let mut connection = self.core.store.read().await?;
        let since = seen_since(&self.core);
        let head = store::feed::head(&mut connection).await?;
        match (written.urgent_sequence, written.generation) {
            (Some(sequence), generation) => {
                let timeline = generation.unwrap_or(head).timeline;
                let progress =
                    store::nodes::count_applied_urgent(&mut connection, timeline, sequence, since).await?;
                let closed = store::urgent::count_closed(&mut connection, sequence).await?;
                Ok(applied(progress, closed))
            }
            (None, Some(generation)) => {
                Ok(applied(store::nodes::count_applied(&mut connection, generation, since).await?, 0))
            }
            (None, None) => {
                // Nodes need not know: each has it.
                let progress = store::nodes::count_applied(&mut connection, head, since).await?;
                Ok(Applied { applied: progress.reachable, ..applied(progress, 0) })
            }
        }
    }
}

/// How often one who waits looks without being woken.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

fn applied(progress: Progress, closed: u64) -> Applied {
    let Progress { applied, reachable, unreachable } = progress;
    Applied { applied, reachable, unreachable, closed }
}
