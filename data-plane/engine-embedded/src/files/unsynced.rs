//! Files that keep in memory whatever is not synced, so that killing the process is a power cut: writes are on the disk
//! after the sync of their file, creations, renamings and removals after the sync of the directory, and not before.
//! Everything reads as it was written all the same. For tests of the built binary; no release has it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Appending, Entry, Files, Reading, Space};

/// The files of `disk`, behind a memory that a kill empties.
#[derive(Debug)]
pub struct Unsynced {
    disk: Arc<dyn Files>,
    directory: Mutex<Directory>,
}

#[derive(Debug, Default)]
struct Directory {
    /// What this process sees.
    names: BTreeMap<String, Shared>,
    /// What the disk has not been told yet, in order.
    owed: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Create(String, Shared),
    Rename(String, String),
    Remove(String),
}

type Shared = Arc<Mutex<Content>>;

/// A file: a beginning on the disk and an end in memory.
#[derive(Debug, Default)]
struct Content {
    /// What the disk calls it; none: the disk does not know it yet.
    name: Option<String>,
    on_disk: u64,
    /// Bytes behind those on the disk.
    tail: Vec<u8>,
    /// Of a file that the disk does not know: how many bytes of the tail were synced. They get there together with the
    /// name, since without a name nobody would find them.
    synced: usize,
    writer: Option<Box<dyn Appending>>,
    reader: Option<Arc<dyn Reading>>,
}

impl Unsynced {
    /// The files of `disk` as they are now, which count as synced.
    pub fn open(disk: Arc<dyn Files>) -> io::Result<Self> {
        let known = |entry: Entry| {
            let content =
                Content { name: Some(entry.name.clone()), on_disk: entry.bytes, ..Content::default() };
            (entry.name, Arc::new(Mutex::new(content)))
        };
        let names = disk.list()?.into_iter().map(known).collect();
        Ok(Self { disk, directory: Mutex::new(Directory { names, owed: Vec::new() }) })
    }
}

