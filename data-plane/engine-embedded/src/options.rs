//! What an engine is opened with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use contract::time::UnixMillis;

use crate::documents::Documents;
use crate::files::Files;

/// What tells the engine the time of day.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// The smallest segment that may be asked for: tests need many.
pub const SEGMENT_BYTES_MIN: u64 = 1024;

/// The largest segment that may be asked for.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What an engine is opened with. [`Options::new`] has what a node needs.
#[derive(Clone)]
pub struct Options {
    /// Where the files are; made when it is absent. One process at a time may have it.
    pub directory: PathBuf,
    /// A journal segment that has so many bytes is closed and sealed. 64 MiB; from [`SEGMENT_BYTES_MIN`]
    /// to [`SEGMENT_BYTES_MAX`]. Sealing takes about as much memory, for the index.
    pub segment_bytes: u64,
    /// A journal segment is closed and sealed when its first record is so old, however small it is: what has been
    /// closed is dropped by age. One hour, in milliseconds.
    pub segment_millis: u64,
    /// What each origin may have submitted and not yet seen completed, in bytes. 8 MiB; at least the largest batch.
    pub origin_bytes_max: usize,
    /// What all files may have together, in bytes; above it the oldest sealed messages are dropped before their time.
    /// None: only age drops. What is not sealed yet counts, but is never dropped.
    pub stored_bytes_max: Option<u64>,
    /// What indexes of segments, and records that many ask for, may take in memory between queries, in bytes. 192 MiB. What
    /// has no room is read again by each query that needs it.
    pub index_bytes_max: usize,
    /// How many queries may run at the same time; more are answered as busy. 4.
    pub queries_max: usize,
    /// The time of day.
    pub clock: Clock,
    /// The files, when they are not those of `directory`; for tests. The lock is in `directory` all the same.
    pub files: Option<Arc<dyn Files>>,
    /// The documents, when they are not those of the folder `documents` in `directory`; for tests.
    pub documents: Option<Arc<dyn Documents>>,
    /// What changes of documents may take in memory before they are written where documents are kept, in bytes. 64 MiB.
    /// Beyond it no worker has room until that is done.
    pub overlay_bytes_max: usize,
}

impl Options {
    /// What a node needs, in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 64 * 1024 * 1024,
            segment_millis: 60 * 60 * 1000,
            origin_bytes_max: 8 * 1024 * 1024,
            stored_bytes_max: None,
            index_bytes_max: 192 * 1024 * 1024,
            queries_max: 4,
            clock: Arc::new(time_of_day),
            files: None,
            documents: None,
            overlay_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where this crate reads a clock")]
fn time_of_day() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
