//! How an engine is, for operators and alarms.

use std::sync::Arc;

use crate::damage::Damage;

/// From this share of the disk on it is said that it fills up.
pub const NEARLY_FULL_PERCENT: u64 = 90;

/// From this share of the disk on nothing more is stored. The rest is for sealing, and for the other programs.
pub const FULL_PERCENT: u64 = 95;

/// How an engine is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Whether batches are taken and committed.
    pub writing: Writing,
    /// What is known to be lost from the journal, and from journal segments that were put aside.
    pub damage: Vec<Damage>,
    /// What is known to be lost from the documents (sessions, retained messages), oldest first, in a sentence each; the
    /// newest sixteen are remembered across starts.
    pub documents_lost: Vec<Arc<str>>,
    /// Why the last attempt to write documents, to seal a segment, or to drop what is over failed; it is tried again.
    /// Nothing is lost meanwhile, but the journal grows and messages stay longer than they should; documents that cannot
    /// be written for long end writing.
    pub sealing_failed: Option<Arc<str>>,
}

/// Whether batches are taken and committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Writing {
    /// They are.
    Good,
    /// They are, but [`NEARLY_FULL_PERCENT`] of the disk is taken.
    NearlyFull {
        /// The share that is taken.
        used_percent: u8,
    },
    /// They are refused: [`FULL_PERCENT`] of the disk is taken. It ends by itself when there is room.
    Full {
        /// The share that is taken.
        used_percent: u8,
    },
    /// They are refused since a write or a sync failed, or documents could not be written for long. Only a new start
    /// ends it: after a failed sync nobody knows what the disk has.
    Failed {
        /// What happened.
        reason: Arc<str>,
    },
    /// The engine was stopped.
    Stopped,
}

/// What an engine has done since its start, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Batches committed.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// Syncs of the journal: each commits all that was waiting.
    pub syncs: u64,
    /// Batches that were handed in again under an id that was remembered.
    pub repeated_batches: u64,
    /// Places found damaged, in whichever file.
    pub damaged: u64,
    /// Bytes of an unfinished write left out at the start.
    pub cut_bytes: u64,
    /// Journal segments sealed.
    pub sealed: u64,
    /// Sealed segments dropped, by age or for room.
    pub dropped_segments: u64,
    /// Journal segments there are.
    pub journal_segments: usize,
    /// Their bytes.
    pub journal_bytes: u64,
    /// Sealed segments there are.
    pub sealed_segments: usize,
    /// Their bytes.
    pub sealed_bytes: u64,
}
