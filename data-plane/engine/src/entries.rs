//! Walking through the bytes of a batch: all of it, its messages, or its changes. Nothing is trusted: the first record
//! that is none ends a walk, after its error.

use crate::batch::{BatchError, FORMAT_VERSION, HEADER};
use crate::change::{Change, FLAG_CHANGE};
use crate::envelope::{Before, Envelope, EnvelopeError, LENGTH};

/// One message of a batch, and the bytes that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Where its bytes begin, counted from the batch's first.
    pub at: usize,
    /// Header, topic, publisher, payload.
    pub bytes: &'a [u8],
    /// What they mean.
    pub envelope: Envelope<'a>,
    /// It is known that it differs from the message before it in its batch in QoS, retain flag and payload at most.
    pub is_alike: bool,
}

/// What stands in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// A message.
    Message(Record<'a>),
    /// A change of a document.
    Change(Change<'a>),
}

/// The records behind a batch's header.
#[inline]
fn records(bytes: &[u8]) -> Result<&[u8], BatchError> {
    match bytes.split_first_chunk::<HEADER>() {
        Some(([FORMAT_VERSION, 0..=3, 0, 0], rest)) => Ok(rest),
        Some((&[version, ..], _)) if version != FORMAT_VERSION => Err(BatchError::Version(version)),
        Some(_) => Err(BatchError::Header),
        None if bytes.is_empty() => Ok(bytes),
        None => Err(BatchError::Truncated),
    }
}

/// Whether the record at the front is a change.
#[inline]
fn is_change(rest: &[u8]) -> bool {
    rest.get(LENGTH).is_some_and(|flags| flags & FLAG_CHANGE != 0)
}

/// The record at the front without its length, and what follows it.
#[inline]
fn split_record(rest: &[u8]) -> Result<(&[u8], &[u8]), EnvelopeError> {
    let (length, rest) = rest.split_first_chunk::<LENGTH>().ok_or(EnvelopeError::Truncated)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| EnvelopeError::Truncated)?;
    rest.split_at_checked(length).ok_or(EnvelopeError::Truncated)
}

/// Messages and changes of a batch, borrowed from it.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Topic and publisher of the message before.
    known: (&'a str, &'a str),
}

impl<'a> Entries<'a> {
    /// What stands in bytes that [`Batch::as_bytes`](crate::Batch::as_bytes) gave, each looked at when it is come to.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        records(bytes).map(|_| Self::of(bytes))
    }

    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: HEADER, known: ("", "") }
    }

    fn entry(&mut self, rest: &'a [u8]) -> Result<Entry<'a>, EnvelopeError> {
        let at = self.at;
        if is_change(rest) {
            let (record, rest) = split_record(rest)?;
            self.at = self.bytes.len() - rest.len();
            return Change::read(record).map(Entry::Change);
        }
        let (envelope, rest) = Envelope::read(rest, self.known)?;
        self.known = (envelope.topic, envelope.publisher);
        self.at = self.bytes.len() - rest.len();
        Ok(Entry::Message(Record { at, bytes: &self.bytes[at..self.at], envelope, is_alike: false }))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|it| !it.is_empty())?;
        let entry = self.entry(rest);
        if entry.is_err() {
            self.at = self.bytes.len();
        }
        Some(entry)
    }
}

impl std::iter::FusedIterator for Entries<'_> {}

/// The messages of a batch, borrowed from it. Changes are passed over.
#[derive(Clone, Debug)]
pub struct Envelopes<'a> {
    rest: &'a [u8],
    before: Option<Before<'a>>,
    /// The message that was answered last is like the one before it.
    is_alike: bool,
    /// It had the same topic, so that it is worth a look whether the next one is like it.
    is_run: bool,
}

impl<'a> Envelopes<'a> {
    /// The messages in bytes that [`Batch::as_bytes`](crate::Batch::as_bytes) gave, here or elsewhere.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        records(bytes).map(|rest| Self { rest, before: None, is_alike: false, is_run: false })
    }

    #[inline]
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(HEADER..).unwrap_or_default(), before: None, is_alike: false, is_run: false }
    }

    /// Comes to the next message, which is [`Envelopes::before`] then: it is large, and is not to be moved about.
    #[inline]
    fn advance(&mut self) -> Option<Result<(), EnvelopeError>> {
        let before = self.before.as_mut().filter(|_| self.is_run);
        let alike = before.and_then(|before| before.go_on(self.rest));
        self.is_alike = alike.is_some();
        if let Some(rest) = alike {
            self.rest = rest;
            return Some(Ok(()));
        }
        self.advance_other()
    }

    /// Comes to the next message, of which nothing is known yet.
    fn advance_other(&mut self) -> Option<Result<(), EnvelopeError>> {
        let skipped = if is_change(self.rest) { self.skip_changes() } else { Ok(()) };
        if self.rest.is_empty() {
            return None;
        }
        let known = self.before.as_ref().map_or(("", ""), Before::texts);
        match skipped.and_then(|()| Envelope::read(self.rest, known)) {
            Ok((envelope, rest)) => {
                self.is_run = std::ptr::eq(envelope.topic, known.0);
                self.before = Some(Before::new(self.rest, envelope));
                self.rest = rest;
                Some(Ok(()))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }

    fn skip_changes(&mut self) -> Result<(), EnvelopeError> {
        while is_change(self.rest) {
            let (record, rest) = split_record(self.rest)?;
            Change::read(record)?;
            self.rest = rest;
        }
        Ok(())
    }
}

impl<'a> Iterator for Envelopes<'a> {
    type Item = Result<Envelope<'a>, EnvelopeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance()? {
            Ok(()) => self.before.as_ref().map(|before| Ok(before.envelope)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl std::iter::FusedIterator for Envelopes<'_> {}

/// The messages of a batch with their records, borrowed from it. Changes are passed over.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: &'a [u8],
    envelopes: Envelopes<'a>,
}

impl<'a> Records<'a> {
    /// The messages in bytes that [`Batch::as_bytes`](crate::Batch::as_bytes) gave, each looked at once, when it is
    /// come to.
    pub fn read(batch: &'a [u8]) -> Result<Self, BatchError> {
        Ok(Self { batch, envelopes: Envelopes::read(batch)? })
    }

    #[inline]
    pub(crate) fn of(batch: &'a [u8]) -> Self {
        Self { batch, envelopes: Envelopes::of(batch) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, EnvelopeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.envelopes.advance()? {
            return Some(Err(error));
        }
        let Envelopes { before, rest, is_alike, .. } = &self.envelopes;
        let envelope = &before.as_ref()?.envelope;
        let end = self.batch.len() - rest.len();
        let at = end - envelope.size_bytes();
        Some(Ok(Record { at, bytes: &self.batch[at..end], envelope: *envelope, is_alike: *is_alike }))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// The changes of a batch, borrowed from it. Messages are passed over without a look into them.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    rest: &'a [u8],
}

impl<'a> Changes<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(HEADER..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let is_change = is_change(self.rest);
            match split_record(self.rest) {
                Ok((record, rest)) => {
                    self.rest = rest;
                    if is_change {
                        let change = Change::read(record);
                        self.rest = if change.is_ok() { self.rest } else { &[] };
                        return Some(change);
                    }
                }
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::iter::FusedIterator for Changes<'_> {}
