//! The names of sealed segments: the class, the records and the time they are of. So that neither starting nor
//! dropping by age has to open one.

use std::fmt;

use contract::time::UnixMillis;
use engine::RetentionClass;

const PREFIX: &str = "history";

/// What a file is called until it is whole.
pub(crate) const UNFINISHED: &str = ".unfinished";

const DROPPED: &str = "dropped-before-";

/// A sealed segment's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SealedName {
    pub(crate) class: RetentionClass,
    /// The first record of the journal segment that it was made of.
    pub(crate) first: u64,
    /// The record behind that segment's last.
    pub(crate) next: u64,
    /// When its earliest and its latest message were stored.
    pub(crate) times: (UnixMillis, UnixMillis),
}

impl SealedName {
    /// The name, if it is one of a sealed segment.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let class = RetentionClass::from_bits(parts.next()?.parse().ok()?)?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (first, next) = (number()?, number()?);
        let times = (UnixMillis(number()?), UnixMillis(number()?));
        let parsed = Self { class, first, next, times };
        // One name a segment.
        (parsed.to_string() == name && first < next).then_some(parsed)
    }

    /// Its name while it is being written.
    pub(crate) fn unfinished(class: RetentionClass, first: u64) -> String {
        format!("{PREFIX}-{}-{first:020}{UNFINISHED}", class.bits())
    }

    /// When all of it is older than its class keeps it.
    pub(crate) fn is_over(&self, now: UnixMillis) -> bool {
        self.times.1.0.saturating_add(self.class.secs().saturating_mul(1000)) <= now.0
    }
}

impl fmt::Display for SealedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, first, next, times: (earliest, latest) } = self;
        write!(f, "{PREFIX}-{}-{first:020}-{next:020}-{:015}-{:015}", class.bits(), earliest.0, latest.0)
    }
}

/// The name of the empty file that keeps the moment before which messages were dropped before their time.
pub(crate) fn dropped_name(before: UnixMillis) -> String {
    format!("{DROPPED}{:015}", before.0)
}

/// The moment that such a name says.
pub(crate) fn parse_dropped(name: &str) -> Option<UnixMillis> {
    let before = UnixMillis(name.strip_prefix(DROPPED)?.parse().ok()?);
    (dropped_name(before) == name).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_class_records_and_times() {
        let times = (UnixMillis(5), UnixMillis(1_800_000_000_000));
        let name = SealedName { class: RetentionClass::Week, first: 1, next: 9, times };
        let text = "history-3-00000000000000000001-00000000000000000009-000000000000005-001800000000000";
        assert_eq!((name.to_string().as_str(), SealedName::parse(text)), (text, Some(name)));
        let unfinished = SealedName::unfinished(RetentionClass::Week, 1);
        for other in
            [unfinished.as_str(), "history-3-1-9-5-1800000000000", &text.replacen('3', "7", 1), "history-"]
        {
            assert_eq!(SealedName::parse(other), None, "{other}");
        }
        let before = UnixMillis(77);
        assert_eq!(parse_dropped(&dropped_name(before)), Some(before));
        assert_eq!(parse_dropped("dropped-before-77"), None);
    }

    #[test]
    fn a_segment_is_over_when_its_latest_message_is_older_than_its_class() {
        let times = (UnixMillis(0), UnixMillis(1_000));
        let name = SealedName { class: RetentionClass::Day, first: 1, next: 2, times };
        assert!(!name.is_over(UnixMillis(86_400_999)));
        assert!(name.is_over(UnixMillis(86_401_000)));
    }
}
