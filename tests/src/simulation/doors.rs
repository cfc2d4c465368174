//! What the log says on its own, on its way to the workers: everything that is committed, to each of them in the order
//! of the log, and behind it to each what became of its own batches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{AppendError, Committed, CommittedBatch, CommittedBatches, Pos};

use super::groups::Mail;
use super::site::Looked;

/// Something that has come to a worker.
#[derive(Debug)]
pub enum Arrival {
    /// Messages of another worker: the bytes of a batch.
    Crossed(Arc<[u8]>),
    /// What one sync committed.
    Committed(CommittedBatches),
    /// What became of the batch that this worker has waited for longest.
    Settled(Result<Committed, AppendError>),
    /// What was looked up for one of its clients.
    Looked(Looked),
    /// What was said of a group.
    Said(Mail),
}

/// The doors of all workers.
#[derive(Clone, Debug)]
pub struct Doors(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    doors: Vec<Door>,
    /// Good news that is held until everybody has been shown the messages.
    held: Vec<(usize, Result<Committed, AppendError>)>,
    /// What was committed, for the books.
    committed: Vec<CommittedBatch>,
}

#[derive(Debug)]
struct Door {
    arrivals: VecDeque<Arrival>,
    /// Behind the newest that was committed.
    watermark: Pos,
}

impl Doors {
    /// The doors of so many workers of a log that goes on at `head`.
    #[must_use]
    pub fn new(workers: usize, head: Pos) -> Self {
        let door = |_| Door { arrivals: VecDeque::new(), watermark: head };
        let doors = (0..workers).map(door).collect();
        Self(Arc::new(Mutex::new(Inner { doors, held: Vec::new(), committed: Vec::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log says what became of a batch.
    pub fn hold(&self, worker: usize, settled: Result<Committed, AppendError>) {
        let mut inner = self.lock();
        inner.held.push((worker, settled));
        if settled.is_err() {
            inner.tell();
        }
    }

    /// The log shows what it has committed.
    pub fn show(&self, batches: &CommittedBatches) {
        let mut inner = self.lock();
        inner.committed.extend(batches.iter().cloned());
        for door in &mut inner.doors {
            door.watermark = batches.last().map_or(door.watermark, CommittedBatch::next);
            door.arrivals.push_back(Arrival::Committed(Arc::clone(batches)));
        }
        inner.tell();
    }

    /// A worker hands messages to another.
    pub fn cross(&self, to: usize, batch: Arc<[u8]>) {
        self.lock().doors[to].arrivals.push_back(Arrival::Crossed(batch));
    }

    /// Something is said to a worker.
    pub fn say(&self, to: usize, mail: Mail) {
        self.lock().doors[to].arrivals.push_back(Arrival::Said(mail));
    }

    /// How far the log has come: whatever of it comes to a worker's door from now on stands there or beyond.
    #[must_use]
    pub fn watermark(&self, worker: usize) -> Pos {
        self.lock().doors[worker].watermark
    }

    /// Something was looked up.
    pub fn found(&self, worker: usize, looked: Looked) {
        self.lock().doors[worker].arrivals.push_back(Arrival::Looked(looked));
    }

    /// Everything that lies before a worker's door, and where the log stands once that is taken in.
    #[must_use]
    pub fn drain(&self, worker: usize) -> (VecDeque<Arrival>, Pos) {
        let door = &mut self.lock().doors[worker];
        (std::mem::take(&mut door.arrivals), door.watermark)
    }

    /// Whether nothing lies before any door.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        self.lock().doors.iter().all(|door| door.arrivals.is_empty())
    }

    /// What was committed since this was last asked.
    #[must_use]
    pub fn take_committed(&self) -> Vec<CommittedBatch> {
        std::mem::take(&mut self.lock().committed)
    }
}

impl Inner {
    fn tell(&mut self) {
        for (worker, settled) in std::mem::take(&mut self.held) {
            self.doors[worker].arrivals.push_back(Arrival::Settled(settled));
        }
    }
}
