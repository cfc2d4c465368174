//! One change of a document, as it stands in a batch beside messages. What documents mean is others' business.
//!
//! A change is a record like a message's, numbers in little endian:
//! ```text
//!  0  u32  bytes that follow these four
//!  4  u8   flags: bit 7; bit 0 when the document is deleted; the others 0
//!  5  u8   0
//!  6  u16  bytes of the key
//!  8  u32  0
//! 12      instance, 16 bytes as in a UUID's text
//! 28      key, body: what is left
//! ```

use contract::ids::InstanceId;

use crate::envelope::{EnvelopeError, LENGTH, split};
use crate::{DOCUMENT_BYTES_MAX, KEY_BYTES_MAX};

/// Bytes of a change before its key.
pub const CHANGE_HEADER_BYTES: usize = 28;

/// What tells a change from a message.
pub(crate) const FLAG_CHANGE: u8 = 0b1000_0000;

const FLAG_DELETED: u8 = 0b1;

/// A document put in the place of whatever stands there, or deleted. Nothing is compared: of each key there is one
/// writer at a time. Everyone else changes documents through [`State`](crate::State).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    /// Whose document it is.
    pub instance: InstanceId,
    /// 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: &'a [u8],
    /// At most [`DOCUMENT_BYTES_MAX`]; `None`: deleted.
    pub body: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    /// Bytes of the record.
    #[inline]
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        let body = match self.body {
            Some(body) => body.len(),
            None => 0,
        };
        CHANGE_HEADER_BYTES + self.key.len() + body
    }

    /// Appends the record; nothing when it fails.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let body = self.body.unwrap_or_default();
        if self.key.is_empty() || self.key.len() > KEY_BYTES_MAX || body.len() > DOCUMENT_BYTES_MAX {
            return Err(EnvelopeError::TooLong);
        }
        let length = u32::try_from(self.size_bytes() - LENGTH).map_err(|_| EnvelopeError::TooLong)?;
        let key = u16::try_from(self.key.len()).map_err(|_| EnvelopeError::TooLong)?;
        let mut header = [0; CHANGE_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4] = FLAG_CHANGE | if self.body.is_none() { FLAG_DELETED } else { 0 };
        header[6..8].copy_from_slice(&key.to_le_bytes());
        header[12..].copy_from_slice(self.instance.0.as_bytes());
        out.reserve(self.size_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.key);
        out.extend_from_slice(body);
        Ok(())
    }

    /// Reads what follows a record's length.
    pub(crate) fn read(record: &'a [u8]) -> Result<Self, EnvelopeError> {
        let (header, rest) =
            record.split_first_chunk::<{ CHANGE_HEADER_BYTES - LENGTH }>().ok_or(EnvelopeError::Truncated)?;
        let [flags, zero, key_0, key_1, header @ ..] = *header;
        let (zeros, instance) = split::<4>(&header);
        if flags & !FLAG_DELETED != FLAG_CHANGE || zero != 0 || zeros != [0; 4] {
            return Err(EnvelopeError::Flags);
        }
        let (instance, _) = split::<16>(instance);
        let key_bytes = usize::from(u16::from_le_bytes([key_0, key_1]));
        let (key, body) = rest.split_at_checked(key_bytes).ok_or(EnvelopeError::Truncated)?;
        let is_deleted = flags & FLAG_DELETED != 0;
        if key.is_empty() || (is_deleted && !body.is_empty()) {
            return Err(EnvelopeError::Truncated);
        }
        let body = (!is_deleted).then_some(body);
        Ok(Self { instance: InstanceId(uuid::Uuid::from_bytes(instance)), key, body })
    }
}
