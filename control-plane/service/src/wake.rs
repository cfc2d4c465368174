//! Waking those who wait for changes or for nodes to have applied them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How often those who wait look for themselves while nothing tells them: the listener is down, or not there.
pub(crate) const POLL_PERIOD: Duration = Duration::from_secs(1);
/// How often they look although the listener is up, since a notice may be lost.
pub(crate) const POLL_PERIOD_LISTENING: Duration = Duration::from_secs(10);

/// The wake-ups of one process.
pub(crate) struct Wake {
    /// Something was written that nodes read.
    pub(crate) feed: watch::Sender<()>,
    /// A node has told how far it is.
    pub(crate) progress: watch::Sender<()>,
    /// Something is to be told over a channel.
    pub(crate) deliveries: watch::Sender<()>,
    listening: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            feed: watch::Sender::new(()),
            progress: watch::Sender::new(()),
            deliveries: watch::Sender::new(()),
            listening: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Waits for a wake-up since `seen` was made or last waited on, or for the time to look without one. False once
    /// `deadline` is there.
    pub(crate) async fn look_again_before(&self, deadline: Instant, seen: &mut watch::Receiver<()>) -> bool {
        let period = if self.listening.load(Ordering::Relaxed) { POLL_PERIOD_LISTENING } else { POLL_PERIOD };
        let until = deadline.min(Instant::now() + period);
        // Woken, timed out, or the process ends: the caller looks again in each case.
        let woken = tokio::time::timeout_at(until, seen.changed()).await.is_ok();
        woken || Instant::now() < deadline
    }
}
