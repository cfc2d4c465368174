//! `State`: small documents that change only by comparing and setting.

use contract::ids::InstanceId;

use crate::Answer;

/// The most bytes of a key: long names (a client identifier, a topic) are hashed by who makes the key.
pub const KEY_BYTES_MAX: usize = 512;

/// The most bytes of a document.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// The most documents of one answer of [`State::scan`].
pub const SCAN_MAX: usize = 1_000;

/// Small documents of an instance: sessions, cursors, retained values. Rules for every engine:
///
/// - **Compare and set.** Every write names the revision it has seen. Of two writers that saw the same one, exactly one
///   succeeds, and the other is told what stands there now.
/// - **Revisions only grow.** A revision of a key is above every earlier one of that key, across deletion and
///   restarts; so an old one never fits again by accident.
/// - **Durable.** When a write is answered with success it survives what the engine's log survives.
/// - **Loads may be old.** An engine of many machines may answer [`load`](Self::load) with an older revision; the next
///   write finds that out. Within one process the newest is answered.
/// - **Unknown outcomes.** After [`StateError::Failed`] a write may or may not stand: load, and look.
/// - Nothing of one instance is ever seen through another's id, not even in a scan without a prefix.
pub trait State: Send + Sync {
    /// The document under this key.
    fn load<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
    ) -> Answer<'a, Result<Option<Document>, StateError>>;

    /// Puts a document in the place of the one with the revision `expect` ([`Rev::ABSENT`]: there must be none), and
    /// answers its new revision.
    fn put<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        body: Vec<u8>,
        expect: Rev,
    ) -> Answer<'a, Result<Rev, WriteError>>;

    /// Deletes the document with the revision `expect`. That there is none already is a conflict too, except when
    /// none is expected.
    fn delete<'a>(
        &'a self,
        instance: InstanceId,
        key: &'a Key,
        expect: Rev,
    ) -> Answer<'a, Result<(), WriteError>>;

    /// The documents of an instance whose keys begin with `prefix` and stand behind `after`, in the order of their
    /// keys' bytes: at most `limit`, and never more than [`SCAN_MAX`]. What is written meanwhile may or may not be
    /// among them.
    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>>;
}

/// What a document is found under: 1 to [`KEY_BYTES_MAX`] bytes. By custom a word for its kind, `/`, and the rest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        if (1..=KEY_BYTES_MAX).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(KeyError(bytes.len())) }
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes that are no key, by their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key has 1 to {KEY_BYTES_MAX} bytes, not `{0}`")]
pub struct KeyError(pub usize);

/// The revision of a document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rev(pub u64);

impl Rev {
    /// Of a document that is not there.
    pub const ABSENT: Self = Self(0);
}

/// One document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// What a write has to name to replace it.
    pub rev: Rev,
    /// At most [`DOCUMENT_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Why nothing is answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum StateError {
    /// The disk or the network does not answer.
    #[error("the documents cannot be reached")]
    Failed,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// Why a write did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum WriteError {
    /// Another revision stands there: nothing was changed.
    #[error("the document has the revision `{}`", found.0)]
    Conflict {
        /// The one that stands there; [`Rev::ABSENT`] for none.
        found: Rev,
    },
    /// More than [`DOCUMENT_BYTES_MAX`]: nothing was changed.
    #[error("a document has at most {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    /// What is kept fills the room there is: nothing was changed.
    #[error("the storage is full")]
    Full,
    /// The engine is in no state to write.
    #[error(transparent)]
    State(#[from] StateError),
}
