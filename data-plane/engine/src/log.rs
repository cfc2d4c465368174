//! `Log`: ordered, durable shards. What an engine promises when it keeps messages; nothing here keeps one.
//!
//! A batch mixes the messages of many instances, as a worker's round does, and each message names its own; what
//! reads *one* instance's messages is [`History`](crate::History), which takes the instance first.

use std::fmt;
use std::sync::Arc;

use crate::{Batch, BatchId, Pos, Shard};

/// The most messages of one batch, since an index within it has two bytes.
pub const BATCH_MESSAGES_MAX: u32 = 65_536;

/// The most bytes of one batch: room for the longest document under the longest key. A worker whose round brought more
/// submits several.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024 + 128 * 1024;

/// How many origins may submit to one log: as many as a node has workers.
pub const ORIGINS_MAX: u16 = 64;

/// How many followers a shard may have.
pub const FOLLOWERS_MAX: usize = 128;

/// A batch id is known again at least as long as it is among the newest so many of its shard.
pub const BATCH_IDS_REMEMBERED: usize = 65_536;

/// Ordered, durable shards. Rules for every engine:
///
/// - **Order.** The records of a shard are numbered without gaps, in the order in which their batches were taken. Of
///   one origin's batches that is the order of its calls of [`submit`](Self::submit). Only a crash makes an engine
///   leave out numbers: no number is given twice, also when nobody knows what became of the first that had it.
/// - **Once.** A batch id that is among the newest [`BATCH_IDS_REMEMBERED`] of its shard is appended once: submitted
///   again it completes with the record of the first time, and followers hear it once. An engine that lives in its
///   callers' process forgets the ids with that process.
/// - **Durable before it is said.** A completion with success, a follower's call and [`read`](Self::read) show a batch
///   only once it is as durable as [`Committed::durability`] says.
/// - **Threads.** Completions and followers are called on the log's thread, one at a time, never on the caller's and
///   never within a call of this trait. They must be short, must not wait and must not panic: the log stands still
///   meanwhile. Of this trait they may call [`submit`](Self::submit) and [`room_bytes`](Self::room_bytes) only, and
///   they must not drop the log. After each sync, first the completions are called, in submission order, then the
///   followers; a batch that was committed before completes in its turn and is not followed again.
/// - **One piece.** The messages and the changes of a batch are kept together or not at all. What
///   [`State`](crate::State) answers has a batch's changes, and the retained messages, before its completion is called.
/// - **Bounded.** Each origin has a credit in bytes of its own for what it submitted and has not seen completed; see
///   [`room_bytes`](Self::room_bytes).
pub trait Log: Send + Sync {
    /// Hands a batch in. Never blocks, never fails silently: either it is taken, and its completion will be called
    /// exactly once, or it comes back with the reason, and its completion has not been and will not be called.
    ///
    /// When the log stops, every completion still outstanding is called: with success, or with [`AppendError`].
    fn submit(&self, shard: Shard, append: Append) -> Result<(), Refused>;

    /// The bytes of [`Batch::as_bytes`] that this origin may submit now without being refused for want of room. Only
    /// the origin's own submissions make it less, so what one thread asks before it reads a socket still stands when
    /// it submits. 0 while the log is failed, full or stopped. Cheap: asked every round.
    fn room_bytes(&self, shard: Shard, origin: u16) -> usize;

    /// Committed batches from the one that `from` stands in, in order, without a gap: as many whole ones as have at
    /// most `bytes_max` bytes together, but at least one if there is any. The first may begin before `from`: whoever
    /// reads on passes over its earlier messages. At the head the page is empty. Blocks on the disk: not for workers.
    fn read(&self, shard: Shard, from: Pos, bytes_max: usize) -> Result<Page, ReadError>;

    /// Where the log begins and where it will go on.
    fn bounds(&self, shard: Shard) -> Result<Bounds, ReadError>;

    /// Gives up what stands before `before` (at most all there is): reading below it answers
    /// [`ReadError::Trimmed`] from now on. When the disk gets its room back is the engine's business, and after a
    /// restart more may be readable than was left, never less. What [`History`](crate::History) answers is not
    /// touched: it has retention of its own.
    fn trim(&self, shard: Shard, before: Pos) -> Result<(), ReadError>;

    /// Calls the follower with every batch that is committed from the answered position on, in position order,
    /// without a gap, each once; all of one sync together. A follower is dropped when the log stops.
    fn follow(&self, shard: Shard, follower: Follower) -> Result<Pos, FollowError>;
}

/// One batch on its way into the log.
pub struct Append {
    /// What makes submitting it again harmless.
    pub id: BatchId,
    /// Which worker it comes from, below [`ORIGINS_MAX`]: whose credit it takes.
    pub origin: u16,
    /// At least one message or change, at most [`BATCH_MESSAGES_MAX`] and [`BATCH_BYTES_MAX`].
    pub batch: Batch,
    /// Called exactly once, on the log's thread.
    pub completion: Completion,
}

/// Told what became of a batch. Called on the log's thread: it must not wait.
pub type Completion = Box<dyn FnOnce(Result<Committed, AppendError>) + Send>;

