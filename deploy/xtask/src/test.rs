//! Every test of the project, on one private PostgreSQL where each test makes databases of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::statvfs::statvfs;

use crate::browser::{Browser, NODE_VARIABLE};
use crate::console;
use crate::node::Node;
use crate::packages::{self, C_COMPILER, MAKE, MOSQUITTO, MOSQUITTO_CLIENTS, PAHO, POSTGRES};
use crate::private_postgres::PrivatePostgres;
use crate::run::{self, cargo, cargo_has, step};

/// Where tests find their server: the address of its maintenance database, by a role that may create
/// others.
pub(crate) const TEST_DATABASE_URL: &str = "IOTMQ_TEST_DATABASE_URL";

/// What only the binary that tests start can do: lose what is not synced when it is killed, and have a disk that fails
/// when it is told to. Nothing that is released is built with it.
pub(crate) const TEST_FEATURES: [&str; 2] = ["--features", "iotmq/drop-unsynced"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to `cargo nextest run`, or to `cargo test` where there is no nextest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

/// From this share of the disk on the tests do not begin: the brokers that they start refuse to store anything when
/// 95 percent are taken, and would fail for that alone.
const DISK_USED_PERCENT_MAX: u64 = 93;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES, MOSQUITTO_CLIENTS, MOSQUITTO, PAHO])?;
    let browser = Browser::prepare();
    if let Err(error) = &browser {
        step(&format!("going on without the tests that need a browser: {error:#}"));
    }
    console::build()?;
    // The whole workspace is selected, as below: another selection would have other features and be
    // compiled twice.
    step("building the binary that tests start");
    run::run(cargo(["build", "--workspace", "--bin", "iotmq"]).args(TEST_FEATURES))?;

    ensure_room()?;
    let postgres = PrivatePostgres::start()?;
    let url = postgres.server.url("postgres");
    let nextest = cargo_has("nextest");
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    step("running the tests");
    let mut tests = cargo(runner);
    tests.arg("--workspace").args(TEST_FEATURES).args(&arguments.further).env(TEST_DATABASE_URL, &url);
    match &browser {
        Ok(browser) => browser.tell(&mut tests),
        Err(_) => tell_of_node(&mut tests),
    }
    run::run_and_return(&mut tests)?;
    if nextest && arguments.further.is_empty() {
        step("examples in the documentation, which nextest leaves out");
        let mut examples = cargo(["test", "--quiet", "--workspace", "--doc"]);
        examples.args(TEST_FEATURES);
        run::run_and_return(examples.env(TEST_DATABASE_URL, &url))?;
    }
    Ok(())
}

/// Where Node.js is, for the clients that are written for it; without it they are left out.
fn tell_of_node(tests: &mut Command) {
    let Some(node) = Node::find() else { return };
    if console::folder().join("node_modules/mqtt").is_dir() || console::install(&node).is_ok() {
        tests.env(NODE_VARIABLE, node.program());
    }
}

/// That the tests do not fail because of a disk that fills up.
fn ensure_room() -> Result<()> {
    for place in [Path::new("."), &std::env::temp_dir()] {
        let disk = statvfs(place).with_context(|| format!("asking for the room in {}", place.display()))?;
        let used = disk.blocks() - disk.blocks_free();
        let percent = 100 * used / (used + disk.blocks_available()).max(1);
        ensure!(
            percent < DISK_USED_PERCENT_MAX,
            "the disk that holds {} is {percent} % full; below {DISK_USED_PERCENT_MAX} % is needed to run the tests",
            place.display()
        );
    }
    Ok(())
}
