//! The tables of many segments walked through as one, in the order of positions.

use contract::ids::InstanceId;
use contract::message::Order;

use super::row::Row;
use super::table::{Damaged, Live, Span, Table};
use super::walk::{Step, Walk, Wanted};
use super::{Index, Source};
use crate::Pos;

/// Opened walks over the sources. A source that turns out to be damaged is left out from there on, and said.
pub(super) struct Merge<'a> {
    lanes: Vec<Lane<'a>>,
    pub budget: u64,
    /// Whether a source had to be left out, or some of it.
    pub is_damaged: bool,
}

struct Lane<'a> {
    source: &'a Source<'a>,
    head: Head<'a>,
}

enum Head<'a> {
    /// Not opened; nothing in it comes before this position in the order asked for.
    Closed(Box<dyn Table + 'a>, Pos),
    Open(Walk<'a>, Row),
    /// The budget was spent there.
    Stopped(Pos),
    End,
}

/// What comes next.
pub(super) enum Next<'a> {
    /// A row, and the source that it is of.
    Found(Row, &'a Source<'a>),
    /// The budget is spent. Everything in front of the position and at it has been looked at.
    Stopped(Pos),
    End,
}

/// The rows of an instance in a source.
pub(super) fn table<'a>(source: &'a Source<'a>, instance: InstanceId) -> Option<Box<dyn Table + 'a>> {
    match source.index {
        Index::Live(builder) => {
            builder.rows(instance).map(|rows| Box::new(Live(rows)) as Box<dyn Table + 'a>)
        }
        Index::Sealed(footer) => {
            footer.table(instance, source.bytes).map(|table| Box::new(table) as Box<dyn Table + 'a>)
        }
    }
}

impl<'a> Merge<'a> {
    /// Over the sources that may have what is wanted.
    pub(super) fn new(
        sources: impl Iterator<Item = &'a Source<'a>>,
        instance: InstanceId,
        wanted: &Wanted<'_>,
        budget: u64,
    ) -> Self {
        let lanes = sources.filter_map(|source| {
            let table = table(source, instance)?;
            let bound = bound(&table.span(), wanted)?;
            Some(Lane { source, head: Head::Closed(table, bound) })
        });
        Self { lanes: lanes.collect(), budget, is_damaged: false }
    }

    /// The next row that is wanted.
    pub(super) fn next(&mut self, wanted: &Wanted<'_>) -> Next<'a> {
        let mut has_looked = false;
        loop {
            let heads = self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((lane.head.pos()?, at)));
            let first = match wanted.order {
                Order::Newest => heads.max_by_key(|(pos, _)| *pos),
                Order::Oldest => heads.min_by_key(|(pos, _)| *pos),
            };
            let Some((pos, at)) = first else { return Next::End };
            let lane = &mut self.lanes[at];
            match std::mem::replace(&mut lane.head, Head::End) {
                Head::Closed(table, bound) => {
                    if self.budget == 0 && has_looked {
                        lane.head = Head::Closed(table, bound);
                        return Next::Stopped(just_before(pos, wanted.order));
                    }
                    has_looked = true;
                    let walk = Walk::open(table, wanted);
                    self.advance(at, walk, wanted);
                }
                Head::Open(walk, row) => {
                    let source = lane.source;
                    self.advance(at, Ok(walk), wanted);
                    return Next::Found(row, source);
                }
                Head::Stopped(pos) => {
                    lane.head = Head::Stopped(pos);
                    return Next::Stopped(pos);
                }
                Head::End => {}
            }
        }
    }

    fn advance(&mut self, at: usize, walk: Result<Walk<'a>, Damaged>, wanted: &Wanted<'_>) {
        let stepped = walk.and_then(|mut walk| Ok((walk.step(wanted, &mut self.budget)?, walk)));
        self.lanes[at].head = match stepped {
            Ok((Step::Found(row), walk)) => Head::Open(walk, row),
            Ok((Step::Stopped(pos), _)) => Head::Stopped(pos),
            Ok((Step::End, _)) => Head::End,
            Err(Damaged) => {
                self.is_damaged = true;
                Head::End
            }
        };
    }
}

impl Head<'_> {
    const fn pos(&self) -> Option<Pos> {
        match self {
            Self::Closed(_, pos) | Self::Stopped(pos) => Some(*pos),
            Self::Open(_, row) => Some(row.pos),
            Self::End => None,
        }
    }
}

/// The position before which nothing of the span comes in the order asked for; `None` when nothing of it is wanted.
fn bound(span: &Span, wanted: &Wanted<'_>) -> Option<Pos> {
    let is_behind = match (wanted.after, wanted.order) {
        (None, _) => true,
        (Some(after), Order::Newest) => span.first < after,
        (Some(after), Order::Oldest) => span.last > after,
    };
    if !is_behind || !wanted.is_of_time(span.earliest, span.latest) {
        return None;
    }
    Some(match (wanted.order, wanted.after) {
        (Order::Newest, None) => span.last,
        (Order::Newest, Some(after)) => span.last.min(after.predecessor()),
        (Order::Oldest, None) => span.first,
        (Order::Oldest, Some(after)) => span.first.max(after.successor()),
    })
}

/// The position behind which `pos` is the first in this order.
pub(super) const fn just_before(pos: Pos, order: Order) -> Pos {
    match order {
        Order::Newest => pos.successor(),
        Order::Oldest => pos.predecessor(),
    }
}
