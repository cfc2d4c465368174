//! What can be judged without running the product. The rules of the tree's shape are tests, in `tests`.

use anyhow::{Result, bail};

use crate::console;
use crate::node::Node;
use crate::packages::{self, C_COMPILER, MAKE};
use crate::prepare;
use crate::run::{self, cargo, cargo_has, step};
use crate::test::TEST_FEATURES;

pub(crate) fn run() -> Result<()> {
    packages::ensure(&[C_COMPILER, MAKE])?;
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !cargo_has(tool) {
            bail!("this Rust toolchain has no `cargo {tool}`; add its component `{component}`");
        }
    }
    step("format");
    run::run(&mut cargo(["fmt", "--all", "--check"]))?;
    step("lints");
    let mut lints = cargo(["clippy", "--quiet", "--workspace", "--all-targets"]);
    run::run(lints.args(TEST_FEATURES).args(["--", "-D", "warnings"]))?;
    if cargo_has("deny") {
        step("licences, sources, banned crates");
        run::run(&mut cargo(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
    } else {
        step("cargo-deny is not installed: licences and sources are not checked here");
    }
    prepare::check()?;
    check_console()
}

/// The console's types and tests, where there is a Node.js to run them.
fn check_console() -> Result<()> {
    let Some(node) = Node::find() else {
        step("without Node.js the console is not checked here");
        return Ok(());
    };
    console::install(&node)?;
    step("the console: types and tests");
    console::npm(&node, &["run", "lint"])?;
    console::npm(&node, &["test"])
}
