//! A directory that one process at a time may use. It is not specific to PostgreSQL.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file in the directory that carries the lock and, for messages, its holder's process id.
const LOCK_FILE: &str = "lock";

/// A directory held by this process until the value is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The kernel frees the lock with the last descriptor; children do not inherit it.
    _lock: File,
}

/// Why the directory cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("data directory `{}` is in use by {holder}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// "process 4711", or "another process" where that is unknown.
        holder: String,
    },
    /// It cannot be made or written.
    #[error("cannot write to data directory `{}`", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDirectory {
    /// Makes the directory if it is absent and takes it for this process.
    ///
    /// Directories made here may be entered by all and listed by their owner alone (0711): PostgreSQL
    /// runs below as another user when the process is root's.
    pub fn lock(path: &Path) -> Result<Self, LockError> {
        let unwritable = |source| LockError::Unwritable { path: path.to_path_buf(), source };
        make_all(path).map_err(unwritable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse { path: path.to_path_buf(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        write_holder(&mut file).map_err(unwritable)?;
        Ok(Self { path: path.to_path_buf(), _lock: file })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn make_all(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o711).create(path)
        }
        Err(error) => Err(error),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        Ok(Err(_)) | Err(_) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let path = temp.path().join("a/b");
        let held = DataDirectory::lock(&path).expect("free");
        assert_eq!(held.path(), path);
        let refused = DataDirectory::lock(&path).expect_err("taken");
        assert_eq!(
            refused.to_string(),
            format!("data directory `{}` is in use by process {}", path.display(), std::process::id())
        );
        drop(held);
        DataDirectory::lock(&path).expect("free again");
    }

    #[test]
    fn a_file_in_the_way_is_told() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let path = temp.path().join("file");
        fs::write(&path, "").expect("writable");
        let refused = DataDirectory::lock(&path.join("below")).expect_err("no directory");
        assert!(matches!(refused, LockError::Unwritable { .. }), "{refused:?}");
    }
}
