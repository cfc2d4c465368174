//! The replica's directory: who may open it, what is in it, and what happens when that is damaged.
//!
//! ```text
//! lock                 held while it is open
//! format               the version of this layout
//! documents/           the database: a pointer, and the copy that it names
//! documents.damaged/   the last database that could not be read, for whoever wants to know why
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use contract::feed::{self, FORMAT_VERSION};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};
use serde::{Deserialize, Serialize};

use crate::copy::{Copy, StoredPosition};
use crate::credentials::CredentialCache;
use crate::rules::Drafts;
use crate::shared_map::SharedMap;
use crate::{Replica, Writer};

/// The version of the layout on disk. A directory of a later one is refused, never guessed at.
pub const REPLICA_FORMAT_VERSION: u32 = 1;

/// Rows and indexes of the disk kept in memory.
const BLOCK_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// The disk's journal: as small as it may be, since what a damaged journal loses is no more than its length.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
const POINTER_KEYSPACE: &str = "pointer";
const POINTER_KEY: &str = "serving";

/// What was found in the directory when it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing: a new replica.
    Nothing,
    /// A copy that serves.
    Copy,
    /// A copy of another release, or one some of whose rows cannot be read: it serves, and an export is needed.
    StaleCopy,
    /// Something that cannot be read: put aside, and an empty replica begun.
    Damaged,
}

/// Why a replica's directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the replica `{}` is in use by another node", .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A later release has written it.
    #[error(
        "the replica `{}` has format {found}, this release knows {REPLICA_FORMAT_VERSION}: run the later release, or \
         move the directory away and the node takes its configuration anew", .dir.display()
    )]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// The directory cannot be read or written.
    #[error("the replica `{}` cannot be used", .path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk refused, although what is on it may be sound.
    #[error("the replica's storage in `{}` cannot be opened", .dir.display())]
    Storage {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: fjall::Error,
    },
}

/// The row that makes a copy the serving one.
#[derive(Serialize, Deserialize)]
struct Pointer {
    copy: u64,
}

/// What opening found, ready to be a [`Replica`].
struct Contents {
    database: Database,
    pointer: Keyspace,
    copies: u64,
    serving: Option<Serving>,
    damaged: bool,
}

struct Serving {
    copy: Copy,
    stored: StoredPosition,
    drafts: Drafts,
    unreadable: usize,
}

pub(crate) fn put_pointer(batch: &mut OwnedWriteBatch, pointer: &Keyspace, copy: u64) {
    let row = serde_json::to_vec(&Pointer { copy }).expect("a number serializes");
    batch.insert(pointer, POINTER_KEY, row);
}

pub(crate) fn open(dir: &Path) -> Result<Replica, OpenError> {
    let lock = claim(dir)?;
    check_format(dir)?;
    let documents = dir.join("documents");
    let contents = match open_database(&documents) {
        Ok(contents) => contents,
        Err(Failure::Refused(source)) => return Err(OpenError::Storage { dir: dir.to_owned(), source }),
        Err(Failure::Damaged(reason)) => {
            tracing::warn!(reason, path = %documents.display(), "the replica is damaged: put aside, begun anew");
            put_aside(&documents)?;
            let fresh = open_database(&documents).map_err(|failure| failure.into_error(dir))?;
            Contents { damaged: true, ..fresh }
        }
    };
    Ok(contents.into_replica(lock))
}

impl Contents {
    fn into_replica(self, lock: File) -> Replica {
        let stale =
            |serving: &Serving| serving.stored.feed_format != FORMAT_VERSION || serving.unreadable > 0;
        let found = match &self.serving {
            Some(serving) if stale(serving) => Found::StaleCopy,
            Some(_) => Found::Copy,
            None if self.damaged => Found::Damaged,
            None => Found::Nothing,
        };
        let (copy, stored, drafts, unreadable) = match self.serving {
            Some(Serving { copy, stored, drafts, unreadable }) => {
                (Some(Arc::new(copy)), Some(stored), drafts, unreadable)
            }
            None => (None, None, Drafts::default(), 0),
        };
        let writer = Writer { stored, has_gaps: unreadable > 0, copies: self.copies, during_export: None };
        let replica = Replica {
            database: self.database,
            pointer: self.pointer,
            copy: ArcSwapOption::new(copy),
            instances: SharedMap::new(),
            labels: SharedMap::new(),
            credentials: CredentialCache::new(),
            position: Mutex::new(writer.position()),
            writer: Mutex::new(writer),
            epochs: AtomicU64::new(1),
            found,
            _lock: lock,
        };
        replica.show(drafts);
        replica
    }
}

impl Replica {
    /// Shows these instances to readers, and no other.
    pub(crate) fn show(&self, drafts: Drafts) {
        let rules: Vec<_> = drafts
            .into_iter()
            .filter_map(|(instance, draft)| Some((instance, draft.finish(|| self.next_epoch())?)))
            .collect();
        let labels: Vec<_> =
            rules.iter().map(|(instance, rules)| (rules.document.label.as_str().into(), *instance)).collect();
        self.instances.replace(rules);
        self.labels.replace(labels);
    }
}

