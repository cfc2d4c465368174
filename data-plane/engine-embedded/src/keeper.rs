//! The thread beside the log's: it carries documents to where they are kept, deletes those that have expired, seals what
//! is closed, drops what is over, asks how full the disk is, and keeps the index of the newest messages up to date while
//! somebody may ask for them. Each round is a step that a test can take by itself.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::queue::Phase;
use crate::retention;
use crate::seal;
use crate::shared::{Shared, lock};

/// How often it looks around when nobody rings.
const ROUND: Duration = Duration::from_secs(1);

/// For how long after a query the next one is expected: so long the newest messages are indexed ahead of it.
const ASKED_MILLIS: u64 = 60 * 1000;

/// For how long documents may be in everybody's way, since they can neither be written nor wait in memory, before the log
/// fails: who waits for them must hear that a new start is needed.
pub(crate) const DOCUMENTS_STUCK_MILLIS: u64 = 60 * 1000;

/// After so many retained messages whose time is over a round goes on to what else there is to do.
pub(crate) const EXPIRED_PER_ROUND_MAX: usize = 16 * 1024;

/// Wakes the thread, and ends it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    rung: bool,
    stopped: bool,
}

impl Bell {
    /// A segment was closed.
    pub(crate) fn wake(&self) {
        lock(&self.state).rung = true;
        self.rung.notify_one();
    }

    /// There will be no further round.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.rung.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// Waits for the next round. False when there is none.
    fn wait(&self) -> bool {
        let state = lock(&self.state);
        let idle = |it: &mut State| !it.rung && !it.stopped;
        let (mut state, _) =
            self.rung.wait_timeout_while(state, ROUND, idle).unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        !state.stopped
    }
}

/// Rounds until the end; the first one at once, since a start may have found much to do.
pub(crate) fn run(shared: &Shared) {
    loop {
        // A mistake in one round must not be the end of all: the journal would grow for ever.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(shared))).is_err() {
            tracing::error!("a round of sealing and dropping panicked");
            *lock(&shared.trouble) = Some(Arc::from("it panicked"));
        }
        if !shared.keeper.wait() {
            return;
        }
    }
}

/// Does what there is to do now.
pub(crate) fn round(shared: &Shared) {
    shared.probe_space();
    close_old(shared);
    index_newest(shared);
    delete_expired(shared);
    let carrying = if shared.store.is_due() { shared.store.carry() } else { Ok(()) };
    let carrying = carrying.map_err(|it| format!("documents could not be written: {it}"));
    let sealing = seal_all(shared).map_err(|it| format!("a journal segment could not be sealed: {it}"));
    let dropping =
        retention::drop_over(shared).map_err(|it| format!("old messages could not be dropped: {it}"));
    let trouble = carrying.and(sealing).and(dropping).err();
    let mut known = lock(&shared.trouble);
    if trouble.as_deref() != known.as_deref() {
        if let Some(reason) = &trouble {
            tracing::error!(reason, "storage is not kept in order; it is tried again");
        } else {
            tracing::info!("storage is kept in order again");
        }
    }
    *known = trouble.map(Arc::from);
    drop(known);
    forget_indexes(shared);
    if !is_asked(shared) {
        shared.segments.blocks().forget();
    }
    fail_when_stuck(shared);
}

/// Deletes retained messages whose time is over. What is more than a round may take has the next one come at once. While
/// documents cannot be written it waits: nobody is shown them, and the room in memory is for what people do.
fn delete_expired(shared: &Shared) {
    let now = shared.now();
    let mut deleted = 0;
    while deleted < EXPIRED_PER_ROUND_MAX && shared.store.has_room() && !shared.store.is_failing() {
        match shared.store.delete_expired(now) {
            0 => return,
            some => deleted += some,
        }
    }
    if deleted >= EXPIRED_PER_ROUND_MAX {
        shared.keeper.wake();
    }
}

/// Lets the log fail when documents have not been written for long, so that workers wait for room that does not come. A
/// full disk is no such case: that is said as it is, and ends by itself.
fn fail_when_stuck(shared: &Shared) {
    let now = shared.now().0;
    let is_stuck = shared.store.is_failing() && !shared.store.has_room() && !shared.is_full();
    let since = if is_stuck { shared.stuck_since.load(Ordering::Relaxed).min(now) } else { u64::MAX };
    shared.stuck_since.store(since, Ordering::Relaxed);
    if now.saturating_sub(since) >= DOCUMENTS_STUCK_MILLIS && shared.queue.phase() == Phase::Open {
        shared.fail("the documents cannot be written and have no more room in memory");
    }
}

/// Seals everything that is closed.
fn seal_all(shared: &Shared) -> io::Result<()> {
    while !shared.keeper.is_stopped() && carry_before_sealing(shared)? && seal::seal_oldest(shared)? {
        index_newest(shared);
    }
    Ok(())
}

/// Makes documents durable past the segment that is sealed next: until then its records may be needed to make them anew.
/// False when there is none to be sealed.
fn carry_before_sealing(shared: &Shared) -> io::Result<bool> {
    let layout = shared.layout.load();
    let [_, following, ..] = &*layout.journal else { return Ok(false) };
    // A crash leaves out numbers: the one behind it may begin above the record that would have come next.
    shared.store.carry_to(following.name.first)?;
    Ok(true)
}

/// Has the segment closed that is being written, when its first record is old.
fn close_old(shared: &Shared) {
    let layout = shared.layout.load();
    let begun_at = layout.journal.last().and_then(|it| it.begun_at());
    let is_old = |at: u64| at.saturating_add(shared.bounds.segment_millis) <= shared.now().0;
    if begun_at.is_some_and(|it| is_old(it.0)) {
        shared.queue.ask_to_close();
    }
}

/// Indexes what was written since the last time, so that who asks finds little left to do. Only when somebody may: sealing
/// indexes each segment once more, and as long as nobody does that is enough.
fn index_newest(shared: &Shared) {
    if !is_asked(shared) && !shared.store.has_readers() {
        return;
    }
    let layout = shared.layout.load();
    if let Some(newest) = layout.journal.last() {
        // In steps, between which others ask.
        let index = newest.indexed_while(&mut Vec::new(), |_| !shared.keeper.is_stopped());
        index.builder.keep_order();
    }
}

/// Whether somebody has asked for stored messages lately.
pub(crate) fn is_asked(shared: &Shared) -> bool {
    let asked_at = shared.asked_at.load(Ordering::Relaxed);
    shared.now().0.saturating_sub(asked_at) < ASKED_MILLIS
}

/// When sealing lags behind, lets indexes of closed segments go that are too large together, the oldest first.
fn forget_indexes(shared: &Shared) {
    let layout = shared.layout.load();
    let Some((_, closed)) = layout.journal.split_last() else { return };
    let mut bytes = 0;
    for segment in closed.iter().rev() {
        bytes += segment.index.try_read().map_or(0, |it| it.memory_bytes());
        if bytes > shared.bounds.index_bytes_max {
            segment.forget_index();
        }
    }
}
