//! A broker as a child process, and what the kernel says it has used. It knows no MQTT.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::now;

/// How long a broker may take to stop before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// Lines of a child's output that may wait to be read; further ones make the child wait.
const LINES_MAX: usize = 1_000;

/// Ports that are given to brokers: below those that the kernel gives to whoever connects, since a client that keeps
/// asking for a port nobody listens at yet may be given that very port, and then talks to itself.
const PORT_FIRST: u32 = 20_000;
const PORT_COUNT: u32 = 10_000;

/// A running child. Dropped, it is asked to stop and waited for.
pub(crate) struct Process {
    child: Child,
    ticks_per_sec: u64,
    page_bytes: u64,
}

/// The CPU time of each thread, by its id, with its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(BTreeMap<OsString, (String, u64)>);

/// The lines that a child prints, whichever stream it uses, each with when it came.
pub(crate) struct Lines(Receiver<(Instant, String)>);

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
                    drop(send.try_send((now(), line)));
                }
            });
        }
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the kernel counts in ticks")?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.context("memory has pages")?;
        let process = Self { child, ticks_per_sec: u64::try_from(ticks)?, page_bytes: u64::try_from(page)? };
        Ok((process, Lines(receive)))
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would end it.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
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

    /// CPU time of each of the threads that it has, in nanoseconds. The kernel counts exactly here.
    pub(crate) fn threads(&self) -> Result<Threads> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let thread = thread?;
            // A thread may end while it is looked at.
            let (Ok(name), Ok(times)) = (
                fs::read_to_string(thread.path().join("comm")),
                fs::read_to_string(thread.path().join("schedstat")),
            ) else {
                continue;
            };
            let name = name.trim().trim_end_matches(|it: char| it.is_ascii_digit() || it == '-');
            let nanos: u64 = times.split(' ').next().context("a thread has times")?.parse()?;
            threads.insert(thread.file_name(), (name.to_owned(), nanos));
        }
        Ok(Threads(threads))
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

impl Threads {
    /// CPU time since an earlier look, in nanoseconds, by name; threads of one kind, told apart by a number, are one. What
    /// a thread has used that has ended since then is not in it.
    pub(crate) fn since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let mut used = BTreeMap::new();
        for (id, (name, nanos)) in &self.0 {
            let before = earlier.0.get(id).map_or(0, |(_, nanos)| *nanos);
            *used.entry(name.clone()).or_default() += nanos.saturating_sub(before);
        }
        used
    }

    /// The same of all together.
    pub(crate) fn nanos_since(&self, earlier: &Self) -> u64 {
        self.since(earlier).values().sum()
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
        let (_, line) = self.0.recv_timeout(wait).context("the broker says nothing more")?;
        Ok(line)
    }

    /// Every line that has come so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        self.0.try_iter().map(|(_, line)| line).collect()
    }

    /// The same, each with when it came.
    pub(crate) fn stamped(&self) -> Vec<(Instant, String)> {
        self.0.try_iter().collect()
    }
}

/// A port of the loopback interface that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORT_COUNT {
        // Two benches at one time begin at different ports.
        let offset = process::id().wrapping_mul(17).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORT_FIRST + offset % PORT_COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {PORT_COUNT} is free")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_kind_are_one_and_those_that_ended_are_none() {
        let of = |threads: &[(&str, &str, u64)]| {
            let threads =
                threads.iter().map(|(id, name, nanos)| (OsString::from(*id), ((*name).to_owned(), *nanos)));
            Threads(threads.collect())
        };
        let earlier = of(&[("1", "worker", 100), ("2", "control", 50), ("3", "worker", 10)]);
        let later = of(&[("1", "worker", 130), ("3", "worker", 15), ("4", "control", 7)]);
        let expected = [("control", 7), ("worker", 35)].map(|(name, nanos)| (name.to_owned(), nanos));
        assert_eq!(later.since(&earlier), expected.into());
        assert_eq!(later.nanos_since(&earlier), 42);
    }
}
