//! `State`: small documents that change by comparing and setting, or with a batch of the log.

use contract::ids::InstanceId;

use crate::Answer;

/// The most bytes of a key.
pub const KEY_BYTES_MAX: usize = 65_500;

/// The most bytes of a document.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the key of a retained message begins with; the topic follows. The document is the message's record.
pub const RETAINED_PREFIX: &str = "r/";

/// The most documents of one answer of [`State::scan`].
pub const SCAN_MAX: usize = 1_000;

/// The bytes of keys and documents at which an engine may end an answer of [`State::scan`]: the document that reaches
/// them is the last one.
pub const SCAN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Small documents of an instance: sessions, cursors, retained values. Rules for every engine:
///
/// - **Two ways in.** A [`Change`](crate::Change) in a batch is unconditional, and committed with the batch: for who is
///   the only writer of a key. Everyone else writes through this trait. A message with the retain flag is kept as the
///   document [`RETAINED_PREFIX`] and its topic, and deletes that when its payload is empty [MQTT-3.3.1-10]; the last one
///   in the order of the log stands. A topic for whose key [`KEY_BYTES_MAX`] is too short keeps none. When its time is
///   over the document is deleted, soon and without a record in the log. Of a key that batches write, this trait must
///   write none: neither would know of the other, and the last one in the log would stand.
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
    /// keys' bytes: at most `limit`, and never more than [`SCAN_MAX`]. Possibly fewer although more follow, see
    /// [`SCAN_BYTES_MAX`]; none at the end alone. What is written meanwhile may or may not be among them.
    fn scan<'a>(
        &'a self,
        instance: InstanceId,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<(Key, Document)>, StateError>>;

    /// The documents of all instances whose keys begin with `prefix`, in the order of instance and key, behind `after`:
    /// at most `limit`, never more than [`SCAN_MAX`], and none at the end alone. For the node itself, when it starts and when it cleans up.
    fn scan_all<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<(InstanceId, &'a Key)>,
        limit: usize,
    ) -> Answer<'a, Result<Vec<FoundDocument>, StateError>>;
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

    /// The key of a topic's retained message; none for a topic that is too long for one.
    #[must_use]
    pub fn retained(topic: &str) -> Option<Self> {
        Self::new([RETAINED_PREFIX, topic].concat().into_bytes()).ok()
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
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

/// A document, and whose it is.
pub type FoundDocument = (InstanceId, Key, Document);

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
