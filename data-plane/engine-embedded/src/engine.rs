//! Opening, holding and closing an engine: its directory, its lock and its two threads.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use contract::ids::InstanceId;
use engine::view::FooterError;
use engine::{BATCH_BYTES_MAX, History, Log, Replay, State};

use crate::documents::opening;
use crate::documents::store::Store;
use crate::files::{self, Files};
use crate::health::{Health, Stats};
use crate::keeper;
use crate::layout::{Current, Layout};
use crate::options::{Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::queue::Queue;
use crate::recovery::{self, Recovered};
use crate::segments::{self, OpenFailed};
use crate::shared::{Parts, Settings, Shared};
use crate::writer::{Writer, begin_segment};

const LOCK_FILE: &str = "lock";

/// The newest sealed segments whose version is looked at when the engine starts.
const VERSIONS_LOOKED_AT: usize = 16;

/// Why an engine cannot be opened. Nothing in the directory was changed, but for what a crash had left half done.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another engine of this one, has the directory.
    #[error("the message log in `{}` is in use by another process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// Another release wrote a segment of the journal.
    #[error(
        "`{segment}` has version {found} of the journal's form and this release reads version {supported}: \
         start the release that wrote it"
    )]
    Version {
        /// The file.
        segment: String,
        /// The version it has.
        found: u16,
        /// The version that this release reads.
        supported: u16,
    },
    /// A later release wrote a record.
    #[error(
        "`{segment}` has a record of kind {kind}, which this release does not know: start the release that wrote it"
    )]
    Record {
        /// The file.
        segment: String,
        /// The kind.
        kind: u8,
    },
    /// Another release wrote the messages.
    #[error(
        "`{segment}` has messages in version {found} of their form and this release reads version {}: \
         start the release that wrote it",
        engine::FORMAT_VERSION
    )]
    Batch {
        /// The file.
        segment: String,
        /// The version they have.
        found: u8,
    },
    /// Another release wrote a sealed segment.
    #[error(
        "`{segment}` has version {found} of the index's form and this release reads version {}: \
         start the release that wrote it",
        engine::view::FOOTER_VERSION
    )]
    Footer {
        /// The file.
        segment: String,
        /// The version it has.
        found: u32,
    },
    /// The documents cannot be opened, although they may be sound.
    #[error("the documents of the message log cannot be opened: {0}")]
    Documents(String),
    /// The directory cannot be read or written.
    #[error("the message log cannot be opened: {0}")]
    Io(#[from] io::Error),
}

/// What an instance has retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetainedStats {
    /// Topics with a retained message.
    pub messages: u64,
    /// Bytes of these messages' records.
    pub bytes: u64,
}

/// The message engine of one machine. Dropping it is closing it.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held as long as the threads run: two writers would make each other's records unreadable.
    _lock: File,
}

