//! Wire vectors: what goes over connections to a running broker and what must come back, written as data.
//!
//! A vector is a few lines in a small notation (`notation.rs`), turned to bytes and back by an encoder and a decoder
//! of its own (`writer.rs`, `reader.rs`), so that nothing of the product judges itself. Each names the normative
//! statements that it proves; `statements.rs` has the table of those.

mod actor;
mod connection;
pub mod notation;
mod pattern;
mod play;
pub mod property;
pub mod reader;
pub mod statements;
pub mod writer;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use play::{Surroundings, play};

/// One vector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// What it shows, in a few words; unique within its chapter.
    pub name: String,
    /// The normative statements that it proves, as `MQTT-x.y.z-n`.
    pub statements: Vec<String>,
    /// Whether it wants an instance that nobody else is in: with wildcards that anything matches.
    #[serde(default)]
    pub alone: bool,
    /// What happens, in the notation.
    pub steps: Vec<String>,
}

/// A file of vectors: those of one chapter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chapter {
    /// What they are about.
    pub about: String,
    /// The vectors.
    pub vectors: Vec<Vector>,
    /// The name of the file, with its folder.
    #[serde(skip)]
    pub file: String,
}

/// A version of the protocol, as folders name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standard {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl Standard {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];

    /// The name of its folder.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }

    /// The protocol level that its CONNECT carries.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// How many vectors there are at least.
    #[must_use]
    pub const fn vectors_min(self) -> usize {
        match self {
            Self::V311 => 250,
            Self::V5 => 300,
        }
    }
}

/// Where the vectors are in the tree.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Every chapter of a version, in the order of the files' names.
#[must_use]
pub fn chapters(standard: Standard) -> Vec<Chapter> {
    let folder = folder().join(standard.folder());
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| chapter(standard, path)).collect()
}

fn chapter(standard: Standard, path: &Path) -> Chapter {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut chapter: Chapter =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    chapter.file = format!("{}/{name}", standard.folder());
    chapter
}
