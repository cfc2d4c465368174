//! Keeps the node's replica in step with the controller: the ordinary feed and, independent of it, the urgent lane.
//!
//! The node serves from its replica whatever happens here. An answer that cannot be had, read or understood changes
//! nothing, is complained of once, and is asked for again after a growing pause.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};
use std::time::Duration;

use contract::feed::{Change, ChangesAnswer, ExportPage, Generation, Urgent, UrgentAnswer};
use contract::ids::InstanceId;
use contract::time::UnixMillis;
use replica::{Affected, Replica, ReplicaError};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::owed::Owed;
use crate::enrol::{self, Candidate, EnrolError};
use crate::node_api::CallKey;
use crate::node_client::{CallError, NodeClient};
use crate::report::{self, Closings};
use crate::slots::{Sampled, Slots};

/// An answer with nothing in it that came sooner than this did not wait: the next question waits instead.
const EMPTY_ANSWER_MIN: Duration = Duration::from_secs(1);
/// How often in a row an answer of the feed is asked for again because the urgent lane overtook it.
const REASKS_MAX: u32 = 3;
/// How often one page of an export is asked for before the export is begun anew.
const EXPORT_PAGE_TRIES: u32 = 5;
/// The longest that a lane waits for the workers to have looked at their connections.
const RECHECK_MAX: Duration = Duration::from_secs(5);
/// How often revocations that have expired are forgotten.
const FORGET_PERIOD: Duration = Duration::from_mins(10);

/// The live connections, as configuration sees them. The calls hand work to the workers' control queues; a queue that
/// is full is waited for, which holds up the lane and nothing else.
pub(crate) trait Connections: Send + Sync + 'static {
    /// Checks the connections named against the rules as they are now and closes those that may no longer be; done
    /// when every worker has it in its control queue.
    fn recheck(&self, affected: Affected) -> impl Future<Output = ()> + Send;

    /// The same for urgent entries, by their sequence; done when every worker has obeyed, with the number of
    /// connections that each entry closed.
    fn recheck_urgent(
        &self,
        entries: Vec<(u64, Affected)>,
    ) -> impl Future<Output = BTreeMap<u64, u64>> + Send;

    /// What has been counted since this was asked the last time.
    fn sample(&self) -> impl Future<Output = Sampled> + Send;

    /// The clients connected now, by instance.
    fn count(&self) -> impl Future<Output = BTreeMap<InstanceId, u64>> + Send;
}

/// How patiently the controller is asked.
#[derive(Clone)]
pub(crate) struct Pace {
    /// How long the controller is asked to wait for news, at most [`contract::node::WAIT_SECS_MAX`].
    pub(crate) wait_secs: u64,
    /// The pause after the first failure. It doubles with each further one.
    pub(crate) pause_min: Duration,
    /// The longest pause.
    pub(crate) pause_max: Duration,
    /// Chance in 0..1, so that the nodes of a fleet do not come back as one: a pause is between half and all of what
    /// is due.
    pub(crate) jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Pace {
    fn pause(&self, failures: u32) -> Duration {
        let due = self.pause_min.saturating_mul(2_u32.saturating_pow(failures)).min(self.pause_max);
        due.mul_f64(0.5 + 0.5 * (self.jitter)().clamp(0.0, 1.0))
    }
}

/// How a lane fares: for metrics, and so that trouble is told once and not at every attempt.
#[derive(Debug, Default)]
pub(crate) struct LaneHealth {
    complaints: AtomicU64,
    trouble: StdMutex<Option<&'static str>>,
}

impl LaneHealth {
    /// Troubles told so far; the same one time after time is one.
    #[cfg(test)]
    pub(crate) fn complaints(&self) -> u64 {
        self.complaints.load(Ordering::Relaxed)
    }

    /// The trouble the lane is in.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_well(&self) -> bool {
        self.trouble().is_none()
    }

    pub(crate) fn answered(&self) {
        if let Some(trouble) = self.set(None) {
            tracing::info!(trouble, "the controller is heard again");
        }
    }

    pub(crate) fn complain(&self, trouble: &'static str, error: &dyn std::error::Error) {
        if self.set(Some(trouble)) != Some(trouble) {
            self.complaints.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(trouble, error = ?error, "the last good configuration is kept");
        }
    }

    fn set(&self, trouble: Option<&'static str>) -> Option<&'static str> {
        std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), trouble)
    }
}

