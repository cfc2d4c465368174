//! Looking up what is stored, as threads beside the workers do it: pages for sessions, held to what may wait for them,
//! and retained messages.

use std::ops::Range;

use contract::durability::QueueOverflow;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Pos, QueryError, Replay, ReplayFilter, ReplayQuery, Replayed};

use super::plan::QueuePlan;
use super::site::instance_id;

/// A page that is wanted for a session.
#[derive(Clone, Debug)]
pub struct PageWanted {
    /// What it is subscribed to, and from where on.
    pub filters: Vec<(TopicFilter, Pos)>,
    /// Of this part of the log.
    pub range: Range<Pos>,
    /// There when it is to be seen whether too much waits.
    pub bounds: Option<QueuePlan>,
    /// A part that is passed over, because it was too much.
    pub skip: Option<(Pos, Pos)>,
}

/// A page that was found.
#[derive(Debug)]
pub struct Page {
    /// What is in it.
    pub messages: Vec<Replayed>,
    /// Everything before was looked at.
    pub next: Pos,
    /// Too much waited: from here on it goes.
    pub begins: Option<Pos>,
    /// What is passed over, and how many messages that are.
    pub passed: Option<(Range<Pos>, u64)>,
    /// A part that is passed over when it is come to.
    pub skip: Option<(Pos, Pos)>,
    /// So much waits that the session ends.
    pub overflows: bool,
    /// Part of it cannot be read any more.
    pub lost: bool,
}

/// One look-up.
pub struct Look<'a> {
    /// Where things are found.
    pub replay: &'a dyn Replay,
    /// Whose they are.
    pub instance: usize,
    /// How many a page has at most.
    pub messages_max: usize,
}

impl Look<'_> {
    /// Looks a page up.
    pub fn page(&self, wanted: &PageWanted) -> Result<Page, QueryError> {
        let mut page = Page {
            messages: Vec::new(),
            next: wanted.range.start,
            begins: None,
            passed: None,
            skip: wanted.skip,
            overflows: false,
            lost: false,
        };
        let mut range = wanted.range.clone();
        if let Some(bounds) = wanted.bounds {
            self.keep_bounds(wanted, bounds, &mut range, &mut page)?;
        }
        if range.start < range.end {
            self.read(wanted, &range, &mut page)?;
        }
        Ok(page)
    }

    fn read(&self, wanted: &PageWanted, range: &Range<Pos>, page: &mut Page) -> Result<(), QueryError> {
        let skip = page.skip.filter(|skip| range.start <= skip.0 && skip.0 < range.end);
        let to = skip.map_or(range.end, |skip| skip.0);
        let filters = filters(wanted);
        let found = self.replay.replay(instance_id(self.instance), &self.query(&filters, range.start..to))?;
        page.messages = found.messages;
        page.lost |= found.lost;
        page.next = match skip {
            Some((begin, end)) if found.next >= begin => end,
            Some(_) | None => found.next,
        };
        Ok(())
    }

    /// Sees whether more waits than may, and what is passed over then.
    fn keep_bounds(
        &self,
        wanted: &PageWanted,
        bounds: QueuePlan,
        range: &mut Range<Pos>,
        page: &mut Page,
    ) -> Result<(), QueryError> {
        let (filters, instance) = (filters(wanted), instance_id(self.instance));
        let query = self.query(&filters, range.clone());
        let backlog = self.replay.backlog(instance, &query)?;
        page.lost |= backlog.lost;
        let (over_messages, over_bytes) = (backlog.messages > bounds.messages, backlog.bytes > bounds.bytes);
        if !over_messages && !over_bytes {
            return Ok(());
        }
        match bounds.overflow {
            QueueOverflow::DropOldest => {
                let begins = self.replay.newest(instance, &query, bounds.messages, bounds.bytes)?;
                let kept = self.replay.backlog(instance, &ReplayQuery { from: begins, ..query })?;
                page.passed = Some((range.start..begins, backlog.messages.saturating_sub(kept.messages)));
                page.begins = Some(begins);
                page.next = begins;
                range.start = begins;
            }
            QueueOverflow::DropNew => {
                let newer = backlog.messages.saturating_sub(bounds.messages);
                let by_messages = if over_messages {
                    self.replay.newest(instance, &query, newer, u64::MAX)?
                } else {
                    range.end
                };
                let more = backlog.bytes.saturating_sub(bounds.bytes);
                let by_bytes = if over_bytes {
                    self.replay.newest(instance, &query, u64::MAX, more)?
                } else {
                    range.end
                };
                let begins = by_messages.min(by_bytes);
                let dropped = self.replay.backlog(instance, &ReplayQuery { from: begins, ..query })?;
                page.passed = Some((begins..range.end, dropped.messages));
                page.skip = Some((begins, range.end));
            }
            QueueOverflow::Disconnect => {
                page.passed = Some((range.clone(), backlog.messages));
                page.overflows = true;
                page.next = range.end;
                range.start = range.end;
            }
        }
        Ok(())
    }

    fn query<'a>(&self, filters: &'a [ReplayFilter<'a>], range: Range<Pos>) -> ReplayQuery<'a> {
        ReplayQuery {
            filters,
            from: range.start,
            to: range.end,
            qos_min: Qos::AtLeastOnce,
            history_only: false,
            stored_since: UnixMillis(0),
            messages_max: self.messages_max,
            bytes_max: 64 * 1024,
        }
    }
}

fn filters(wanted: &PageWanted) -> Vec<ReplayFilter<'_>> {
    wanted.filters.iter().map(|(filter, since)| ReplayFilter { filter, since: *since }).collect()
}
