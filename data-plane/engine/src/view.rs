//! The view: which stored messages there are, found by topic, client and time, and answered page by page. The same
//! code over every engine. Not here: where segments lie, when they are sealed and dropped.
//!
//! A *segment* is a run of bytes that holds message records (as [`Record::bytes`](crate::Record::bytes) has them) at
//! known places. While it grows its index is a [`FooterBuilder`] in memory; sealing appends the index to the segment
//! as a footer, which [`Footer::open`] reads again. A query asks any number of both at once.

#[cfg(test)]
mod any_topics;
mod builder;
mod dictionary;
mod fetch;
mod footer;
mod kept_pages;
mod lane;
mod merge;
mod order;
mod pages;
mod pick;
mod query;
mod ranked;
mod replay;
pub mod retained;
mod row;
mod rules;
mod sealed;
mod select;
mod table;
mod topic_walk;
mod walk;
mod write;

use std::io;

use contract::time::UnixMillis;

use crate::Shard;

pub use builder::{AddError, FooterBuilder};
pub use footer::{FOOTER_VERSION, Footer, FooterError};
pub use kept_pages::KeptPages;
pub use query::{get, query};
pub use replay::{REPLAY_ROWS_MAX, backlog, newest, position_at, replay};

/// Bytes that can be read at any place: a file, or a piece of memory.
pub trait ReadAt {
    /// Fills `into` with the bytes from `at` on. An error when they are not all there. Needs no position, so that many
    /// readers share one.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// One segment as a query sees it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Which messages it holds.
    pub index: Index<'a>,
    /// The segment from its first byte: the records at the offsets that the index was told, and the footer behind
    /// them when it is sealed.
    pub bytes: &'a dyn ReadAt,
}

/// The index of a segment.
#[derive(Clone, Copy)]
pub enum Index<'a> {
    /// In memory, of a segment that still grows.
    Live(&'a FooterBuilder),
    /// On disk, behind the segment's records.
    Sealed(&'a Footer),
}

/// All that a query looks through. A message that stands in two sources is answered once.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The shard whose segments these are.
    pub shard: Shard,
    /// Every segment, in any order.
    pub sources: &'a [Source<'a>],
    /// What was stored before this moment may have been dropped with its segment, earlier than its retention says: 0
    /// when nothing was.
    pub dropped_before: UnixMillis,
    /// Whether the sources are all there should be. Damage that is met in them is found by the query itself.
    pub whole: bool,
}

impl ReadAt for [u8] {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..into.len()));
        into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(at, into)
    }
}

#[cfg(test)]
mod tests;
