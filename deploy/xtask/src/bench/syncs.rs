//! Counting the syncs of a process with `strace`, by the names of its threads. It watches: what it watches gets slow.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::run::is_program;

const PROGRAM: &str = "strace";
/// Every way of asking a disk to keep what it was given.
const CALLS: &str = "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync";

/// Syncs by name of thread.
pub(crate) type Syncs = BTreeMap<String, u64>;

/// Counts while `work` is done. None where there is no `strace`.
pub(crate) fn count(process: u32, work: impl FnOnce() -> Result<()>) -> Result<Option<Syncs>> {
    if !is_program(PROGRAM) {
        return Ok(None);
    }
    let file = NamedTempFile::new()?;
    let mut watcher = Command::new(PROGRAM)
        .args(["-f", "-e", CALLS, "-p", &process.to_string(), "-o"])
        .arg(file.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{PROGRAM}`"))?;
    let mut heard = BufReader::new(watcher.stderr.take().context("its output is piped")?);
    let mut line = String::new();
    // It says so once it has every thread.
    heard.read_line(&mut line).context("it says that it watches")?;
    let worked = work();
    let names = thread_names(process);
    kill(Pid::from_raw(i32::try_from(watcher.id())?), Signal::SIGINT)?;
    watcher.wait()?;
    worked?;
    Ok(Some(by_thread(&fs::read_to_string(file.path())?, &names?)))
}

/// The names of the threads of a process.
fn thread_names(process: u32) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?;
        // A thread may end while it is looked at.
        if let Ok(name) = fs::read_to_string(thread.path().join("comm")) {
            names.insert(thread.file_name().to_string_lossy().into_owned(), name.trim().to_owned());
        }
    }
    Ok(names)
}

/// What `strace` wrote: a line for each call, and a second one where another thread's came between its two ends.
fn by_thread(trace: &str, names: &BTreeMap<String, String>) -> Syncs {
    let mut syncs = Syncs::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_call = call.starts_with(|it: char| it.is_ascii_lowercase()) && call.contains('(');
        if is_call {
            let name = names.get(thread).map_or("ended", String::as_str);
            *syncs.entry(name.to_owned()).or_default() += 1;
        }
    }
    syncs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_counts_once_for_its_thread() {
        let trace = "\
            11 fdatasync(9 <unfinished ...>\n\
            12 fsync(7)                         = 0\n\
            11 <... fdatasync resumed>)         = 0\n\
            11 fdatasync(9)                     = 0\n\
            13 fsync(4)                         = 0\n\
            11 +++ exited with 0 +++\n\
            12 --- SIGINT {si_signo=SIGINT} ---\n";
        let names = [("11", "log"), ("12", "keeper")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        let syncs = by_thread(trace, &names.into());
        let expected = [("ended", 1), ("keeper", 1), ("log", 2)];
        assert_eq!(syncs, expected.map(|(name, syncs)| (name.to_owned(), syncs)).into());
    }
}
