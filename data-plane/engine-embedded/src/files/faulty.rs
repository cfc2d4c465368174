//! Files that fail when they are told to, while the process runs: a disk that is full, that refuses writes or syncs, or
//! is slow. What is to fail stands in a file that a test writes. For tests of the built binary; no release has it.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use super::{Appending, Entry, Files, Reading, Space};

/// What fails now: one word in the file, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// `full`: the file system says that nothing is left.
    Full,
    /// `no-room`: it says that there is room, and writes find none.
    NoRoom,
    /// `no-write`: writes fail.
    NoWrite,
    /// `no-sync`: syncs fail.
    NoSync,
    /// `slow-sync`: each sync takes [`SLOW`].
    SlowSync,
}

/// How long a slow sync takes.
const SLOW: Duration = Duration::from_millis(100);

/// The files of `disk`, with the faults that `told` names.
#[derive(Debug)]
pub struct Faulty {
    disk: Arc<dyn Files>,
    told: Arc<PathBuf>,
}

impl Faulty {
    /// Looks into the file `told` before every step; while it is absent nothing fails.
    pub fn new(disk: Arc<dyn Files>, told: PathBuf) -> Self {
        Self { disk, told: Arc::new(told) }
    }

    fn faulty(&self, file: Box<dyn Appending>) -> Box<dyn Appending> {
        Box::new(Written { file, told: Arc::clone(&self.told) })
    }
}

fn fault(told: &PathBuf) -> Fault {
    match std::fs::read_to_string(told).as_deref().map(str::trim) {
        Ok("full") => Fault::Full,
        Ok("no-room") => Fault::NoRoom,
        Ok("no-write") => Fault::NoWrite,
        Ok("no-sync") => Fault::NoSync,
        Ok("slow-sync") => Fault::SlowSync,
        Ok(_) | Err(_) => Fault::None,
    }
}

impl Files for Faulty {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        self.disk.create(name).map(|file| self.faulty(file))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        self.disk.append(name).map(|file| self.faulty(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>> {
        self.disk.open(name)
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.disk.truncate(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        match fault(&self.told) {
            Fault::Full => Ok(Space { total: 1_000, available: 1 }),
            // Whether there is room is not left to the machine that tests run on.
            Fault::None | Fault::NoRoom | Fault::NoWrite | Fault::NoSync | Fault::SlowSync => {
                Ok(Space { total: 1_000, available: 900 })
            }
        }
    }
}

#[derive(Debug)]
struct Written {
    file: Box<dyn Appending>,
    told: Arc<PathBuf>,
}

impl Appending for Written {
    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        match fault(&self.told) {
            Fault::NoRoom => {
                // A part of it still found room.
                if let Some(first) = parts.first() {
                    let half = first[..first.len() / 2].to_vec();
                    self.file.append(&mut [IoSlice::new(&half)])?;
                }
                Err(Errno::ENOSPC.into())
            }
            Fault::NoWrite => Err(Errno::EIO.into()),
            Fault::None | Fault::Full | Fault::NoSync | Fault::SlowSync => self.file.append(parts),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match fault(&self.told) {
            Fault::NoSync => return Err(Errno::EIO.into()),
            Fault::SlowSync => thread::sleep(SLOW),
            Fault::None | Fault::Full | Fault::NoRoom | Fault::NoWrite => {}
        }
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    #[test]
    fn it_fails_as_long_as_it_is_told_to() {
        let (directory, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
        let told = other.path().join("faults");
        let disk = Arc::new(Disk::open(directory.path()).expect("opens"));
        let files = Faulty::new(disk, told.clone());
        let mut file = files.create("a").expect("made");
        let write = |file: &mut Box<dyn Appending>| file.append(&mut [IoSlice::new(b"abcd")]);
        write(&mut file).and_then(|()| file.sync()).expect("nothing fails");
        for (word, writes, syncs, used) in [
            ("full", true, true, 99),
            ("no-room\n", false, true, 10),
            ("no-write", false, true, 10),
            ("no-sync", true, false, 10),
            ("slow-sync", true, true, 10),
            ("", true, true, 10),
        ] {
            std::fs::write(&told, word).expect("told");
            assert_eq!(write(&mut file).is_ok(), writes, "{word}");
            assert_eq!(file.sync().is_ok(), syncs, "{word}");
            assert_eq!(files.space().expect("said").used_percent(), used, "{word}");
        }
        let bytes = files.list().expect("listed")[0].bytes;
        assert_eq!(bytes, 4 + 4 + 2 + 4 + 4 + 4, "half of what found no room is there");
    }
}
