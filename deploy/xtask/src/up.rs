//! From a fresh clone to a running product.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::console;
use crate::packages::{self, C_COMPILER, MAKE, MOSQUITTO_CLIENTS, POSTGRES};
use crate::run::{self, cargo, step};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to `iotmq standalone`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // The clients are for the lines that the product prints to be tried.
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES, MOSQUITTO_CLIENTS.optional()])?;
    console::build()?;
    let program = run::root().join("target/release/iotmq");
    step(if program.exists() {
        "building iotmq"
    } else {
        "building iotmq for the first time: several minutes"
    });
    // Ours to say where, since it is then run from there.
    run::run(
        cargo(["build", "--release", "--package", "iotmq"])
            .env("CARGO_TARGET_DIR", run::root().join("target")),
    )?;
    step("starting iotmq standalone; Ctrl-C stops it");
    // In our place: signals reach it and its exit status is ours.
    let error = Command::new(&program).arg("standalone").args(&arguments.further).exec();
    Err(error).with_context(|| format!("cannot run `{}`", program.display()))
}
