//! What a query asks of an index, in memory or on disk.

use super::builder::Rows;
use super::dictionary::NO_RUN;
use super::ranked::Order;
use super::row::Row;
use crate::Pos;

/// How many consecutive rows are passed over together when none of them is of the time asked for.
pub(super) const ROWS_PER_CHUNK: u32 = 256;

/// An index, or the record that it points at, is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the index of a segment is damaged")]
pub(super) struct Damaged;

/// Which of the two dictionaries of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Topics,
    Publishers,
}

impl Kind {
    /// Both, in the order in which they stand wherever there is one of each.
    pub(super) const BOTH: [Self; 2] = [Self::Topics, Self::Publishers];
}

/// What the rows of one instance in one index lie between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub first: Pos,
    pub last: Pos,
    pub earliest: u64,
    pub latest: u64,
    /// The bytes of the records that history shows.
    pub bytes: u64,
}

impl Default for Span {
    /// Of no row.
    fn default() -> Self {
        let last = Pos { record: 0, index: 0 };
        Self { first: Pos::of_record(u64::MAX), last, earliest: u64::MAX, latest: 0, bytes: 0 }
    }
}

impl Span {
    pub(super) fn extend(&mut self, pos: Pos, stored_at: u64, bytes: u32) {
        self.first = self.first.min(pos);
        self.last = self.last.max(pos);
        self.earliest = self.earliest.min(stored_at);
        self.latest = self.latest.max(stored_at);
        self.bytes += u64::from(bytes);
    }
}

/// The rows of one instance in one index, numbered in the order of their positions, and its two dictionaries. Reading
/// takes `&mut self` since what lies on disk keeps the page it read last.
pub(super) trait Table {
    fn span(&self) -> Span;
    fn rows(&self) -> u32;
    fn row(&mut self, number: u32) -> Result<Row, Damaged>;
    /// The earliest and latest time of the chunk's rows.
    fn chunk_times(&mut self, chunk: u32) -> Result<(u64, u64), Damaged>;
    fn texts(&self, kind: Kind) -> u32;
    /// The topics in the order of their bytes.
    fn order(&self) -> Order;
    fn text(&mut self, kind: Kind, number: u32, into: &mut String) -> Result<(), Damaged>;
    fn find(&mut self, kind: Kind, text: &str) -> Result<Option<u32>, Damaged>;
    /// How many rows have the text, and the bytes of the records among them that history shows.
    fn weight(&mut self, kind: Kind, number: u32) -> Result<(u32, u64), Damaged>;
    /// Appends the numbers of the rows that have the text, ascending.
    fn rows_of(&mut self, kind: Kind, number: u32, into: &mut Vec<u32>) -> Result<(), Damaged>;
}

/// The number of the first row that does not stand before `pos`.
pub(super) fn place(table: &mut dyn Table, pos: Pos) -> Result<u32, Damaged> {
    let (mut low, mut high) = (0, table.rows());
    while low < high {
        let middle = low + (high - low) / 2;
        if table.row(middle)?.pos < pos {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// A table in memory.
pub(super) struct Live<'a>(pub &'a Rows);

impl Live<'_> {
    fn entry(&self, kind: Kind, number: u32) -> Result<&super::dictionary::Text, Damaged> {
        self.dictionary(kind).texts.get(number as usize).ok_or(Damaged)
    }

    const fn dictionary(&self, kind: Kind) -> &super::dictionary::Dictionary {
        match kind {
            Kind::Topics => &self.0.topics,
            Kind::Publishers => &self.0.publishers,
        }
    }
}

impl Table for Live<'_> {
    fn span(&self) -> Span {
        self.0.span
    }

    fn rows(&self) -> u32 {
        u32::try_from(self.0.rows.len()).expect("a builder has a bound")
    }

    fn row(&mut self, number: u32) -> Result<Row, Damaged> {
        let bytes = self.0.rows.get(number as usize).ok_or(Damaged)?;
        Ok(Row::from_bytes(bytes, self.0.span.first.record))
    }

    fn chunk_times(&mut self, chunk: u32) -> Result<(u64, u64), Damaged> {
        self.0.chunk_times.get(chunk as usize).copied().ok_or(Damaged)
    }

    fn texts(&self, kind: Kind) -> u32 {
        u32::try_from(self.dictionary(kind).texts.len()).expect("there are no more texts than rows")
    }

    fn order(&self) -> Order {
        Order::Listed(self.0.order.of(&self.0.topics))
    }

    fn text(&mut self, kind: Kind, number: u32, into: &mut String) -> Result<(), Damaged> {
        into.clear();
        into.push_str(&self.entry(kind, number)?.text);
        Ok(())
    }

    fn find(&mut self, kind: Kind, text: &str) -> Result<Option<u32>, Damaged> {
        Ok(self.dictionary(kind).find(text))
    }

    fn weight(&mut self, kind: Kind, number: u32) -> Result<(u32, u64), Damaged> {
        let entry = self.entry(kind, number)?;
        Ok((entry.count, entry.record_bytes))
    }

    fn rows_of(&mut self, kind: Kind, number: u32, into: &mut Vec<u32>) -> Result<(), Damaged> {
        let from = into.len();
        let mut run = self.entry(kind, number)?.last_run;
        while run != NO_RUN {
            into.extend(self.0.rows_of(kind, run).rev());
            run = self.0.runs[kind as usize].get(run as usize).ok_or(Damaged)?.before;
        }
        into[from..].reverse();
        Ok(())
    }
}
