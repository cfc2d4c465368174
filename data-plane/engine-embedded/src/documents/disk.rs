//! Documents in a directory, in an embedded database. All rows share one keyspace and with it one order of writing:
//! should the end of the database's own journal be lost, what is left is an earlier state, and says so itself.
//!
//! ```text
//! documents/           the database
//! documents/*.torn     the last of its journals whose end was cut off, as it was before
//! documents.damaged/   the last one that could not be read, for whoever wants to know why
//! ```

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use engine::Rev;
use fjall::{
    AbstractTree, Database, JournalRecoveryError, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch,
    PersistMode, Slice,
};

use super::key::INSTANCE_BYTES;
use super::{DocumentView, DocumentWrite, Documents, LOSSES_MAX, StoredDocument, torn};

/// Rows and indexes of the database kept in memory.
const BLOCK_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Rows held in memory before they are written to a table.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The database's own journal.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

const KEYSPACE: &str = "documents";

/// Before every document's key.
const POSITION_KEY: &[u8] = &[0];
const LOSSES_KEY: &[u8] = &[0, 0];

/// The version of the rows' form, in front of the position.
const ROWS_VERSION: u8 = 1;

const REV_BYTES: usize = 8;

/// How long tables that are being written are left alone before it is looked again whether they are.
const TABLES_WAIT: Duration = Duration::from_millis(1);

/// How many documents are saved in one batch.
const SAVED_AT_ONCE: usize = 1_000;

/// The database of a directory. After a write that failed it takes no other: it is closed then, and opened again.
pub(crate) struct DiskDocuments {
    path: PathBuf,
    /// None while it cannot be opened again.
    opened: RwLock<Option<Opened>>,
}

struct Opened {
    database: Database,
    rows: Keyspace,
}

/// Why the documents of a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    /// What is there makes no sense.
    #[error("they are damaged: {0}")]
    Damaged(String),
    /// A batch of the database's own journal makes no sense.
    #[error("their journal has a hole: {0}")]
    Torn(String),
    /// What is there may be sound, but the system does not let us at it.
    #[error(transparent)]
    Refused(io::Error),
    /// A later release wrote them.
    #[error("they have version {found} of their form and this release reads version {ROWS_VERSION}")]
    Version {
        /// The version they have.
        found: u8,
    },
}

