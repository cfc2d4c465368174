//! A picture of every page of the console, of the real product: for people to look at.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::browser::Browser;
use crate::console;
use crate::packages::{self, C_COMPILER, MAKE, POSTGRES};
use crate::run::{self, cargo, root, step};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the pictures go
    #[arg(long, value_name = "FOLDER", default_value = "target/screenshots")]
    into: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES])?;
    let browser = Browser::prepare()?;
    console::build()?;
    step("building iotmq");
    run::run(&mut cargo(["build", "--workspace", "--bin", "iotmq"]))?;
    let into = root().join(&arguments.into);
    std::fs::create_dir_all(&into).with_context(|| format!("cannot make `{}`", into.display()))?;
    let product = Product::start()?;
    step("looking at every page");
    run::run_and_return(
        browser
            .script("screenshots.mjs")
            .arg(&into)
            .env("IOTMQ_TEST_URL", &product.url)
            .env("IOTMQ_TEST_EMAIL", &product.email)
            .env("IOTMQ_TEST_PASSWORD", &product.password),
    )?;
    step(&format!("the pictures are in `{}`", into.display()));
    Ok(())
}

/// A product of its own, in a directory that goes with it. Dropped, it is stopped.
struct Product {
    child: Child,
    url: String,
    email: String,
    password: String,
    /// Kept open: what else it prints is not to fail.
    _output: BufReader<ChildStdout>,
    _directory: tempfile::TempDir,
}

impl Product {
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let mut command = Command::new(root().join("target/debug/iotmq"));
        command.arg("standalone").arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--api-address", "127.0.0.1:0", "--mqtt-address", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run iotmq")?;
        let mut output = BufReader::new(child.stdout.take().context("piped")?);
        let mut told = [("console", None), ("operator", None), ("password", None)];
        for line in output.by_ref().lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default();
            if let Some((_, value)) = told.iter_mut().find(|(name, _)| *name == word) {
                *value = words.next().map(str::to_owned);
            }
            if let [(_, Some(url)), (_, Some(email)), (_, Some(password))] = &mut told {
                let [url, email, password] = [url, email, password].map(std::mem::take);
                return Ok(Self { child, url, email, password, _output: output, _directory: directory });
            }
        }
        let status = child.wait().context("cannot wait for iotmq")?;
        bail!("iotmq did not start ({status})")
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Asked rather than killed, so that its PostgreSQL ends with it.
        if let Ok(pid) = self.child.id().try_into() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        drop(self.child.wait());
    }
}
