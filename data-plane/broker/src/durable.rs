//! The node's log as its workers see it: they hand in what is to be stored, and each of them is shown everything that
//! was, in one order. Nothing in here waits; what the log says on its own thread is put before the workers' doors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::ids::InstanceId;
use engine::{
    Append, AppendError, Batch, BatchId, Committed, CommittedBatch, CommittedBatches, Completion, Durability,
    FollowError, History, Log, Pos, Refused, Replay, Shard, State,
};
use router::{Epochs, WorkerId};

use crate::crossing::Crossing;

/// All that a node stores is in one shard.
pub(crate) const SHARD: Shard = Shard(0);

/// The engine that a node stores messages with.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) history: Arc<dyn History>,
    /// Documents: sessions and retained messages.
    pub(crate) state: Arc<dyn State>,
    /// Where messages are found again for lasting sessions, and retained ones. Blocks on the disk.
    pub(crate) replay: Arc<dyn Replay>,
    /// Says how many retained messages an instance has and of how many bytes; cheap.
    pub(crate) retained: Arc<dyn Fn(InstanceId) -> (u64, u64) + Send + Sync>,
    /// Says how the log is; cheap.
    pub(crate) health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// Says whether the disk is so full that nothing is stored for the history alone; cheap.
    pub(crate) history_stops: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What it has done before it calls something committed.
    pub(crate) durability: Durability,
}

/// How a log is, with the reason for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    Good,
    /// It stores, but somebody should see to it.
    Warns(String),
    /// It does not store: what is to be stored is refused, the rest goes on.
    Fails(String),
}

/// Whom a batch concerns, as it was when it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// How often routes had changed before its first message was looked at.
    pub(crate) changes: u32,
    /// The workers that had receivers for any of its messages, a bit for each.
    pub(crate) wanted: u64,
    /// The workers that can have some, over which the instances of its messages are spread.
    pub(crate) reach: u64,
}

impl Mark {
    pub(crate) const NONE: Self = Self { changes: 0, wanted: 0, reach: 0 };

    /// Nothing is known.
    pub(crate) const ALL: Self = Self { changes: 0, wanted: u64::MAX, reach: u64::MAX };

    /// The workers that have to look at the batch. As long as no route has changed, those that had receivers.
    pub(crate) const fn workers(self, changes: u32) -> u64 {
        if self.changes == changes { self.wanted } else { self.reach }
    }
}

/// What one sync has made safe, as a worker is shown it.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) batches: CommittedBatches,
    /// One for each batch.
    pub(crate) marks: Box<[Mark]>,
    /// Of all batches.
    pub(crate) bytes: usize,
    /// Where the log goes on behind them.
    pub(crate) next: Pos,
}

/// What became of one append.
pub(crate) type Settled = Result<Committed, AppendError>;

/// The log, and what the workers have yet to be told of it.
pub(crate) struct Durable {
    engine: Engine,
    outcomes: Arc<Outcomes>,
    /// Part of every batch's id: another in each run of the node.
    run: [u8; 8],
}

impl Durable {
    /// Begins to follow the log. `run` is drawn by chance.
    pub(crate) fn new(
        engine: Engine,
        run: [u8; 8],
        crossing: Arc<Crossing>,
        epochs: Arc<Epochs>,
    ) -> Result<Self, FollowError> {
        let outcomes =
            Arc::new(Outcomes { held: Mutex::default(), crossing, epochs, fails: AtomicBool::new(false) });
        let following = Following(Arc::clone(&outcomes));
        let from = engine.log.follow(SHARD, Box::new(move |batches| following.0.show(batches)))?;
        outcomes.crossing.begin_at(from);
        Ok(Self { engine, outcomes, run })
    }

    /// Where stored messages are found again. Blocks on the disk.
    pub(crate) const fn history(&self) -> &Arc<dyn History> {
        &self.engine.history
    }

    /// Documents.
    pub(crate) const fn state(&self) -> &Arc<dyn State> {
        &self.engine.state
    }

    /// Where messages are found again. Blocks on the disk.
    pub(crate) const fn replay(&self) -> &Arc<dyn Replay> {
        &self.engine.replay
    }

    /// Retained messages of an instance, and their bytes.
    pub(crate) fn retained(&self, instance: InstanceId) -> (u64, u64) {
        (self.engine.retained)(instance)
    }

    /// Whether nothing is stored for the history alone, for want of room.
    pub(crate) fn history_stops(&self) -> bool {
        (self.engine.history_stops)()
    }

