//! The names of the files of a log. A name says all that is needed to find the way without opening the file.

use std::fmt;

const JOURNAL: &str = "journal";
const DAMAGED: &str = "damaged";

/// A journal segment's name: its first record and its salt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SegmentName {
    pub(crate) first: u64,
    pub(crate) salt: u64,
}

impl SegmentName {
    /// The name of the segment, if it is one's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::parse_as(JOURNAL, name)
    }

    /// The segment that was put aside under this name, if it is one's.
    pub(crate) fn parse_damaged(name: &str) -> Option<Self> {
        Self::parse_as(DAMAGED, name)
    }

    fn parse_as(prefix: &str, name: &str) -> Option<Self> {
        let (first, salt) = name.strip_prefix(prefix)?.strip_prefix('-')?.split_once('-')?;
        let parsed = Self { first: first.parse().ok()?, salt: u64::from_str_radix(salt, 16).ok()? };
        // One name a segment.
        (format!("{prefix}-{:020}-{:016x}", parsed.first, parsed.salt) == name).then_some(parsed)
    }

    /// The name under which the segment is put aside when it is sealed and was damaged.
    pub(crate) fn damaged(self) -> String {
        format!("{DAMAGED}-{:020}-{:016x}", self.first, self.salt)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{JOURNAL}-{:020}-{:016x}", self.first, self.salt)
    }
}
