//! What the engine's threads and its callers share.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use engine::{AppendError, Batch, BatchId, Bounds, Pos, RefusedWhy};

use crate::documents::store::Store;
use crate::engine::RetainedStats;
use crate::files::Files;
use crate::followers::Followers;
use crate::health::{FULL_PERCENT, Health, NEARLY_FULL_PERCENT, Stats, Writing};
use crate::keeper::Bell;
use crate::layout::{Current, Layout, SealedSegment};
use crate::options::Clock;
use crate::queue::{Phase, Queue};
use crate::seal::Memory;
use crate::sealed::Dropped;
use crate::segments::OpenSegments;
use crate::turns::Turns;
use crate::writer::complete;

/// Everything but the threads.
pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) clock: Clock,
    pub(crate) bounds: Settings,
    pub(crate) layout: Current,
    pub(crate) queue: Queue,
    pub(crate) followers: Followers,
    pub(crate) store: Store,
    /// Of those who compare and set documents.
    pub(crate) turns: Turns,
    own_ids: OwnIds,
    pub(crate) segments: OpenSegments,
    pub(crate) keeper: Bell,
    pub(crate) counters: Counters,
    pub(crate) queries: AtomicUsize,
    /// When somebody asked last; 0 when nobody has.
    pub(crate) asked_at: AtomicU64,
    /// Of the thread that seals, from segment to segment.
    pub(crate) sealing: Mutex<Memory>,
    /// Records before this have been given up by their readers.
    pub(crate) trimmed: Mutex<Pos>,
    /// What was dropped before its time. It grows before anything goes.
    pub(crate) dropped: Mutex<Dropped>,
    space: Space,
    /// Why nothing is written any more.
    failure: Mutex<Option<Arc<str>>>,
    /// What keeps storage from being kept in order.
    pub(crate) trouble: Mutex<Option<Arc<str>>>,
    /// Since when documents can neither be written nor wait in memory; `u64::MAX`: they can.
    pub(crate) stuck_since: AtomicU64,
    /// Segments that nobody sees any more, whose files could not all be removed yet.
    pub(crate) unremoved: Mutex<Vec<Arc<SealedSegment>>>,
}

/// The bounds of the options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) segment_bytes: u64,
    pub(crate) segment_millis: u64,
    pub(crate) stored_bytes_max: Option<u64>,
    pub(crate) index_bytes_max: usize,
    pub(crate) queries_max: usize,
}

/// Ids for the engine's own batches: no other process has had them.
#[derive(Debug)]
struct OwnIds {
    process: u64,
    given: AtomicU64,
}

/// How full the disk was when it was last asked.
#[derive(Debug, Default)]
struct Space {
    used_percent: AtomicU8,
    is_full: AtomicBool,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) sealed: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) cut_bytes: AtomicU64,
    pub(crate) dropped_segments: AtomicU64,
}

