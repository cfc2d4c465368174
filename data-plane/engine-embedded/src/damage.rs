//! Damage: what a reader of the files found to be lost. It is said, counted and kept; it never stops the rest.

use std::fmt;

use contract::time::UnixMillis;

/// Bytes of a file that are no longer what was written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in it the damage begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// The first record that is lost.
    pub first: u64,
    /// The first record behind it that is not.
    pub next: u64,
    /// What is lost was stored at this moment or later.
    pub from: UnixMillis,
    /// What is lost was stored at this moment or before.
    pub to: UnixMillis,
}

impl Damage {
    /// Whether messages of this span of time, its end excluded, may be lost.
    pub(crate) fn touches(&self, from: UnixMillis, to: UnixMillis) -> bool {
        self.first < self.next && self.from < to && self.to >= from
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, bytes, first, next, .. } = self;
        write!(f, "`{segment}` is damaged: {bytes} bytes at {offset}, ")?;
        match next.checked_sub(*first) {
            None | Some(0) => f.write_str("no record"),
            Some(_) => write!(f, "records {first} to {}", next - 1),
        }
    }
}
