//! A disk in memory that keeps what was synced and may lose the rest: what the file layer promises, and no more. For tests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Appending, Entry, Files, Reading, Space};

/// What is left of unsynced work when a machine stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The process alone is gone: all that was written stays.
    Process,
    /// Power is gone: files and names are as they were synced.
    Power,
    /// Power is gone, and so many bytes of what each file had unsynced were written all the same.
    Torn(usize),
    /// Power is gone, and what was not synced is there or not as this seed draws it: each file ends somewhere, each sector
    /// behind what was synced is written, is empty, or has a bit that is wrong, and of the names the first few changes
    /// were made. The same seed draws the same.
    Drawn(u64),
}

/// What a disk writes or loses as one piece.
const SECTOR_BYTES: usize = 512;

/// Numbers for a seed, one after the other.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let below = u64::try_from(below.max(1)).unwrap_or(u64::MAX);
        usize::try_from(mixed % below).unwrap_or(0)
    }
}

/// What is called with each sync, or with each opening, and may take its time.
type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct Content {
    data: Vec<u8>,
    synced: usize,
    /// What the medium no longer gives: a reading that touches it fails.
    lost: Option<Range<usize>>,
}

type Shared = Arc<Mutex<Content>>;

type Names = BTreeMap<String, Shared>;

#[derive(Default)]
struct Directory {
    names: Names,
    durable: Names,
    /// The names after each change since they were durable.
    between: Vec<Names>,
    /// Changes of the disk so far; reading is none.
    steps: u64,
    /// From this step on nothing is done any more.
    stop_at: Option<u64>,
    fails_writes: bool,
    fails_syncs: bool,
    fails_opens: Option<i32>,
    syncs: u64,
    space: Option<Space>,
    sync_hook: Option<Hook>,
    open_hook: Option<Hook>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("names", &self.names.keys())
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// The disk; its clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Directory>>);

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

    /// Changes the names; a power cut may or may not see it.
    fn rename(&mut self, change: impl FnOnce(&mut Names) -> io::Result<()>) -> io::Result<()> {
        change(&mut self.names)?;
        self.between.push(self.names.clone());
        Ok(())
    }

    fn get(&self, name: &str) -> io::Result<Shared> {
        self.names.get(name).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl MemoryDisk {
    /// Changes made so far.
    pub fn steps(&self) -> u64 {
        lock(&self.0).steps
    }

    /// Does nothing any more after so many changes more.
    pub fn stop_after(&self, steps: u64) {
        let mut directory = lock(&self.0);
        directory.stop_at = Some(directory.steps + steps);
    }

    /// Lets every writing fail from now on, half of it done; or succeed again.
    pub fn fail_writes(&self, fails: bool) {
        lock(&self.0).fails_writes = fails;
    }

    /// Lets every sync fail from now on, or succeed again.
    pub fn fail_syncs(&self, fails: bool) {
        lock(&self.0).fails_syncs = fails;
    }

    /// How full the file system says that it is.
    pub fn set_space(&self, space: Space) {
        lock(&self.0).space = Some(space);
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        lock(&self.0).syncs
    }

    /// Is called with each sync of a file from now on, before it is done: it may take its time, or move a clock.
    pub fn on_sync(&self, hook: impl Fn() + Send + Sync + 'static) {
        lock(&self.0).sync_hook = Some(Arc::new(hook));
    }

    /// Is called with each opening of a file to be read from now on, before it is done.
    pub fn on_open(&self, hook: impl Fn() + Send + Sync + 'static) {
        lock(&self.0).open_hook = Some(Arc::new(hook));
    }

    /// The disk that the machine finds when it starts again. This one stays as it is.
    #[must_use]
    pub fn after(&self, stop: Stop) -> Self {
        let directory = lock(&self.0);
        let mut draw = Draw(if let Stop::Drawn(seed) = stop { seed } else { 0 });
        let names = match stop {
            Stop::Process => &directory.names,
            Stop::Power | Stop::Torn(_) => &directory.durable,
            Stop::Drawn(_) => match draw.next(directory.between.len() + 1) {
                0 => &directory.durable,
                changes => &directory.between[changes - 1],
            },
        };
        let kept = names.iter().map(|(name, content)| {
            let content = lock(content);
            let data = match stop {
                Stop::Process => content.data.clone(),
                Stop::Power => content.data[..content.synced].to_vec(),
                Stop::Torn(bytes) => content.data[..content.data.len().min(content.synced + bytes)].to_vec(),
                Stop::Drawn(_) => drawn(&content, &mut draw),
            };
            (
                name.clone(),
                Arc::new(Mutex::new(Content { synced: data.len(), data, lost: content.lost.clone() })),
            )
        });
        let names: BTreeMap<_, _> = kept.collect();
        Self(Arc::new(Mutex::new(Directory { durable: names.clone(), names, ..Directory::default() })))
    }

    /// The names there are, in order.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0).names.keys().cloned().collect()
    }

    /// Changes the bytes of a file behind everybody's back.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let content = lock(&self.0).get(name).expect("the file is there");
        let mut content = lock(&content);
        edit(&mut content.data);
        content.synced = content.data.len();
    }

    /// Lets every reading fail that touches these bytes of a file; none does any more when there are none.
    pub fn fail_reads(&self, name: &str, bytes: Range<usize>) {
        let content = lock(&self.0).get(name).expect("the file is there");
        lock(&content).lost = Some(bytes).filter(|it| !it.is_empty());
    }

    /// Lets no file be opened any more, for this reason.
    pub fn fail_opens(&self, errno: Option<i32>) {
        lock(&self.0).fails_opens = errno;
    }

    /// A file that nobody wrote.
    pub fn put(&self, name: &str, data: Vec<u8>) {
        let content = Arc::new(Mutex::new(Content { synced: data.len(), data, lost: None }));
        let mut directory = lock(&self.0);
        directory.names.insert(name.to_owned(), Arc::clone(&content));
        directory.durable.insert(name.to_owned(), content);
    }
}

/// What is left of a file whose unsynced end is there or not.
fn drawn(content: &Content, draw: &mut Draw) -> Vec<u8> {
    let unsynced = content.data.len() - content.synced;
    // Often all of it: what follows is then whole, or not in order.
    let end = content.synced + if draw.next(3) == 0 { unsynced } else { draw.next(unsynced + 1) };
    let mut data = content.data[..end].to_vec();
    let mut at = content.synced;
    while at < end {
        let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        match draw.next(8) {
            0 => data[at..next].fill(0),
            1 => data[at + draw.next(next - at)] ^= 1 << draw.next(8),
            _ => {}
        }
        at = next;
    }
    data
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
        directory.rename(|names| {
            names.insert(name.to_owned(), Arc::clone(&content));
            Ok(())
        })?;
        Ok(Box::new(Handle { disk: self.clone(), content }))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let content = lock(&self.0).get(name)?;
        Ok(Box::new(Handle { disk: self.clone(), content }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>> {
        let hook = lock(&self.0).open_hook.clone();
        if let Some(hook) = hook {
            hook();
        }
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
        directory.rename(|names| {
            let content = names.remove(from).ok_or(ErrorKind::NotFound)?;
            names.insert(to.to_owned(), content);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        directory.rename(|names| names.remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut directory = lock(&self.0);
        directory.step()?;
        directory.durable = directory.names.clone();
        directory.between.clear();
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
        let hook = lock(&self.disk.0).sync_hook.clone();
        if let Some(hook) = hook {
            hook();
        }
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
