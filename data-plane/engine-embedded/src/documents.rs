//! Documents, as they are kept beside the log: what changes and retained messages of committed batches have made of
//! them, up to a position. The log is what counts: behind that position everything is in its journal, and is applied
//! again when the engine starts.
//!
//! ```text
//! committed batch ─► overlay in memory ─ view's thread ─► documents on disk, with the position they are true at
//! load, scan, look-up ─► overlay, else documents
//! ```
//! Which topics have a retained message is known in memory beside them, so that a look-up asks for those alone that match;
//! and when it expires. Whose time is over is deleted in the overlay, and not in the log: after a stop it may be there again,
//! given to nobody, and is deleted again.
//!
//! A journal segment is not sealed before the documents are persisted past its end. So documents that are older than
//! that, or lost, are made anew from the journal as far as it reaches back; where it does not, that is said.

pub(crate) mod disk;
mod expiring;
pub(crate) mod key;
mod memory;
pub(crate) mod opening;
pub(crate) mod overlay;
mod packed_keys;
pub(crate) mod retained;
pub(crate) mod store;
mod torn;

use std::fmt;
use std::io;

use engine::Rev;

pub use memory::MemoryDocuments;

/// A place for documents, true at one position of the log. Keys are an instance's 16 bytes and the document's own key.
/// Nothing in here knows what a document means. It is written by one thread, and read by many beside it.
///
/// After a write that failed there may be any whole state from the last persisted one on, and readers may find none for a
/// while: whoever wrote applies everything since then again, until it succeeds.
pub trait Documents: Send + Sync + fmt::Debug {
    /// The first record of the log whose changes are not in it: 1 when it is new.
    fn position(&self) -> io::Result<u64>;

    /// Applies the writes and moves to `position`, all or nothing, for readers and after a crash alike. It is durable
    /// after [`Documents::persist`]; before that a crash may leave any earlier state that was whole.
    fn apply(&self, writes: &mut dyn Iterator<Item = DocumentWrite<'_>>, position: u64) -> io::Result<()>;

    /// The document under a key.
    fn get(&self, key: &[u8]) -> io::Result<Option<StoredDocument>>;

    /// Calls `each` with the keys and documents from `from` on, in the order of the keys' bytes, until it answers
    /// false. Every document that was there before the call and is not changed meanwhile is among them.
    fn range(&self, from: &[u8], each: &mut dyn FnMut(&[u8], DocumentView<'_>) -> bool) -> io::Result<()>;

    /// Makes everything that was applied durable.
    fn persist(&self) -> io::Result<()>;

    /// What was said to be lost from the documents, oldest first.
    fn losses(&self) -> io::Result<Vec<String>>;

    /// Remembers that something is lost. Durable after [`Documents::persist`]. The newest [`LOSSES_MAX`] are kept.
    fn note_loss(&self, loss: &str) -> io::Result<()>;
}

/// How many losses are remembered.
pub const LOSSES_MAX: usize = 16;

/// One write of [`Documents::apply`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocumentWrite<'a> {
    /// Instance and key.
    pub key: &'a [u8],
    /// What stands there from now on; none when it is deleted.
    pub document: Option<DocumentView<'a>>,
}

/// A document, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocumentView<'a> {
    /// Its revision: the record of the log that wrote it.
    pub rev: Rev,
    /// Its bytes.
    pub body: &'a [u8],
}

/// A document that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredDocument {
    /// Its revision: the record of the log that wrote it.
    pub rev: Rev,
    /// Its bytes.
    pub body: Vec<u8>,
}
