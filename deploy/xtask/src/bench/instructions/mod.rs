//! `cargo xtask instructions`: what one message costs the broker in instructions, counted by callgrind on a fixed script
//! and compared with the committed figures.
//!
//! Instructions do not depend on what else the machine does, so a change of a few percent shows that no measurement of
//! time would show here. What is counted is every thread that takes part in carrying messages, in user space; what the
//! kernel does is not in it, and neither are the caches: whether it is fast is the bench's question.

mod callgrind;
mod figures;
mod peer;
mod script;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use self::callgrind::Counter;
use self::figures::Figures;
use self::script::{SCRIPTS, Script};
use super::iotmq::Iotmq;
use super::progress;
use crate::packages::{self, C_COMPILER, MAKE, POSTGRES, VALGRIND};
use crate::run::root;

/// The committed figures, from the root of the tree.
const FILE: &str = "deploy/xtask/instructions.json";

/// What `cargo xtask instructions` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these scripts.
    #[arg(long = "script", value_name = "SCRIPT")]
    scripts: Vec<String>,
    /// Write what is counted to the committed file: a decision, which its commit argues.
    #[arg(long)]
    accept: bool,
    /// The binary to count [default: the release build, which is built first].
    #[arg(long, value_name = "FILE")]
    iotmq: Option<PathBuf>,
    /// Keep callgrind's files in this directory, to be read with `callgrind_annotate`.
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
}

/// Counts, prints and compares; an error when a script has become dearer than is allowed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let scripts = chosen(&args.scripts)?;
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES, VALGRIND])?;
    let temporary = tempfile::tempdir()?;
    let directory = args.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;

    let iotmq = Iotmq::start_under(args.iotmq.as_deref(), 1, &callgrind::wrapper(directory))?;
    let process = iotmq.process.as_ref().context("it runs")?;
    let counter = Counter::new(process, directory);
    counter.begin()?;
    let mut counted = BTreeMap::new();
    for script in scripts {
        let used = script.run(&iotmq, &counter).with_context(|| format!("script `{}`", script.name))?;
        progress(&format!(
            "{:<24} {:>8.0} instructions a message ({})",
            script.name,
            used.each(),
            used.by_thread()
        ));
        counted.insert(script.name.to_owned(), used.rounded());
    }
    let path = root().join(FILE);
    let mut figures = Figures::read(&path)?;
    println!("{}", figures.table(&counted));
    if args.accept {
        figures.accept(&counted);
        return figures.write(&path);
    }
    let dearer = figures.dearer(&counted);
    if !dearer.is_empty() {
        bail!(
            "dearer by more than {} %: {}; if that is worth it, `--accept` writes it down, and the commit says why",
            figures::DEARER_PERCENT_MAX,
            dearer.join(", ")
        );
    }
    Ok(())
}

/// The scripts of these names; all when none is named.
fn chosen(names: &[String]) -> Result<Vec<&'static Script>> {
    if names.is_empty() {
        return Ok(SCRIPTS.iter().collect());
    }
    let find = |name: &String| {
        let known = || SCRIPTS.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
        SCRIPTS
            .iter()
            .find(|it| it.name == name)
            .with_context(|| format!("no script `{name}`; there are {}", known()))
    };
    names.iter().map(find).collect()
}
