//! The stand-in for the peers: Debian's mosquitto, anonymous, silent, nothing on disk.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::process::{Process, free_port, wait_for_listener};

/// Where Debian puts it: a directory that is on root's search path alone.
const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A running mosquitto.
pub(crate) struct Mosquitto {
    /// Always there, but for the moment of a restart.
    pub(crate) process: Option<Process>,
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    file: PathBuf,
    _directory: TempDir,
}

impl Mosquitto {
    /// Starts one on a port of its own.
    pub(crate) fn start() -> Result<Self> {
        let output =
            Command::new(PROGRAM).arg("-h").output().with_context(|| format!("cannot run `{PROGRAM}`"))?;
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.lines().next().unwrap_or("mosquitto").replace(" version", "");
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let file = directory.path().join("mosquitto.conf");
        // `user root` keeps it from looking for its own account when the bench runs as root. Its bounds on messages for
        // one client are off: version 2.0.11 counts delivered ones of QoS 1 on and drops everything once it reaches
        // them. What is under way is bounded by the load.
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\nlog_dest none\n\
             persistence false\nmax_inflight_messages 0\nmax_queued_messages 0\n"
        );
        fs::write(&file, text)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let process = start(&file, address)?;
        Ok(Self { process: Some(process), address, version, file, _directory: directory })
    }

    /// Stops it and starts it again, so that its memory is that of a new process.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(start(&self.file, self.address)?);
        Ok(())
    }
}

fn start(file: &Path, address: SocketAddr) -> Result<Process> {
    let (mut process, lines) = Process::start(Command::new(PROGRAM).arg("-c").arg(file))?;
    wait_for_listener(&mut process, address, Duration::from_secs(5))
        .with_context(|| format!("mosquitto said {:?}", lines.so_far()))?;
    Ok(process)
}
