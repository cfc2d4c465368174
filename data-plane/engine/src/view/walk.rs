//! One table walked through in the order asked for, from one matching row to the next.

use contract::message::Order;
use contract::topic::TopicFilter;

use super::row::Row;
use super::rules::Rule;
use super::select::Selected;
use super::table::{Damaged, Kind, ROWS_PER_CHUNK, Table};
use crate::Pos;

/// The most topics whose rows are looked up one topic after the other; for more, every row is looked at.
const LISTED_TOPICS_MAX: u64 = 256;

/// Rows are looked up when they are at most one of so many; else every row is looked at.
const LISTED_SHARE: u32 = 8;

/// What a query wants of every table.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub filter: Option<&'a TopicFilter>,
    /// Sorted by level.
    pub rules: Vec<Rule<'a>>,
    pub client: Option<&'a str>,
    /// Stored at this moment or later.
    pub from: u64,
    /// Stored before this moment.
    pub to: u64,
    pub order: Order,
    pub after: Option<Pos>,
    /// Before this moment nothing is shown, whatever its topic.
    earliest: u64,
    /// Nor before this position.
    shown_from: Pos,
}

impl<'a> Wanted<'a> {
    /// Whatever these rules show, in this order.
    pub(super) fn new(rules: Vec<Rule<'a>>, order: Order) -> Self {
        let earliest = rules.iter().map(|rule| rule.visible_from).min().unwrap_or(u64::MAX);
        let shown_from = rules.iter().map(|rule| rule.shown_from).min().unwrap_or(Pos::START);
        let (filter, client, after) = (None, None, None);
        Self { filter, rules, client, from: 0, to: u64::MAX, order, after, earliest, shown_from }
    }

    /// Whether a row between these times, both included, may be wanted.
    pub(super) fn is_of_time(&self, earliest: u64, latest: u64) -> bool {
        earliest < self.to && latest >= self.earliest.max(self.from)
    }
}

/// One table on its way.
pub(super) struct Walk<'a> {
    table: Box<dyn Table + 'a>,
    selected: Selected,
    /// The publisher's number, when one was asked for.
    publisher: Option<u32>,
    /// The rows to look at; all of the table's when there is no list.
    list: Option<Vec<u32>>,
    /// Places in the list, or rows, that are still to be looked at.
    low: u32,
    high: u32,
    /// The chunk that was met last, and whether it may have wanted rows.
    chunk: Option<(u32, bool)>,
}

/// How far a walk has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A row that is wanted.
    Found(Row),
    /// The budget is spent; the last row that was looked at stands here.
    Stopped(Pos),
    End,
}

impl<'a> Walk<'a> {
    pub(super) fn open(mut table: Box<dyn Table + 'a>, wanted: &Wanted<'_>) -> Result<Self, Damaged> {
        let selected = Selected::find(&mut *table, wanted.filter, &wanted.rules)?;
        let publisher = match wanted.client {
            Some(client) => table.find(Kind::Publishers, client)?,
            None => None,
        };
        let is_in_vain = selected.is_empty() || (wanted.client.is_some() && publisher.is_none());
        let list = if is_in_vain { Some(Vec::new()) } else { list(&mut *table, &selected, publisher)? };
        let high = list.as_ref().map_or(table.rows(), |list| u32::try_from(list.len()).unwrap_or(u32::MAX));
        let mut walk = Self { table, selected, publisher, list, low: 0, high, chunk: None };
        walk.narrow(wanted)?;
        Ok(walk)
    }

    /// Leaves out what is not behind the cursor, and what no rule shows any more.
    fn narrow(&mut self, wanted: &Wanted<'_>) -> Result<(), Damaged> {
        self.low = self.partition(|pos| pos < wanted.shown_from)?;
        match (wanted.after, wanted.order) {
            (Some(after), Order::Newest) => self.high = self.partition(|pos| pos < after)?,
            (Some(after), Order::Oldest) => self.low = self.partition(|pos| pos <= after)?,
            (None, _) => {}
        }
        Ok(())
    }

