//! The documents of a lasting session as bytes: a version, then numbers of variable length and texts. Nothing else is
//! known here of what they mean.
//!
//! Positions stand in rising order and are written as what they are beyond the one before.

pub(crate) mod progress;
pub(crate) mod received;
pub(crate) mod session;

use engine::Pos;

/// The version of documents that have had one form so far; others are not read.
const VERSION: u8 = 1;

/// Why documents are no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// It was written by a newer release.
    #[error("version `{0}` of a session's document is not known")]
    Version(u8),
    /// It ends too early.
    #[error("a session's document is cut off")]
    Truncated,
    /// What it says cannot be.
    #[error("a session's document is damaged")]
    Damaged,
    /// It is not there, though it is written together with the others.
    #[error("a session's progress is missing")]
    Missing,
}

/// A document that is being written.
pub(crate) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self::of_version(out, VERSION)
    }

    pub(crate) fn of_version(out: &'a mut Vec<u8>, version: u8) -> Self {
        out.clear();
        out.push(version);
        Self(out)
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_byte(value));
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A position that is not before `from`; the answer is where the next one counts from.
    pub(crate) fn pos(&mut self, from: Pos, pos: Pos) -> Pos {
        let records = pos.record.saturating_sub(from.record);
        self.number(records);
        let index = if records == 0 { pos.index.saturating_sub(from.index) } else { pos.index };
        self.number(u64::from(index));
        pos
    }
}

/// A document that is being read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, RestoreError> {
        Self::up_to_version(bytes, VERSION).map(|(_, reader)| reader)
    }

    /// A document of any version up to this one, and which it is.
    pub(crate) fn up_to_version(bytes: &'a [u8], newest: u8) -> Result<(u8, Self), RestoreError> {
        match bytes.split_first().ok_or(RestoreError::Truncated)? {
            (&version, rest) if (1..=newest).contains(&version) => Ok((version, Self(rest))),
            (&version, _) => Err(RestoreError::Version(version)),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, RestoreError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(RestoreError::Truncated)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(RestoreError::Damaged);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RestoreError::Damaged)
    }

    pub(crate) fn short<T: TryFrom<u64>>(&mut self) -> Result<T, RestoreError> {
        T::try_from(self.number()?).map_err(|_| RestoreError::Damaged)
    }

    /// How many things follow; each of them has a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, RestoreError> {
        let count = self.short()?;
        if count > self.0.len() { Err(RestoreError::Truncated) } else { Ok(count) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RestoreError> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(RestoreError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, RestoreError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RestoreError::Damaged)
    }

    pub(crate) fn pos(&mut self, from: Pos) -> Result<Pos, RestoreError> {
        let records = self.number()?;
        let record = from.record.checked_add(records).ok_or(RestoreError::Damaged)?;
        let index: u16 = self.short()?;
        let index = if records == 0 { from.index.checked_add(index) } else { Some(index) };
        Ok(Pos { record, index: index.ok_or(RestoreError::Damaged)? })
    }

    /// Nothing follows.
    pub(crate) fn end(self) -> Result<(), RestoreError> {
        if self.0.is_empty() { Ok(()) } else { Err(RestoreError::Damaged) }
    }
}

/// Where a document's first position counts from.
pub(crate) const ORIGIN: Pos = Pos { record: 0, index: 0 };

fn low_byte(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}
