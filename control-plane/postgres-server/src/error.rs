//! Why the server did not start. Each message is for a person at a terminal and says what to do.

use std::io;
use std::path::PathBuf;

use crate::data_directory::LockError;
use crate::databases::DatabaseError;
use crate::find::MAJOR_MIN;

/// Why the server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No programs anywhere.
    #[error(
        "no PostgreSQL server found; install it with `apt-get install postgresql`, or name the folder of \
         its programs in `PG_BIN_DIR`"
    )]
    NotInstalled,
    /// A folder was named and holds no programs.
    #[error("`{}` holds no PostgreSQL server (`initdb` and `postgres`)", bin_dir.display())]
    NotInBinDir {
        /// The folder named.
        bin_dir: PathBuf,
    },
    /// The newest one is too old.
    #[error(
        "PostgreSQL {MAJOR_MIN} or newer is needed and `{}` is {found}; install it with `apt-get install postgresql`",
        bin_dir.display()
    )]
    TooOld {
        /// Its major version.
        found: u32,
        /// Where it is.
        bin_dir: PathBuf,
    },
    /// The data was made by a version that is not installed.
    #[error(
        "`{}` was made by PostgreSQL {data}, and the one installed in `{}` is {found}; install the right one \
         with `apt-get install postgresql-{data}`",
        directory.display(), bin_dir.display()
    )]
    OtherVersion {
        /// The data directory.
        directory: PathBuf,
        /// Its major version.
        data: u32,
        /// The major version of the programs.
        found: u32,
        /// Where the programs are.
        bin_dir: PathBuf,
    },
    /// Another process runs a server from the same directory, or the directory cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The unprivileged user cannot get to a folder.
    #[error(
        "PostgreSQL runs as user `{user}`, who cannot enter `{}`; choose a data directory below `/var/lib`, or \
         open that folder with `chmod o+x`",
        path.display()
    )]
    Unreachable {
        /// The folder that is closed.
        path: PathBuf,
        /// Who cannot enter it.
        user: String,
    },
    /// Peer authentication needs a name.
    #[error("user id {uid} has no entry in `/etc/passwd`; PostgreSQL cannot tell who connects")]
    NoUserName {
        /// The effective user id.
        uid: u32,
    },
    /// Root, and neither `postgres` nor `nobody` exists.
    #[error("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`")]
    NoUnprivilegedUser,
    /// The address of a Unix socket is short.
    #[error("`{}` is too long a path for a Unix socket: at most {max} bytes", path.display())]
    PathTooLong {
        /// The directory given.
        path: PathBuf,
        /// How long it may be.
        max: usize,
    },
    /// A file or folder of ours cannot be used.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program cannot be run.
    #[error("cannot run `{}`", program.display())]
    Program {
        /// Which one.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program said something that is no version.
    #[error("`{}` does not tell its version: `{said}`", program.display())]
    NoVersion {
        /// Which one.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// `initdb` failed.
    #[error("making the PostgreSQL cluster failed:\n{output}")]
    Initialise {
        /// The end of what `initdb` said.
        output: String,
    },
    /// A server left behind by an earlier process does not go.
    #[error("PostgreSQL of an earlier run (process {pid}) does not stop")]
    LeftoverStays {
        /// Its process id.
        pid: i32,
    },
    /// The server ended instead of becoming ready.
    #[error("PostgreSQL did not start ({status}):\n{log}")]
    Died {
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The server is not ready in time; it was stopped.
    #[error("PostgreSQL is not ready after {secs} s:\n{log}")]
    NotReady {
        /// How long it had.
        secs: u64,
        /// The end of its log.
        log: String,
    },
    /// The server is ready and does not answer.
    #[error("PostgreSQL started but does not answer")]
    Probe(#[from] DatabaseError),
}

impl StartError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