/// Makes the directory and locks it.
fn claim(dir: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(dir).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
    let path = dir.join("lock");
    let at = |source| OpenError::Directory { path: path.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(at(source)),
    }
}

/// Refuses a later format.
fn check_format(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("format");
    let at = |source| OpenError::Directory { path: path.clone(), source };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(at(error)),
    };
    match text.trim().parse::<u32>() {
        Ok(found) if found > REPLICA_FORMAT_VERSION => {
            Err(OpenError::NewerFormat { dir: dir.to_owned(), found })
        }
        Ok(_) => Ok(()),
        // Absent, or torn by a crash while it was first written: before any document was.
        Err(_) => {
            let mut file = File::create(&path).map_err(at)?;
            writeln!(file, "{REPLICA_FORMAT_VERSION}").and_then(|()| file.sync_all()).map_err(at)
        }
    }
}

enum Failure {
    /// What is there makes no sense.
    Damaged(String),
    /// What is there may be sound, but the system does not let us at it.
    Refused(fjall::Error),
}

impl Failure {
    fn into_error(self, dir: &Path) -> OpenError {
        match self {
            Self::Refused(source) => OpenError::Storage { dir: dir.to_owned(), source },
            Self::Damaged(reason) => {
                OpenError::Directory { path: dir.to_owned(), source: io::Error::other(reason) }
            }
        }
    }
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        if matches!(error, fjall::Error::Locked) || io_kind(&error).is_some_and(is_the_systems) {
            Self::Refused(error)
        } else {
            Self::Damaged(format!("{error:?}"))
        }
    }
}

/// The kind of the I/O error at the bottom, if there is one.
fn io_kind(error: &fjall::Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// Whether an I/O error speaks of the system and not of the bytes that were read.
fn is_the_systems(kind: io::ErrorKind) -> bool {
    !matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::Other
    )
}

/// The database library's recovery is written for sound files: it may also panic on damaged ones, which then is damage
/// like any other.
fn open_database(path: &Path) -> Result<Contents, Failure> {
    catch_unwind(AssertUnwindSafe(|| read_database(path)))
        .unwrap_or_else(|_| Err(Failure::Damaged("reading it panicked".to_owned())))
}

fn read_database(path: &Path) -> Result<Contents, Failure> {
    let database = Database::builder(path)
        .cache_size(BLOCK_CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(1)
        .open()?;
    let pointer = database.keyspace(POINTER_KEYSPACE, KeyspaceCreateOptions::default)?;
    let serving = match pointer.get(POINTER_KEY)? {
        Some(row) => Some(
            serde_json::from_slice::<Pointer>(&row)
                .map_err(|error| Failure::Damaged(format!("the pointer: {error}")))?
                .copy,
        ),
        None => None,
    };
    let copies = delete_others(&database, serving)?;
    let serving = serving.map(|number| read_copy(&database, number)).transpose()?.flatten();
    Ok(Contents { database, pointer, copies, serving, damaged: false })
}

/// Deletes what half-taken exports have left; returns the highest number ever seen.
fn delete_others(database: &Database, serving: Option<u64>) -> Result<u64, fjall::Error> {
    let mut highest = serving.unwrap_or(0);
    for name in database.list_keyspace_names() {
        let Some(number) = Copy::number(&name) else { continue };
        highest = highest.max(number);
        if Some(number) != serving {
            Copy::open(database, number)?.delete(database)?;
        }
    }
    Ok(highest)
}

/// The serving copy; none when it is of a release so far away that its rows are not understood.
fn read_copy(database: &Database, number: u64) -> Result<Option<Serving>, Failure> {
    if !database.keyspace_exists(&Copy::name(number)) {
        return Err(Failure::Damaged("the copy that serves is not there".to_owned()));
    }
    let copy = Copy::open(database, number)?;
    let Some(stored) = copy.position()? else {
        return Err(Failure::Damaged("the copy does not say how far it is".to_owned()));
    };
    if !feed::understands(stored.feed_format) {
        tracing::warn!(found = stored.feed_format, "the replica is of a far release: an export is needed");
        return Ok(None);
    }
    let (drafts, unreadable) = copy.drafts()?;
    if unreadable > 0 {
        tracing::warn!(rows = unreadable, "rows of the replica cannot be read: an export is needed");
    }
    Ok(Some(Serving { copy, stored, drafts, unreadable }))
}

fn put_aside(documents: &Path) -> Result<(), OpenError> {
    let aside = documents.with_extension("damaged");
    let at = |source| OpenError::Directory { path: aside.clone(), source };
    match fs::remove_dir_all(&aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(error)),
    }
    fs::rename(documents, &aside).map_err(at)
}
