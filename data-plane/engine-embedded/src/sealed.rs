//! The names of sealed segments: the class, the records and the time they are of. So that neither starting nor
//! dropping by age has to open one.
//!
//! A segment is one file, messages and index, or two where it was sealed in place: the journal segment under its new
//! name with `.records` behind it, and its index with `.index`.

use std::collections::BTreeMap;
use std::fmt;

use contract::time::UnixMillis;
use engine::RetentionClass;

use crate::files::Entry;
use crate::layout::SealedSegment;

const PREFIX: &str = "history";

/// What a file is called until it is whole.
pub(crate) const UNFINISHED: &str = ".unfinished";

const RECORDS: &str = ".records";

const INDEX: &str = ".index";

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

    /// The name of the file of its records, where it was sealed in place.
    pub(crate) fn records(&self) -> String {
        format!("{self}{RECORDS}")
    }

    /// The name of the file of its index, where it was sealed in place.
    pub(crate) fn index(&self) -> String {
        format!("{self}{INDEX}")
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

/// What of a directory is sealed.
#[derive(Debug, Default)]
pub(crate) struct FoundSealed {
    /// By their first record and class.
    pub(crate) segments: Vec<SealedSegment>,
    /// Indexes without records: of a segment that was being sealed or dropped.
    pub(crate) left_over: Vec<String>,
}

/// Finds the sealed segments of a directory.
pub(crate) fn find(entries: &[Entry]) -> FoundSealed {
    let mut found = FoundSealed::default();
    let of_index = |it: &Entry| Some((it.name.strip_suffix(INDEX)?.to_owned(), it.bytes));
    let mut indexes: BTreeMap<_, _> = entries.iter().filter_map(of_index).collect();
    indexes.retain(|name, _| SealedName::parse(name).is_some());
    for entry in entries {
        if let Some(name) = SealedName::parse(&entry.name) {
            found.segments.push(SealedSegment { name, bytes: entry.bytes, records_bytes: None });
        } else if let Some(name) = entry.name.strip_suffix(RECORDS).and_then(SealedName::parse) {
            // Without an index it cannot be asked: that is found, and said, by who asks.
            let index = indexes.remove(&name.to_string()).unwrap_or(0);
            let (bytes, records_bytes) = (entry.bytes + index, Some(entry.bytes));
            found.segments.push(SealedSegment { name, bytes, records_bytes });
        }
    }
    found.left_over = indexes.into_keys().map(|name| name + INDEX).collect();
    found.segments.sort_unstable_by_key(|it| (it.name.first, it.name.class));
    found
}

/// What was dropped before its time, at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dropped {
    /// What was stored before this moment; 0: nothing was dropped.
    pub(crate) before: UnixMillis,
    /// What stands in front of this record.
    pub(crate) record: u64,
}

impl Dropped {
    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { before: self.before.max(other.before), record: self.record.max(other.record) }
    }
}

/// The name of the empty file that keeps what was dropped before its time.
pub(crate) fn dropped_name(dropped: Dropped) -> String {
    format!("{DROPPED}{:015}-{:020}", dropped.before.0, dropped.record)
}

/// What such a name says.
pub(crate) fn parse_dropped(name: &str) -> Option<Dropped> {
    let (before, record) = name.strip_prefix(DROPPED)?.split_once('-')?;
    let dropped = Dropped { before: UnixMillis(before.parse().ok()?), record: record.parse().ok()? };
    (dropped_name(dropped) == name).then_some(dropped)
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
        let dropped = Dropped { before: UnixMillis(77), record: 5 };
        assert_eq!(parse_dropped(&dropped_name(dropped)), Some(dropped));
        assert_eq!(parse_dropped("dropped-before-77-5"), None);
    }

    #[test]
    fn two_files_are_one_segment_and_an_index_alone_is_none() {
        let times = (UnixMillis(0), UnixMillis(1));
        let name = |first| SealedName { class: RetentionClass::Day, first, next: first + 1, times };
        let files =
            [(name(1).to_string(), 5), (name(2).records(), 7), (name(2).index(), 2), (name(3).index(), 2)];
        let entries: Vec<_> = files.into_iter().map(|(name, bytes)| Entry { name, bytes }).collect();
        let found = find(&entries);
        let segments: Vec<_> =
            found.segments.iter().map(|it| (it.name.first, it.bytes, it.records_bytes)).collect();
        assert_eq!(segments, [(1, 5, None), (2, 9, Some(7))]);
        assert_eq!(found.left_over, [name(3).index()]);
    }

    #[test]
    fn a_segment_is_over_when_its_latest_message_is_older_than_its_class() {
        let times = (UnixMillis(0), UnixMillis(1_000));
        let name = SealedName { class: RetentionClass::Day, first: 1, next: 2, times };
        assert!(!name.is_over(UnixMillis(86_400_999)));
        assert!(name.is_over(UnixMillis(86_401_000)));
    }
}
