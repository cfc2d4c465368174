//! The index of a segment while it grows: rows and dictionaries of each instance, in memory.

use std::collections::BTreeMap;
use std::io;

use contract::ids::InstanceId;

use super::dictionary::Dictionary;
use super::order::TopicOrder;
use super::row::{RECORD_BYTES_MAX, ROW_BYTES, Row, TIME_MAX};
use super::table::{Kind, ROWS_PER_CHUNK, Span};
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
    /// Where the rows of each instance are.
    numbers: BTreeMap<InstanceId, usize>,
    sections: Vec<Rows>,
    /// The instance that was noted last, which mostly is that of the next message too, and where its rows are.
    current: Option<(InstanceId, usize)>,
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
    runs: [Vec<Run>; 2],
}

impl Spare {
    fn memory_bytes(&self) -> usize {
        memory_bytes(&self.rows, &self.runs)
    }
}

/// The rows of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// As in a footer, but for the numbers of the texts, which are those of the dictionaries here.
    pub rows: Vec<[u8; ROW_BYTES]>,
    /// Rows one after the other that have the same topic, and those that have the same publisher: a publisher's
    /// messages come many at a time.
    pub runs: [Vec<Run>; 2],
    pub topics: Dictionary,
    pub publishers: Dictionary,
    pub order: TopicOrder,
    pub span: Span,
    /// The earliest and latest time of each [`ROWS_PER_CHUNK`] rows.
    pub chunk_times: Vec<(u64, u64)>,
}

/// Rows one after the other that have the same text: up to the first of the next run, or to the last row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// The number of the text.
    pub text: u32,
    /// Its first row.
    pub first: u32,
    /// The run before it that has the same text; [`NO_RUN`](super::dictionary::NO_RUN), if there is none.
    pub before: u32,
}

impl Rows {
    /// The rows of a run.
    pub(super) fn rows_of(&self, kind: Kind, run: u32) -> std::ops::Range<u32> {
        let runs = &self.runs[kind as usize];
        let end = runs.get(run as usize + 1).map_or_else(|| number(self.rows.len()), |next| next.first);
        runs.get(run as usize).map_or(0..0, |run| run.first..end)
    }

    /// Notes that the next row has the text.
    #[inline]
    fn note(&mut self, kind: Kind, text: &str, row: u32, shown_bytes: u32) -> u32 {
        let runs = &mut self.runs[kind as usize];
        let dictionary = match kind {
            Kind::Topics => &mut self.topics,
            Kind::Publishers => &mut self.publishers,
        };
        let number = dictionary.add(text, shown_bytes);
        if runs.last().is_none_or(|last| last.text != number) {
            let before = dictionary.begin_run(number, self::number(runs.len()));
            runs.push(Run { text: number, first: row, before });
        }
        number
    }
}

impl Rows {
    /// Notes that the next row has the text of the last one.
    #[inline]
    fn note_again(&mut self, kind: Kind, shown_bytes: u32) -> Option<u32> {
        let number = self.runs[kind as usize].last()?.text;
        match kind {
            Kind::Topics => self.topics.weigh(number, shown_bytes),
            Kind::Publishers => self.publishers.weigh(number, shown_bytes),
        }
        Some(number)
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("no more than all rows")
}

fn memory_bytes(rows: &Vec<[u8; ROW_BYTES]>, runs: &[Vec<Run>; 2]) -> usize {
    let of_runs: usize = runs.iter().map(|runs| runs.capacity() * size_of::<Run>()).sum();
    rows.capacity() * ROW_BYTES + of_runs
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

        let text_bytes = record.envelope.topic.len() + record.envelope.publisher.len();
        // What stands right behind the message noted last and is like it needs no look at its texts.
        let before = Pos { record: pos.record, index: pos.index.wrapping_sub(1) };
        let is_alike = record.is_alike && self.last == Some(before);
        let section = match self.current {
            Some((_, section)) if is_alike => section,
            _ => self.section(record.envelope.instance),
        };
        let rows = &mut self.sections[section];
        let number = number(rows.rows.len());
        let stored_at = record.envelope.stored_at.0.min(TIME_MAX);
        // Weights are what history counts by: what it does not show weighs nothing.
        let shown_bytes = if record.envelope.history { bytes } else { 0 };
        let mut note = |kind, text| {
            let again = if is_alike { rows.note_again(kind, shown_bytes) } else { None };
            again.unwrap_or_else(|| rows.note(kind, text, number, shown_bytes))
        };
        let topic = note(Kind::Topics, record.envelope.topic);
        let publisher = note(Kind::Publishers, record.envelope.publisher);
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
        rows.span.extend(pos, stored_at, shown_bytes);
        match rows.chunk_times.last_mut() {
            Some((earliest, latest)) if !number.is_multiple_of(ROWS_PER_CHUNK) => {
                *earliest = stored_at.min(*earliest);
                *latest = stored_at.max(*latest);
            }
            _ => rows.chunk_times.push((stored_at, stored_at)),
        }
        self.rows += 1;
        self.text_bytes += text_bytes;
        self.first_record = Some(first);
        self.last = Some(pos);
        let (earliest, latest) = self.times.unwrap_or((stored_at, stored_at));
        self.times = Some((earliest.min(stored_at), latest.max(stored_at)));
        Ok(())
    }

    /// Where the rows of an instance are, which are begun if there are none.
    #[inline]
    fn section(&mut self, instance: InstanceId) -> usize {
        match self.current {
            Some((current, section)) if current == instance => section,
            _ => self.turn_to(instance),
        }
    }

    fn turn_to(&mut self, instance: InstanceId) -> usize {
        let Self { numbers, sections, spare, .. } = self;
        let section = *numbers.entry(instance).or_insert_with(|| {
            let Spare { rows, runs } = spare.pop().unwrap_or_default();
            sections.push(Rows { rows, runs, ..Rows::default() });
            sections.len() - 1
        });
        self.current = Some((instance, section));
        section
    }

    /// The rows of an instance.
    pub(super) fn rows(&self, instance: InstanceId) -> Option<&Rows> {
        self.numbers.get(&instance).map(|section| &self.sections[*section])
    }

    /// The instances and their rows, ascending.
    pub(super) fn instances(&self) -> impl Iterator<Item = (InstanceId, &Rows)> {
        self.numbers.iter().map(|(instance, section)| (*instance, &self.sections[*section]))
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
        let take = &mut |part: &[u8]| {
            footer.extend_from_slice(part);
            Ok(())
        };
        super::write::footer(self, take).expect("memory takes every part");
        footer
    }

    /// The footer in parts, as they are made; `take` is to write them one behind the other.
    pub fn finish_in_parts(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        super::write::footer(self, &mut take)
    }

    /// Forgets the messages and keeps memory for as many, to be the index of another segment.
    pub fn clear(&mut self) {
        let mut spare = std::mem::take(&mut self.spare);
        spare.extend(self.sections.drain(..).map(|Rows { rows, runs, .. }| Spare { rows, runs }));
        for Spare { rows, runs } in &mut spare {
            rows.clear();
            runs.iter_mut().for_each(Vec::clear);
        }
        spare.sort_unstable_by_key(|it| it.rows.capacity());
        spare.drain(..spare.len().saturating_sub(SPARE_MAX));
        *self = Self { spare, ..Self::default() };
    }

    /// The bytes that it has for rows.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let used = self.sections.iter().map(|it| memory_bytes(&it.rows, &it.runs));
        used.chain(self.spare.iter().map(Spare::memory_bytes)).sum()
    }
}
