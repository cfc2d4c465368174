//! callgrind around the broker: when it counts, and what it has counted for each thread.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::process::Process;

/// The beginning of the names of its files.
const FILE_PREFIX: &str = "counted";

/// Threads that have a part in carrying messages, by the beginnings of their names. What others do, the control plane
/// above all, depends on the time that a run takes.
const COUNTED: [&str; 3] = ["worker", "log", "view"];

/// What is put in front of the broker's own command line.
pub(super) fn wrapper(directory: &Path) -> Vec<OsString> {
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(directory.join(FILE_PREFIX));
    let options = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--quiet"];
    options.into_iter().map(OsString::from).chain([file]).collect()
}

/// The count of one broker.
pub(super) struct Counter<'a> {
    process: &'a Process,
    directory: &'a Path,
}

/// Instructions by kind of thread.
pub(super) type Counts = BTreeMap<String, u64>;

impl<'a> Counter<'a> {
    /// Of a broker that was started under [`wrapper`].
    pub(super) const fn new(process: &'a Process, directory: &'a Path) -> Self {
        Self { process, directory }
    }

    /// From now on it counts.
    pub(super) fn begin(&self) -> Result<()> {
        self.say(&["instrumentation", "on"]).map(drop)
    }

    /// Counts what is done until `work` is over.
    pub(super) fn count(&self, work: impl FnOnce() -> Result<()>) -> Result<Counts> {
        for file in self.files()? {
            fs::remove_file(file)?;
        }
        self.say(&["zero"])?;
        work()?;
        let threads = self.threads()?;
        self.say(&["dump", "script"])?;
        let mut counts = Counts::new();
        for file in self.files()? {
            let Some((thread, instructions)) = read(&file)? else { continue };
            let name = threads.get(&thread).with_context(|| format!("thread {thread} is not known"))?;
            if let Some(kind) = COUNTED.iter().find(|kind| name.starts_with(**kind)) {
                *counts.entry((*kind).to_owned()).or_default() += instructions;
            }
        }
        ensure!(!counts.is_empty(), "callgrind has counted nothing of {threads:?}");
        Ok(counts)
    }

    /// The names of the threads, by the numbers that valgrind gives them.
    fn threads(&self) -> Result<BTreeMap<u64, String>> {
        let mut threads = BTreeMap::new();
        for line in self.say(&["v.info", "scheduler"])?.lines() {
            let Some((number, rest)) = line.strip_prefix("Thread ").and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            let Some((_, rest)) = rest.split_once("(lwpid ") else { continue };
            let lwp = rest.split(')').next().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{}/task/{lwp}/comm", self.process.id()));
            threads.insert(number.trim().parse()?, name.unwrap_or_default().trim().to_owned());
        }
        Ok(threads)
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(FILE_PREFIX) {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    /// Says something to valgrind inside the broker's process; the answer is what it says back.
    fn say(&self, words: &[&str]) -> Result<String> {
        let pid = format!("--pid={}", self.process.id());
        let output =
            Command::new("vgdb").arg(pid).args(words).stdin(Stdio::null()).output().context("`vgdb`")?;
        if !output.status.success() {
            bail!("`vgdb {}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The thread that a file is about and its instructions; none where the file is not about one thread.
fn read(file: &Path) -> Result<Option<(u64, u64)>> {
    let text = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let text = String::from_utf8_lossy(&text);
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Ok(field("thread:").zip(field("totals:")))
}
