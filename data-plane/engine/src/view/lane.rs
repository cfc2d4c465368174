//! The rows of one table that a replay wants, one after the other, forwards or backwards.

use super::pick::{Filters, Picked, pick};
use super::row::Row;
use super::table::{Damaged, ROWS_PER_CHUNK, Table, place};
use crate::{Pos, ReplayQuery};

/// One table on its way.
pub(super) struct Lane<'a> {
    table: Box<dyn Table + 'a>,
    picked: Picked,
    /// Places in the list, or rows, that are still to be looked at.
    low: u32,
    high: u32,
    /// The chunk that was met last, and whether it may have wanted rows.
    chunk: Option<(u32, bool)>,
    /// What comes next, when it has been looked for.
    pub head: Head,
}

/// What is known of the row that comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Head {
    Row(Row),
    /// The budget was spent in front of this position.
    Stopped(Pos),
    End,
}

/// From which end a lane is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Forwards,
    Backwards,
}

impl Head {
    pub(super) const fn pos(&self) -> Option<Pos> {
        match self {
            Self::Row(row) => Some(row.pos),
            Self::Stopped(pos) => Some(*pos),
            Self::End => None,
        }
    }
}

impl<'a> Lane<'a> {
    /// The rows between the positions, nothing looked for yet; none when there can be no wanted one.
    pub(super) fn open(
        mut table: Box<dyn Table + 'a>,
        filters: &Filters<'_>,
        query: &ReplayQuery<'_>,
    ) -> Result<Option<Self>, Damaged> {
        let span = table.span();
        if span.last < query.from || span.first >= query.to || span.latest < query.stored_since.0 {
            return Ok(None);
        }
        let low = if span.first >= query.from { 0 } else { place(&mut *table, query.from)? };
        let high = if span.last < query.to { table.rows() } else { place(&mut *table, query.to)? };
        // Damage may have numbers in any order.
        let high = high.max(low);
        let picked = pick(&mut *table, filters, low, high)?;
        let (low, high) = match &picked {
            Picked::Listed(list) => (0, u32::try_from(list.len()).map_err(|_| Damaged)?),
            Picked::Marked(_) => (low, high),
        };
        Ok(Some(Self { table, picked, low, high, chunk: None, head: Head::End }))
    }

    /// Looks for the next row that is wanted. At least one row is looked at whatever the budget.
    pub(super) fn advance(
        &mut self,
        filters: &Filters<'_>,
        query: &ReplayQuery<'_>,
        direction: Direction,
        budget: &mut u64,
    ) -> Result<(), Damaged> {
        while self.low < self.high {
            let place = match direction {
                Direction::Forwards => self.low,
                Direction::Backwards => self.high - 1,
            };
            let number = match &self.picked {
                Picked::Listed(list) => list[place as usize],
                Picked::Marked(_) => place,
            };
            if query.stored_since.0 > 0 && !self.is_chunk_wanted(number / ROWS_PER_CHUNK, query)? {
                self.pass_chunk(number / ROWS_PER_CHUNK, place, direction);
                continue;
            }
            let row = self.table.row(number)?;
            self.pass(place, direction);
            if self.is_wanted(&row, filters, query)? {
                self.head = Head::Row(row);
                return Ok(());
            }
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                self.head = Head::Stopped(row.pos.successor());
                return Ok(());
            }
        }
        self.head = Head::End;
        Ok(())
    }

    fn is_wanted(
        &mut self,
        row: &Row,
        filters: &Filters<'_>,
        query: &ReplayQuery<'_>,
    ) -> Result<bool, Damaged> {
        let is_of_kind = row.qos >= query.qos_min
            && (row.history || !query.history_only)
            && row.stored_at >= query.stored_since.0;
        match &mut self.picked {
            _ if !is_of_kind => Ok(false),
            Picked::Listed(_) => Ok(true),
            Picked::Marked(marks) => {
                let group = marks.group_of(row.topic, &mut *self.table, filters)?;
                Ok(group.is_some_and(|group| row.pos >= filters.since(group)))
            }
        }
    }

    fn is_chunk_wanted(&mut self, chunk: u32, query: &ReplayQuery<'_>) -> Result<bool, Damaged> {
        if let Some((_, is_wanted)) = self.chunk.filter(|(known, _)| *known == chunk) {
            return Ok(is_wanted);
        }
        let (_, latest) = self.table.chunk_times(chunk)?;
        let is_wanted = latest >= query.stored_since.0;
        self.chunk = Some((chunk, is_wanted));
        Ok(is_wanted)
    }

    const fn pass(&mut self, place: u32, direction: Direction) {
        match direction {
            Direction::Forwards => self.low = place + 1,
            Direction::Backwards => self.high = place,
        }
    }

    /// Passes over the chunk; with a list, over one of its rows.
    fn pass_chunk(&mut self, chunk: u32, place: u32, direction: Direction) {
        match (&self.picked, direction) {
            (Picked::Listed(_), _) => self.pass(place, direction),
            (Picked::Marked(_), Direction::Forwards) => {
                self.low = ((chunk + 1) * ROWS_PER_CHUNK).min(self.high);
            }
            (Picked::Marked(_), Direction::Backwards) => {
                self.high = (chunk * ROWS_PER_CHUNK).max(self.low);
            }
        }
    }
}
