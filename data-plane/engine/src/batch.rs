//! Many messages, and changes of documents, in one piece of memory: what goes from worker to worker, and into the log.
//!
//! Four bytes stand in front: the version of the form; what is in it (bit 0: changes, bit 1: messages with the retain
//! flag); two that are 0. Records follow without a gap, in the order in which they were added.

use contract::qos::Qos;

use crate::change::Change;
use crate::entries::{Changes, Entries, Entry, Envelopes, Records};
use crate::envelope::{self, Envelope, EnvelopeError};

/// The version of this form. A reader takes its own and no other; what stores batches says which version it stored.
pub const FORMAT_VERSION: u8 = 3;

/// Bytes in front of the records.
pub(crate) const HEADER: usize = 4;

/// Where the header says what is in the batch.
const CONTENT_AT: usize = 1;

const HAS_CHANGES: u8 = 0b1;
const HAS_RETAINED: u8 = 0b10;

/// Why bytes are no batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Too short to say what it is.
    #[error("a batch is cut off in its header")]
    Truncated,
    /// Another version of the form.
    #[error("a batch has the form of version {0}, not {FORMAT_VERSION}")]
    Version(u8),
    /// Bytes that this version keeps 0, or that do not say what is in the batch.
    #[error("a batch has an unknown header")]
    Header,
    /// One of its records is none.
    #[error(transparent)]
    Record(#[from] EnvelopeError),
}

/// Messages and changes in the order in which they were added. Messages alone are counted and have positions. Its
/// memory is kept from use to use.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Header and records; empty as long as there is no record, so that an idle batch costs nothing.
    bytes: Vec<u8>,
    count: u32,
    /// Where in the bytes the message that was appended last has all that stands in front of its payload; nothing, if
    /// none was appended here.
    last: (usize, usize),
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Batch {}

impl Batch {
    /// No message, nothing allocated.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), count: 0, last: (0, 0) }
    }

    /// An empty batch in memory that was used before.
    #[must_use]
    pub fn with_memory(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { bytes: memory, count: 0, last: (0, 0) }
    }

    /// The batch whose bytes [`Batch::as_bytes`] gave, here or elsewhere. Every record is looked at, so that the walk
    /// over a batch from a disk cannot fail later.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BatchError> {
        let (mut count, mut content) = (0, 0);
        for entry in Entries::read(&bytes)? {
            match entry? {
                Entry::Message(message) => {
                    count += 1;
                    content |= if message.envelope.retain { HAS_RETAINED } else { 0 };
                }
                Entry::Change(_) => content |= HAS_CHANGES,
            }
        }
        if bytes.get(CONTENT_AT).is_some_and(|it| *it != content) {
            return Err(BatchError::Header);
        }
        // A header without a record is the empty batch too, which has no bytes.
        let bytes = if bytes.len() <= HEADER { Vec::new() } else { bytes };
        Ok(Self { bytes, count, last: (0, 0) })
    }

    /// Adds a message at the end. When it fails the batch is as it was.
    #[inline]
    pub fn append(&mut self, envelope: &Envelope<'_>) -> Result<(), EnvelopeError> {
        let content = if envelope.retain { HAS_RETAINED } else { 0 };
        let at = self.bytes.len().max(HEADER);
        self.add(content, |bytes| envelope.write(bytes))?;
        self.count += 1;
        self.last = (at, self.bytes.len() - envelope.payload.len());
        Ok(())
    }

    /// Adds a message that in all but these is as the one appended last: without that one it fails. Then the batch is
    /// as it was.
    #[inline]
    pub fn append_alike(&mut self, qos: Qos, retain: bool, payload: &[u8]) -> Result<(), EnvelopeError> {
        let (from, to) = self.last;
        if from == to {
            return Err(EnvelopeError::Truncated);
        }
        let at = self.bytes.len();
        let front = envelope::front_alike(&self.bytes[from..to], qos, retain, payload.len())?;
        self.bytes.reserve(to - from + payload.len());
        self.bytes.extend_from_within(from..to);
        self.bytes.extend_from_slice(payload);
        self.bytes[at..at + front.len()].copy_from_slice(&front);
        self.bytes[CONTENT_AT] |= if retain { HAS_RETAINED } else { 0 };
        self.count += 1;
        self.last = (at, at + to - from);
        Ok(())
    }

    /// Adds a change at the end. When it fails the batch is as it was.
    pub fn change(&mut self, change: &Change<'_>) -> Result<(), EnvelopeError> {
        self.add(HAS_CHANGES, |bytes| change.write(bytes))
    }

    #[inline]
    fn add(
        &mut self,
        content: u8,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EnvelopeError>,
    ) -> Result<(), EnvelopeError> {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[FORMAT_VERSION, 0, 0, 0]);
        }
        let written = write(&mut self.bytes);
        if written.is_ok() {
            self.bytes[CONTENT_AT] |= content;
        } else if self.bytes.len() == HEADER {
            self.bytes.clear();
        }
        written
    }

    /// The messages, as they were appended; changes are passed over.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Envelopes<'_> {
        Envelopes::of(&self.bytes)
    }

    /// The messages, each with its record and where that begins in [`Batch::as_bytes`]; changes are passed over.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::of(&self.bytes)
    }

    /// The changes, in order; messages are passed over.
    #[must_use]
    pub fn changes(&self) -> Changes<'_> {
        Changes::of(&self.bytes)
    }

    /// Messages and changes, in the order in which they were added.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries::of(&self.bytes)
    }

    /// Whether there is a change.
    #[inline]
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.content() & HAS_CHANGES != 0
    }

    /// Whether there is a message with the retain flag.
    #[inline]
    #[must_use]
    pub fn has_retained(&self) -> bool {
        self.content() & HAS_RETAINED != 0
    }

    /// Whether documents change by it: by a change, or by a message with the retain flag.
    #[inline]
    #[must_use]
    pub fn has_documents(&self) -> bool {
        self.content() != 0
    }

    fn content(&self) -> u8 {
        self.bytes.get(CONTENT_AT).copied().unwrap_or(0)
    }

    /// The number of messages.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is neither a message nor a change.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Header and records; nothing at all when the batch is empty.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets messages and changes and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.last = (0, 0);
    }

    /// The bytes, to be handed on or used again.
    #[inline]
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Result<Envelope<'a>, EnvelopeError>;
    type IntoIter = Envelopes<'a>;

    fn into_iter(self) -> Envelopes<'a> {
        self.iter()
    }
}
