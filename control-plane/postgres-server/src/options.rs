//! What a caller chooses, and what a caller is told while it waits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::find::Search;

/// The role that the product connects as: owner of its databases, may create more, no superuser.
const ROLE: &str = "iotmq";

/// Recovery after a crash replays the write-ahead log, which may take minutes on a slow disk.
const START_TIMEOUT: Duration = Duration::from_mins(5);

/// Where and how to run the server.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) search: Search,
    pub(crate) role: String,
    pub(crate) fsync: bool,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) start_timeout: Duration,
    /// Whether the kernel is asked to end the server with this process; tests show what happens without.
    pub(crate) leash: bool,
}

impl Options {
    /// A durable server below `directory`, which is made if it is absent and belongs to this crate alone.
    ///
    /// The programs are looked for in `PG_BIN_DIR`, then in `/usr/lib/postgresql/*/bin` (the version that
    /// made the data, else the newest), then in `PATH`.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_path_buf(),
            search: Search::from_environment(),
            role: ROLE.to_owned(),
            fsync: true,
            settings: Vec::new(),
            start_timeout: START_TIMEOUT,
            leash: true,
        }
    }

    /// A server for tests: many connections, and nothing that a crash of the machine would leave whole.
    pub fn for_tests(directory: impl AsRef<Path>) -> Self {
        Self::new(directory).fsync(false).setting("max_connections", "300")
    }

    /// The folder of `initdb` and `postgres`; nowhere else is searched then.
    #[must_use]
    pub fn bin_dir(mut self, bin_dir: impl Into<PathBuf>) -> Self {
        self.search.bin_dir = Some(bin_dir.into());
        self
    }

    /// The role that connects; `iotmq` unless told.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }

    /// Whether a commit survives a crash of the machine; true unless told.
    #[must_use]
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }

    /// A setting of PostgreSQL (`max_connections`, `shared_buffers`, …); the last one given wins.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// What the start is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A server that an earlier process left behind is being shut down.
    StoppingLeftover {
        /// Its process id.
        pid: i32,
    },
    /// The cluster is being made: about a second.
    Initialising {
        /// The major version of PostgreSQL.
        major: u32,
    },
    /// The server is starting; after a crash this includes recovery.
    Starting {
        /// The major version of PostgreSQL.
        major: u32,
    },
    /// The server answers queries.
    Ready,
}