impl Engine {
    /// Opens the log in a directory, which is made when it is absent. What a crash left is put in order first: see
    /// [`Engine::health`] for what was lost by damage.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        fs::create_dir_all(&options.directory)?;
        let lock = lock_directory(&options.directory)?;
        let (shared, writer) = assemble(&options)?;
        let mut engine = Self { shared, threads: Vec::new(), _lock: lock };
        engine.spawn("log", move || writer.run())?;
        let shared = Arc::clone(&engine.shared);
        engine.spawn("view", move || keeper::run(&shared))?;
        Ok(engine)
    }

    /// The log. It outlives the engine, and refuses everything then.
    #[must_use]
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.shared) as Arc<dyn Log>
    }

    /// The stored messages.
    #[must_use]
    pub fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.shared) as Arc<dyn History>
    }

    /// The documents.
    #[must_use]
    pub fn state(&self) -> Arc<dyn State> {
        Arc::clone(&self.shared) as Arc<dyn State>
    }

    /// What an instance has retained now: committed, each topic's newest. A short lock, no disk.
    #[must_use]
    pub fn retained_stats(&self, instance: InstanceId) -> RetainedStats {
        self.shared.retained_stats(instance)
    }

    /// Logged messages given again, and the retained ones.
    #[must_use]
    pub fn replay(&self) -> Arc<dyn Replay> {
        Arc::clone(&self.shared) as Arc<dyn Replay>
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// What it has done and what it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Takes nothing more, writes what was taken, and ends the threads. Blocks for that long.
    pub fn close(mut self) {
        self.stop();
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    fn stop(&mut self) {
        self.shared.queue.stop();
        self.shared.keeper.stop();
        // Dropped by a completion or a follower, on the log's own thread: that one ends by itself.
        let own = thread::current().id();
        for thread in self.threads.drain(..).filter(|it| it.thread().id() != own) {
            // A thread that panicked has said so, and the log's has told everyone who was waiting.
            let _panicked = thread.join();
        }
        // So that the next start finds little to do; what is not carried now is carried then.
        if let Err(error) = self.shared.store.carry() {
            tracing::warn!(%error, "the documents stay behind the log until the next start");
        }
        self.shared.store.close();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock_directory(directory: &Path) -> Result<File, OpenError> {
    let lock = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK_FILE))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Everything but the threads and the lock.
pub(crate) fn assemble(options: &Options) -> Result<(Arc<Shared>, Writer), OpenError> {
    let files = match &options.files {
        Some(files) => Arc::clone(files),
        None => files::chosen(&options.directory)?,
    };
    let mut recovered = recovery::recover(&*files)?;
    check_versions(&*files, &recovered.layout)?;
    let mut opened = opening::open(options)?;
    let loss = opened.loss.take();
    // Documents that are ahead of the log: of numbers that they have seen none is given again.
    let log_end = recovered.layout.journal.last().map_or(recovered.next, |it| it.next());
    let is_ahead = opened.position > log_end;
    recovered.next = recovered.next.max(opened.position);
    recovered.goes_on &= !is_ahead;
    let Recovered { mut layout, ids, next, newest, goes_on, dropped, cut_bytes } = recovered;
    let (file, segment) = match layout.journal.last() {
        Some(last) if goes_on => {
            let mut file = files.append(&last.name.to_string())?;
            // A process that was killed leaves records that no sync has seen: they are served from now on.
            file.sync()?;
            (file, Arc::clone(last))
        }
        last => {
            if let Some(last) = last {
                files.append(&last.name.to_string())?.sync()?;
            }
            let (file, segment) = begin_segment(&*files, next, newest)?;
            layout.journal.push(Arc::clone(&segment));
            (file, segment)
        }
    };
    files.sync_directory()?;
    let store = Store::new(opened, options.overlay_bytes_max);
    let end = if is_ahead { log_end } else { segment.next() };
    opening::replay(&store, &layout, end, loss)?;
    let bounds = Settings {
        segment_bytes: options.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        segment_millis: options.segment_millis,
        stored_bytes_max: options.stored_bytes_max,
        index_bytes_max: options.index_bytes_max,
        queries_max: options.queries_max.max(1),
    };
    let shared = Arc::new(Shared::new(Parts {
        files,
        clock: Arc::clone(&options.clock),
        bounds,
        layout: Current::new(layout),
        queue: Queue::new(options.origin_bytes_max.max(BATCH_BYTES_MAX)),
        store,
        next: segment.next(),
        dropped,
    }));
    shared.counters.cut_bytes.store(cut_bytes, Ordering::Relaxed);
    shared.probe_space();
    let writer = Writer::new(Arc::clone(&shared), file, segment, newest, ids);
    Ok((shared, writer))
}

/// Looks whether this release wrote the newest sealed segments. What is damaged there is found by who asks.
fn check_versions(files: &dyn Files, layout: &Layout) -> Result<(), OpenError> {
    for segment in layout.sealed.iter().rev().take(VERSIONS_LOOKED_AT) {
        match segments::open(files, segment) {
            Err(OpenFailed::Footer(FooterError::Version(found))) => {
                return Err(OpenError::Footer { segment: segment.name.to_string(), found });
            }
            // A file that is gone is damage like any other.
            Err(OpenFailed::File(error)) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error.into());
            }
            Ok(_) | Err(OpenFailed::Footer(_) | OpenFailed::File(_)) => {}
        }
    }
    Ok(())
}
