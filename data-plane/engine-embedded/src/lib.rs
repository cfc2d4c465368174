//! The message engine of one machine: a log of segments on its disk, the history over them, and the documents that
//! change with it. It knows messages only as far as their class and their index need it; what they mean, and to whom they
//! go, is others' business.
//!
//! ```text
//! submit ─► queue ─► log's thread: write, one sync ─► completions, followers
//!                        └► journal segments ─► view's thread: seal ─► segments of a class, with footers ─► dropped by age
//!              └► overlay of documents ─ view's thread ─► documents on disk, true at a position
//! query, replay ─► index of the journal in memory + footers        load, scan ─► overlay, else documents
//! ```
//!
//! Five rules hold it together:
//! - **Said is kept.** Nothing is completed before a sync that came after its write. A write or sync that fails ends
//!   the log: what a disk has after a failed sync, nobody knows.
//! - **One state at a time.** Which segments there are is one immutable list, replaced as a whole: a query beside
//!   sealing and dropping misses nothing and meets nothing twice.
//! - **A crash repeats work, it loses none.** A journal segment goes only when all that was made of it is durable; as
//!   long as it is there it is what counts.
//! - **Documents are made from the log.** What a batch changes is committed with it. A journal segment is not sealed
//!   before the documents are durable past its end, so that they can be made anew as long as they are not.
//! - **Damage costs what is damaged.** It is said, counted and kept; what is whole around it is served under the
//!   positions it always had.

mod batch_ids;
mod damage;
pub mod documents;
mod engine;
pub mod files;
mod followers;
mod health;
mod history;
mod index;
mod journal;
mod keeper;
mod kept_blocks;
mod layout;
mod log;
#[cfg(any(test, feature = "testing"))]
pub mod memory_disk;
mod options;
mod queue;
mod recovery;
mod replay;
mod retention;
mod seal;
mod seal_in_place;
mod sealed;
mod segments;
mod shared;
mod state;
pub mod stepping;
mod turns;
mod writer;

pub use crate::batch_ids::BATCH_IDS_MAX;
pub use crate::damage::Damage;
pub use crate::engine::{Engine, OpenError, RetainedStats};
pub use crate::files::{Disk, Files, Space};
pub use crate::health::{FULL_PERCENT, Health, NEARLY_FULL_PERCENT, Stats, Writing};
pub use crate::journal::segment::JOURNAL_FORMAT_VERSION;
pub use crate::options::{Clock, Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use crate::recovery::DAMAGED_SEGMENTS_MAX;

#[cfg(test)]
mod tests;
