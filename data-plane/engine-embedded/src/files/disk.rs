//! The files of a real directory, through the standard library.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::{Appending, Entry, Files, Reading, Space};

/// A directory of the operating system.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    /// Kept open: syncing it needs no path walk, and works when the directory was moved.
    handle: File,
}

impl Disk {
    /// The files of `directory`, which is there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: directory.to_owned(), handle: File::open(directory)? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // What has no UTF-8 name, or is no plain file, is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.path(name))?;
        Ok(Box::new(Written(file)))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(Written(OpenOptions::new().append(true).open(self.path(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>> {
        Ok(Arc::new(Read(File::open(self.path(name))?)))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        let found = nix::sys::statvfs::fstatvfs(&self.handle)?;
        let block = found.fragment_size();
        // Blocks kept for root are neither ours nor taken by anybody: a disk without them is as full as we can make it.
        let reserved = found.blocks_free().saturating_sub(found.blocks_available());
        Ok(Space {
            total: found.blocks().saturating_sub(reserved).saturating_mul(block),
            available: found.blocks_available().saturating_mul(block),
        })
    }
}

#[derive(Debug)]
struct Written(File);

impl Appending for Written {
    fn append(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match self.0.write_vectored(parts) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut parts, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct Read(File);

impl Reading for Read {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn let_go(&self) {
        // Advice: a system that does not take it loses nothing.
        let _advised = posix_fadvise(&self.0, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}
