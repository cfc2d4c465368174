//! What is written from the API's code, the OpenAPI documents and the tables of problem codes and of limits: tests of crate
//! `api` compare them with the code, or write them when told so.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, step};

/// What the names of those tests, or of their modules, contain.
const TESTS: [&str; 3] = ["openapi", "problem_codes", "behaviour"];

pub(crate) fn run() -> Result<()> {
    step("writing openapi/ from the code");
    let mut tests = cargo(["test", "--package", "api", "--lib", "--"]);
    tests.args(TESTS).env("UPDATE_OPENAPI", "1").stderr(Stdio::inherit());
    let output = tests.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the tests that write it failed:\n{said}");
    }
    if said.contains(" 0 passed") {
        bail!("crate `api` has no test named {TESTS:?}: nothing was written");
    }
    step("openapi/ is as the code says; `git diff openapi` shows what that changed");
    Ok(())
}