/// Told what was committed. Called on the log's thread: it must not wait. Keeping it is cloning the `Arc`.
pub type Follower = Box<dyn FnMut(&CommittedBatches) + Send>;

/// What one sync committed, in position order.
pub type CommittedBatches = Arc<[CommittedBatch]>;

/// What an engine did before it said that a batch is committed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Durability {
    /// In this process alone: gone when it ends. For tests.
    Process,
    /// Held by a majority of machines, not yet forced to their disks.
    Quorum,
    /// Forced to disk wherever it is held.
    Synced,
}

/// Where a batch stands now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Committed {
    /// Its record.
    pub record: u64,
    /// How many messages it has: indices 0 to one less. 0 for a batch of changes alone.
    pub messages: u32,
    /// What holds it.
    pub durability: Durability,
}

/// A batch that is in the log. Its position is its record's number, its messages are counted from index 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedBatch {
    /// Its place in the shard.
    pub record: u64,
    /// The id it was submitted with.
    pub id: BatchId,
    /// Which worker submitted it; [`ORIGINS_MAX`] for the engine itself.
    pub origin: u16,
    /// Its messages and changes.
    pub batch: Batch,
}

/// Why a batch was not taken. It comes back whole, so that it can be submitted again.
pub struct Refused {
    /// The reason.
    pub why: RefusedWhy,
    /// What was handed in; its completion has not been called.
    pub append: Append,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RefusedWhy {
    /// The origin has no credit left for it; there is some again when one of its batches has completed. Or it changes
    /// documents, and those changed last have not been put away yet.
    #[error("too much of this worker is waiting to be stored")]
    NoRoom,
    /// What is kept fills the room there is, so that nothing more is stored until some is dropped.
    #[error("the storage is full")]
    Full,
    /// Storing failed, and nothing is stored until the engine has been seen to.
    #[error("the log has failed")]
    Failed,
    /// The log is stopping or has stopped.
    #[error("the log has stopped")]
    Stopped,
    /// No batch that any log takes: empty, too long, or of an unknown shard or origin. A mistake of the caller.
    #[error("this is no batch for this log")]
    Invalid,
}

/// Why a batch that was taken is not committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AppendError {
    /// It is not in the log and never will be unless it is submitted again.
    #[error("the batch was not stored")]
    NotStored,
    /// Whether it is in the log is not known. Submitting it again under the same id is safe; dropping it is not.
    #[error("it is not known whether the batch was stored")]
    Unknown,
}

/// Consecutive batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// In order, without a gap.
    pub batches: Vec<CommittedBatch>,
    /// Where to read on: right behind the last of them, or where reading began when there is none.
    pub next: Pos,
    /// Where the log stood at that time.
    pub bounds: Bounds,
}

/// Where a shard begins and where it will go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bounds {
    /// The oldest message that can be read; the head, when there is none.
    pub oldest: Pos,
    /// Where the next batch will stand.
    pub head: Pos,
}

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ReadError {
    /// What was asked for has been given up.
    #[error("the log begins at `{oldest}`")]
    Trimmed {
        /// The oldest position that can be read.
        oldest: Pos,
    },
    /// The position has not been reached: it is of another log, or this one was restored from an older copy.
    #[error("the log ends at `{head}`")]
    Ahead {
        /// Where the next batch will stand.
        head: Pos,
    },
    /// What stands there is damaged; reading on is possible behind it.
    #[error("the log is damaged up to `{next}`")]
    Damaged {
        /// The first position behind the damage.
        next: Pos,
    },
    /// There is no such shard.
    #[error("there is no such shard")]
    UnknownShard,
    /// The disk or the network does not answer.
    #[error("the log cannot be read")]
    Failed,
    /// The log has stopped.
    #[error("the log has stopped")]
    Stopped,
}

/// Why nobody is followed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum FollowError {
    /// [`FOLLOWERS_MAX`] are following already.
    #[error("a shard has at most {FOLLOWERS_MAX} followers")]
    TooMany,
    /// There is no such shard.
    #[error("there is no such shard")]
    UnknownShard,
    /// The log has stopped.
    #[error("the log has stopped")]
    Stopped,
}

impl Append {
    /// Whether any log may take it: what [`RefusedWhy::Invalid`] is about, but for the shard.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.origin < ORIGINS_MAX
            && !self.batch.is_empty()
            && self.batch.len() <= BATCH_MESSAGES_MAX
            && self.batch.as_bytes().len() <= BATCH_BYTES_MAX
    }

    /// The batch handed back with the reason.
    #[must_use]
    pub const fn refused(self, why: RefusedWhy) -> Refused {
        Refused { why, append: self }
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("id", &self.id)
            .field("origin", &self.origin)
            .field("messages", &self.batch.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("why", &self.why).field("append", &self.append).finish()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl CommittedBatch {
    /// Where the first of its messages stands.
    #[inline]
    #[must_use]
    pub const fn first(&self) -> Pos {
        Pos::of_record(self.record)
    }

    /// Where the next batch stands.
    #[inline]
    #[must_use]
    pub const fn next(&self) -> Pos {
        Pos::of_record(self.record + 1)
    }
}
