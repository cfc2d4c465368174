//! Many messages in one piece of memory: what goes from worker to worker, and into the log.
//!
//! Four bytes stand in front: the version of the form, then three that are 0. Records follow without a gap.

use crate::envelope::{Envelope, EnvelopeError};

/// The version of this form. A reader takes its own and no other; what stores batches says which version it stored.
pub const FORMAT_VERSION: u8 = 2;

const HEADER: [u8; 4] = [FORMAT_VERSION, 0, 0, 0];

/// Why bytes are no batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Too short to say what it is.
    #[error("a batch is cut off in its header")]
    Truncated,
    /// Another version of the form.
    #[error("a batch has the form of version {0}, not {FORMAT_VERSION}")]
    Version(u8),
    /// Bytes that this version keeps 0.
    #[error("a batch has an unknown header")]
    Header,
    /// One of its records is none.
    #[error(transparent)]
    Record(#[from] EnvelopeError),
}

/// Messages in the order in which they were appended. Its memory is kept from use to use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Header and records; empty as long as there is no record, so that an idle batch costs nothing.
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// No message, nothing allocated.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), count: 0 }
    }

    /// An empty batch in memory that was used before.
    #[must_use]
    pub fn with_memory(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { bytes: memory, count: 0 }
    }

    /// The batch whose bytes [`Batch::as_bytes`] gave, here or elsewhere. Every record is looked at, so that the walk
    /// over a batch from a disk cannot fail later.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, BatchError> {
        let mut count = 0;
        for envelope in Envelopes::read(&bytes)? {
            envelope?;
            count += 1;
        }
        // A header without a record is the empty batch too, which has no bytes.
        let bytes = if count == 0 { Vec::new() } else { bytes };
        Ok(Self { bytes, count })
    }

    /// Adds a message at the end. When it fails the batch is as it was.
    #[inline]
    pub fn append(&mut self, envelope: &Envelope<'_>) -> Result<(), EnvelopeError> {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&HEADER);
        }
        let written = envelope.write(&mut self.bytes);
        match written {
            Ok(()) => self.count += 1,
            Err(_) if self.count == 0 => self.bytes.clear(),
            Err(_) => {}
        }
        written
    }

    /// The messages, as they were appended.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Envelopes<'_> {
        Envelopes { rest: self.bytes.get(HEADER.len()..).unwrap_or_default() }
    }

    /// The messages, each with its record and where that begins in [`Batch::as_bytes`].
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records { batch: &self.bytes, at: HEADER.len(), envelopes: self.iter() }
    }

    /// The number of messages.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Header and records; nothing at all when there is no message.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the messages and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// The bytes, to be handed on or used again.
    #[inline]
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// One message of a batch, and the bytes that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Where its bytes begin, counted from the batch's first.
    pub at: usize,
    /// Header, topic, publisher, payload.
    pub bytes: &'a [u8],
    /// What they mean.
    pub envelope: Envelope<'a>,
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

/// The messages of a batch, borrowed from it. Nothing is trusted: the first record that is none ends the walk, after
/// its error.
#[derive(Clone, Debug)]
pub struct Envelopes<'a> {
    rest: &'a [u8],
}

impl<'a> Envelopes<'a> {
    /// The messages in bytes that [`Batch::as_bytes`] gave, here or elsewhere.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        match bytes.split_first_chunk::<4>() {
            Some((&HEADER, rest)) => Ok(Self { rest }),
            Some((&[version, ..], _)) if version != FORMAT_VERSION => Err(BatchError::Version(version)),
            Some(_) => Err(BatchError::Header),
            None if bytes.is_empty() => Ok(Self { rest: bytes }),
            None => Err(BatchError::Truncated),
        }
    }
}

impl<'a> Iterator for Envelopes<'a> {
    type Item = Result<Envelope<'a>, EnvelopeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Envelope::read(self.rest) {
            Ok((envelope, rest)) => {
                self.rest = rest;
                Some(Ok(envelope))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Envelopes<'_> {}

/// The messages of a batch with their records, borrowed from it. As little is trusted as by [`Envelopes`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: &'a [u8],
    at: usize,
    envelopes: Envelopes<'a>,
}

impl<'a> Records<'a> {
    /// The messages in bytes that [`Batch::as_bytes`] gave, each looked at once, when it is come to.
    pub fn read(batch: &'a [u8]) -> Result<Self, BatchError> {
        Ok(Self { batch, at: HEADER.len(), envelopes: Envelopes::read(batch)? })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, EnvelopeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        Some(self.envelopes.next()?.map(|envelope| {
            self.at = at + envelope.size_bytes();
            Record { at, bytes: &self.batch[at..self.at], envelope }
        }))
    }
}

impl std::iter::FusedIterator for Records<'_> {}
