//! The rest of the node's handle on its workers: what changes of configuration and people's questions go through.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::feed::CredentialDocument;
use contract::ids::{CredentialId, InstanceId};
use foldhash::{HashMap, HashMapExt};
use replica::Affected;
use tokio::sync::oneshot;

use crate::command::{Command, CredentialInUse, CredentialsAsked, Recheck};
use crate::config_sync::Connections;
use crate::metrics::Metrics;
use crate::node::Node;

/// Talks to every worker through its command queue; a queue that is full is waited for.
#[derive(Clone)]
pub(crate) struct Control {
    node: Arc<Node>,
}

impl Control {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Has every worker look at the connections named. The answers, one for each worker, say how many it closed.
    async fn send_recheck(&self, affected: &Affected) -> Vec<oneshot::Receiver<u64>> {
        // Before anything is asked: a connection that is being opened meanwhile either sees this number change, or is
        // with its worker before the commands that follow.
        self.node.rechecks.fetch_add(1, Ordering::SeqCst);
        if affected.is_empty() {
            return Vec::new();
        }
        let mut instances = affected.instances.clone();
        instances.extend(affected.revocations.iter().map(|revocation| revocation.instance));
        instances.sort_unstable();
        instances.dedup();
        let credentials = self.credentials_now(affected).await;
        let recheck = Arc::new(Recheck { all: affected.all, instances, credentials });
        if recheck.is_nothing() {
            return Vec::new();
        }
        self.ask(|answer| Command::Recheck(Arc::clone(&recheck), answer)).await
    }

    /// The documents of the affected credentials that are in use.
    async fn credentials_now(
        &self,
        affected: &Affected,
    ) -> HashMap<(InstanceId, CredentialId), Option<Arc<CredentialDocument>>> {
        if affected.credentials.is_empty() && !affected.all {
            return HashMap::new();
        }
        let asked = if affected.all {
            CredentialsAsked::All
        } else {
            CredentialsAsked::These(affected.credentials.clone())
        };
        let asked = Arc::new(asked);
        let answers = self.ask(|answer| Command::ListCredentials(Arc::clone(&asked), answer)).await;
        let mut in_use = Vec::new();
        for answer in answers {
            in_use.extend(answer.await.unwrap_or_default());
        }
        let node = Arc::clone(&self.node);
        let read = move || in_use.into_iter().map(|it| read_credential(&node, it)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// Asks every worker the same; a worker that is gone does not answer.
    async fn ask<T>(
        &self,
        mut question: impl FnMut(oneshot::Sender<T>) -> Command,
    ) -> Vec<oneshot::Receiver<T>> {
        let mut answers = Vec::with_capacity(self.node.commands.len());
        for commands in &self.node.commands {
            let (sender, receiver) = oneshot::channel();
            if commands.send(question(sender)).await.is_ok() {
                answers.push(receiver);
            }
        }
        answers
    }

    /// Looks again at the connections opened with one credential.
    pub(crate) async fn recheck_credential(&self, instance: InstanceId, credential: CredentialId) {
        let credentials = vec![(instance, credential)];
        drop(self.send_recheck(&Affected { credentials, ..Affected::default() }).await);
    }

    /// Adds up what the node has counted.
    pub(crate) async fn metrics(&self) -> Metrics {
        let mut metrics = Metrics { connections: self.node.instances.connections(), ..Metrics::default() };
        metrics.total.refused = self.node.refused.read();
        for answer in self.ask(Command::Collect).await {
            let collected = answer.await.unwrap_or_default();
            metrics.total.add(&collected.forgotten);
            metrics.panics += collected.panics;
            for (instance, counts) in collected.instances {
                metrics.total.add(&counts);
                metrics.instances.entry(instance).or_default().add(&counts);
            }
        }
        metrics
    }

    /// The clients connected now, by instance.
    pub(crate) fn connections(&self) -> BTreeMap<InstanceId, u64> {
        self.node.instances.connections()
    }
}

/// A credential that cannot be read is as good as gone: its connections end, rather than outlive what nobody knows.
fn read_credential(
    node: &Node,
    it: CredentialInUse,
) -> ((InstanceId, CredentialId), Option<Arc<CredentialDocument>>) {
    let document = node.replica.credential(it.instance, &it.username).unwrap_or_else(|error| {
        tracing::error!(error = ?error, "a credential cannot be read");
        None
    });
    ((it.instance, it.credential), document.filter(|document| document.id == it.credential))
}

async fn sum(answers: Vec<oneshot::Receiver<u64>>) -> u64 {
    let mut closed = 0;
    for answer in answers {
        closed += answer.await.unwrap_or(0);
    }
    closed
}

impl Connections for Control {
    async fn recheck(&self, affected: Affected) {
        drop(self.send_recheck(&affected).await);
    }

    async fn recheck_urgent(&self, entries: Vec<(u64, Affected)>) -> BTreeMap<u64, u64> {
        let mut asked: Vec<(u64, Vec<oneshot::Receiver<u64>>)> = Vec::with_capacity(entries.len());
        for (sequence, affected) in entries {
            asked.push((sequence, self.send_recheck(&affected).await));
        }
        let mut closed = BTreeMap::new();
        for (sequence, answers) in asked {
            *closed.entry(sequence).or_default() += sum(answers).await;
        }
        closed
    }

    async fn count(&self) -> BTreeMap<InstanceId, u64> {
        self.connections()
    }
}
