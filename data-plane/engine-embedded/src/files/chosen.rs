//! Which files a log gets that was given none: those of its directory, and in a build for tests with what the
//! environment asks for in between.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Disk, Files};

/// Set to anything, a kill of the process is a power cut.
#[cfg(feature = "drop-unsynced")]
const DROP_UNSYNCED: &str = "IOTMQ_TEST_DROP_UNSYNCED";

/// Names the file that says what fails.
#[cfg(feature = "drop-unsynced")]
const FAULTS: &str = "IOTMQ_TEST_FAULTS";

/// The files of `directory`.
#[cfg(not(feature = "drop-unsynced"))]
pub(crate) fn chosen(directory: &Path) -> io::Result<Arc<dyn Files>> {
    Ok(Arc::new(Disk::open(directory)?))
}

/// The files of `directory`, or what tests of the built binary put in front of them.
#[cfg(feature = "drop-unsynced")]
pub(crate) fn chosen(directory: &Path) -> io::Result<Arc<dyn Files>> {
    let mut files: Arc<dyn Files> = Arc::new(Disk::open(directory)?);
    if std::env::var_os(DROP_UNSYNCED).is_some() {
        tracing::warn!("unsynced writes are lost with this process, as a test has asked");
        files = Arc::new(super::Unsynced::open(files)?);
    }
    if let Some(told) = std::env::var_os(FAULTS) {
        tracing::warn!("files fail when they are told to, as a test has asked");
        files = Arc::new(super::Faulty::new(files, told.into()));
    }
    Ok(files)
}
