//! The topics of a table by their rank: their place in the order of their bytes. So what a filter matches is a range, or
//! found by jumps, and not by a look at each.

use std::ops::Range;
use std::sync::Arc;

use contract::topic::TopicFilter;

use super::select::literal_prefix;
use super::table::{Damaged, Kind, Table};
use super::topic_walk::TopicWalk;

/// Which topic has which rank.
#[derive(Debug)]
pub(super) enum Order {
    /// Their numbers are their ranks.
    Same,
    /// The number of each rank.
    Listed(Arc<Vec<u32>>),
}

/// The topics of one table.
pub(super) struct Ranked<'a> {
    pub(super) table: &'a mut dyn Table,
    order: Order,
    /// The topic that was looked at last, and its rank.
    text: String,
    looked_at: Option<u32>,
}

impl<'a> Ranked<'a> {
    pub(super) fn new(table: &'a mut dyn Table) -> Self {
        Self { order: table.order(), table, text: String::new(), looked_at: None }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        self.table.texts(Kind::Topics)
    }

    /// Whether the topics' numbers are their ranks.
    pub(super) const fn is_same(&self) -> bool {
        matches!(self.order, Order::Same)
    }

    /// The number of the topic that has a rank.
    pub(super) fn number(&self, rank: u32) -> Result<u32, Damaged> {
        match &self.order {
            Order::Same => Ok(rank),
            Order::Listed(numbers) => numbers.get(rank as usize).copied().ok_or(Damaged),
        }
    }

    fn look(&mut self, rank: u32) -> Result<&str, Damaged> {
        if self.looked_at != Some(rank) {
            let number = self.number(rank)?;
            self.looked_at = None;
            self.table.text(Kind::Topics, number, &mut self.text)?;
            self.looked_at = Some(rank);
        }
        Ok(&self.text)
    }

    /// The ranks of the topics that begin with `prefix`.
    pub(super) fn below(&mut self, prefix: &str) -> Result<Range<u32>, Damaged> {
        let first = self.partition(0..self.len(), |text| text < prefix)?;
        // Most ranges are short.
        let end = self.seek(first, |text| text.starts_with(prefix))?;
        Ok(first..end)
    }

    /// The first rank of the range that is not `before`, where those come first that are.
    fn partition(&mut self, range: Range<u32>, before: impl Fn(&str) -> bool) -> Result<u32, Damaged> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.look(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The same from `from` on: the nearer it is, the fewer looks.
    fn seek(&mut self, from: u32, before: impl Fn(&str) -> bool) -> Result<u32, Damaged> {
        let len = self.len();
        let (mut low, mut step) = (from, 1);
        loop {
            let at = low.saturating_add(step - 1);
            if at >= len {
                return self.partition(low..len, before);
            }
            if !before(self.look(at)?) {
                return self.partition(low..at, before);
            }
            low = at + 1;
            step = step.saturating_mul(2);
        }
    }

    /// Hands over the numbers of the topics that the filter matches, which is not one without a wildcard, among those
    /// that begin with `prefix`; in the order of their ranks, but for what a last `#` matches one level above it.
    /// `left` is how many may be looked at; false when there are more.
    pub(super) fn matching(
        &mut self,
        filter: &TopicFilter,
        prefix: &str,
        left: &mut u32,
        mut take: impl FnMut(u32),
    ) -> Result<bool, Damaged> {
        let literal = literal_prefix(filter.as_str());
        if !literal.is_empty() && literal.len() + 1 == filter.as_str().len() && filter.as_str().ends_with('#')
        {
            return self.all_below(literal, prefix, left, take);
        }
        let mut walk = TopicWalk::new(filter.as_str(), prefix.into());
        let Some(place) = walk.place() else { return Ok(true) };
        let mut rank = self.partition(0..self.len(), |text| text.as_bytes() < place)?;
        while rank < self.len() {
            let Some(less) = left.checked_sub(1) else { return Ok(false) };
            *left = less;
            let number = self.number(rank)?;
            let topic = self.look(rank)?;
            if !topic.starts_with(prefix) {
                break;
            }
            if walk.come_to(topic) {
                take(number);
            }
            // The next is behind this one in any case, also in a table that is damaged.
            let Some(place) = walk.place() else { break };
            rank = self.seek(rank + 1, |text| text.as_bytes() < place)?;
        }
        Ok(true)
    }

    /// What `{literal}#` matches, where the literal is not empty.
    fn all_below(
        &mut self,
        literal: &str,
        prefix: &str,
        left: &mut u32,
        mut take: impl FnMut(u32),
    ) -> Result<bool, Damaged> {
        let above = literal.strip_suffix('/').filter(|above| above.starts_with(prefix));
        if let Some(above) = above
            && let Some(topic) = self.table.find(Kind::Topics, above)?
        {
            take(topic);
        }
        let range = match (literal.starts_with(prefix), prefix.starts_with(literal)) {
            (true, _) => self.below(literal)?,
            (_, true) => self.below(prefix)?,
            (false, false) => return Ok(true),
        };
        let Some(less) = left.checked_sub(range.end - range.start) else { return Ok(false) };
        *left = less;
        for rank in range {
            take(self.number(rank)?);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