    /// The first place whose row is not `before`.
    fn partition(&mut self, before: impl Fn(Pos) -> bool) -> Result<u32, Damaged> {
        let (mut low, mut high) = (self.low, self.high);
        while low < high {
            let middle = low + (high - low) / 2;
            let number = self.number(middle);
            if before(self.table.row(number)?.pos) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn number(&self, place: u32) -> u32 {
        self.list.as_ref().map_or(place, |list| list[place as usize])
    }

    /// The next row that is wanted. At least one row is looked at whatever the budget, so that every call comes on.
    pub(super) fn step(&mut self, wanted: &Wanted<'_>, budget: &mut u64) -> Result<Step, Damaged> {
        while self.low < self.high {
            let place = match wanted.order {
                Order::Newest => self.high - 1,
                Order::Oldest => self.low,
            };
            let number = self.number(place);
            if !self.is_chunk_wanted(number / ROWS_PER_CHUNK, wanted)? {
                self.pass(number / ROWS_PER_CHUNK, place, wanted.order);
                continue;
            }
            self.pass_row(place, wanted.order);
            let row = self.table.row(number)?;
            *budget = budget.saturating_sub(1);
            if self.is_wanted(&row, wanted) {
                return Ok(Step::Found(row));
            }
            if *budget == 0 {
                return Ok(Step::Stopped(row.pos));
            }
        }
        Ok(Step::End)
    }

    fn is_wanted(&self, row: &Row, wanted: &Wanted<'_>) -> bool {
        (wanted.from..wanted.to).contains(&row.stored_at)
            && (wanted.client.is_none() || self.publisher == Some(row.publisher))
            && self.selected.rule_of(row.topic).is_some_and(|rule| wanted.rules[rule].shows(row))
    }

    fn is_chunk_wanted(&mut self, chunk: u32, wanted: &Wanted<'_>) -> Result<bool, Damaged> {
        if let Some((_, is_wanted)) = self.chunk.filter(|(known, _)| *known == chunk) {
            return Ok(is_wanted);
        }
        let (earliest, latest) = self.table.chunk_times(chunk)?;
        let is_wanted = wanted.is_of_time(earliest, latest);
        self.chunk = Some((chunk, is_wanted));
        Ok(is_wanted)
    }

    fn pass_row(&mut self, place: u32, order: Order) {
        match order {
            Order::Newest => self.high = place,
            Order::Oldest => self.low = place + 1,
        }
    }

    /// Passes over the chunk; with a list, over one of its rows.
    fn pass(&mut self, chunk: u32, place: u32, order: Order) {
        match (&self.list, order) {
            (Some(_), _) => self.pass_row(place, order),
            (None, Order::Newest) => self.high = (chunk * ROWS_PER_CHUNK).max(self.low),
            (None, Order::Oldest) => self.low = ((chunk + 1) * ROWS_PER_CHUNK).min(self.high),
        }
    }
}

/// The rows of the topics, or of the publisher, when they are few among all.
fn list(
    table: &mut dyn Table,
    selected: &Selected,
    publisher: Option<u32>,
) -> Result<Option<Vec<u32>>, Damaged> {
    let few = table.rows() / LISTED_SHARE + ROWS_PER_CHUNK;
    let of_publisher = match publisher {
        Some(number) => Some(table.weight(Kind::Publishers, number)?.0),
        None => None,
    };
    let mut of_topics = None;
    if selected.len() <= LISTED_TOPICS_MAX {
        let mut rows = 0_u32;
        for (topic, _) in selected.topics() {
            rows = rows.saturating_add(table.weight(Kind::Topics, topic)?.0);
        }
        of_topics = Some(rows);
    }
    let mut rows = Vec::new();
    match (of_topics.filter(|rows| *rows <= few), publisher.zip(of_publisher.filter(|rows| *rows <= few))) {
        (Some(topics), Some((number, of_publisher))) if of_publisher < topics => {
            table.rows_of(Kind::Publishers, number, &mut rows)?;
        }
        (Some(_), _) => {
            for (topic, _) in selected.topics() {
                table.rows_of(Kind::Topics, topic, &mut rows)?;
            }
            rows.sort_unstable();
        }
        (None, Some((number, _))) => table.rows_of(Kind::Publishers, number, &mut rows)?,
        (None, None) => return Ok(None),
    }
    Ok(Some(rows))
}
