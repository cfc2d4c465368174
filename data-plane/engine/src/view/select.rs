//! Which topics of an index a query is about: wildcards are matched with the dictionary, never with rows.

use std::ops::Range;

use contract::topic::{TopicFilter, first_level};

use super::ranked::Ranked;
use super::rules::Rule;
use super::table::{Damaged, Kind, Table};

/// The topics of one table that a query is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Selected {
    /// Ascending, apart.
    ranges: Vec<TopicRange>,
}

/// Topics with consecutive numbers that have one rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct TopicRange {
    first: u32,
    end: u32,
    rule: usize,
}

impl Selected {
    /// The topics that the filter matches (any, without one) and that have a rule. Rules are sorted by their level.
    pub(super) fn find(
        table: &mut dyn Table,
        filter: Option<&TopicFilter>,
        rules: &[Rule<'_>],
    ) -> Result<Self, Damaged> {
        let mut found = Self::default();
        match filter.filter(|filter| !filter.as_str().contains(['+', '#'])) {
            Some(exact) => found.find_exact(table, exact, rules)?,
            None => found.find_below(table, filter, rules)?,
        }
        Ok(found)
    }

    /// The rule of a topic; `None` when it was not selected.
    #[inline]
    pub(super) fn rule_of(&self, topic: u32) -> Option<usize> {
        let at = self.ranges.partition_point(|range| range.end <= topic);
        self.ranges.get(at).filter(|range| range.first <= topic).map(|range| range.rule)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many topics.
    pub(super) fn len(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.end - range.first)).sum()
    }

    /// Their numbers, ascending, each with its rule.
    pub(super) fn topics(&self) -> impl Iterator<Item = (u32, usize)> {
        self.ranges.iter().flat_map(|range| (range.first..range.end).map(|topic| (topic, range.rule)))
    }

    fn push(&mut self, topic: u32, rule: usize) {
        match self.ranges.last_mut() {
            Some(last) if last.end == topic && last.rule == rule => last.end += 1,
            _ => self.ranges.push(TopicRange { first: topic, end: topic + 1, rule }),
        }
    }

    fn find_exact(
        &mut self,
        table: &mut dyn Table,
        exact: &TopicFilter,
        rules: &[Rule<'_>],
    ) -> Result<(), Damaged> {
        let Some(rule) = rule_for(exact.as_str(), rules) else { return Ok(()) };
        if let Some(topic) = table.find(Kind::Topics, exact.as_str())? {
            self.push(topic, rule);
        }
        Ok(())
    }

    /// For each rule the topics below what the filter and the rule's level have in common.
    fn find_below(
        &mut self,
        table: &mut dyn Table,
        filter: Option<&TopicFilter>,
        rules: &[Rule<'_>],
    ) -> Result<(), Damaged> {
        let literal = filter.map_or("", |filter| literal_prefix(filter.as_str()));
        let mut ranked = Ranked::new(table);
        let mut left = u32::MAX;
        for (number, rule) in rules.iter().enumerate() {
            let below = format!("{}/", rule.level);
            let prefix = match (literal.starts_with(&below), below.starts_with(literal)) {
                (true, _) => literal,
                (_, true) => &below,
                (false, false) => continue,
            };
            // What a last `#` matches one level above it is not below the prefix.
            let above = prefix.strip_suffix('/').filter(|above| *above != rule.level);
            for exact in std::iter::once(rule.level).chain(above) {
                if filter.is_none_or(|filter| filter.matches(exact))
                    && let Some(topic) = ranked.table.find(Kind::Topics, exact)?
                {
                    self.push(topic, number);
                }
            }
            match filter.filter(|filter| !is_everything_below(filter.as_str(), prefix)) {
                Some(filter) => {
                    ranked.matching(filter, prefix, &mut left, |topic| self.push(topic, number))?;
                }
                None => self.find_range(&mut ranked, prefix, number)?,
            }
        }
        self.ranges.sort_unstable_by_key(|range| range.first);
        self.ranges.dedup_by(|next, range| range.takes_in(next));
        Ok(())
    }

    /// Everything that begins with the prefix.
    fn find_range(&mut self, ranked: &mut Ranked<'_>, prefix: &str, rule: usize) -> Result<(), Damaged> {
        let Range { start: first, end } = ranked.below(prefix)?;
        if ranked.is_same() && first < end {
            self.ranges.push(TopicRange { first, end, rule });
            return Ok(());
        }
        for rank in first..end {
            self.push(ranked.number(rank)?, rule);
        }
        Ok(())
    }
}

impl TopicRange {
    /// Whether what begins at it or behind it is in it, or is now because it follows.
    const fn takes_in(&mut self, next: &Self) -> bool {
        if next.first == self.end && next.rule == self.rule {
            self.end = next.end;
        }
        next.first < self.end
    }
}

/// The rule of the topic's first level.
fn rule_for(topic: &str, rules: &[Rule<'_>]) -> Option<usize> {
    rules.binary_search_by(|rule| rule.level.cmp(first_level(topic))).ok()
}

/// The filter up to its first wildcard.
pub(super) fn literal_prefix(filter: &str) -> &str {
    filter.split(['+', '#']).next().unwrap_or_default()
}

/// Whether the filter matches whatever begins with `prefix`, which ends with a slash.
fn is_everything_below(filter: &str, prefix: &str) -> bool {
    match filter.strip_suffix('#') {
        Some("") => !prefix.starts_with('$'),
        Some(literal) => literal == prefix,
        None => false,
    }
}
