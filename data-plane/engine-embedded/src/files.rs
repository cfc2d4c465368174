//! The file layer under the log: few calls, each with one meaning for what a power cut leaves, so that tests can put
//! a disk in its place that loses, tears and reorders what was not synced. It knows nothing of what is in a file.
//!
//! All files of a log are in one directory, by plain name. What a call changes is durable after the sync that its
//! documentation names, and not before.

mod chosen;
mod disk;
#[cfg(feature = "drop-unsynced")]
mod faulty;
mod joined;
#[cfg(feature = "drop-unsynced")]
mod unsynced;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub(crate) use chosen::chosen;
pub use disk::Disk;
#[cfg(feature = "drop-unsynced")]
pub use faulty::Faulty;
pub(crate) use joined::Joined;
#[cfg(feature = "drop-unsynced")]
pub use unsynced::Unsynced;

/// A file of the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// How full the file system under the directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes that the file system holds in all.
    pub total: u64,
    /// Bytes that this process may still take.
    pub available: u64,
}

impl Space {
    /// The share that is taken, in percent, rounded down; a file system that says nothing is empty.
    #[must_use]
    pub const fn used_percent(self) -> u64 {
        match (self.total.saturating_sub(self.available) as u128 * 100).checked_div(self.total as u128) {
            Some(percent) if percent <= 100 => {
                #[expect(clippy::cast_possible_truncation, reason = "at most 100")]
                let percent = percent as u64;
                percent
            }
            _ => 0,
        }
    }
}

/// The files of one directory.
pub trait Files: Send + Sync + fmt::Debug {
    /// The files there are, in any order.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Makes a file that is not there yet, to be written from its beginning. That it exists is durable after
    /// [`Files::sync_directory`].
    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>>;

    /// Opens a file that is there, to be written on from its end.
    fn append(&self, name: &str) -> io::Result<Box<dyn Appending>>;

    /// Opens a file to be read. It can be read to its end as long as it is open, also when it is removed meanwhile.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Reading>>;

    /// Cuts a file that nobody has open for writing, durably.
    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()>;

    /// Gives a file another name, in one step; whatever had that name is gone. Durable after
    /// [`Files::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Files::sync_directory`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// How full the file system is.
    fn space(&self) -> io::Result<Space>;
}

/// A file that is written at its end.
pub trait Appending: Send + fmt::Debug {
    /// Writes all parts, one after the other. After an error any beginning of them may be written.
    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Makes all that was written durable. After an error nothing is known of it, and a later success proves nothing
    /// either: the kernel forgets which pages it failed to write.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read at any place, by any number of threads.
pub trait Reading: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset` on; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Its length now.
    fn bytes(&self) -> io::Result<u64>;

    /// Says that nobody is expected to read it soon: memory that the system holds of what is synced may go to others.
    /// What is read is the same with or without.
    fn let_go(&self) {}
}
