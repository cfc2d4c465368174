//! Which rows of one table a replay is about: those of few topics by their postings, else each row's topic is looked at
//! once.

use contract::topic::TopicFilter;
use hashbrown::HashMap;

use super::ranked::Ranked;
use super::table::{Damaged, Kind, ROWS_PER_CHUNK, Table, place};
use crate::{Pos, ReplayFilter};

/// The most topics that are looked at before a row has been.
const CANDIDATES_MAX: u32 = 4_096;

/// So few rows are looked at sooner than topics are searched.
const WALKED_ROWS: u32 = 64;

/// Rows are looked up by topic when they are at most one of so many; else every row is looked at.
const LISTED_SHARE: u32 = 8;

/// The filters of a replay. They are told apart only by where they begin.
pub(super) struct Filters<'a> {
    /// Where they begin, each position once, ascending. The place of a position here is called its group.
    sinces: Vec<Pos>,
    /// The earliest group of each filter without a wildcard.
    exact: HashMap<&'a str, u32, foldhash::fast::RandomState>,
    /// The others, those that begin first in front.
    wildcards: Vec<(&'a TopicFilter, u32)>,
}

impl<'a> Filters<'a> {
    /// Those of the filters that messages between the positions may be for.
    pub(super) fn new(filters: &[ReplayFilter<'a>], from: Pos, to: Pos) -> Self {
        let begins = |it: &ReplayFilter<'_>| it.since.max(from);
        let wanted = || filters.iter().filter(|it| begins(it) < to);
        let mut sinces: Vec<_> = wanted().map(begins).collect();
        sinces.sort_unstable();
        sinces.dedup();
        let mut found = Self { sinces, exact: HashMap::default(), wildcards: Vec::new() };
        for filter in wanted() {
            let group = found.sinces.partition_point(|since| *since < begins(filter));
            let group = u32::try_from(group).expect("there are fewer filters");
            if filter.filter.as_str().contains(['+', '#']) {
                found.wildcards.push((filter.filter, group));
            } else {
                let earliest = found.exact.entry(filter.filter.as_str()).or_insert(group);
                *earliest = group.min(*earliest);
            }
        }
        found.wildcards.sort_by_key(|(_, group)| *group);
        found
    }

    /// Where a group begins.
    pub(super) fn since(&self, group: u32) -> Pos {
        self.sinces[group as usize]
    }

    /// The earliest group among the filters that match the topic.
    fn group_of(&self, topic: &str) -> Option<u32> {
        let exact = self.exact.get(topic).copied();
        let earlier = |group: u32| exact.is_none_or(|exact| group < exact);
        let mut wildcards = self.wildcards.iter().take_while(|(_, group)| earlier(*group));
        wildcards.find(|(filter, _)| filter.matches(topic)).map(|(_, group)| *group).or(exact)
    }
}

/// The rows of a table that a replay looks at.
pub(super) enum Picked {
    /// These rows, ascending, and all of them are for one of the filters.
    Listed(Vec<u32>),
    /// Every row of the range, by the mark of its topic.
    Marked(Marks),
}

/// What is known of each topic.
pub(super) struct Marks {
    /// 0: nothing yet. 1: no filter matches. Above: where the first filter that does begins, counted from 2.
    marks: Vec<u32>,
    text: String,
}

const UNKNOWN: u32 = 0;
const NONE: u32 = 1;
const FIRST: u32 = 2;

impl Marks {
    /// Every topic is looked at when its first row is.
    fn unknown(table: &dyn Table) -> Self {
        Self { marks: vec![UNKNOWN; table.texts(Kind::Topics) as usize], text: String::new() }
    }

    /// No topics but these match.
    fn of(table: &dyn Table, topics: &[(u32, u32)]) -> Self {
        let mut marks = vec![NONE; table.texts(Kind::Topics) as usize];
        for &(topic, group) in topics {
            marks[topic as usize] = FIRST + group;
        }
        Self { marks, text: String::new() }
    }

    /// Where the first filter begins that matches the row's topic.
    #[inline]
    pub(super) fn group_of(
        &mut self,
        topic: u32,
        table: &mut dyn Table,
        filters: &Filters<'_>,
    ) -> Result<Option<u32>, Damaged> {
        let mark = self.marks.get_mut(topic as usize).ok_or(Damaged)?;
        if *mark == UNKNOWN {
            table.text(Kind::Topics, topic, &mut self.text)?;
            *mark = filters.group_of(&self.text).map_or(NONE, |group| FIRST + group);
        }
        Ok(mark.checked_sub(FIRST))
    }
}

/// Which rows from `low` to before `high` the filters are for.
pub(super) fn pick(
    table: &mut dyn Table,
    filters: &Filters<'_>,
    low: u32,
    high: u32,
) -> Result<Picked, Damaged> {
    let Some(topics) = topics(table, filters, high - low)? else {
        return Ok(Picked::Marked(Marks::unknown(table)));
    };
    let few = u64::from((high - low) / LISTED_SHARE + ROWS_PER_CHUNK);
    let mut rows = 0;
    for &(topic, _) in &topics {
        rows += u64::from(table.weight(Kind::Topics, topic)?.0);
        if rows > few {
            return Ok(Picked::Marked(Marks::of(table, &topics)));
        }
    }
    let mut listed = Vec::with_capacity(usize::try_from(rows).map_err(|_| Damaged)?);
    let mut begins = Begins { of: None, row: low };
    for &(topic, group) in &topics {
        let from = begins.row(table, filters.since(group))?.max(low);
        let at = listed.len();
        table.rows_of(Kind::Topics, topic, &mut listed)?;
        // Ascending: what is out of the range stands at both ends.
        let end = at + listed[at..].partition_point(|row| *row < high);
        listed.truncate(end);
        let first = at + listed[at..].partition_point(|row| *row < from);
        listed.drain(at..first);
    }
    if topics.len() > 1 {
        listed.sort_unstable();
    }
    Ok(Picked::Listed(listed))
}

/// The row that was found last for a position: most topics begin at the same one.
struct Begins {
    of: Option<Pos>,
    row: u32,
}

impl Begins {
    fn row(&mut self, table: &mut dyn Table, since: Pos) -> Result<u32, Damaged> {
        if self.of != Some(since) {
            *self = Self { of: Some(since), row: place(table, since)? };
        }
        Ok(self.row)
    }
}

/// The topics that the filters match, each with where the first of them begins, ascending; `None` when it is cheaper
/// to look at the rows.
fn topics(
    table: &mut dyn Table,
    filters: &Filters<'_>,
    rows: u32,
) -> Result<Option<Vec<(u32, u32)>>, Damaged> {
    if rows <= WALKED_ROWS && !filters.wildcards.is_empty() {
        return Ok(None);
    }
    let mut topics = Vec::new();
    for (text, group) in &filters.exact {
        topics.extend(table.find(Kind::Topics, text)?.map(|topic| (topic, *group)));
    }
    if !filters.wildcards.is_empty() {
        let mut left = CANDIDATES_MAX.min(rows);
        let mut ranked = Ranked::new(table);
        for &(filter, group) in &filters.wildcards {
            let take = |topic| topics.push((topic, group));
            if !ranked.matching(filter, "", &mut left, take)? {
                return Ok(None);
            }
        }
    }
    topics.sort_unstable();
    topics.dedup_by_key(|(topic, _)| *topic);
    Ok(Some(topics))
}
