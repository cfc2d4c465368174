//! The time that a list of messages is about, and how much of it the topics' histories cover. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use contract::time::UnixMillis;
use contract::topic::first_level;
use store::topics::Kept;

use super::cursor::Cursor;
use super::{CLOCK_SKEW, Coverage, MessagesQuery, QueryMessagesError, Source, WINDOW_DEFAULT, millis, time};
use crate::node_calls::{MissingNode, Peer, may_have_heard};

/// The window of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Window {
    /// What the nodes are asked for: from then on.
    pub(super) from: UnixMillis,
    /// And before then. Fixed by the first page.
    pub(super) to: UnixMillis,
    /// Since when what is asked for has been kept; none: it is not.
    pub(super) since: Option<DateTime<Utc>>,
    /// The same of the topic that has been kept longest.
    first_since: Option<DateTime<Utc>>,
    /// From where on everything that is asked for is still kept.
    whole_from: UnixMillis,
}

impl Window {
    /// The window of a query; that of the first page goes on with its cursor.
    pub(super) fn of(
        query: &MessagesQuery,
        cursor: Option<&Cursor>,
        kept: &[Kept],
        now: DateTime<Utc>,
    ) -> Result<Self, QueryMessagesError> {
        let (from, to) = match cursor {
            Some(cursor) => (cursor.from, cursor.to),
            None => asked(query, now)?,
        };
        let mut window = Self { from, to, since: None, first_since: None, whole_from: from };
        let only =
            query.topic_filter.as_deref().map(first_level).filter(|level| !matches!(*level, "+" | "#"));
        for topic in kept.iter().filter(|topic| only.is_none_or(|only| only == topic.name)) {
            window.since = window.since.max(Some(topic.since));
            window.first_since = Some(window.first_since.map_or(topic.since, |first| first.min(topic.since)));
            let retention =
                TimeDelta::seconds(i64::try_from(topic.retention_secs).unwrap_or(i64::MAX / 1_000));
            window.covered_from(millis(topic.since.max(now - retention)));
        }
        match only {
            Some(topic) if window.since.is_none() => {
                Err(QueryMessagesError::HistoryDisabled { topic: topic.to_owned() })
            }
            _ => Ok(window),
        }
    }

    /// Whether a node may hold anything of it: one that was not heard of since history began has not heard of that
    /// either, and has stored nothing.
    pub(super) fn may_be_held_by(&self, node: &Peer) -> bool {
        self.first_since.is_some_and(|since| may_have_heard(node, since))
    }

    /// Before this moment something may have been dropped.
    pub(super) fn covered_from(&mut self, from: UnixMillis) {
        self.whole_from = self.whole_from.max(from);
    }

    /// What can be said of the window when these were asked.
    pub(super) fn coverage(&self, sources: &[Source], now: DateTime<Utc>) -> Coverage {
        let missing: Vec<MissingNode> = sources
            .iter()
            .filter_map(|source| {
                let reason = source.log.missing?;
                Some(MissingNode { node: source.peer.id, name: source.peer.name.clone(), reason })
            })
            .collect();
        let to = time(self.to).min(now);
        Coverage {
            from: if self.since.is_some() { time(self.whole_from).min(to) } else { to },
            to,
            history_enabled_since: self.since,
            complete: missing.is_empty() && sources.iter().all(|source| source.log.whole),
            missing,
        }
    }
}

fn asked(query: &MessagesQuery, now: DateTime<Utc>) -> Result<(UnixMillis, UnixMillis), QueryMessagesError> {
    let to = query.to.unwrap_or(now);
    let from = query.from.unwrap_or_else(|| match query.id {
        // Who names a message means it whenever it was stored.
        Some(_) => DateTime::UNIX_EPOCH,
        None => to - WINDOW_DEFAULT,
    });
    if from >= to {
        return Err(QueryMessagesError::Window);
    }
    // Up to now is up to any node's now.
    let to = query.to.unwrap_or(now + CLOCK_SKEW);
    Ok((millis(from), millis(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + secs, 0).expect("a time")
    }

    fn kept(name: &str, since: i64, retention_secs: u64) -> Kept {
        Kept { name: name.to_owned(), since: at(since), retention_secs }
    }

    fn query(topic_filter: Option<&str>) -> MessagesQuery {
        MessagesQuery { topic_filter: topic_filter.map(str::to_owned), ..MessagesQuery::default() }
    }

    #[test]
    fn a_query_that_says_nothing_looks_a_quarter_of_an_hour_back_and_up_to_any_nodes_now() {
        let window = Window::of(&query(None), None, &[kept("a", -9_000, 86_400)], at(0)).expect("a window");
        assert_eq!((window.from, window.to), (millis(at(-900)), millis(at(300))));
        let coverage = window.coverage(&[], at(0));
        assert_eq!((coverage.from, coverage.to), (at(-900), at(0)));
    }

    #[test]
    fn coverage_honours_when_history_began_and_how_long_it_lasts() {
        let topics = [kept("young", -60, 86_400), kept("short", -9_000, 120), kept("old", -9_000, 86_400)];
        for (filter, from, since) in [
            (Some("young/#"), -60, -60),
            (Some("short/a"), -120, -9_000),
            (Some("old/+"), -900, -9_000),
            (Some("+/a"), -60, -60),
            (None, -60, -60),
        ] {
            let window = Window::of(&query(filter), None, &topics, at(0)).expect("a window");
            let coverage = window.coverage(&[], at(0));
            assert_eq!(coverage.from, at(from), "{filter:?}");
            assert_eq!(coverage.history_enabled_since, Some(at(since)), "{filter:?}");
        }
    }

    #[test]
    fn a_topic_that_keeps_nothing_is_said_and_a_wildcard_over_none_covers_nothing() {
        let refused = Window::of(&query(Some("b/#")), None, &[kept("a", 0, 60)], at(0));
        assert!(
            matches!(&refused, Err(QueryMessagesError::HistoryDisabled { topic }) if topic == "b"),
            "{refused:?}"
        );
        let window = Window::of(&query(Some("#")), None, &[], at(0)).expect("a window");
        let coverage = window.coverage(&[], at(0));
        assert_eq!((coverage.from, coverage.history_enabled_since), (coverage.to, None));
    }

    #[test]
    fn a_window_ends_after_it_begins() {
        let of = |from, to| MessagesQuery { from, to, ..query(None) };
        for (from, to, good) in [
            (Some(at(-2)), Some(at(-1)), true),
            (Some(at(-1)), Some(at(-1)), false),
            (Some(at(1)), None, false),
            (None, Some(at(-9_000)), true),
        ] {
            assert_eq!(Window::of(&of(from, to), None, &[], at(0)).is_ok(), good, "{from:?} {to:?}");
        }
    }
}
