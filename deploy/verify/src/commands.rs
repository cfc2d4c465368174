//! Kills and starts the broker with commands of the user's shell.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock::now;
use crate::kills::Control;

/// How long what was started may take to stop by itself, at the end.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether a process has ended.
const PERIOD: Duration = Duration::from_millis(20);

/// Why the broker could not be killed or started.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A command did not begin.
    #[error("cannot run `{command}`")]
    Run {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A command said that it failed.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command.
        command: String,
        /// What it ended with.
        status: ExitStatus,
    },
    /// What was started had ended before it was killed.
    #[error(
        "`{command}` has ended by itself ({status}): without a command to kill the broker it must stay in the foreground"
    )]
    Ended {
        /// The command.
        command: String,
        /// What it ended with.
        status: ExitStatus,
    },
    /// There is nothing to kill.
    #[error("there is no command to kill the broker, and it was not started here")]
    NotOurs,
    /// Another way of control has failed.
    #[error("{0}")]
    Other(String),
}

/// The broker, by a command that starts it and one that kills it.
///
/// The command to start may stay in the foreground or come back. Without a command to kill it must stay: it runs in a
/// process group of its own, and the whole group is killed.
#[derive(Debug)]
pub struct Commands {
    start: String,
    kill: Option<String>,
    running: Option<Child>,
}

impl Commands {
    /// These commands, for `sh -c`.
    #[must_use]
    pub fn new(start: impl Into<String>, kill: Option<String>) -> Self {
        Self { start: start.into(), kill, running: None }
    }

    fn kill_ours(&mut self) -> Result<(), ControlError> {
        let Some(mut child) = self.running.take() else { return Err(ControlError::NotOurs) };
        let failed = |source| ControlError::Run { command: self.start.clone(), source };
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(ControlError::Ended { command: self.start.clone(), status });
        }
        signal(&child, Signal::SIGKILL);
        child.wait().map_err(failed).map(drop)
    }

    /// Ends what was started here and is still in the foreground, in order.
    pub async fn stop(mut self) {
        let Some(mut child) = self.running.take() else { return };
        signal(&child, Signal::SIGTERM);
        let begin = now();
        while begin.elapsed() < STOP_TIME_MAX && matches!(child.try_wait(), Ok(None)) {
            tokio::time::sleep(PERIOD).await;
        }
        self.running = Some(child);
    }
}

impl Control for Commands {
    async fn kill(&mut self) -> Result<(), ControlError> {
        let Some(command) = self.kill.clone() else { return self.kill_ours() };
        let mut child = spawn(&command)?;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => tokio::time::sleep(PERIOD).await,
                Err(source) => return Err(ControlError::Run { command, source }),
            }
        };
        if status.success() { Ok(()) } else { Err(ControlError::Failed { command, status }) }
    }

    async fn start(&mut self) -> Result<(), ControlError> {
        if let Some(mut child) = self.running.take() {
            // It has been killed by command, or has done its work and come back.
            drop(child.try_wait());
        }
        self.running = Some(spawn(&self.start)?);
        Ok(())
    }
}

impl Drop for Commands {
    /// Leaves nothing running that only this process could end.
    fn drop(&mut self) {
        let Some(child) = &mut self.running else { return };
        if self.kill.is_none() && matches!(child.try_wait(), Ok(None)) {
            signal(child, Signal::SIGKILL);
            drop(child.wait());
        }
    }
}

fn spawn(command: &str) -> Result<Child, ControlError> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).process_group(0);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().map_err(|source| ControlError::Run { command: command.to_owned(), source })
}

/// To the whole group of a child that has not been waited for yet. It may have ended already.
fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ended_already = killpg(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_stays_in_the_foreground_is_killed_as_a_group() {
        let mut commands = Commands::new("sleep 1000 & wait", None);
        assert!(matches!(commands.kill().await, Err(ControlError::NotOurs)));
        commands.start().await.expect("starts");
        let group = commands.running.as_ref().map(|child| child.id().to_string()).expect("it runs");
        commands.kill().await.expect("killed");
        // Those of the group whose parent was killed are there until they have been buried. Where there is no pgrep, the kill
        // itself has said that it succeeded.
        let is_gone = || {
            let left = Command::new("pgrep").args(["-g", &group]).output();
            left.map_or(true, |left| left.stdout.is_empty())
        };
        let begin = now();
        while !is_gone() {
            assert!(begin.elapsed() < STOP_TIME_MAX, "something of group {group} is left");
            tokio::time::sleep(PERIOD).await;
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named() {
        let mut commands = Commands::new("true", Some("exit 3".to_owned()));
        commands.start().await.expect("starts");
        let error = commands.kill().await.expect_err("it fails").to_string();
        assert_eq!(error, "`exit 3` failed (exit status: 3)");
        let mut commands = Commands::new("exit 4", None);
        commands.start().await.expect("starts");
        while matches!(commands.running.as_mut().map(Child::try_wait), Some(Ok(None))) {
            tokio::time::sleep(PERIOD).await;
        }
        let error = commands.kill().await.expect_err("there is nothing to kill").to_string();
        assert!(error.starts_with("`exit 4` has ended by itself (exit status: 4)"), "{error}");
    }
}
