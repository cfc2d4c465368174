//! A server that an earlier process of ours left running, as after its kill -9 where the kernel could not
//! be asked to take PostgreSQL along. Whoever calls holds the directory's lock: nobody else uses it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::StartError;
use crate::options::Progress;
use crate::supervisor::poll;

const STOP_STEPS: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(30)), (Signal::SIGQUIT, Duration::from_secs(5))];

/// PostgreSQL's own file about a running server, in its data directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    /// "starting", "ready", "stopping": the eighth line, absent at first.
    status: Option<String>,
}

impl PidFile {
    pub(crate) fn read(data: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(Self::path(data)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // A server that runs in single-user mode writes a negative number.
        let pid = lines.next()?.trim().parse::<i32>().ok()?.checked_abs()?;
        Some(Self { pid, status: lines.nth(6).map(|line| line.trim().to_owned()) })
    }

    pub(crate) fn is_ready(&self, pid: i32) -> bool {
        self.pid == pid && self.status.as_deref() == Some("ready")
    }
}

/// Stops a server that still runs on `data`, and removes what a vanished one left.
pub(crate) fn clear(data: &Path, progress: &dyn Fn(Progress)) -> Result<(), StartError> {
    let path = PidFile::path(data);
    let Some(file) = PidFile::read(data).map_err(StartError::file(&path))? else { return Ok(()) };
    let pid = file.pid;
    if runs_on(pid, data)? {
        tracing::warn!(pid, "stopping PostgreSQL of an earlier run");
        progress(Progress::StoppingLeftover { pid });
        stop(pid, data)?;
    }
    // Only now, and only ours: PostgreSQL itself would refuse to start while any process has that id.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StartError::file(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn stop(pid: i32, data: &Path) -> Result<(), StartError> {
    for (signal, patience) in STOP_STEPS {
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(pid, %error, "cannot signal PostgreSQL of an earlier run"),
        }
        if poll(patience, || runs_on(pid, data).is_ok_and(|runs| !runs)) {
            return Ok(());
        }
    }
    Err(StartError::LeftoverStays { pid })
}

/// Whether that process is a PostgreSQL server on that data. Its id may long be another's, and a process
/// that is gone but not reaped still has one: so neither the id nor a null signal tells.
fn runs_on(pid: i32, data: &Path) -> Result<bool, StartError> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    if name.trim() != "postgres" {
        return Ok(false);
    }
    match fs::read_link(process.join("cwd")) {
        // A server's working directory is its data.
        Ok(folder) => Ok(folder == data),
        // Gone, or a zombie.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(_) => Err(StartError::LeftoverStays { pid }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgres_writes() {
        let text = |status: &str| format!("4711\n/d/data\n1700000000\n5432\n/d/socket\n\n  123 4\n{status}");
        let read = |text: &str| PidFile::parse(text).expect("a pid file");
        assert!(read(&text("ready   \n")).is_ready(4711));
        assert!(!read(&text("ready   \n")).is_ready(4712));
        assert!(!read(&text("starting\n")).is_ready(4711));
        assert!(!read("4711\n/d/data\n").is_ready(4711));
        assert_eq!(read("-4711\n").pid, 4711);
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("garbage\n"), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_left_alone() {
        let temp = tempfile::tempdir().expect("temporary directory");
        fs::write(PidFile::path(temp.path()), format!("{}\n", std::process::id())).expect("writable");
        clear(temp.path(), &|_| panic!("nothing to stop")).expect("cleared");
        assert!(!PidFile::path(temp.path()).exists());
    }
}
