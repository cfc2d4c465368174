//! The index of a segment while it grows: rows and dictionaries of each instance, in memory.

use std::collections::BTreeMap;

use contract::ids::InstanceId;

use super::dictionary::Dictionary;
use super::row::{RECORD_BYTES_MAX, ROW_BYTES, Row, TIME_MAX};
use super::table::{ROWS_PER_CHUNK, Span};
use crate::{Pos, Record};

/// The most rows of one index.
const ROWS_MAX: u32 = 1 << 26;

/// The most runs of rows whose memory is kept for the next segment: a segment with more instances has few rows of each.
const SPARE_MAX: usize = 64;

/// The most bytes of topics and publishers of all messages of one index.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// The index of a segment that grows: queried as it is ([`Index::Live`](super::Index::Live)), and written as a footer
/// when the segment is sealed.
#[derive(Clone, Debug, Default)]
pub struct FooterBuilder {
    pub(super) instances: BTreeMap<InstanceId, Rows>,
    first_record: Option<u64>,
    last: Option<Pos>,
    rows: u32,
    /// Bytes of the texts of all rows: no less than what the dictionaries have.
    text_bytes: usize,
    times: Option<(u64, u64)>,
    /// Emptied, the largest last, for the next instances.
    spare: Vec<Spare>,
}

/// Memory for the rows of an instance.
#[derive(Clone, Debug, Default)]
struct Spare {
    rows: Vec<[u8; ROW_BYTES]>,
    before: Vec<[u32; 2]>,
}

/// The rows of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// As in a footer, but for the numbers of the texts, which are those of the dictionaries here.
    pub rows: Vec<[u8; ROW_BYTES]>,
    /// Of each row, the row before it that has the same topic, and the one with the same publisher.
    pub before: Vec<[u32; 2]>,
    pub topics: Dictionary,
    pub publishers: Dictionary,
    pub span: Span,
    /// The earliest and latest time of each [`ROWS_PER_CHUNK`] rows.
    pub chunk_times: Vec<(u64, u64)>,
}

/// Why a message is not in the index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AddError {
    /// The index can hold no more, or not this far away: the segment is to be sealed, and the message goes to the
    /// next one.
    #[error("the index of the segment is full")]
    Full,
    /// The message does not stand behind the one before it. A mistake of the caller.
    #[error("the message does not stand behind the last one")]
    Order,
}

impl FooterBuilder {
    /// The index of no message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the message at `pos`, whose record begins at `offset` in the segment. Positions ascend. When it fails the
    /// index is as it was.
    pub fn add(&mut self, pos: Pos, offset: u64, record: &Record<'_>) -> Result<(), AddError> {
        if self.last.is_some_and(|last| pos <= last) {
            return Err(AddError::Order);
        }
        let offset = u32::try_from(offset).map_err(|_| AddError::Full)?;
        let bytes = u32::try_from(record.bytes.len()).map_err(|_| AddError::Full)?;
        let first = self.first_record.unwrap_or(pos.record);
        let is_far = u32::try_from(pos.record - first).is_err();
        if bytes > RECORD_BYTES_MAX || is_far || self.rows >= ROWS_MAX || self.text_bytes >= TEXT_BYTES_MAX {
            return Err(AddError::Full);
        }

        let texts = record.envelope.topic.len() + record.envelope.publisher.len();
        let Self { instances, spare, .. } = self;
        let anew = || {
            let Spare { rows, before } = spare.pop().unwrap_or_default();
            Rows { rows, before, ..Rows::default() }
        };
        let rows = instances.entry(record.envelope.instance).or_insert_with(anew);
        let number = u32::try_from(rows.rows.len()).expect("no more than all rows");
        let stored_at = record.envelope.stored_at.0.min(TIME_MAX);
        // Weights are what history counts by: what it does not show weighs nothing.
        let shown_bytes = if record.envelope.history { bytes } else { 0 };
        let (topic, topic_before) = rows.topics.add(record.envelope.topic, number, shown_bytes);
        let (publisher, publisher_before) =
            rows.publishers.add(record.envelope.publisher, number, shown_bytes);
        let row = Row {
            pos,
            stored_at,
            offset,
            bytes,
            qos: record.envelope.qos,
            history: record.envelope.history,
            checksum: crc32fast::hash(record.bytes),
            topic,
            publisher,
        };
        let base = if number == 0 { pos.record } else { rows.span.first.record };
        rows.rows.push(row.to_bytes(base));
        rows.before.push([topic_before, publisher_before]);
        rows.span.extend(pos, stored_at, shown_bytes);
        match rows.chunk_times.last_mut() {
            Some((earliest, latest)) if number % ROWS_PER_CHUNK != 0 => {
                *earliest = stored_at.min(*earliest);
                *latest = stored_at.max(*latest);
            }
            _ => rows.chunk_times.push((stored_at, stored_at)),
        }
        self.rows += 1;
        self.text_bytes += texts;
        self.first_record = Some(first);
        self.last = Some(pos);
        let (earliest, latest) = self.times.unwrap_or((stored_at, stored_at));
        self.times = Some((earliest.min(stored_at), latest.max(stored_at)));
        Ok(())
    }

    /// How many messages it has.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.rows
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Where its last message stands.
    #[must_use]
    pub const fn last(&self) -> Option<Pos> {
        self.last
    }

    /// When its earliest and its latest message were stored.
    #[must_use]
    pub fn times(&self) -> Option<(contract::time::UnixMillis, contract::time::UnixMillis)> {
        let time = contract::time::UnixMillis;
        self.times.map(|(earliest, latest)| (time(earliest), time(latest)))
    }

    /// The footer: the bytes that are appended to the segment right behind its last record.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let mut footer = Vec::new();
        self.finish_into(&mut footer);
        footer
    }

    /// The footer in memory that was used before; what was in it goes.
    pub fn finish_into(&self, footer: &mut Vec<u8>) {
        footer.clear();
        super::write::footer(self, footer);
    }

    /// Forgets the messages and keeps memory for as many, to be the index of another segment.
    pub fn clear(&mut self) {
        let mut spare = std::mem::take(&mut self.spare);
        let instances = std::mem::take(&mut self.instances).into_values();
        spare.extend(instances.map(|Rows { rows, before, .. }| Spare { rows, before }));
        for Spare { rows, before } in &mut spare {
            rows.clear();
            before.clear();
        }
        spare.sort_unstable_by_key(|it| it.rows.capacity());
        spare.drain(..spare.len().saturating_sub(SPARE_MAX));
        *self = Self { spare, ..Self::default() };
    }

    /// The bytes that it has for rows.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let used = self.instances.values().map(|it| (it.rows.capacity(), it.before.capacity()));
        let spare = self.spare.iter().map(|it| (it.rows.capacity(), it.before.capacity()));
        used.chain(spare).map(|(rows, before)| rows * ROW_BYTES + before * size_of::<[u32; 2]>()).sum()
    }
}
