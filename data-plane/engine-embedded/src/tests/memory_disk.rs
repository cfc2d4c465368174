//! A disk in memory that keeps what was synced and may lose the rest: what the file layer promises, and no more.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Appending, Entry, Files, Reading, Space};

/// What is left of unsynced work when a machine stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// The process alone is gone: all that was written stays.
    Process,
    /// Power is gone: files and names are as they were synced.
    Power,
    /// Power is gone, and so many bytes of what each file had unsynced were written all the same.
    Torn(usize),
}

#[derive(Debug, Default)]
struct Content {
    data: Vec<u8>,
    synced: usize,
    /// What the medium no longer gives: a reading that touches it fails.
    lost: Option<Range<usize>>,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct Directory {
    names: BTreeMap<String, Shared>,
    durable: BTreeMap<String, Shared>,
    /// Changes of the disk so far; reading is none.
    steps: u64,
    /// From this step on nothing is done any more.
    stop_at: Option<u64>,
    fails_writes: bool,
    fails_syncs: bool,
    fails_opens: Option<i32>,
    syncs: u64,
    space: Option<Space>,
}

/// The disk; its clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Directory>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> io::Error {
    io::Error::other("the disk has stopped")
}

impl Directory {
    fn step(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|it| self.steps >= it) {
            return Err(stopped());
        }
        self.steps += 1;
        Ok(())
    }

    fn get(&self, name: &str) -> io::Result<Shared> {
        self.names.get(name).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl MemoryDisk {
    /// Changes made so far.
    pub(crate) fn steps(&self) -> u64 {
        lock(&self.0).steps
    }

    /// Does nothing any more after so many changes more.
    pub(crate) fn stop_after(&self, steps: u64) {
        let mut directory = lock(&self.0);
        directory.stop_at = Some(directory.steps + steps);
    }

    pub(crate) fn fail_writes(&self, fails: bool) {
        lock(&self.0).fails_writes = fails;
    }

    pub(crate) fn fail_syncs(&self, fails: bool) {
        lock(&self.0).fails_syncs = fails;
    }

    pub(crate) fn set_space(&self, space: Space) {
        lock(&self.0).space = Some(space);
    }

    /// Syncs of files so far.
    pub(crate) fn syncs(&self) -> u64 {
        lock(&self.0).syncs
    }

    /// The disk that the machine finds when it starts again. This one stays as it is.
    pub(crate) fn after(&self, stop: Stop) -> Self {
        let directory = lock(&self.0);
        let names = if stop == Stop::Process { &directory.names } else { &directory.durable };
        let kept = names.iter().map(|(name, content)| {
            let content = lock(content);
            let bytes = match stop {
                Stop::Process => content.data.len(),
                Stop::Power => content.synced,
                Stop::Torn(bytes) => content.data.len().min(content.synced + bytes),
            };
            let data = content.data[..bytes].to_vec();
            (
                name.clone(),
                Arc::new(Mutex::new(Content { synced: data.len(), data, lost: content.lost.clone() })),
            )
        });
        let names: BTreeMap<_, _> = kept.collect();
        Self(Arc::new(Mutex::new(Directory { durable: names.clone(), names, ..Directory::default() })))
    }

    /// The names there are, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.0).names.keys().cloned().collect()
    }

    /// Changes the bytes of a file behind everybody's back.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let content = lock(&self.0).get(name).expect("the file is there");
        let mut content = lock(&content);
        edit(&mut content.data);
        content.synced = content.data.len();
    }

    /// Lets every reading fail that touches these bytes of a file; none does any more when there are none.
    pub(crate) fn fail_reads(&self, name: &str, bytes: Range<usize>) {
        let content = lock(&self.0).get(name).expect("the file is there");
        lock(&content).lost = Some(bytes).filter(|it| !it.is_empty());
    }

    /// Lets no file be opened any more, for this reason.
    pub(crate) fn fail_opens(&self, errno: Option<i32>) {
        lock(&self.0).fails_opens = errno;
    }

    /// A file that nobody wrote.
    pub(crate) fn put(&self, name: &str, data: Vec<u8>) {
        let content = Arc::new(Mutex::new(Content { synced: data.len(), data, lost: None }));
        let mut directory = lock(&self.0);
        directory.names.insert(name.to_owned(), Arc::clone(&content));
        directory.durable.insert(name.to_owned(), content);
    }
}

impl Files for MemoryDisk {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let directory = lock(&self.0);
        let entry = |(name, content): (&String, &Shared)| Entry {
            name: name.clone(),
            bytes: lock(content).data.len() as u64,
        };
        Ok(directory.names.iter().map(entry).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let mut directory = lock(&self.0);
        directory.step()?;
        if directory.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Shared::default();
        directory.names.insert(name.to_owned(), Arc::clone(&content));
        Ok(Box::new(Handle { disk: self.clone(), content }))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let content = lock(&self.0).get(name)?;
        Ok(Box::new(Handle { disk: self.clone(), content }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>> {
        if let Some(errno) = lock(&self.0).fails_opens {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let content = lock(&self.0).get(name)?;
        Ok(Arc::new(Handle { disk: self.clone(), content }))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        let content = directory.get(name)?;
        let mut content = lock(&content);
        content.data.truncate(usize::try_from(bytes).expect("small"));
        content.synced = content.data.len();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        let content = directory.names.remove(from).ok_or(ErrorKind::NotFound)?;
        directory.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        directory.names.remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        directory.durable = directory.names.clone();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(lock(&self.0).space.unwrap_or(Space { total: 100, available: 100 }))
    }
}

#[derive(Debug)]
struct Handle {
    disk: MemoryDisk,
    content: Shared,
}

impl Appending for Handle {
    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut directory = lock(&self.disk.0);
        directory.step()?;
        let mut content = lock(&self.content);
        let all = parts.iter().map(|it| &**it).collect::<Vec<_>>().concat();
        if directory.fails_writes {
            content.data.extend_from_slice(&all[..all.len() / 2]);
            return Err(ErrorKind::StorageFull.into());
        }
        content.data.extend_from_slice(&all);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut directory = lock(&self.disk.0);
        directory.step()?;
        directory.syncs += 1;
        if directory.fails_syncs {
            return Err(io::Error::other("the medium has an error"));
        }
        let mut content = lock(&self.content);
        content.synced = content.data.len();
        Ok(())
    }
}

impl Reading for Handle {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = lock(&self.content);
        let from = usize::try_from(offset).expect("small").min(content.data.len());
        let bytes = buffer.len().min(content.data.len() - from);
        if content.lost.as_ref().is_some_and(|it| it.start < from + bytes && from < it.end) {
            // What stands in the buffer after an error is anything.
            buffer.fill(0xAA);
            return Err(io::Error::other("the medium has an error"));
        }
        buffer[..bytes].copy_from_slice(&content.data[from..from + bytes]);
        Ok(bytes)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(lock(&self.content).data.len() as u64)
    }
}
