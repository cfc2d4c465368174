//! The log in memory, and the thread that commits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::history::Segments;
use super::state::Documents;
use super::{Memory, MemoryOptions, Told, lock};
use crate::{
    Append, BATCH_IDS_REMEMBERED, BatchId, Bounds, Committed, CommittedBatch, Durability, FOLLOWERS_MAX,
    FollowError, Follower, Log, ORIGINS_MAX, Page, Pos, ReadError, Refused, RefusedWhy, Shard,
};

/// The only shard.
pub(super) const SHARD: Shard = Shard(0);

/// The log's thread, and what it shares with its callers.
pub(super) struct LogThread {
    pub shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    pub kept: Mutex<Kept>,
    /// Held by the thread for as long as a turn lasts, so that who begins to follow hears whole turns.
    followers: Mutex<Vec<Follower>>,
    /// Beside the log, since they change with it.
    pub documents: Mutex<Documents>,
    options: MemoryOptions,
}

struct Queue {
    appends: VecDeque<Append>,
    /// Bytes of each origin that are not completed.
    waiting: [usize; ORIGINS_MAX as usize],
    /// Bytes that were taken and are not trimmed.
    stored: usize,
    is_stopped: bool,
}

/// What is committed.
pub(super) struct Kept {
    /// Those that can be read, consecutive.
    batches: VecDeque<CommittedBatch>,
    pub bounds: Bounds,
    ids: HashMap<BatchId, Committed>,
    /// The ids in the order of their records.
    order: VecDeque<BatchId>,
    pub segments: Segments,
}

impl LogThread {
    pub(super) fn start(options: MemoryOptions) -> Self {
        let bounds = Bounds { oldest: Pos::START, head: Pos::START };
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                appends: VecDeque::new(),
                waiting: [0; ORIGINS_MAX as usize],
                stored: 0,
                is_stopped: false,
            }),
            arrived: Condvar::new(),
            kept: Mutex::new(Kept {
                batches: VecDeque::new(),
                bounds,
                ids: HashMap::new(),
                order: VecDeque::new(),
                segments: Segments::new(options),
            }),
            followers: Mutex::default(),
            documents: Mutex::default(),
            options,
        });
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || its.run());
        Self { shared, thread: Mutex::new(Some(thread)) }
    }

    pub(super) fn stop(&self) {
        lock(&self.shared.queue).is_stopped = true;
        self.shared.arrived.notify_all();
        let thread = lock(&self.thread).take();
        // The last handle may be dropped by a completion, on the thread itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the log's thread has panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(appends) = self.take() {
            let mut followers = lock(&self.followers);
            let sizes: Vec<_> =
                appends.iter().map(|append| (append.origin, append.batch.as_bytes().len())).collect();
            let told = lock(&self.kept).commit(appends);
            lock(&self.queue).stored -= told.repeated_bytes;
            if told.committed.iter().any(|committed| committed.batch.has_documents()) {
                let mut documents = lock(&self.documents);
                told.committed.iter().for_each(|committed| documents.apply(&committed.batch));
            }
            for ((origin, bytes), (completion, committed)) in sizes.into_iter().zip(told.completed) {
                lock(&self.queue).waiting[usize::from(origin)] -= bytes;
                completion(Ok(committed));
            }
            if !told.committed.is_empty() {
                followers.iter_mut().for_each(|follower| follower(&told.committed));
            }
        }
        lock(&self.followers).clear();
    }

    /// All that waits; none once the log is stopped and nothing waits any more.
    fn take(&self) -> Option<VecDeque<Append>> {
        let mut queue = lock(&self.queue);
        while queue.appends.is_empty() {
            if queue.is_stopped {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut queue.appends))
    }

    fn refusal(&self, queue: &Queue, shard: Shard, append: &Append) -> Option<RefusedWhy> {
        let bytes = append.batch.as_bytes().len();
        if shard != SHARD || !append.is_valid() {
            Some(RefusedWhy::Invalid)
        } else if queue.is_stopped {
            Some(RefusedWhy::Stopped)
        } else if queue.stored + bytes > self.options.stored_bytes_max {
            Some(RefusedWhy::Full)
        } else if queue.waiting[usize::from(append.origin)] + bytes > self.options.origin_bytes_max {
            Some(RefusedWhy::NoRoom)
        } else {
            None
        }
    }
}

