//! Running other programs from the root of the tree, cargo above all.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a running program and our own signals are looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// Debian keeps servers where the `PATH` of a person does not lead.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Says what comes next.
pub(crate) fn step(what: &str) {
    println!("==> {what}");
}

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    // Cargo tells the running place, which differs from that of the build when the tree was moved.
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Cargo, the same that runs us, at the root of the tree. `DATABASE_URL` of the person's own shell is kept
/// away from it: nothing here may touch that database.
pub(crate) fn cargo<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root()).env_remove("DATABASE_URL");
    command
}

/// Whether cargo has that subcommand (`fmt`, `nextest`, `deny`).
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    let mut command = cargo([subcommand, "--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs to the end; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// [`run`] for when something must be cleaned up afterwards, whatever happens: Ctrl-C ends the program and
/// not us; a SIGTERM is passed on to it.
pub(crate) fn run_and_return(command: &mut Command) -> Result<()> {
    let line = line(command);
    let told = Arc::new(AtomicUsize::new(0));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let number = signal as usize;
        signal_hook::flag::register_usize(signal as i32, Arc::clone(&told), number)
            .context("cannot listen to signals")?;
    }
    let mut child = command.spawn().with_context(|| format!("cannot run `{line}`"))?;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for `{line}`"))? {
            if !status.success() {
                bail!("`{line}` failed ({status})");
            }
            return Ok(());
        }
        // The terminal has told the program itself.
        if told.swap(0, Ordering::Relaxed) == Signal::SIGTERM as usize {
            let pid = Pid::from_raw(child.id().try_into().context("process id")?);
            kill(pid, Signal::SIGTERM).context("cannot pass on a signal")?;
        }
        thread::sleep(LOOK_PERIOD);
    }
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Whether a program is installed.
pub(crate) fn is_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// Where a program is installed.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SERVER_FOLDERS.iter().map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}
