//! From where on the messages of a topic resource are shown: its age and its bytes.

use contract::ids::InstanceId;
use contract::message::Order;
use contract::topic::TopicFilter;

use super::merge::{Merge, Next, table};
use super::row::Row;
use super::select::Selected;
use super::table::{Damaged, Kind, Span};
use super::walk::Wanted;
use super::{Source, View};
use crate::{HistoryRules, Pos};

/// The rule of a topic resource, as a query needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rule<'a> {
    /// The first level of its topics.
    pub level: &'a str,
    /// What was stored before this moment is not shown.
    pub visible_from: u64,
    /// What stands before this position is not shown.
    pub shown_from: Pos,
    /// The moment from which on nothing is hidden for its bytes.
    pub whole_from: u64,
    bytes_max: Option<u64>,
}

/// The rules of the topic resources that the filter may match, sorted by level.
pub(super) fn rules<'a>(rules: &'a HistoryRules, filter: Option<&TopicFilter>) -> Vec<Rule<'a>> {
    let first = filter.map(|filter| contract::topic::first_level(filter.as_str()));
    let may_match = |level: &str| match first {
        None => true,
        Some("+" | "#") => !level.starts_with('$'),
        Some(first) => first == level,
    };
    let shown = rules.topics.iter().filter(|(level, _)| may_match(level));
    shown
        .map(|(level, history)| Rule {
            level,
            visible_from: history.shown_since(rules.now).0,
            shown_from: Pos { record: 0, index: 0 },
            whole_from: 0,
            bytes_max: history.retention_bytes,
        })
        .collect()
}

impl Rule<'_> {
    #[inline]
    pub(super) fn shows(&self, row: &Row) -> bool {
        row.history && row.stored_at >= self.visible_from && row.pos >= self.shown_from
    }
}

/// Finds for each rule from where on the newest messages are as many as it shows by their bytes (of records, as they
/// are stored). Answers whether nothing was found damaged.
pub(super) fn limit_bytes(rules: &mut [Rule<'_>], view: &View<'_>, instance: InstanceId) -> bool {
    let tables = view.sources.iter().filter_map(|source| table(source, instance));
    let bytes = tables.fold(0, |sum: u64, table| sum.saturating_add(table.span().bytes));
    if rules.iter().all(|rule| rule.bytes_max.is_none_or(|bytes_max| bytes <= bytes_max)) {
        return true;
    }
    let (mut weighed, mut is_sound) = (Vec::new(), true);
    for source in view.sources {
        match weigh(source, instance, rules) {
            Ok(weights) => weighed.extend(weights),
            Err(Damaged) => is_sound = false,
        }
    }
    weighed.sort_unstable_by_key(|weight| (weight.rule, std::cmp::Reverse(weight.span.last)));
    for of_one in weighed.chunk_by(|a, b| a.rule == b.rule) {
        is_sound &= rules[of_one[0].rule].limit(of_one, instance);
    }
    is_sound
}

impl Rule<'_> {
    /// Adds up segment by segment, the newest first, and looks closer where the bound lies.
    fn limit(&mut self, weights: &[Weight<'_>], instance: InstanceId) -> bool {
        let Some(mut left) = self.bytes_max else { return true };
        let mut rest = weights;
        while let Some(first) = rest.first() {
            // Segments that overlap are looked at as one.
            let (mut begins, mut many) = (first.span.first, 1);
            while let Some(next) = rest.get(many).filter(|next| next.span.last >= begins) {
                begins = begins.min(next.span.first);
                many += 1;
            }
            let (together, older) = rest.split_at(many);
            let bytes = together.iter().fold(0, |sum: u64, weight| sum.saturating_add(weight.bytes));
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => return self.limit_within(together, instance, left),
            }
            rest = older;
        }
        true
    }

    /// Finds the place within these segments behind which no more than `left` bytes stand.
    fn limit_within(&mut self, together: &[Weight<'_>], instance: InstanceId, mut left: u64) -> bool {
        let wanted = Wanted::new(vec![*self], Order::Newest);
        let sources = together.iter().map(|weight| weight.source);
        let mut merge = Merge::new(sources, instance, &wanted, u64::MAX);
        while let Next::Found(row, _) = merge.next(&wanted) {
            let Some(less) = left.checked_sub(u64::from(row.bytes)) else {
                self.shown_from = row.pos.successor();
                self.whole_from = row.stored_at.saturating_add(1);
                break;
            };
            left = less;
        }
        !merge.is_damaged
    }
}

/// What a source holds of a topic resource.
struct Weight<'a> {
    rule: usize,
    source: &'a Source<'a>,
    span: Span,
    bytes: u64,
}

/// What the source holds of each rule that has a bound in bytes.
fn weigh<'a>(
    source: &'a Source<'a>,
    instance: InstanceId,
    rules: &[Rule<'_>],
) -> Result<Vec<Weight<'a>>, Damaged> {
    let Some(mut table) = table(source, instance) else { return Ok(Vec::new()) };
    let span = table.span();
    let selected = Selected::find(&mut *table, None, rules)?;
    let mut bytes = vec![0_u64; rules.len()];
    match &mut bytes[..] {
        // The only topic resource there is has all the bytes.
        [all] if selected.len() == u64::from(table.texts(Kind::Topics)) => *all = span.bytes,
        bytes => {
            for (topic, rule) in selected.topics().filter(|(_, rule)| rules[*rule].bytes_max.is_some()) {
                bytes[rule] = bytes[rule].saturating_add(table.weight(Kind::Topics, topic)?.1);
            }
        }
    }
    let weights = bytes.into_iter().enumerate().filter(|(_, bytes)| *bytes > 0);
    Ok(weights.map(|(rule, bytes)| Weight { rule, source, span, bytes }).collect())
}