impl From<fjall::Error> for Unopened {
    fn from(error: fjall::Error) -> Self {
        match io_kind(&error) {
            Some(kind) if is_the_systems(kind) => {
                return Self::Refused(io::Error::new(kind, error.to_string()));
            }
            Some(_) | None => {}
        }
        if matches!(error, fjall::Error::Locked) {
            return Self::Refused(failed(error));
        }
        // A journal by a strange name is no torn one.
        let has_hole = matches!(error, fjall::Error::JournalRecovery(why) if why != JournalRecoveryError::InvalidFileName);
        let reason = format!("{error:?}");
        if has_hole { Self::Torn(reason) } else { Self::Damaged(reason) }
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        match error.downcast::<fjall::Error>() {
            Ok(error) => error.into(),
            Err(error) if is_the_systems(error.kind()) => Self::Refused(error),
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// What `open` answers; that what it reads is damaged when it panics: the database is written for sound files.
pub(crate) fn unless_it_panics<T>(open: impl FnOnce() -> Result<T, Unopened>) -> Result<T, Unopened> {
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(Unopened::Damaged("reading them panicked".to_owned())))
}

impl Opened {
    fn read(path: &Path) -> Result<Self, Unopened> {
        unless_it_panics(|| Self::read_sound(path))
    }

    fn read_sound(path: &Path) -> Result<Self, Unopened> {
        let database = Database::builder(path)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let rows = database.keyspace(KEYSPACE, options)?;
        match rows.get(POSITION_KEY)?.as_deref() {
            None if rows.first_key_value().is_some() => {
                return Err(Unopened::Damaged("they do not say how far they are".to_owned()));
            }
            None | Some([ROWS_VERSION, _, _, _, _, _, _, _, _]) => {}
            Some(&[found, ..]) if found != ROWS_VERSION => return Err(Unopened::Version { found }),
            Some(_) => return Err(Unopened::Damaged("what says how far they are is cut off".to_owned())),
        }
        Ok(Self { database, rows })
    }

    /// Opens a directory. A hole in what the database's journal had not synced costs what stands from there on, as if it
    /// had not been written at all: what is left says itself how far it is.
    fn read_over_hole(path: &Path) -> Result<Self, Unopened> {
        let reason = match Self::read(path) {
            Err(Unopened::Torn(reason)) => reason,
            read => return read,
        };
        let Some(journal) = torn::newest(path)? else { return Err(Unopened::Damaged(reason)) };
        let copy = torn::keep_copy(&journal)?;
        for batch in torn::batches(&journal)?.into_iter().rev() {
            torn::cut(&journal, batch)?;
            match Self::read(path) {
                Err(Unopened::Torn(_)) => {}
                Ok(opened) => {
                    tracing::warn!(reason, copy = %copy.display(), "the end of the documents' journal was cut off");
                    return Ok(opened);
                }
                Err(error) => {
                    fs::copy(&copy, &journal)?;
                    return Err(error);
                }
            }
        }
        fs::copy(&copy, &journal)?;
        Err(Unopened::Damaged(reason))
    }

    /// Opens a directory after a write or a sync that failed. Then it is not known whether what the database's journal
    /// gives is on the disk too: hence it is written to tables, and the journal is begun anew.
    fn read_after_failure(path: &Path) -> Result<Self, Unopened> {
        let opened = Self::read_over_hole(path)?;
        opened.write_tables()?;
        drop(opened);
        if let Some(journal) = torn::newest(path)? {
            torn::cut(&journal, 0)?;
        }
        Self::read(path)
    }

    /// Writes what is in memory to tables.
    fn write_tables(&self) -> Result<(), fjall::Error> {
        self.rows.rotate_memtable()?;
        while self.rows.tree.sealed_memtable_count() > 0 {
            // Of a thread that has failed nothing more is to be expected; this says so.
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(TABLES_WAIT);
        }
        Ok(())
    }
}

impl DiskDocuments {
    /// Opens the documents of a directory, which is made when it is absent.
    pub(crate) fn open(path: &Path) -> Result<Self, Unopened> {
        let opened = Opened::read_over_hole(path)?;
        Ok(Self { path: path.to_owned(), opened: RwLock::new(Some(opened)) })
    }

    fn read<T>(&self, read: impl FnOnce(&Opened) -> io::Result<T>) -> io::Result<T> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || io::Error::other("the documents could not be opened again after a write that failed");
        read(opened.as_ref().ok_or_else(closed)?)
    }

    fn write(&self, write: impl FnOnce(&Opened) -> io::Result<()>) -> io::Result<()> {
        if self.opened.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.open_again()?;
        }
        let written = self.read(write);
        if let Err(error) = &written {
            tracing::error!(%error, "the documents cannot be written: they are opened again");
            if let Err(error) = self.open_again() {
                tracing::error!(%error, "the documents cannot be opened again; it is tried once more");
            }
        }
        written
    }

    /// Closes the database and opens it again. Whoever reads waits meanwhile.
    fn open_again(&self) -> io::Result<()> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        // Its lock goes with it.
        *opened = None;
        *opened = Some(Opened::read_after_failure(&self.path).map_err(io::Error::other)?);
        Ok(())
    }

    /// Puts every document that can be read into others, which then are true at no position of their own, and counts
    /// them. What cannot be read is passed over from both sides: one damaged block costs what is in it.
    pub(crate) fn save_into(&self, others: &dyn Documents) -> io::Result<u64> {
        self.read(|opened| opened.save_into(others))
    }

    /// Writes what is in memory to tables.
    #[cfg(test)]
    pub(crate) fn write_tables(&self) {
        self.read(|opened| opened.write_tables().map_err(failed)).expect("written");
    }

    /// Has what is in memory written to tables by the database's own thread.
    #[cfg(test)]
    pub(crate) fn ask_for_tables(&self) {
        self.read(|opened| opened.rows.rotate_memtable().map(drop).map_err(failed)).expect("asked");
    }
}

impl Opened {
    fn save_into(&self, others: &dyn Documents) -> io::Result<u64> {
        let mut saved = 0;
        let mut last: Vec<u8> = Vec::new();
        for is_forward in [true, false] {
            let start = Bound::Excluded(last.clone());
            let mut rows = self.rows.range::<Vec<u8>, _>((start, Bound::Unbounded));
            loop {
                let next = || if is_forward { rows.next() } else { rows.next_back() };
                let chunk: Vec<_> = std::iter::from_fn(next)
                    .map_while(|row| row.into_inner().ok())
                    .take(SAVED_AT_ONCE)
                    .collect();
                let Some((key, _)) = chunk.last() else { break };
                if is_forward {
                    last = key.to_vec();
                }
                let document = |row| view(row).ok();
                let is_document = |(key, _): &&(Slice, Slice)| key.len() > INSTANCE_BYTES;
                let writes = chunk
                    .iter()
                    .filter(is_document)
                    .filter_map(|(key, row)| Some(DocumentWrite { key, document: Some(document(row)?) }));
                saved += writes.clone().count() as u64;
                others.apply(&mut writes.into_iter(), 1)?;
                if chunk.len() < SAVED_AT_ONCE {
                    break;
                }
            }
        }
        Ok(saved)
    }

