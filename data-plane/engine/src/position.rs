//! Where a message stands in a log, and what names a batch on its way there.

use std::fmt;

use contract::message::MessageId;

/// One ordered log among those of a deployment. An engine within one process has shard 0 alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Shard(pub u16);

/// A place in a shard, ordered as the shard is. Records are counted from 1 without gaps, one for each batch that was
/// appended; the index is the message within its batch, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pos {
    /// The batch.
    pub record: u64,
    /// The message within it.
    pub index: u16,
}

impl Pos {
    /// Where the first message of a shard stands.
    pub const START: Self = Self { record: 1, index: 0 };

    /// The first message of a record.
    #[inline]
    #[must_use]
    pub const fn of_record(record: u64) -> Self {
        Self { record, index: 0 }
    }

    /// The next place, if records were without end.
    #[inline]
    #[must_use]
    pub const fn successor(self) -> Self {
        match self.index.checked_add(1) {
            Some(index) => Self { record: self.record, index },
            None => Self::of_record(self.record.saturating_add(1)),
        }
    }

    /// The place before, if records were without end.
    #[must_use]
    pub(crate) const fn predecessor(self) -> Self {
        match self.index.checked_sub(1) {
            Some(index) => Self { record: self.record, index },
            None => Self { record: self.record.saturating_sub(1), index: u16::MAX },
        }
    }

    /// The identifier of the message that stands here.
    #[inline]
    #[must_use]
    pub const fn message_id(self, shard: Shard) -> MessageId {
        MessageId { shard: shard.0, record: self.record, index: self.index }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.record, self.index)
    }
}

impl From<MessageId> for Pos {
    #[inline]
    fn from(id: MessageId) -> Self {
        Self { record: id.record, index: id.index }
    }
}

/// What makes handing in a batch repeatable: drawn once by who submits it, and the same each time it is tried again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BatchId(pub [u8; 16]);