/// How the whole of it fares.
#[derive(Debug, Default)]
pub(crate) struct SyncHealth {
    /// Joining.
    pub(crate) enrolment: LaneHealth,
    /// The ordinary feed.
    pub(crate) feed: LaneHealth,
    /// The urgent lane.
    pub(crate) urgent: LaneHealth,
    /// Reports.
    pub(crate) reports: LaneHealth,
}

/// How a node joins its controller.
pub(crate) struct Joining {
    /// Where the node's key is kept.
    pub(crate) key_path: PathBuf,
    /// The right to join, needed once.
    pub(crate) join_token: Option<String>,
    /// What people call the node.
    pub(crate) name: String,
    /// Where its own listener is; none: it is closed.
    pub(crate) address: Option<String>,
    /// Told the node's key once there is one.
    pub(crate) call_key: Arc<OnceLock<CallKey>>,
}

/// What is kept in step, and who hears of it.
pub(crate) struct ConfigSync<C> {
    /// Taken from and written to.
    pub(crate) replica: Arc<Replica>,
    /// Told what to look at again.
    pub(crate) connections: Arc<C>,
    /// How patiently.
    pub(crate) pace: Pace,
    /// The clock, for what expires.
    pub(crate) now: fn() -> UnixMillis,
    /// Written here, read by whoever shows it.
    pub(crate) health: Arc<SyncHealth>,
    /// What is counted of instances, until it has been reported.
    pub(crate) slots: Slots,
}

/// Enrols if need be, then keeps the replica in step and reports, until `stop`. Returns early only when the node cannot
/// enrol and nothing but a person can help; the node then serves what its replica has.
pub(crate) async fn run<C: Connections>(
    sync: ConfigSync<C>,
    client: NodeClient,
    joining: Joining,
    stop: CancellationToken,
) -> Result<(), EnrolError> {
    let work = async {
        let mut failures = 0;
        let key = loop {
            let candidate = Candidate {
                join_token: joining.join_token.as_deref(),
                name: &joining.name,
                address: joining.address.as_deref(),
            };
            match enrol::enrol(&joining.key_path, &client, candidate, enrol::draw).await {
                Ok(key) => break key,
                Err(error) if error.is_passing() => {
                    sync.health.enrolment.complain("not_enrolled", &error);
                    tokio::time::sleep(sync.pace.pause(failures)).await;
                    failures = failures.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        };
        sync.health.enrolment.answered();
        joining.call_key.get_or_init(|| CallKey::of_secret(&key.secret));
        follow(sync, client.with_key(&key), joining.address).await;
        Ok(())
    };
    stop.run_until_cancelled(work).await.unwrap_or(Ok(()))
}

/// The lanes and the reports, side by side. Never returns; may be dropped at any await.
pub(crate) async fn follow<C: Connections>(sync: ConfigSync<C>, client: NodeClient, address: Option<String>) {
    let lanes = Lanes {
        closings: Closings::at(sync.replica.position()),
        replica: sync.replica,
        connections: sync.connections,
        pace: sync.pace,
        health: sync.health,
        client,
        overrides: Mutex::new(0),
        export_wanted: Notify::new(),
        copies: watch::Sender::new(0),
        owed: Owed::default(),
        recheck_max: RECHECK_MAX,
    };
    let address = address.as_deref();
    let reports = report::run(
        &lanes.client,
        &lanes.connections,
        &lanes.closings,
        address,
        &sync.slots,
        &lanes.health.reports,
    );
    let owed = lanes.owed.settle(lanes.connections.as_ref());
    let counting = sync.slots.count(sync.now, || lanes.connections.sample());
    tokio::join!(lanes.feed(), lanes.urgent(), owed, reports, counting, forget(&lanes.replica, sync.now));
}

struct Lanes<C> {
    replica: Arc<Replica>,
    connections: Arc<C>,
    pace: Pace,
    health: Arc<SyncHealth>,
    client: NodeClient,
    closings: Closings,
    /// How many urgent answers could be undone by an older answer of the feed. Held by a lane while it applies.
    overrides: Mutex<u64>,
    /// The urgent lane has seen another history.
    export_wanted: Notify,
    /// How many exports have been taken: what the urgent lane asks for is another thing after each.
    copies: watch::Sender<u64>,
    owed: Owed,
    /// [`RECHECK_MAX`].
    recheck_max: Duration,
}

/// Why a lane did not get on.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    #[error("the pages of one export are of different histories, or do not end")]
    ExportTorn,
}

impl SyncError {
    fn name(&self) -> &'static str {
        match self {
            Self::Call(error) => error.name(),
            Self::Replica(ReplicaError::OtherTimeline { .. }) => "other_timeline",
            Self::Replica(_) => "replica_failed",
            Self::ExportTorn => "export_torn",
        }
    }
}

