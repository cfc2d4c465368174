//! The stand-in for the peers: Debian's mosquitto, anonymous, silent, with nothing on disk or with everything.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use contract::qos::Qos;
use tempfile::TempDir;

use super::connection::leave_subscribed;
use super::process::{Process, free_port, wait_for_listener};

/// Where Debian puts it: a directory that is on root's search path alone.
const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A running mosquitto.
pub(crate) struct Mosquitto {
    /// Always there, but for the moment of a restart.
    pub(crate) process: Option<Process>,
    pub(crate) address: SocketAddr,
    file: PathBuf,
    _directory: TempDir,
}

impl Mosquitto {
    /// Starts one that keeps nothing.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(|_| "persistence false\n".to_owned())
    }

    /// Starts one that keeps nothing and writes at once: for the time of one answer.
    pub(crate) fn start_prompt() -> Result<Self> {
        Self::start_with(|_| "persistence false\nset_tcp_nodelay true\n".to_owned())
    }

    /// Starts one that saves what it keeps whenever that changes, and has somebody to keep messages for: a client that
    /// has subscribed to `filter` and gone.
    pub(crate) fn start_saving(filter: &str) -> Result<Self> {
        let it = Self::start_with(|directory| {
            let directory = directory.display();
            format!(
                "persistence true\npersistence_location {directory}/\nautosave_on_changes true\nautosave_interval 1\n"
            )
        })?;
        leave_subscribed(it.address, filter, Qos::AtLeastOnce)?;
        Ok(it)
    }

    /// Starts one that keeps messages and sessions over a stop, as it does when it is only told to: what has changed is
    /// saved every half hour.
    pub(crate) fn start_keeping() -> Result<Self> {
        Self::start_with(|directory| {
            format!("persistence true\npersistence_location {}/\n", directory.display())
        })
    }

    fn start_with(persistence: impl FnOnce(&Path) -> String) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let file = directory.path().join("mosquitto.conf");
        // `user root` keeps it from looking for its own account when the bench runs as root. Its bounds on messages for
        // one client are off: version 2.0.11 counts delivered ones of QoS 1 on and drops everything once it reaches
        // them. What is under way is bounded by the load.
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\nlog_dest none\n\
             max_inflight_messages 0\nmax_queued_messages 0\n{}",
            persistence(directory.path())
        );
        fs::write(&file, text)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let process = start(&file, address)?;
        Ok(Self { process: Some(process), address, file, _directory: directory })
    }

    /// Stops it and starts it again, so that its memory is that of a new process.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(start(&self.file, self.address)?);
        Ok(())
    }
}

/// What it says of its version.
pub(crate) fn version() -> Result<String> {
    let output =
        Command::new(PROGRAM).arg("-h").output().with_context(|| format!("cannot run `{PROGRAM}`"))?;
    let version = String::from_utf8_lossy(&output.stdout);
    Ok(version.lines().next().unwrap_or("mosquitto").replace(" version", ""))
}

fn start(file: &Path, address: SocketAddr) -> Result<Process> {
    let (mut process, lines) = Process::start(Command::new(PROGRAM).arg("-c").arg(file))?;
    wait_for_listener(&mut process, address, Duration::from_secs(5))
        .with_context(|| format!("mosquitto said {:?}", lines.so_far()))?;
    Ok(process)
}