    fn losses(&self) -> io::Result<Vec<String>> {
        let row = self.rows.get(LOSSES_KEY).map_err(failed)?;
        let text = row.map_or_else(String::new, |row| String::from_utf8_lossy(&row).into_owned());
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn position(&self) -> io::Result<u64> {
        let Some(row) = self.rows.get(POSITION_KEY).map_err(failed)? else { return Ok(1) };
        let position = row.get(1..).and_then(|it| it.first_chunk()).ok_or(ErrorKind::InvalidData)?;
        Ok(u64::from_le_bytes(*position))
    }

    /// Commits a batch with the position that is true with it.
    fn commit(&self, mut batch: OwnedWriteBatch, position: u64) -> io::Result<()> {
        let mut row = vec![ROWS_VERSION];
        row.extend_from_slice(&position.to_le_bytes());
        batch.insert(&self.rows, POSITION_KEY, row);
        batch.commit().map_err(failed)
    }
}

/// Puts the documents of a directory aside, in the place of those that were put aside before.
pub(crate) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn failed(error: fjall::Error) -> io::Error {
    io::Error::other(error)
}

/// The kind of the I/O error at the bottom, if there is one.
fn io_kind(error: &fjall::Error) -> Option<ErrorKind> {
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
const fn is_the_systems(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::NotFound
            | ErrorKind::Other
    )
}

/// A row's revision and body; an error when it is none.
fn view(row: &[u8]) -> io::Result<DocumentView<'_>> {
    let (rev, body) = row.split_first_chunk::<REV_BYTES>().ok_or(ErrorKind::InvalidData)?;
    Ok(DocumentView { rev: Rev(u64::from_le_bytes(*rev)), body })
}

impl Documents for DiskDocuments {
    fn position(&self) -> io::Result<u64> {
        self.read(Opened::position)
    }

    fn apply(&self, writes: &mut dyn Iterator<Item = DocumentWrite<'_>>, position: u64) -> io::Result<()> {
        self.write(|opened| {
            let mut batch = opened.database.batch();
            for DocumentWrite { key, document } in writes {
                match document {
                    Some(DocumentView { rev, body }) => {
                        let mut row = Vec::with_capacity(REV_BYTES + body.len());
                        row.extend_from_slice(&rev.0.to_le_bytes());
                        row.extend_from_slice(body);
                        batch.insert(&opened.rows, key, row);
                    }
                    None => batch.remove(&opened.rows, key),
                }
            }
            opened.commit(batch, position)
        })
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<StoredDocument>> {
        self.read(|opened| {
            let Some(row) = opened.rows.get(key).map_err(failed)? else { return Ok(None) };
            let DocumentView { rev, body } = view(&row)?;
            Ok(Some(StoredDocument { rev, body: body.to_vec() }))
        })
    }

    fn range(&self, from: &[u8], each: &mut dyn FnMut(&[u8], DocumentView<'_>) -> bool) -> io::Result<()> {
        self.read(|opened| {
            for row in opened.rows.range::<&[u8], _>(from..) {
                let (key, row): (Slice, Slice) = row.into_inner().map_err(failed)?;
                if key.len() > INSTANCE_BYTES && !each(&key, view(&row)?) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn persist(&self) -> io::Result<()> {
        self.write(|opened| opened.database.persist(PersistMode::SyncAll).map_err(failed))
    }

    fn losses(&self) -> io::Result<Vec<String>> {
        self.read(Opened::losses)
    }

    fn note_loss(&self, loss: &str) -> io::Result<()> {
        self.write(|opened| {
            let mut losses = opened.losses()?;
            losses.push(loss.replace('\n', " "));
            let over = losses.len().saturating_sub(LOSSES_MAX);
            let row = losses[over..].join("\n");
            let mut batch = opened.database.batch();
            batch.insert(&opened.rows, LOSSES_KEY, row.into_bytes());
            opened.commit(batch, opened.position()?)
        })
    }
}

impl fmt::Debug for DiskDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskDocuments").finish_non_exhaustive()
    }
}