/// What a [`Shared`] begins with.
pub(crate) struct Parts {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) clock: Clock,
    pub(crate) bounds: Settings,
    pub(crate) layout: Current,
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) next: u64,
    pub(crate) dropped: Dropped,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { files, clock, bounds, layout, queue, store, next, dropped } = parts;
        // Keys of a hasher are drawn for each.
        let process = RandomState::new().build_hasher().finish();
        Self {
            segments: OpenSegments::new(bounds.index_bytes_max),
            files,
            clock,
            bounds,
            layout,
            queue,
            followers: Followers::new(next),
            store,
            turns: Turns::default(),
            own_ids: OwnIds { process, given: AtomicU64::new(0) },
            keeper: Bell::default(),
            counters: Counters::default(),
            queries: AtomicUsize::new(0),
            asked_at: AtomicU64::new(0),
            sealing: Mutex::default(),
            trimmed: Mutex::new(Pos::START),
            dropped: Mutex::new(dropped),
            space: Space::default(),
            failure: Mutex::new(None),
            trouble: Mutex::new(None),
            stuck_since: AtomicU64::new(u64::MAX),
            unremoved: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    /// Where the journal begins for its readers, and where it goes on.
    pub(crate) fn bounds_of(&self, layout: &Layout) -> Bounds {
        let first = layout.journal.first().map_or(1, |it| it.name.first);
        let next = layout.journal.last().map_or(first, |it| it.next());
        let head = Pos::of_record(next);
        let oldest = Pos::of_record(first).max(*lock(&self.trimmed)).min(head);
        Bounds { oldest, head }
    }

    /// Asks how full the disk is. A disk that does not answer is as full as it was.
    pub(crate) fn probe_space(&self) {
        let used = match self.files.space() {
            Ok(space) => space.used_percent(),
            Err(error) => {
                tracing::warn!(%error, "the disk does not say how full it is");
                return;
            }
        };
        self.space.used_percent.store(u8::try_from(used).unwrap_or(100), Ordering::Relaxed);
        let is_full = used >= FULL_PERCENT;
        let was_full = self.space.is_full.swap(is_full, Ordering::Relaxed);
        if is_full && !was_full {
            tracing::error!(
                used_percent = used,
                "the disk is full: nothing is stored until some of it is free"
            );
        } else if was_full && !is_full {
            tracing::info!(used_percent = used, "the disk has room again");
        }
    }

    /// Why no batch would be taken, if there is a reason.
    pub(crate) fn refuses(&self) -> Option<RefusedWhy> {
        match self.queue.phase() {
            Phase::Open if self.is_full() => Some(RefusedWhy::Full),
            Phase::Open => None,
            Phase::Failed => Some(RefusedWhy::Failed),
            Phase::Stopping | Phase::Stopped => Some(RefusedWhy::Stopped),
        }
    }

    /// Why this batch would not be taken, if there is a reason.
    pub(crate) fn refuses_batch(&self, batch: &Batch) -> Option<RefusedWhy> {
        let has_no_room = || batch.has_documents() && self.store.is_overfull();
        self.refuses().or_else(|| has_no_room().then_some(RefusedWhy::NoRoom))
    }

    pub(crate) fn own_batch_id(&self) -> BatchId {
        let given = self.own_ids.given.fetch_add(1, Ordering::Relaxed);
        BatchId((u128::from(self.own_ids.process) << 64 | u128::from(given)).to_le_bytes())
    }

    pub(crate) fn retained_stats(&self, instance: InstanceId) -> RetainedStats {
        let sum = self.store.retained_of(instance);
        RetainedStats { messages: sum.messages, bytes: sum.bytes }
    }

    /// Nothing is written any more, for this reason.
    pub(crate) fn set_failure(&self, reason: &str) {
        tracing::error!(reason, "the log has failed: nothing is stored until it is started again");
        lock(&self.failure).get_or_insert_with(|| reason.into());
    }

    /// Lets the log fail from beside its thread: what waits is not stored, and nothing more is taken.
    pub(crate) fn fail(&self, reason: &str) {
        self.set_failure(reason);
        for submitted in self.queue.end(Phase::Failed) {
            complete(self, submitted, Err(AppendError::NotStored));
        }
    }

    /// Whether nothing is stored until the disk has room.
    pub(crate) fn is_full(&self) -> bool {
        self.space.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> Health {
        let used_percent = self.space.used_percent.load(Ordering::Relaxed);
        let failure = lock(&self.failure).clone();
        let writing = match (self.queue.phase(), failure) {
            (_, Some(reason)) => Writing::Failed { reason },
            (Phase::Stopped | Phase::Stopping | Phase::Failed, None) => Writing::Stopped,
            (Phase::Open, None) if u64::from(used_percent) >= FULL_PERCENT => Writing::Full { used_percent },
            (Phase::Open, None) if u64::from(used_percent) >= NEARLY_FULL_PERCENT => {
                Writing::NearlyFull { used_percent }
            }
            (Phase::Open, None) => Writing::Good,
        };
        let damage = self.layout.load().damage.clone();
        let documents_lost = self.store.losses();
        Health { writing, damage, documents_lost, sealing_failed: lock(&self.trouble).clone() }
    }

    pub(crate) fn stats(&self) -> Stats {
        let layout = self.layout.load();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Stats {
            batches: read(&counters.batches),
            messages: read(&counters.messages),
            bytes: read(&counters.bytes),
            syncs: read(&counters.syncs),
            repeated_batches: read(&counters.repeated),
            damaged: read(&counters.damaged) + layout.damage.len() as u64,
            cut_bytes: read(&counters.cut_bytes),
            sealed: read(&counters.sealed),
            dropped_segments: read(&counters.dropped_segments),
            journal_segments: layout.journal.len(),
            journal_bytes: layout.journal.iter().map(|it| it.end()).sum(),
            sealed_segments: layout.sealed.len(),
            sealed_bytes: layout.sealed.iter().map(|it| it.bytes).sum(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The lock, whoever panicked under it: what it guards is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
