//! What publishers and subscribers have in common: they connect with a lasting session, again and again, and notice
//! when the broker has forgotten it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::qos::Qos;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::now;
use crate::ledger::{Published, Received};
use crate::plan::Plan;
use crate::retained::Retained;
use crate::run::VerifyError;
use crate::wire::{ConnectError, Wire};

/// How long a client waits before it tries to connect again.
const RETRY: Duration = Duration::from_millis(20);

/// How long one attempt to connect may take: a broker that is killed may leave it without an answer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How far the run is. Clients follow it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Messages are published and the broker is killed.
    Load,
    /// Nothing new is published; what is under way is finished, and who was away comes back.
    Finish,
    /// Clients disconnect.
    End,
}

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) plan: Plan,
    phase: watch::Sender<Phase>,
    /// Whether publishers may go on: it is closed while a receiver has too much to catch up with.
    pub(crate) is_open: AtomicBool,
    pub(crate) published: Vec<Mutex<Published>>,
    pub(crate) published_count: AtomicU64,
    /// What publishers have under way.
    pub(crate) unfinished: AtomicU64,
    pub(crate) receivers: Vec<Inbox>,
    /// Subscribers that are connected now.
    pub(crate) connected: AtomicU64,
    pub(crate) retained: Mutex<Retained>,
    pub(crate) sessions_lost: AtomicU64,
    /// When something last arrived anywhere.
    arrived_at: Mutex<Instant>,
}

/// Who gets each message once: a subscriber, or the members of a group together.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) name: String,
    is_group: bool,
    pub(crate) received: Mutex<Received>,
    /// What it has got, and what is no longer waited for.
    pub(crate) caught_up: AtomicU64,
    pub(crate) has_heard_bell: AtomicBool,
}

impl Inbox {
    pub(crate) fn new(name: String, publishers: usize, is_group: bool) -> Self {
        Self {
            name,
            is_group,
            received: Mutex::new(Received::new(publishers, is_group)),
            caught_up: AtomicU64::new(0),
            has_heard_bell: AtomicBool::new(false),
        }
    }

    /// The highest QoS that it is given: a message for a group may go from member to member, so not exactly once.
    pub(crate) const fn qos(&self) -> Qos {
        if self.is_group { Qos::AtLeastOnce } else { Qos::ExactlyOnce }
    }
}

impl Board {
    pub(crate) fn new(plan: Plan, receivers: Vec<Inbox>) -> Arc<Self> {
        let publishers = plan.publisher_qos().len();
        Arc::new(Self {
            plan,
            phase: watch::Sender::new(Phase::Load),
            is_open: AtomicBool::new(true),
            published: (0..publishers).map(|_| Mutex::default()).collect(),
            published_count: AtomicU64::new(0),
            unfinished: AtomicU64::new(0),
            receivers,
            connected: AtomicU64::new(0),
            retained: Mutex::default(),
            sessions_lost: AtomicU64::new(0),
            arrived_at: Mutex::new(now()),
        })
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Done when the run has come so far.
    pub(crate) async fn reached(&self, phase: Phase) {
        // The sender lives in the board, and so as long as this wait.
        drop(self.phase.subscribe().wait_for(|it| *it >= phase).await);
    }

    pub(crate) fn has_arrived(&self) {
        *lock(&self.arrived_at) = now();
    }

    pub(crate) fn silent_for(&self) -> Duration {
        lock(&self.arrived_at).elapsed()
    }

    /// What this receiver has still to get.
    pub(crate) fn lag(&self, inbox: &Inbox) -> u64 {
        let published = self.published_count.load(Ordering::Relaxed);
        published.saturating_sub(inbox.caught_up.load(Ordering::Relaxed))
    }
}

/// One client: its name at the broker, and whether the broker has promised to know it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    has_session: bool,
}

/// How a session was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// The first connection.
    New,
    /// The broker has kept it.
    Kept,
    /// The broker had promised it and has it no more.
    Lost,
}

impl Client {
    pub(crate) fn new(id: String) -> Self {
        Self { id, has_session: false }
    }

    /// Ends whatever session the broker has of this client, from an earlier run.
    pub(crate) async fn clear(&self, plan: &Plan) -> Result<(), VerifyError> {
        let connecting = timeout(CONNECT_TIME_MAX, Wire::connect(plan, &self.id, true)).await;
        let named = |source| VerifyError::Connect { client_id: self.id.clone(), source };
        let (mut wire, _) = connecting.unwrap_or_else(|_| Err(timed_out())).map_err(named)?;
        let mut out = Vec::new();
        mqtt::client::disconnect(&mut out);
        // Cleared is cleared, whether the farewell arrives or not.
        drop(wire.send(&out).await);
        Ok(())
    }

    /// The first connection with a lasting session; it has to succeed.
    pub(crate) async fn connect_first(&mut self, plan: &Plan) -> Result<Wire, VerifyError> {
        let connecting = timeout(CONNECT_TIME_MAX, Wire::connect(plan, &self.id, false)).await;
        let named = |source| VerifyError::Connect { client_id: self.id.clone(), source };
        let (wire, _) = connecting.unwrap_or_else(|_| Err(timed_out())).map_err(named)?;
        self.has_session = true;
        Ok(wire)
    }

    /// Connects, however often it takes; none at the end of the run.
    pub(crate) async fn connect(&mut self, board: &Board) -> Option<(Wire, Found)> {
        while board.phase() < Phase::End {
            match timeout(CONNECT_TIME_MAX, Wire::connect(&board.plan, &self.id, false)).await {
                Ok(Ok((wire, is_present))) => {
                    let found = match (is_present, self.has_session) {
                        (true, _) => Found::Kept,
                        (false, true) => Found::Lost,
                        (false, false) => Found::New,
                    };
                    if found == Found::Lost {
                        board.sessions_lost.fetch_add(1, Ordering::Relaxed);
                    }
                    self.has_session = true;
                    return Some((wire, found));
                }
                Ok(Err(_)) | Err(_) => sleep(RETRY).await,
            }
        }
        None
    }
}

fn timed_out() -> ConnectError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
