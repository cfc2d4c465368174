//! Replays over segments: the wanted rows of all of them in the order of positions, counted, or with their records.

use contract::ids::InstanceId;
use contract::time::UnixMillis;

use super::Source;
use super::fetch::fetch;
use super::lane::{Direction, Head, Lane};
use super::merge::table;
use super::pick::Filters;
use super::row::Row;
use super::table::{Damaged, ROWS_PER_CHUNK, Table};
use crate::{Backlog, Pos, ReplayPage, ReplayQuery};

/// The most rows of one replay that are looked at in vain.
pub const REPLAY_ROWS_MAX: u64 = 2_000_000;

/// Adds to the page what the query selects in these segments, from the page's `next` to the query's end; all that
/// stands there stands in these segments. Answers whether it has come to that end: else the page is full.
pub fn replay(
    sources: &[Source<'_>],
    instance: InstanceId,
    query: &ReplayQuery<'_>,
    page: &mut ReplayPage,
) -> bool {
    replay_within(sources, instance, query, page, REPLAY_ROWS_MAX)
}

fn replay_within(
    sources: &[Source<'_>],
    instance: InstanceId,
    query: &ReplayQuery<'_>,
    page: &mut ReplayPage,
    rows_max: u64,
) -> bool {
    let query = ReplayQuery { from: page.next, ..*query };
    if query.from >= query.to {
        return true;
    }
    let mut room = Room::of(&query, page);
    let mut walk = Walk::open(sources, instance, &query, Direction::Forwards, rows_max);
    let mut rows = Vec::new();
    let next = loop {
        match walk.next(&query) {
            Next::Row(row, source) => {
                if !room.take(&row) {
                    break row.pos;
                }
                rows.push((row, source));
            }
            Next::Stopped(pos) => break pos,
            Next::End => break query.to,
        }
    };
    page.lost |= walk.is_damaged;
    page.lost |= !fetch(sources, &rows, &mut page.messages);
    page.next = next;
    next == query.to
}

/// How much the query selects in these segments.
#[must_use]
pub fn backlog(sources: &[Source<'_>], instance: InstanceId, query: &ReplayQuery<'_>) -> Backlog {
    let mut walk = Walk::open(sources, instance, query, Direction::Forwards, u64::MAX);
    let mut backlog = Backlog::default();
    while let Next::Row(row, _) = walk.next(query) {
        backlog.messages += 1;
        backlog.bytes += u64::from(row.bytes);
    }
    backlog.lost = walk.is_damaged;
    backlog
}

/// Takes what the query selects in these segments off what is left of `messages` and `bytes`, the newest first. Answers
/// the position behind the first message that is too much, if one is.
pub fn newest(
    sources: &[Source<'_>],
    instance: InstanceId,
    query: &ReplayQuery<'_>,
    messages: &mut u64,
    bytes: &mut u64,
) -> Option<Pos> {
    let mut walk = Walk::open(sources, instance, query, Direction::Backwards, u64::MAX);
    while let Next::Row(row, _) = walk.next(query) {
        match (messages.checked_sub(1), bytes.checked_sub(u64::from(row.bytes))) {
            (Some(fewer), Some(less)) => (*messages, *bytes) = (fewer, less),
            _ => return Some(row.pos.successor()),
        }
    }
    None
}

/// Where the first message of the instance stands in these segments that was stored at `time` or later. What is
/// damaged is passed over.
#[must_use]
pub fn position_at(sources: &[Source<'_>], instance: InstanceId, time: UnixMillis) -> Option<Pos> {
    let tables = sources.iter().filter_map(|source| table(source, instance));
    tables.filter_map(|mut table| first_since(&mut *table, time.0).ok().flatten()).min()
}

fn first_since(table: &mut dyn Table, time: u64) -> Result<Option<Pos>, Damaged> {
    if table.span().latest < time {
        return Ok(None);
    }
    let rows = table.rows();
    for chunk in 0..rows.div_ceil(ROWS_PER_CHUNK) {
        let (_, latest) = table.chunk_times(chunk)?;
        if latest < time {
            continue;
        }
        let begin = chunk * ROWS_PER_CHUNK;
        for number in begin..rows.min(begin + ROWS_PER_CHUNK) {
            let row = table.row(number)?;
            if row.stored_at >= time {
                return Ok(Some(row.pos));
            }
        }
    }
    Ok(None)
}

/// How much more a page may hold.
struct Room {
    messages: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    fn of(query: &ReplayQuery<'_>, page: &ReplayPage) -> Self {
        let bytes = page.messages.iter().map(|it| it.record.len()).sum();
        Self {
            messages: query.messages_max.max(1).saturating_sub(page.messages.len()),
            bytes: query.bytes_max.saturating_sub(bytes),
            is_empty: page.messages.is_empty(),
        }
    }

    /// Takes the room that a message needs; the first has it always.
    fn take(&mut self, row: &Row) -> bool {
        let bytes = row.bytes as usize;
        if self.messages == 0 || (bytes > self.bytes && !self.is_empty) {
            return false;
        }
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_empty = false;
        true
    }
}

/// The wanted rows of many tables as one row of them, each position once. A table that turns out to be damaged is left
/// out from there on, and said.
struct Walk<'a> {
    lanes: Vec<(usize, Lane<'a>)>,
    filters: Filters<'a>,
    direction: Direction,
    budget: u64,
    last: Option<Pos>,
    is_damaged: bool,
}

/// What comes next.
enum Next {
    /// A row, and the number of the source that it is of.
    Row(Row, usize),
    /// The budget is spent. Everything in front of the position has been looked at.
    Stopped(Pos),
    End,
}

impl<'a> Walk<'a> {
    fn open(
        sources: &'a [Source<'_>],
        instance: InstanceId,
        query: &ReplayQuery<'a>,
        direction: Direction,
        budget: u64,
    ) -> Self {
        let filters = Filters::new(query.filters, query.from, query.to);
        let mut walk = Self { lanes: Vec::new(), filters, direction, budget, last: None, is_damaged: false };
        for (number, source) in sources.iter().enumerate() {
            let Some(table) = table(source, instance) else { continue };
            match Lane::open(table, &walk.filters, query) {
                Ok(Some(lane)) => {
                    walk.lanes.push((number, lane));
                    walk.advance(walk.lanes.len() - 1, query);
                }
                Ok(None) => {}
                Err(Damaged) => walk.is_damaged = true,
            }
        }
        walk
    }

    fn advance(&mut self, at: usize, query: &ReplayQuery<'_>) {
        let (_, lane) = &mut self.lanes[at];
        if lane.advance(&self.filters, query, self.direction, &mut self.budget) == Err(Damaged) {
            lane.head = Head::End;
            self.is_damaged = true;
        }
    }

    fn next(&mut self, query: &ReplayQuery<'_>) -> Next {
        loop {
            let Some(at) = self.first() else { return Next::End };
            let (source, lane) = &self.lanes[at];
            let source = *source;
            match lane.head {
                Head::Row(row) => {
                    self.advance(at, query);
                    // A segment that takes the place of another may stand beside it for a moment.
                    if self.last != Some(row.pos) {
                        self.last = Some(row.pos);
                        return Next::Row(row, source);
                    }
                }
                Head::Stopped(pos) => return Next::Stopped(pos),
                Head::End => return Next::End,
            }
        }
    }

    /// The lane whose head comes first.
    fn first(&self) -> Option<usize> {
        let heads = self.lanes.iter().enumerate();
        let heads = heads.filter_map(|(at, (_, lane))| Some((lane.head.pos()?, at)));
        match self.direction {
            Direction::Forwards => heads.min_by_key(|(pos, _)| *pos),
            Direction::Backwards => heads.max_by_key(|(pos, _)| *pos),
        }
        .map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests;