    /// Whether what is acknowledged is on stable storage.
    pub(crate) fn is_synced(&self) -> bool {
        self.engine.durability == Durability::Synced
    }

    /// How the log is.
    pub(crate) fn health(&self) -> Health {
        (self.engine.health)()
    }

    /// Bytes of batches that a worker may hand in now.
    pub(crate) fn room_bytes(&self, worker: WorkerId) -> usize {
        self.engine.log.room_bytes(SHARD, origin(worker))
    }

    /// Hands in a worker's batch, the `number`th it has made. If it is taken, the worker is told what became of it, of
    /// each in the order of their numbers, and not before every worker has been shown it.
    pub(crate) fn submit(
        &self,
        worker: WorkerId,
        number: u64,
        batch: Batch,
        mark: Mark,
    ) -> Result<(), Refused> {
        let outcomes = Arc::clone(&self.outcomes);
        let completion: Completion =
            Box::new(move |settled| outcomes.hold(Outcome { worker, settled, mark }));
        let append = Append { id: self.batch_id(worker, number), origin: origin(worker), batch, completion };
        let submitted = self.engine.log.submit(SHARD, append);
        if let Err(refused) = &submitted
            && !self.outcomes.fails.swap(true, Ordering::Relaxed)
        {
            tracing::error!(reason = %refused.why, "the log takes no messages");
        }
        submitted
    }

    /// Which of a worker's batches this is; none, if it is another's or of another run of the node.
    pub(crate) fn number_of(&self, worker: WorkerId, batch: &CommittedBatch) -> Option<u64> {
        let BatchId(id) = batch.id;
        let mut number = *id.last_chunk::<8>()?;
        number[0] = 0;
        let number = u64::from_be_bytes(number);
        (batch.id == self.batch_id(worker, number)).then_some(number)
    }

    fn batch_id(&self, worker: WorkerId, number: u64) -> BatchId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.run);
        // Of the number 56 bits are as good as all: one a microsecond is 2 000 years.
        id[8..].copy_from_slice(&number.to_be_bytes());
        id[8] = u8::try_from(worker.index()).unwrap_or(u8::MAX);
        BatchId(id)
    }
}

fn origin(worker: WorkerId) -> u16 {
    u16::try_from(worker.index()).unwrap_or(u16::MAX)
}

/// What the log has said on its thread, on its way to the workers.
struct Outcomes {
    /// Appends that the log calls completed, but has not shown yet.
    held: Mutex<Vec<Outcome>>,
    crossing: Arc<Crossing>,
    epochs: Arc<Epochs>,
    /// The last that was heard is that it does not store: what is written about it once is not written again.
    fails: AtomicBool,
}

struct Outcome {
    worker: WorkerId,
    settled: Settled,
    mark: Mark,
}

impl Outcomes {
    /// Keeps good news until all workers have been shown the messages; what went wrong is shown to nobody.
    fn hold(&self, outcome: Outcome) {
        let failed = outcome.settled.is_err();
        if self.fails.swap(failed, Ordering::Relaxed) != failed {
            if let Err(error) = outcome.settled {
                tracing::error!(%error, "the log does not store messages");
            } else {
                tracing::info!("the log stores messages again");
            }
        }
        self.held().push(outcome);
        if failed {
            self.tell();
        }
    }

    fn show(&self, batches: &CommittedBatches) {
        let marks = self.marks(batches);
        if let Some(last) = batches.last() {
            let bytes = batches.iter().map(|batch| batch.batch.as_bytes().len()).sum();
            let feed = Arc::new(Feed { batches: Arc::clone(batches), marks, bytes, next: last.next() });
            self.crossing.show(&feed, || {
                let changes = self.epochs.changes();
                feed.marks.iter().fold(0, |workers, mark| workers | mark.workers(changes))
            });
        }
        self.tell();
    }

    /// The marks of batches, which were completed in the same order.
    fn marks(&self, batches: &CommittedBatches) -> Box<[Mark]> {
        let held = self.held();
        let mut completed =
            held.iter().filter_map(|outcome| Some((outcome.settled.ok()?.record, outcome.mark)));
        let mark = |record| {
            completed.find(|(completed, _)| *completed == record).map_or(Mark::ALL, |(_, mark)| mark)
        };
        batches.iter().map(|batch| batch.record).map(mark).collect()
    }

    fn tell(&self) {
        for Outcome { worker, settled, .. } in std::mem::take(&mut *self.held()) {
            self.crossing.settle(worker, settled);
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<Outcome>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as the log calls: whatever it has completed before it stops is told, though it shows nothing more.
struct Following(Arc<Outcomes>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.tell();
    }
}
