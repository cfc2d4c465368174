//! What has been submitted and not yet written. Handing in is a push under a short lock, and waking the log's thread
//! when it sleeps; nothing here writes.
//!
//! The bound is each origin's credit in bytes: what an origin finds free stays free until it submits itself.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use engine::{Append, AppendError, Batch, BatchId, Committed, Completion, ORIGINS_MAX, Refused, RefusedWhy};

/// A batch on its way, and the CRC that its submitter's thread made.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) id: BatchId,
    pub(crate) origin: u16,
    pub(crate) batch: Batch,
    pub(crate) crc: u32,
    pub(crate) owed: Owed,
}

/// The completion of a batch that was taken. It is called whatever happens: when it is dropped without an outcome, as
/// by a panic, then with the one that promises nothing.
pub(crate) struct Owed(Option<Completion>);

impl Owed {
    pub(crate) fn pay(mut self, outcome: Result<Committed, AppendError>) {
        if let Some(completion) = self.0.take() {
            completion(outcome);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(completion) = self.0.take() {
            // A second panic while one unwinds would end the process.
            let call = std::panic::AssertUnwindSafe(|| completion(Err(AppendError::Unknown)));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!("a completion panicked");
            }
        }
    }
}

impl std::fmt::Debug for Owed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owed")
    }
}

/// Whether batches are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    Open = 0,
    /// What is queued is still written.
    Stopping = 1,
    Stopped = 2,
    /// The last one: stopping a log that has failed does not hide it.
    Failed = 3,
}

/// What the log's thread is woken for.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Batches, in the given vector.
    Batches,
    /// None, but the segment is old enough to be closed.
    Close,
    /// Nothing will come any more.
    End,
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// A [`Phase`], beside the one under the lock, for who only looks.
    phase: AtomicU8,
    /// Bytes that each origin has submitted and not seen completed; the last one is the engine itself.
    used: Box<[AtomicUsize]>,
    origin_bytes_max: usize,
}

#[derive(Debug)]
struct Waiting {
    batches: Vec<Submitted>,
    phase: Phase,
    close: bool,
    sleeps: bool,
}

impl Waiting {
    fn work(&mut self, batches: &mut Vec<Submitted>) -> Option<Work> {
        if !self.batches.is_empty() {
            std::mem::swap(&mut self.batches, batches);
            return Some(Work::Batches);
        }
        if self.phase != Phase::Open {
            return Some(Work::End);
        }
        std::mem::take(&mut self.close).then_some(Work::Close)
    }
}

impl Queue {
    pub(crate) fn new(origin_bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                batches: Vec::new(),
                phase: Phase::Open,
                close: false,
                sleeps: false,
            }),
            wake: Condvar::new(),
            phase: AtomicU8::new(Phase::Open as u8),
            used: (0..=ORIGINS_MAX).map(|_| AtomicUsize::new(0)).collect(),
            origin_bytes_max,
        }
    }

    /// Whether batches are taken, as far as can be told without waiting.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Stopping,
            2 => Phase::Stopped,
            _ => Phase::Failed,
        }
    }

    /// The bytes that an origin may still submit; 0 for an unknown one.
    pub(crate) fn room_bytes(&self, origin: u16) -> usize {
        let used = self.used.get(usize::from(origin)).map(|it| it.load(Ordering::Acquire));
        match (self.phase(), used) {
            (Phase::Open, Some(used)) => self.origin_bytes_max.saturating_sub(used),
            (Phase::Open, None) | (Phase::Stopping | Phase::Failed | Phase::Stopped, _) => 0,
        }
    }

    /// Takes a valid batch, or hands it back.
    pub(crate) fn submit(&self, append: Append) -> Result<(), Refused> {
        let (origin, bytes) = (append.origin, append.batch.as_bytes().len());
        if !self.charge(origin, bytes) {
            return Err(append.refused(RefusedWhy::NoRoom));
        }
        // Before the lock: the CRC is the costly part.
        let crc = crc32fast::hash(append.batch.as_bytes());
        let mut waiting = self.lock();
        let why = match waiting.phase {
            Phase::Open => None,
            Phase::Failed => Some(RefusedWhy::Failed),
            Phase::Stopping | Phase::Stopped => Some(RefusedWhy::Stopped),
        };
        if let Some(why) = why {
            self.release(origin, bytes);
            return Err(append.refused(why));
        }
        let Append { id, origin, batch, completion } = append;
        waiting.batches.push(Submitted { id, origin, batch, crc, owed: Owed(Some(completion)) });
        let sleeps = std::mem::take(&mut waiting.sleeps);
        drop(waiting);
        if sleeps {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes an origin's credit, if it has so much.
    fn charge(&self, origin: u16, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|it| *it <= self.origin_bytes_max);
        let used = &self.used[usize::from(origin)];
        used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }

    /// Gives an origin its credit back, when its batch is about to be completed.
    pub(crate) fn release(&self, origin: u16, bytes: usize) {
        self.used[usize::from(origin)].fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Waits for work; `batches` is empty and keeps its memory.
    pub(crate) fn take(&self, batches: &mut Vec<Submitted>) -> Work {
        let mut waiting = self.lock();
        loop {
            if let Some(work) = waiting.work(batches) {
                return work;
            }
            waiting.sleeps = true;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What there is to do now, without waiting for it; `batches` is empty and keeps its memory.
    pub(crate) fn try_take(&self, batches: &mut Vec<Submitted>) -> Option<Work> {
        self.lock().work(batches)
    }

    /// Lets the log's thread close its segment once nothing is waiting.
    pub(crate) fn ask_to_close(&self) {
        self.change(|waiting| waiting.close = true);
    }

    /// Takes nothing more; what is waiting is still written, unless the log has failed.
    pub(crate) fn stop(&self) {
        self.enter(Phase::Stopping);
    }

    /// Takes nothing more, and hands back what was waiting. A phase never goes back.
    pub(crate) fn end(&self, phase: Phase) -> Vec<Submitted> {
        self.enter(phase);
        std::mem::take(&mut self.lock().batches)
    }

    fn enter(&self, phase: Phase) {
        self.change(|waiting| {
            if (phase as u8) > (waiting.phase as u8) {
                waiting.phase = phase;
                self.phase.store(phase as u8, Ordering::Release);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        change(&mut waiting);
        waiting.sleeps = false;
        drop(waiting);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
