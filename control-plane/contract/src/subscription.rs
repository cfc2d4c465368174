//! What a subscription's text means: a filter, a filter shared by a group, or a filter from an earlier time on.
//!
//! Whether a client may have it, and what is then done, is not said here.

use std::str::FromStr;

use chrono::DateTime;

use crate::time::UnixMillis;
use crate::topic::{TopicError, TopicFilter};

/// What a shared subscription begins with.
pub const SHARED_PREFIX: &str = "$share/";

/// What a replay begins with.
pub const REPLAY_PREFIX: &str = "$replay/";

/// One entry of SUBSCRIBE or UNSUBSCRIBE, read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SubscriptionFilter {
    /// Every message that the filter matches.
    Plain(TopicFilter),
    /// `$share/{group}/{filter}`: each message for one member of the group. Served to clients of every version.
    Shared {
        /// The group's name: at least one character, none of `/`, `+` and `#` [MQTT-4.8.2-1], [MQTT-4.8.2-2].
        group: Box<str>,
        /// What the group wants.
        filter: TopicFilter,
    },
    /// `$replay/{from}/{filter}`: what was stored since then, and then what comes.
    Replay {
        /// Since when: milliseconds since 1970 in digits alone, or a date and time of RFC 3339. A `+` is a wildcard
        /// in a filter, so a time of RFC 3339 is given in UTC (`Z`), or with an offset behind it (`-05:00`).
        from: UnixMillis,
        /// What is wanted.
        filter: TopicFilter,
    },
}

/// Why a text is no subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// It, or the filter in it, is no topic filter.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The group has no name, or one with a wildcard. [MQTT-4.8.2-1], [MQTT-4.8.2-2]
    #[error("a group's name has at least one character and no wildcard")]
    GroupInvalid,
    /// Nothing follows the group or the time. [MQTT-4.8.2-2]
    #[error("a filter follows")]
    FilterMissing,
    /// The time is none.
    #[error("a replay begins at milliseconds since 1970, or at a time as in `2026-01-31T12:00:00Z`")]
    TimeInvalid,
}

impl SubscriptionFilter {
    /// What is asked for, without group or time: what a grant must cover.
    #[must_use]
    pub const fn filter(&self) -> &TopicFilter {
        match self {
            Self::Plain(filter) | Self::Shared { filter, .. } | Self::Replay { filter, .. } => filter,
        }
    }

    /// What a filter means.
    pub fn of(filter: TopicFilter) -> Result<Self, SubscriptionError> {
        let text = filter.as_str();
        if let Some(rest) = text.strip_prefix(SHARED_PREFIX) {
            let (group, filter) = split(rest)?;
            if group.is_empty() || group.contains(['+', '#']) {
                return Err(SubscriptionError::GroupInvalid);
            }
            return Ok(Self::Shared { group: group.into(), filter: filter.parse()? });
        }
        if let Some(rest) = text.strip_prefix(REPLAY_PREFIX) {
            let (from, filter) = split(rest)?;
            return Ok(Self::Replay { from: time(from)?, filter: filter.parse()? });
        }
        Ok(Self::Plain(filter))
    }
}

/// The first level, and what follows it.
fn split(rest: &str) -> Result<(&str, &str), SubscriptionError> {
    match rest.split_once('/') {
        Some((first, filter)) if !filter.is_empty() => Ok((first, filter)),
        _ => Err(SubscriptionError::FilterMissing),
    }
}

/// A time after 1970; one of RFC 3339 is cut to its millisecond.
fn time(text: &str) -> Result<UnixMillis, SubscriptionError> {
    let millis = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        DateTime::parse_from_rfc3339(text).ok().and_then(|time| u64::try_from(time.timestamp_millis()).ok())
    };
    millis.map(UnixMillis).ok_or(SubscriptionError::TimeInvalid)
}

impl FromStr for SubscriptionFilter {
    type Err = SubscriptionError;
    fn from_str(text: &str) -> Result<Self, SubscriptionError> {
        Self::of(text.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        text.parse().expect("a filter")
    }

    #[test]
    fn what_is_asked_for() {
        let shared =
            |group: &str, text| SubscriptionFilter::Shared { group: group.into(), filter: filter(text) };
        let replay = |from, text| SubscriptionFilter::Replay { from: UnixMillis(from), filter: filter(text) };
        let plain = |text| SubscriptionFilter::Plain(filter(text));
        for (text, read) in [
            ("a/+", plain("a/+")),
            ("$share", plain("$share")),
            ("$shared/g/a", plain("$shared/g/a")),
            ("$SYS/#", plain("$SYS/#")),
            ("a/$share/g/b", plain("a/$share/g/b")),
            ("$share/g/a/+/#", shared("g", "a/+/#")),
            ("$share/workers of 车/#", shared("workers of 车", "#")),
            ("$share/g//", shared("g", "/")),
            ("$share/g/$SYS/a", shared("g", "$SYS/a")),
            ("$replay/0/a", replay(0, "a")),
            ("$replay/1767225600123/a/#", replay(1_767_225_600_123, "a/#")),
            ("$replay/2026-01-01T00:00:00Z/+", replay(1_767_225_600_000, "+")),
            ("$replay/2026-01-01T00:00:00.1239Z/+", replay(1_767_225_600_123, "+")),
            ("$replay/2025-12-31T19:00:00-05:00/a", replay(1_767_225_600_000, "a")),
        ] {
            assert_eq!(text.parse::<SubscriptionFilter>(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for() {
        for (text, error) in [
            ("", SubscriptionError::Topic(TopicError::Empty)),
            ("a/#/b", SubscriptionError::Topic(TopicError::HashNotLast)),
            ("$share/", SubscriptionError::FilterMissing),
            ("$share/g", SubscriptionError::FilterMissing),
            ("$share/g/", SubscriptionError::FilterMissing),
            ("$share//a", SubscriptionError::GroupInvalid),
            ("$share/+/a", SubscriptionError::GroupInvalid),
            ("$share/g+/a", SubscriptionError::Topic(TopicError::PartialWildcard)),
            ("$share/g/a/#/b", SubscriptionError::Topic(TopicError::HashNotLast)),
            ("$replay/0", SubscriptionError::FilterMissing),
            ("$replay//a", SubscriptionError::TimeInvalid),
            ("$replay/yesterday/a", SubscriptionError::TimeInvalid),
            ("$replay/-1/a", SubscriptionError::TimeInvalid),
            ("$replay/18446744073709551616/a", SubscriptionError::TimeInvalid),
            ("$replay/2026-01-01/a", SubscriptionError::TimeInvalid),
            ("$replay/2026-02-30T00:00:00Z/a", SubscriptionError::TimeInvalid),
            ("$replay/1969-12-31T23:59:59Z/a", SubscriptionError::TimeInvalid),
            ("$replay/2026-01-01T01:00:00+01:00/a", SubscriptionError::Topic(TopicError::PartialWildcard)),
        ] {
            assert_eq!(text.parse::<SubscriptionFilter>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_grant_is_asked_for_the_filter_within() {
        for text in ["a/#", "$share/g/a/#", "$replay/5/a/#"] {
            let read: SubscriptionFilter = text.parse().expect("a subscription");
            assert_eq!(read.filter().as_str(), "a/#");
        }
    }
}
