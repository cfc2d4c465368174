//! The rest of the node's handle on its workers: what changes of configuration and people's questions go through.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::feed::CredentialDocument;
use contract::ids::{CredentialId, InstanceId};
use foldhash::{HashMap, HashMapExt};
use replica::Affected;
use tokio::sync::{Mutex, oneshot};

use crate::command::{Command, CredentialInUse, CredentialsAsked, Recheck};
use crate::config_sync::Connections;
use crate::durable::Health;
use crate::groups::GroupFigures;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::slots::Sampled;

/// Talks to every worker through its command queue; a queue that is full is waited for.
#[derive(Clone)]
pub(crate) struct Control {
    node: Arc<Node>,
    /// Held from the reading of credentials until all workers have them: no worker gets an older one after a newer.
    order: Arc<Mutex<()>>,
}

/// A worker's answer: how many connections it closed.
type Closed = oneshot::Receiver<u64>;

impl Control {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, order: Arc::default() }
    }

    /// Has every worker look at the connections named, once for all entries. The answers are by the sequences of the
    /// entries; where several are about one instance, they are the last one's.
    async fn send_recheck(&self, entries: &[(u64, Affected)]) -> Vec<(u64, Vec<Closed>)> {
        // Before anything is asked: a connection that is being opened meanwhile either sees this number change, or is
        // with its worker before the commands that follow.
        self.node.rechecks.fetch_add(1, Ordering::SeqCst);
        let affected = Affected::merged(entries.iter().map(|(_, affected)| affected));
        if affected.is_empty() {
            return Vec::new();
        }
        let _in_order = self.order.lock().await;
        let credentials = self.credentials_now(&affected).await;
        let mut asked = Vec::new();
        for (sequence, recheck) in rechecks(entries, &affected, credentials) {
            let recheck = Arc::new(recheck);
            let answers = self.ask(|answer| Command::Recheck(Arc::clone(&recheck), answer)).await;
            asked.push((sequence, answers));
        }
        asked
    }

    /// The documents of the affected credentials that are in use.
    async fn credentials_now(&self, affected: &Affected) -> Credentials {
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
    pub(crate) async fn ask<T>(
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
        self.recheck(Affected { credentials, ..Affected::default() }).await;
    }

    /// Adds up what the node has counted.
    pub(crate) async fn metrics(&self) -> Metrics {
        let mut metrics = Metrics { connections: self.node.instances.connections(), ..Metrics::default() };
        metrics.total.refused = self.node.refused.read();
        metrics.log_fails = matches!(self.log_health(), Health::Fails(_));
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

    /// The shared subscriptions of an instance, from the workers that they have their homes on; none, if one of these does
    /// not answer: half of them would look like all.
    pub(crate) async fn list_groups(&self, instance: InstanceId) -> Option<Vec<GroupFigures>> {
        let answers = self.ask(|answer| Command::ListGroups(instance, answer)).await;
        if answers.len() < self.node.commands.len() {
            return None;
        }
        let mut groups = Vec::new();
        for answer in answers {
            groups.extend(answer.await.ok()?);
        }
        Some(groups)
    }

    /// What the threads of the node share.
    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// How the message log is.
    pub(crate) fn log_health(&self) -> Health {
        self.node.durable.health()
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

/// Credentials in use, as they are now; none: gone.
type Credentials = HashMap<(InstanceId, CredentialId), Option<Arc<CredentialDocument>>>;

/// What to ask the workers: instance by instance, so that what is closed in one is never counted for another, and each
/// instance's connections are gone through once.
fn rechecks(entries: &[(u64, Affected)], merged: &Affected, credentials: Credentials) -> Vec<(u64, Recheck)> {
    if merged.all {
        let last = entries.last().map_or(0, |(sequence, _)| *sequence);
        return vec![(last, Recheck { all: true, instances: Vec::new(), credentials })];
    }
    let mut by_instance: BTreeMap<InstanceId, (u64, Recheck)> = BTreeMap::new();
    for (sequence, affected) in entries {
        let of_revocations = affected.revocations.iter().map(|revocation| revocation.instance);
        for instance in affected.instances.iter().copied().chain(of_revocations) {
            let (counts_for, recheck) = by_instance.entry(instance).or_default();
            *counts_for = *sequence;
            recheck.instances = vec![instance];
        }
        for key in &affected.credentials {
            let (counts_for, recheck) = by_instance.entry(key.0).or_default();
            if let Some(now) = credentials.get(key) {
                *counts_for = *sequence;
                recheck.credentials.insert(*key, now.clone());
            }
        }
    }
    // Nothing is left where no credential is in use.
    by_instance.into_values().filter(|(_, recheck)| !recheck.is_nothing()).collect()
}

async fn sum(answers: Vec<Closed>) -> u64 {
    let mut closed = 0;
    for answer in answers {
        closed += answer.await.unwrap_or(0);
    }
    closed
}

impl Connections for Control {
    async fn recheck(&self, affected: Affected) {
        drop(self.send_recheck(&[(0, affected)]).await);
    }

    async fn recheck_urgent(&self, entries: Vec<(u64, Affected)>) -> BTreeMap<u64, u64> {
        let mut closed = BTreeMap::new();
        for (sequence, answers) in self.send_recheck(&entries).await {
            *closed.entry(sequence).or_default() += sum(answers).await;
        }
        closed
    }

    async fn sample(&self) -> Sampled {
        self.sample().await
    }

    async fn count(&self) -> BTreeMap<InstanceId, u64> {
        self.connections()
    }
}

#[cfg(test)]
mod tests {
    use contract::ids::RevocationId;
    use contract::revocation::{Revocation, TokenSelector};
    use contract::time::UnixMillis;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> InstanceId {
        InstanceId(Uuid::from_u128(number))
    }

    fn credentials(instance: u128, credentials: &[u128]) -> Affected {
        let credentials = credentials.iter().map(|it| (id(instance), CredentialId(Uuid::from_u128(*it))));
        Affected { credentials: credentials.collect(), ..Affected::default() }
    }

    fn revoked(instance: u128) -> Affected {
        let revocation = Revocation {
            id: RevocationId(Uuid::nil()),
            instance: id(instance),
            selector: TokenSelector::All,
            issued_before: UnixMillis(1),
            expires_at: UnixMillis(1),
        };
        Affected { revocations: vec![revocation], ..Affected::default() }
    }

    #[test]
    fn many_entries_are_one_look_at_each_instance_that_counts_for_its_own() {
        let entries =
            [(6, credentials(1, &[11])), (7, revoked(2)), (8, credentials(1, &[12, 13])), (9, revoked(1))];
        let entries: Vec<_> = entries.into_iter().chain([(10, credentials(3, &[31]))]).collect();
        let merged = Affected::merged(entries.iter().map(|(_, affected)| affected));
        let in_use = credentials(1, &[11, 13]).credentials.into_iter().map(|key| (key, None)).collect();
        let asked: Vec<_> = rechecks(&entries, &merged, in_use)
            .into_iter()
            .map(|(counts_for, recheck)| (counts_for, recheck.instances, recheck.credentials.len()))
            .collect();
        assert_eq!(asked, [(9, vec![id(1)], 2), (7, vec![id(2)], 0)], "and none where nothing is in use");
    }

    #[test]
    fn everything_is_one_look() {
        let entries = [(6, revoked(1)), (7, Affected::everything())];
        let merged = Affected::merged(entries.iter().map(|(_, affected)| affected));
        let asked = rechecks(&entries, &merged, Credentials::new());
        assert_eq!(asked.iter().map(|(of, recheck)| (*of, recheck.all)).collect::<Vec<_>>(), [(7, true)]);
    }
}
