//! Finding a Node.js that can build the console: the machine's own if it is new enough, else one that npm keeps in
//! the project's own cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::packages;
use crate::run::{self, find_program, is_program, root, step};

/// What the console's tools ask for.
pub(crate) const NODE_MIN: Version = Version { major: 20, minor: 19 };

/// What npm is asked for where the machine's own is older.
const NODE_PACKAGE: &str = "node@20";

/// A version of Node.js, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Reads what `node --version` prints: `v20.19.4`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

/// A Node.js that is new enough, and its npm.
pub(crate) struct Node {
    /// Where `node` is, when that is not where the `PATH` leads.
    folder: Option<PathBuf>,
}

impl Node {
    /// Finds one, or gets one where that needs nobody's consent. None: the reason has been said.
    pub(crate) fn find() -> Option<Self> {
        if let Some(found) = Self::found() {
            return Some(found);
        }
        if !is_program("npm")
            && let Err(error) = packages::ensure(&[packages::NPM])
        {
            step(&format!("no Node.js: {error:#}"));
            return None;
        }
        if let Some(found) = Self::found() {
            return Some(found);
        }
        match fetch() {
            Ok(()) => Self::found(),
            Err(error) => {
                step(&format!("no Node.js {NODE_MIN} or later, and npm could not bring one: {error:#}"));
                None
            }
        }
    }

    fn found() -> Option<Self> {
        if !is_program("npm") {
            return None;
        }
        let own = Self { folder: None };
        let kept = Self { folder: Some(cache().join("node_modules/node/bin")) };
        [own, kept].into_iter().find(|node| node.version().is_some_and(|version| version >= NODE_MIN))
    }

    fn version(&self) -> Option<Version> {
        let output = self.command("node").arg("--version").stderr(Stdio::null()).output().ok()?;
        Version::parse(std::str::from_utf8(&output.stdout).ok()?)
    }

    /// Where `node` itself is.
    pub(crate) fn program(&self) -> PathBuf {
        let kept = self.folder.as_ref().map(|folder| folder.join("node"));
        kept.or_else(|| find_program("node")).unwrap_or_else(|| PathBuf::from("node"))
    }

    /// A program of this Node.js (`node`, `npm`), which finds the same one in turn.
    pub(crate) fn command(&self, program: &str) -> Command {
        let own = self.folder.as_ref().map(|folder| folder.join(program)).filter(|path| path.is_file());
        let mut command = Command::new(own.map_or_else(|| OsString::from(program), OsString::from));
        if let Some(folder) = &self.folder {
            let path = env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder.clone()).chain(env::split_paths(&path));
            // A folder with a colon in its name cannot stand there; then the machine's own is taken, and says so.
            if let Ok(path) = env::join_paths(folders) {
                command.env("PATH", path);
            }
        }
        command
    }
}

fn cache() -> PathBuf {
    root().join("target/node")
}

/// Has npm put a Node.js into the cache.
fn fetch() -> Result<()> {
    let cache = cache();
    step(&format!("getting Node.js through npm into `{}`", shown(&cache)));
    fs::create_dir_all(&cache).with_context(|| format!("cannot make `{}`", cache.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&cache).arg(NODE_PACKAGE);
    run::run(npm.stdin(Stdio::null()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        let is_enough = |text| Version::parse(text).is_some_and(|version| version >= NODE_MIN);
        assert!(is_enough("v20.19.0\n") && is_enough("v20.20.2") && is_enough("v100.0.0"));
        assert!(!is_enough("v20.9.0") && !is_enough("v18.20.4") && !is_enough("") && !is_enough("20"));
    }
}
