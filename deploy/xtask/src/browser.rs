//! What looking at the console takes: a Node.js with the console's own tools, and the system's Chromium.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::console;
use crate::node::{NODE_MIN, Node};
use crate::packages::{self, CHINESE_FONTS, CHROMIUM};
use crate::run::find_program;

/// Where the scripts find Chromium.
const CHROMIUM_VARIABLE: &str = "IOTMQ_TEST_CHROMIUM";

/// Where tests find Node.js.
pub(crate) const NODE_VARIABLE: &str = "IOTMQ_TEST_NODE";

/// A browser and what drives it.
pub(crate) struct Browser {
    node: Node,
    chromium: PathBuf,
}

impl Browser {
    /// Sees to it that all of it is there.
    pub(crate) fn prepare() -> Result<Self> {
        packages::ensure(&[CHROMIUM, CHINESE_FONTS])?;
        let node = Node::find().with_context(|| format!("Node.js {NODE_MIN} or later is needed"))?;
        if !console::folder().join("node_modules/playwright-core").is_dir() {
            console::install(&node)?;
        }
        let chromium = find_program("chromium").context("Chromium was there a moment ago")?;
        Ok(Self { node, chromium })
    }

    /// A run of one of the scripts in `web-console/e2e`.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = self.node.command("node");
        command.arg(console::folder().join("e2e").join(name)).env(CHROMIUM_VARIABLE, &self.chromium);
        command
    }

    /// For the tests, which run the same scripts: where Node.js and Chromium are.
    pub(crate) fn tell(&self, tests: &mut Command) {
        tests.env(CHROMIUM_VARIABLE, &self.chromium).env(NODE_VARIABLE, self.node.program());
    }
}
