//! A broker as a child process, and what the kernel says it has used. It knows no MQTT.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// How long a broker may take to stop before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// Lines of a child's output that may wait to be read; further ones make the child wait.
const LINES_MAX: usize = 1_000;

/// A running child. Dropped, it is asked to stop and waited for.
pub(crate) struct Process {
    child: Child,
    ticks_per_sec: u64,
    page_bytes: u64,
}

/// The lines that a child prints, whichever stream it uses.
pub(crate) struct Lines(Receiver<String>);

impl Process {
    /// Starts `command`, with its output piped to the second value.
    pub(crate) fn start(command: &mut Command) -> Result<(Self, Lines)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))?;
        let (send, receive) = sync_channel(LINES_MAX);
        let out = child.stdout.take().context("its output is piped")?;
        let err = child.stderr.take().context("its output is piped")?;
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let send = send.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // Nobody reads once the broker is up; its later words are dropped, not held.
                    drop(send.try_send(line));
                }
            });
        }
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts in ticks")?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.context("memory has pages")?;
        let process = Self { child, ticks_per_sec: u64::try_from(ticks)?, page_bytes: u64::try_from(page)? };
        Ok((process, Lines(receive)))
    }

    /// CPU time of all its threads so far, user and system, in microseconds. The kernel counts in ticks of 10 ms.
    pub(crate) fn cpu_micros(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has a name")?;
        let mut fields = fields.split(' ').skip(11);
        let mut next = || -> Result<u64> { Ok(fields.next().context("/proc/PID/stat has times")?.parse()?) };
        let ticks = next()? + next()?;
        Ok(ticks * 1_000_000 / self.ticks_per_sec)
    }

    /// CPU time of its threads so far, in nanoseconds, by their names; those of one kind, told apart by a number, are
    /// one. The kernel counts exactly here.
    pub(crate) fn thread_nanos(&self) -> Result<BTreeMap<String, u64>> {
        let mut nanos = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let thread = thread?.path();
            // A thread may end while it is looked at.
            let (Ok(name), Ok(times)) =
                (fs::read_to_string(thread.join("comm")), fs::read_to_string(thread.join("schedstat")))
            else {
                continue;
            };
            let name = name.trim().trim_end_matches(|it: char| it.is_ascii_digit() || it == '-');
            let time: u64 = times.split(' ').next().context("a thread has times")?.parse()?;
            *nanos.entry(name.to_owned()).or_default() += time;
        }
        Ok(nanos)
    }

    /// Its resident memory that is not backed by a file, in bytes.
    pub(crate) fn memory_bytes(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let mut fields = statm.split(' ').skip(1);
        let mut next = || -> Result<u64> { Ok(fields.next().context("/proc/PID/statm has sizes")?.parse()?) };
        let (resident, file_backed) = (next()?, next()?);
        Ok((resident - file_backed) * self.page_bytes)
    }

    /// An error if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the broker has ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let step = Duration::from_millis(20);
        for _ in 0..STOP_WAIT.as_millis() / step.as_millis() {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(step);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Lines {
    /// The next line; an error when none comes in time or the child has closed its output.
    pub(crate) fn next(&self, wait: Duration) -> Result<String> {
        self.0.recv_timeout(wait).context("the broker says nothing more")
    }

    /// Every line that has come so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.0.try_iter().collect()
    }
}

/// A port of the loopback interface that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something accepts connections at `address`.
pub(crate) fn wait_for_listener(process: &mut Process, address: SocketAddr, wait: Duration) -> Result<()> {
    let step = Duration::from_millis(50);
    for _ in 0..wait.as_millis() / step.as_millis() {
        process.check_alive()?;
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::sleep(step);
    }
    bail!("nothing listens at {address} after {wait:?}")
}
