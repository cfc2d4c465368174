//! Tidy: what reviewers would otherwise have to look for, as tests.
//!
//! A check is a pure function from what is in the tree to a list of faults; beside each stands a test that it finds
//! one. What needs a database or a second build (current query cache, current API document) is checked where those
//! are at hand, not here.

mod behaviour;
mod dependencies;
mod migrations;
mod statements;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the tree")
}

/// A file that is kept in the repository, or will be with the next commit.
struct TreeFile {
    /// From the root, with `/`.
    path: String,
    /// None for a file that is not text.
    text: Option<String>,
}

fn tree() -> Vec<TreeFile> {
    let listed = output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.dedup();
    assert!(paths.contains(&"Cargo.toml"), "git lists the files of this tree");
    // A file that was just deleted or moved is listed until that is committed.
    let read = |path: &str| {
        let bytes = fs::read(root().join(path)).ok()?;
        Some(TreeFile { path: path.to_owned(), text: String::from_utf8(bytes).ok() })
    };
    paths.into_iter().filter_map(read).collect()
}

/// What a command says, run at the root; it must succeed.
fn output(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).current_dir(root()).output();
    let ran = ran.unwrap_or_else(|error| panic!("`{program}` cannot be run: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "`{program} {}` failed:\n{said}", arguments.join(" "));
    String::from_utf8(ran.stdout).expect("text")
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    output(cargo.to_str().expect("a path in UTF-8"), arguments)
}

#[track_caller]
fn assert_none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}