impl Directory {
    fn get(&self, name: &str) -> io::Result<Shared> {
        self.names.get(name).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Content {
    fn bytes(&self) -> u64 {
        self.on_disk + self.tail.len() as u64
    }

    /// Puts the first bytes of the tail on the disk.
    fn settle(&mut self, disk: &dyn Files, bytes: usize) -> io::Result<()> {
        let name = self.name.as_deref().ok_or(ErrorKind::NotFound)?;
        if self.writer.is_none() {
            self.writer = Some(disk.append(name)?);
        }
        let writer = self.writer.as_mut().expect("opened just now");
        writer.append(&mut [IoSlice::new(&self.tail[..bytes])])?;
        writer.sync()?;
        self.tail.drain(..bytes);
        self.on_disk += bytes as u64;
        Ok(())
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        if offset < self.on_disk {
            let on_disk = usize::try_from(self.on_disk - offset).unwrap_or(usize::MAX).min(buffer.len());
            let reader = self.reader.as_ref().ok_or(ErrorKind::NotFound)?;
            filled = reader.read_at(offset, &mut buffer[..on_disk])?;
            if filled < on_disk || filled == buffer.len() {
                return Ok(filled);
            }
        }
        let from = usize::try_from(offset + filled as u64 - self.on_disk).unwrap_or(usize::MAX);
        let rest = self.tail.get(from..).unwrap_or_default();
        let bytes = rest.len().min(buffer.len() - filled);
        buffer[filled..filled + bytes].copy_from_slice(&rest[..bytes]);
        Ok(filled + bytes)
    }
}

impl Change {
    fn apply(&self, disk: &dyn Files) -> io::Result<()> {
        match self {
            Self::Create(name, content) => {
                let mut content = lock(content);
                content.writer = Some(disk.create(name)?);
                content.reader = Some(disk.open(name)?);
                content.name = Some(name.clone());
                let synced = std::mem::take(&mut content.synced);
                content.settle(disk, synced)
            }
            Self::Rename(from, to) => disk.rename(from, to),
            Self::Remove(name) => disk.remove(name),
        }
    }
}

impl Files for Unsynced {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let directory = lock(&self.directory);
        let entries =
            directory.names.iter().map(|(name, it)| Entry { name: name.clone(), bytes: lock(it).bytes() });
        Ok(entries.collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let mut directory = lock(&self.directory);
        if directory.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Shared::default();
        directory.names.insert(name.to_owned(), Arc::clone(&content));
        directory.owed.push(Change::Create(name.to_owned(), Arc::clone(&content)));
        Ok(Box::new(Written { content, disk: Arc::clone(&self.disk) }))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let content = lock(&self.directory).get(name)?;
        Ok(Box::new(Written { content, disk: Arc::clone(&self.disk) }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>> {
        let content = lock(&self.directory).get(name)?;
        let mut opened = lock(&content);
        if let (Some(name), None) = (&opened.name, &opened.reader) {
            opened.reader = Some(self.disk.open(name)?);
        }
        drop(opened);
        Ok(Arc::new(Read(content)))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let content = lock(&self.directory).get(name)?;
        let mut content = lock(&content);
        if bytes < content.on_disk
            && let Some(name) = &content.name
        {
            self.disk.truncate(name, bytes)?;
            content.on_disk = bytes;
        }
        let tail = usize::try_from(bytes.saturating_sub(content.on_disk)).unwrap_or(usize::MAX);
        content.tail.truncate(tail);
        // The cut is durable, and so is what it leaves.
        if content.name.is_some() {
            let bytes = content.tail.len();
            return content.settle(&*self.disk, bytes);
        }
        content.synced = content.tail.len();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = lock(&self.directory);
        let content = directory.names.remove(from).ok_or(ErrorKind::NotFound)?;
        directory.names.insert(to.to_owned(), content);
        directory.owed.push(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut directory = lock(&self.directory);
        let content = directory.names.remove(name).ok_or(ErrorKind::NotFound)?;
        let mut content = lock(&content);
        if let (Some(on_disk), None) = (&content.name, &content.reader) {
            // Whoever opens what is removed must be able to read it to its end.
            content.reader = Some(self.disk.open(on_disk)?);
        }
        directory.owed.push(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut directory = lock(&self.directory);
        for change in std::mem::take(&mut directory.owed) {
            change.apply(&*self.disk)?;
            if let Change::Rename(_, to) = &change {
                // Looked for by what it is, for it may have been renamed again since.
                let renamed = |it: &&Shared| lock(it).name.as_ref().is_some_and(|name| change.is_from(name));
                if let Some(content) = directory.names.values().find(renamed) {
                    lock(content).name = Some(to.clone());
                }
            }
        }
        self.disk.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}

impl Change {
    fn is_from(&self, name: &str) -> bool {
        matches!(self, Self::Rename(from, _) if from == name)
    }
}

#[derive(Debug)]
struct Written {
    content: Shared,
    disk: Arc<dyn Files>,
}

impl Appending for Written {
    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut content = lock(&self.content);
        for part in parts {
            content.tail.extend_from_slice(part);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut content = lock(&self.content);
        let bytes = content.tail.len();
        if content.name.is_none() {
            content.synced = bytes;
            return Ok(());
        }
        content.settle(&*self.disk, bytes)
    }
}

#[derive(Debug)]
struct Read(Shared);

impl Reading for Read {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        lock(&self.0).read(offset, buffer)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(lock(&self.0).bytes())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    struct World {
        directory: tempfile::TempDir,
        files: Unsynced,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join("old"), "old").expect("written");
            let disk = Disk::open(directory.path()).expect("opens");
            Self { files: Unsynced::open(Arc::new(disk)).expect("opens"), directory }
        }

        /// What would be left if the process was killed now.
        fn left(&self) -> Vec<(String, String)> {
            let read = |entry: Entry| {
                let text = std::fs::read_to_string(self.directory.path().join(&entry.name)).expect("text");
                (entry.name, text)
            };
            let disk = Disk::open(self.directory.path()).expect("opens");
            let mut left: Vec<_> = disk.list().expect("listed").into_iter().map(read).collect();
            left.sort();
            left
        }

        fn left_is(&self, expected: &[(&str, &str)]) {
            let left = self.left();
            let left: Vec<_> = left.iter().map(|(name, text)| (&**name, &**text)).collect();
            assert_eq!(left, expected);
        }

        fn reads(&self, name: &str) -> String {
            let file = self.files.open(name).expect("opens");
            let mut buffer = [0; 64];
            let filled = file.read_at(0, &mut buffer).expect("read");
            assert_eq!(file.bytes().expect("known"), filled as u64);
            let mut one = [0];
            let last = filled.checked_sub(1).map(|at| file.read_at(at as u64, &mut one).expect("read"));
            assert_eq!(last.unwrap_or(1), 1, "the last byte by itself");
            String::from_utf8_lossy(&buffer[..filled]).into_owned()
        }
    }

    fn write(file: &mut Box<dyn Appending>, text: &str) {
        file.append(&mut [IoSlice::new(text.as_bytes())]).expect("written");
    }

    #[test]
    fn what_is_written_is_read_and_lost_until_it_is_synced() {
        let world = World::new();
        let mut old = world.files.append("old").expect("opens");
        write(&mut old, " and new");
        assert_eq!(world.reads("old"), "old and new");
        let mut first = [0];
        let opened = world.files.open("old").expect("opens");
        assert_eq!((opened.read_at(0, &mut first).expect("read"), first), (1, *b"o"), "from the disk alone");
        world.left_is(&[("old", "old")]);
        old.sync().expect("synced");
        world.left_is(&[("old", "old and new")]);
        write(&mut old, "er");
        world.files.truncate("old", 5).expect("cut");
        assert_eq!(world.reads("old"), "old a");
        world.left_is(&[("old", "old a")]);
    }

    #[test]
    fn a_new_file_needs_its_own_sync_and_that_of_the_directory() {
        let world = World::new();
        let mut file = world.files.create("new").expect("made");
        write(&mut file, "one");
        file.sync().expect("synced");
        write(&mut file, "two");
        world.left_is(&[("old", "old")]);
        world.files.sync_directory().expect("synced");
        world.left_is(&[("new", "one"), ("old", "old")]);
        assert_eq!(world.reads("new"), "onetwo");
        file.sync().expect("synced");
        world.left_is(&[("new", "onetwo"), ("old", "old")]);
        assert!(world.files.create("new").is_err());
    }

    #[test]
    fn renamings_and_removals_wait_for_the_directory() {
        let world = World::new();
        let mut file = world.files.create("a").expect("made");
        write(&mut file, "text");
        file.sync().expect("synced");
        world.files.rename("a", "b").expect("renamed");
        let removed = world.files.open("old").expect("opens");
        world.files.remove("old").expect("removed");
        world.files.rename("b", "c").expect("renamed");
        world.left_is(&[("old", "old")]);
        assert_eq!(world.reads("c"), "text");
        assert!(world.files.open("old").is_err() && world.files.open("a").is_err());
        world.files.sync_directory().expect("synced");
        world.left_is(&[("c", "text")]);
        let mut buffer = [0; 3];
        assert_eq!(removed.read_at(0, &mut buffer).expect("still open"), 3);
        write(&mut file, "s");
        file.sync().expect("synced");
        world.files.rename("c", "d").expect("renamed");
        world.files.rename("d", "e").expect("renamed");
        world.files.sync_directory().expect("synced");
        world.left_is(&[("e", "texts")]);
        let names: Vec<_> = world.files.list().expect("listed").into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["e"]);
        assert_eq!(world.reads("e"), "texts");
    }
}
