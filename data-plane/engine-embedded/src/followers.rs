//! Those who hear what was committed, and from which record on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::{CommittedBatches, FOLLOWERS_MAX, FollowError, Follower};

/// Everyone who follows. Called by the log's thread alone; joined from anywhere.
pub(crate) struct Followers(Mutex<Inner>);

struct Inner {
    all: Vec<Follower>,
    /// Everyone, those who are being called included.
    count: usize,
    /// The first record that has not been told.
    next: u64,
    stopped: bool,
}

impl Followers {
    pub(crate) const fn new(next: u64) -> Self {
        Self(Mutex::new(Inner { all: Vec::new(), count: 0, next, stopped: false }))
    }

    /// Adds one, who hears everything from the answered record on.
    pub(crate) fn join(&self, follower: Follower) -> Result<u64, FollowError> {
        let mut inner = self.lock();
        if inner.stopped {
            return Err(FollowError::Stopped);
        }
        if inner.count >= FOLLOWERS_MAX {
            return Err(FollowError::TooMany);
        }
        inner.count += 1;
        inner.all.push(follower);
        Ok(inner.next)
    }

    /// Tells everyone; the batches end before `next`. They are called without the lock, so that one of them may be
    /// slow to leave without holding up who joins.
    pub(crate) fn tell(&self, batches: &CommittedBatches, next: u64) {
        let mut inner = self.lock();
        inner.next = next;
        let mut called = std::mem::take(&mut inner.all);
        drop(inner);
        for follower in &mut called {
            follower(batches);
        }
        let mut inner = self.lock();
        if !inner.stopped {
            called.append(&mut inner.all);
            inner.all = called;
        }
    }

    /// Lets everyone go.
    pub(crate) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        let gone = std::mem::take(&mut inner.all);
        drop(inner);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
