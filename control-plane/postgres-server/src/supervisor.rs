//! The thread that owns the server's process: it alone starts, signals and reaps it.
//!
//! The process is told by the kernel when its *thread* of origin is gone, so it must be one that lives as
//! long as the process should; and a process id is only safe to signal for whoever reaps it.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::log::LogTail;

/// How soon a death is noticed.
const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// How often a process that was told to end is looked at.
const STOP_PERIOD: Duration = Duration::from_millis(10);
/// What each request to end is given before the next one. SIGINT: disconnect all, write a checkpoint,
/// end. SIGQUIT: end at once, recover at the next start.
const STOP_STEPS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// How long a dead server's last words may take to arrive.
const LOG_GRACE: Duration = Duration::from_secs(1);

/// How the server came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// It was not.
    Died {
        /// Exit status or signal.
        status: String,
        /// The end of its log.
        log: String,
    },
}

/// Tells when the server ends. Cheap to clone; may be waited on from any thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<(Mutex<Option<Ended>>, Condvar)>);

impl Watch {
    /// How the server ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks until the server ends.
    pub fn wait(&self) -> Ended {
        let (ended, changed) = &*self.0;
        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(ended) = &*ended {
                return ended.clone();
            }
            ended = changed.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until the server ends, at most `timeout`.
    pub fn wait_for(&self, timeout: Duration) -> Option<Ended> {
        let (ended, changed) = &*self.0;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = changed
            .wait_timeout_while(ended, timeout, |ended| ended.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        ended.clone()
    }

    fn set(&self, how: Ended) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.0.1.notify_all();
    }
}

/// The running server process; dropping it stops the process.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// Nothing is ever sent: closing it is the request to stop.
    running: Option<SyncSender<Infallible>>,
    thread: Option<JoinHandle<()>>,
    watch: Watch,
    log: LogTail,
    pid: i32,
}

impl Supervisor {
    pub(crate) fn start(command: Command) -> io::Result<Self> {
        let (running, stop) = sync_channel(0);
        let (started, start) = sync_channel(1);
        let (watch, log) = (Watch::default(), LogTail::default());
        let thread = thread::Builder::new().name("postgres".to_owned()).spawn({
            let (watch, log) = (watch.clone(), log.clone());
            move || supervise(command, &started, &stop, &watch, &log)
        })?;
        let pid = start.recv().map_err(io::Error::other).flatten()?;
        Ok(Self { running: Some(running), thread: Some(thread), watch, log, pid })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Returns when the process is gone.
    pub(crate) fn stop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches PostgreSQL panicked");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn supervise(
    mut command: Command,
    started: &SyncSender<io::Result<i32>>,
    stop: &Receiver<Infallible>,
    watch: &Watch,
    log: &LogTail,
) {
    // Its own process group: Ctrl-C at the terminal is for us, who then stop it in good order.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // The receiver waits for exactly this.
            let _ = started.send(Err(error));
            return;
        }
    };
    let reader = child.stderr.take().map(|output| {
        let log = log.clone();
        thread::spawn(move || log.follow(output))
    });
    let _ = started.send(Ok(pid_of(&child).as_raw()));
    let how = loop {
        match stop.recv_timeout(WATCH_PERIOD) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Disconnected) => {
                stop_child(&mut child);
                break Ended::Stopped;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = exit_status(&mut child) {
            if let Some(reader) = &reader {
                poll(LOG_GRACE, || reader.is_finished());
            }
            break Ended::Died { status: describe(status), log: log.text() };
        }
    };
    watch.set(how);
}

fn stop_child(child: &mut Child) {
    for (signal, patience) in STOP_STEPS {
        tracing::debug!(%signal, "stopping PostgreSQL");
        if let Err(error) = kill(pid_of(child), signal) {
            tracing::warn!(%error, %signal, "cannot signal PostgreSQL");
        }
        if poll(patience, || exit_status(child).is_some()) {
            return;
        }
        tracing::warn!(%signal, "PostgreSQL does not stop");
    }
}

/// Looks again and again until `done`, for about `patience`; whether it is.
pub(crate) fn poll(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let rounds = patience.as_millis() / STOP_PERIOD.as_millis();
    for _ in 0..rounds {
        if done() {
            return true;
        }
        thread::sleep(STOP_PERIOD);
    }
    done()
}

/// A process that cannot be looked at is taken as running: what follows is another, stronger signal.
fn exit_status(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().ok().flatten()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids fit in pid_t, where they come from"))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
        }
        (None, None) => status.to_string(),
    }
}