/// What one question brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Something, or a reason to ask again at once.
    Some,
    /// Nothing.
    None,
}

impl<C: Connections> Lanes<C> {
    async fn feed(&self) {
        let (mut failures, mut reasks) = (0, 0);
        loop {
            let asked_at = Instant::now();
            let outcome = self.feed_once(&mut reasks).await;
            self.take_breath(&self.health.feed, outcome, asked_at, &mut failures).await;
        }
    }

    async fn urgent(&self) {
        let mut failures = 0;
        let mut copies = self.copies.subscribe();
        loop {
            let asked_at = Instant::now();
            copies.mark_unchanged();
            let outcome = self.urgent_once(&mut copies).await;
            tokio::select! {
                () = self.take_breath(&self.health.urgent, outcome, asked_at, &mut failures) => {}
                _ = copies.changed() => {}
            }
        }
    }

    /// Notes how it went, and pauses when asking again at once would only be a burden.
    async fn take_breath(
        &self,
        health: &LaneHealth,
        outcome: Result<Progress, SyncError>,
        asked_at: Instant,
        failures: &mut u32,
    ) {
        let pause = match outcome {
            Ok(progress) => {
                health.answered();
                *failures = 0;
                if progress == Progress::Some || asked_at.elapsed() >= EMPTY_ANSWER_MIN {
                    return;
                }
                self.pace.pause(0)
            }
            Err(error) => {
                health.complain(error.name(), &error);
                let pause = self.pace.pause(*failures);
                *failures = failures.saturating_add(1);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }

    async fn feed_once(&self, reasks: &mut u32) -> Result<Progress, SyncError> {
        let Some(after) = self.replica.position().generation else {
            return self.export().await;
        };
        let overrides = *self.overrides.lock().await;
        let answer = tokio::select! {
            answer = self.client.changes(after, self.pace.wait_secs) => answer?,
            () = self.export_wanted.notified() => return self.export().await,
        };
        match answer {
            ChangesAnswer::ExportNeeded { .. } => self.export().await,
            ChangesAnswer::Changes { generation, changes, .. } => {
                let overrides_now = self.overrides.lock().await;
                if *overrides_now != overrides && !changes.is_empty() && *reasks < REASKS_MAX {
                    // It may have been read before what the urgent lane brought since: the next one was not.
                    *reasks += 1;
                    return Ok(Progress::Some);
                }
                *reasks = 0;
                let applied = self.apply(changes, generation).await;
                drop(overrides_now);
                match applied {
                    Ok(mut affected) => {
                        // The urgent lane brings each of them too, and says how many connections it has closed.
                        affected.revocations.clear();
                        self.recheck(affected).await;
                        self.closings.obeyed_feed(generation);
                        let advanced = generation.number > after.number;
                        Ok(if advanced { Progress::Some } else { Progress::None })
                    }
                    Err(
                        ReplicaError::ExportNeeded
                        | ReplicaError::OtherTimeline { .. }
                        | ReplicaError::UnreadableRow(_),
                    ) => self.export().await,
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn apply(&self, changes: Vec<Change>, generation: Generation) -> Result<Affected, ReplicaError> {
        let replica = Arc::clone(&self.replica);
        on_disk(move || replica.apply(&changes, generation)).await
    }

    async fn urgent_once(&self, copies: &mut watch::Receiver<u64>) -> Result<Progress, SyncError> {
        let position = self.replica.position();
        if position.urgent_timeline.is_none() {
            let _ = copies.changed().await; // the sender lives as long as this lane
            return Ok(Progress::Some);
        }
        let answer = tokio::select! {
            answer = self.client.urgent(position.urgent_sequence, self.pace.wait_secs) => answer?,
            _ = copies.changed() => return Ok(Progress::Some),
        };
        let overriding = answer.entries.iter().any(|entry| match entry.urgent {
            Urgent::CredentialChanged { .. } | Urgent::InstanceStateChanged { .. } => true,
            Urgent::Revoke { .. } | Urgent::Unknown => false,
        });
        // The lane has no gaps of its own: what is missing was trimmed before it could be heard here.
        let heard = u64::try_from(answer.entries.len()).unwrap_or(u64::MAX);
        let has_gap = answer.sequence > position.urgent_sequence.saturating_add(heard);
        let mut overrides = self.overrides.lock().await;
        *overrides += u64::from(overriding);
        let applied = self.apply_urgent(answer).await;
        if has_gap && applied.is_ok() {
            self.owed.add(&Affected::everything());
        }
        let reached = self.replica.position();
        drop(overrides);
        match applied {
            Ok(entries) if entries.is_empty() => {
                self.closings.obeyed_urgent(reached);
                Ok(Progress::None)
            }
            Ok(entries) => {
                let sequences: Vec<u64> = entries.iter().map(|(sequence, _)| *sequence).collect();
                let closed = self.recheck_urgent(entries).await;
                self.closings.obeyed_urgent(reached);
                let counts = sequences.iter().map(|it| (*it, closed.get(it).copied().unwrap_or(0)));
                self.closings.add(counts);
                Ok(Progress::Some)
            }
            Err(error) => {
                self.export_wanted.notify_one();
                Err(error.into())
            }
        }
    }

    async fn apply_urgent(&self, answer: UrgentAnswer) -> Result<Vec<(u64, Affected)>, ReplicaError> {
        let replica = Arc::clone(&self.replica);
        on_disk(move || replica.apply_urgent(&answer)).await
    }

    async fn recheck(&self, affected: Affected) {
        if affected.is_empty() {
            return;
        }
        let recheck = self.connections.recheck(affected.clone());
        if tokio::time::timeout(self.recheck_max, recheck).await.is_err() {
            tracing::error!("the workers have not taken a change of configuration in time");
            self.owed.add(&affected);
        }
    }

    /// Those not done in time are done later and counted for none.
    async fn recheck_urgent(&self, entries: Vec<(u64, Affected)>) -> BTreeMap<u64, u64> {
        let affected = Affected::merged(entries.iter().map(|(_, affected)| affected));
        let closed = tokio::time::timeout(self.recheck_max, self.connections.recheck_urgent(entries)).await;
        closed.unwrap_or_else(|_| {
            tracing::error!("the workers have not obeyed urgent entries in time");
            self.owed.add(&affected);
            BTreeMap::new()
        })
    }

    /// Takes the whole configuration anew; the old one serves until it is complete.
    async fn export(&self) -> Result<Progress, SyncError> {
        let before = self.replica.position().urgent_timeline;
        let replica = Arc::clone(&self.replica);
        let mut export = on_disk(move || replica.begin_export()).await?;
        let mut page = self.page(None).await?;
        let first = (page.generation, page.urgent_sequence);
        loop {
            let ExportPage { documents, next, .. } = page;
            export = on_disk(move || export.put(&documents).map(|()| export)).await?;
            let Some(cursor) = next else { break };
            page = self.page(Some(&cursor)).await?;
            if page.generation.timeline != first.0.timeline || page.next.as_ref() == Some(&cursor) {
                return Err(SyncError::ExportTorn);
            }
        }
        if before.is_some_and(|before| before != first.0.timeline) {
            self.closings.clear();
        }
        let affected = on_disk(move || export.finish(first.0, first.1)).await?;
        let reached = self.replica.position();
        self.copies.send_modify(|copies| *copies += 1);
        self.recheck(affected).await;
        self.closings.obeyed_feed(first.0);
        self.closings.obeyed_urgent(reached);
        self.closings.add([]);
        Ok(Progress::Some)
    }

    async fn page(&self, cursor: Option<&str>) -> Result<ExportPage, CallError> {
        let mut tries = 0;
        loop {
            match self.client.export(cursor).await {
                Err(error) if error.is_passing() && tries + 1 < EXPORT_PAGE_TRIES => {
                    tokio::time::sleep(self.pace.pause(tries)).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Forgets expired revocations now and then. Never returns.
async fn forget(replica: &Arc<Replica>, now: fn() -> UnixMillis) {
    loop {
        let (replica, at) = (Arc::clone(replica), now());
        match on_disk(move || replica.forget_expired(at)).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!(forgotten, "expired revocations forgotten"),
            Err(error) => tracing::warn!(error = ?error, "expired revocations could not be forgotten"),
        }
        tokio::time::sleep(FORGET_PERIOD).await;
    }
}

/// Runs what blocks on the disk where blocking hurts nobody.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only while the runtime is shut down: this task is about to be dropped.
        Err(_) => std::future::pending().await,
    }
}

mod owed;
#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