impl Kept {
    fn commit(&mut self, appends: VecDeque<Append>) -> Told {
        let mut told = Told { completed: Vec::with_capacity(appends.len()), ..Told::default() };
        let mut fresh = Vec::new();
        for Append { id, origin, batch, completion } in appends {
            let known = self.ids.get(&id).copied();
            let committed = known.unwrap_or_else(|| Committed {
                record: self.bounds.head.record,
                messages: batch.len(),
                durability: Durability::Process,
            });
            told.completed.push((completion, committed));
            if known.is_some() {
                told.repeated_bytes += batch.as_bytes().len();
                continue;
            }
            let batch = CommittedBatch { record: committed.record, id, origin, batch };
            self.bounds.head = batch.next();
            self.remember(id, committed);
            self.segments.add(&batch);
            self.batches.push_back(batch.clone());
            fresh.push(batch);
        }
        told.committed = fresh.into();
        told
    }

    fn remember(&mut self, id: BatchId, committed: Committed) {
        if self.order.len() == BATCH_IDS_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back(id);
        self.ids.insert(id, committed);
    }

    fn read(&self, from: Pos, bytes_max: usize) -> Result<Page, ReadError> {
        let Bounds { oldest, head } = self.bounds;
        if from < oldest {
            return Err(ReadError::Trimmed { oldest });
        }
        if from > head {
            return Err(ReadError::Ahead { head });
        }
        let mut page = Page { batches: Vec::new(), next: from, bounds: self.bounds };
        let mut bytes = 0;
        for batch in self.batches.iter().skip_while(|batch| batch.next() <= from) {
            bytes += batch.batch.as_bytes().len();
            if bytes > bytes_max && !page.batches.is_empty() {
                break;
            }
            page.next = batch.next();
            page.batches.push(batch.clone());
        }
        Ok(page)
    }

    /// Answers the bytes that are no longer kept.
    fn trim(&mut self, before: Pos) -> usize {
        self.bounds.oldest = before.clamp(self.bounds.oldest, self.bounds.head);
        let mut bytes = 0;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.next() <= self.bounds.oldest) {
            bytes += batch.batch.as_bytes().len();
        }
        bytes
    }
}

impl Log for Memory {
    fn submit(&self, shard: Shard, append: Append) -> Result<(), Refused> {
        let shared = &self.log.shared;
        let mut queue = lock(&shared.queue);
        if let Some(why) = shared.refusal(&queue, shard, &append) {
            return Err(append.refused(why));
        }
        let bytes = append.batch.as_bytes().len();
        queue.waiting[usize::from(append.origin)] += bytes;
        queue.stored += bytes;
        queue.appends.push_back(append);
        drop(queue);
        shared.arrived.notify_one();
        Ok(())
    }

    fn room_bytes(&self, shard: Shard, origin: u16) -> usize {
        let queue = lock(&self.log.shared.queue);
        if shard != SHARD || queue.is_stopped {
            return 0;
        }
        let waiting = queue.waiting.get(usize::from(origin));
        let credit = waiting.map_or(0, |waiting| self.options.origin_bytes_max.saturating_sub(*waiting));
        credit.min(self.options.stored_bytes_max.saturating_sub(queue.stored))
    }

    fn read(&self, shard: Shard, from: Pos, bytes_max: usize) -> Result<Page, ReadError> {
        known(shard)?;
        lock(&self.log.shared.kept).read(from, bytes_max)
    }

    fn bounds(&self, shard: Shard) -> Result<Bounds, ReadError> {
        known(shard)?;
        Ok(lock(&self.log.shared.kept).bounds)
    }

    fn trim(&self, shard: Shard, before: Pos) -> Result<(), ReadError> {
        known(shard)?;
        let bytes = lock(&self.log.shared.kept).trim(before);
        lock(&self.log.shared.queue).stored -= bytes;
        Ok(())
    }

    fn follow(&self, shard: Shard, follower: Follower) -> Result<Pos, FollowError> {
        known(shard).map_err(|_| FollowError::UnknownShard)?;
        let mut followers = lock(&self.log.shared.followers);
        if lock(&self.log.shared.queue).is_stopped {
            return Err(FollowError::Stopped);
        }
        if followers.len() >= FOLLOWERS_MAX {
            return Err(FollowError::TooMany);
        }
        followers.push(follower);
        Ok(lock(&self.log.shared.kept).bounds.head)
    }
}

fn known(shard: Shard) -> Result<(), ReadError> {
    if shard == SHARD { Ok(()) } else { Err(ReadError::UnknownShard) }
}
