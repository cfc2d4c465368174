//! Building the web console, when what it is built from has changed.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::node::{NODE_MIN, Node};
use crate::run::{self, root, step};

/// What of `web-console/` is not built from.
const NOT_SOURCES: [&str; 6] = ["dist", "node_modules", "src", "build.rs", "Cargo.toml", "e2e"];

/// Builds the console if it is not built, or not from these sources. Where there is no Node.js the product goes
/// without: a plain page says how to get it.
pub(crate) fn build() -> Result<()> {
    let sources = digest(&folder())?;
    let is_built = folder().join("dist/index.html").is_file();
    if is_built && fs::read_to_string(stamp()).is_ok_and(|stamp| stamp == sources) {
        return Ok(());
    }
    let Some(node) = Node::find() else {
        step(&format!(
            "going on without the web console; with Node.js {NODE_MIN} or later and npm installed, \
             `cargo xtask up` builds it"
        ));
        return Ok(());
    };
    step("building the web console");
    let built = install(&node).and_then(|()| npm(&node, &["run", "build"]));
    match built {
        Ok(()) => fs::write(stamp(), sources).context("cannot write the console's stamp"),
        // Without a network there is no console either, and everything else works.
        Err(error) if !is_built => {
            step(&format!("going on without the web console, which could not be built: {error:#}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What the console's own tools need, exactly as locked.
pub(crate) fn install(node: &Node) -> Result<()> {
    npm(node, &["ci", "--no-audit", "--no-fund"])
}

/// Runs npm on the console.
pub(crate) fn npm(node: &Node, arguments: &[&str]) -> Result<()> {
    run::run(node.command("npm").args(arguments).current_dir(folder()).stdin(Stdio::null()))
}

pub(crate) fn folder() -> PathBuf {
    root().join("web-console")
}

/// Says from which sources the build was made. Not beside the build, or it would be served.
fn stamp() -> PathBuf {
    root().join("target/console.stamp")
}

/// A digest of all sources: their names and what is in them.
fn digest(folder: &Path) -> Result<String> {
    let mut files = BTreeMap::new();
    collect(folder, &NOT_SOURCES, &mut files)?;
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(folder: &Path, without: &[&str], files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| without.iter().any(|it| name == *it)) {
            continue;
        }
        if path.is_dir() {
            collect(&path, &[], files)?;
        } else {
            let content = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_added_or_renamed_source_is_noticed_and_a_build_is_none() {
        let place = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("in the directory")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("app/main.tsx", "1");
        let mut seen = vec![digest(place.path()).expect("readable")];
        write("dist/index.html", "built");
        assert_eq!(digest(place.path()).expect("readable"), seen[0]);
        for (name, text) in [("app/main.tsx", "2"), ("app/dist/more.ts", "3"), ("package.json", "{}")] {
            write(name, text);
            let now = digest(place.path()).expect("readable");
            assert!(!seen.contains(&now), "{name}");
            seen.push(now);
        }
    }
}
