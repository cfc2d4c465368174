//! The documentation's table of MQTT's statements and their tests: a tidy rule compares it with the tables and vectors,
//! or writes it when told so.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, step};

/// The rule that does.
const TEST: &str = "tidy::statements::the_documentation_has_every_statement";

pub(crate) fn run() -> Result<()> {
    step("writing the table of MQTT's statements");
    let mut test = cargo(["test", "--package", "tests", "--test", "it", "--", "--exact", TEST]);
    test.env("UPDATE_CONFORMANCE", "1").stderr(Stdio::inherit());
    let output = test.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !said.contains(" 1 passed") {
        bail!("the test that writes it did not pass:\n{said}");
    }
    step("`git diff web-console/docs` shows what that changed");
    Ok(())
}
