//! The normative statements of both standards: whom each binds, and what proves it.
//!
//! The tables in `vectors/statements/` have every number of a standard with a wording of our own. A statement is
//! proved by the vectors that name it, or, where none can, by a test in the sources that does.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Standard, chapters, folder};

/// A normative statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its number, as `MQTT-x.y.z-n`.
    pub id: String,
    /// Whom it binds.
    pub binds: Binds,
    /// What it says, in short.
    pub says: String,
    /// The same in Chinese.
    pub says_zh: String,
    /// Why no test proves it, though it binds a server.
    #[serde(default)]
    pub reason: Option<String>,
    /// The same in Chinese.
    #[serde(default)]
    pub reason_zh: Option<String>,
}

/// Whom a statement binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binds {
    /// The server.
    Server,
    /// The client; how a server meets a breach is often proved all the same.
    Client,
    /// Both.
    Both,
}

/// What proves statements, by their numbers; in the order of files and of what is in them.
pub type Proofs = BTreeMap<String, Vec<String>>;

/// A misprint of 3.1.1, and the number that is meant.
pub const MISPRINT: (&str, &str) = ("MQTT-3-8.3-4", "MQTT-3.8.3-4");

/// Every statement of a version, in the standard's order.
#[must_use]
pub fn statements(standard: Standard) -> Vec<Statement> {
    let path = folder().join("statements").join(format!("{}.json", standard.folder()));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The vectors of a version by the statements that they name: each as the name of its file and its own.
#[must_use]
pub fn vectors(standard: Standard) -> Proofs {
    let mut proofs = Proofs::new();
    for chapter in chapters(standard) {
        let file = chapter.file.trim_end_matches(".json").rsplit('/').next().expect("a name").to_owned();
        for vector in chapter.vectors {
            for statement in vector.statements {
                proofs.entry(statement).or_default().push(format!("{file}: {}", vector.name));
            }
        }
    }
    proofs
}

/// The files of `sources` by the statements that they name in brackets.
#[must_use]
pub fn named_in<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> Proofs {
    let mut proofs = Proofs::new();
    for (path, text) in sources {
        for number in numbers(text) {
            let files = proofs.entry(number).or_default();
            if files.last().is_none_or(|last| last != path) {
                files.push(path.to_owned());
            }
        }
    }
    proofs
}

/// The numbers that stand in brackets in a text.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    let bracketed = text.split('[').skip(1).filter_map(|rest| rest.split(']').next());
    let is_number = |text: &&str| {
        text.strip_prefix("MQTT-").is_some_and(|number| {
            number.contains('-') && number.chars().all(|it| it.is_ascii_digit() || matches!(it, '.' | '-'))
        })
    };
    bracketed.filter(is_number).map(|number| {
        let (misprint, meant) = MISPRINT;
        if number == misprint { meant.to_owned() } else { number.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_brackets() {
        let text = "x [MQTT-3.1.0-2], [`decode`] [MQTT-3-8.3-4]; MQTT-1.5.3-1 [MQTT-3.1] [MQTT-n]";
        let sources = [("a.rs", text), ("b.rs", "[MQTT-3.1.0-2] [MQTT-3.1.0-2]")];
        let proofs = named_in(sources.into_iter());
        let expected = [("MQTT-3.1.0-2", vec!["a.rs", "b.rs"]), ("MQTT-3.8.3-4", vec!["a.rs"])].map(
            |(number, files)| (number.to_owned(), files.into_iter().map(str::to_owned).collect::<Vec<_>>()),
        );
        assert_eq!(proofs, Proofs::from(expected));
    }

    #[test]
    fn every_number_of_both_standards_is_there_once() {
        for (standard, count) in [(Standard::V311, 141), (Standard::V5, 251)] {
            let mut ids: Vec<String> = statements(standard).into_iter().map(|it| it.id).collect();
            assert_eq!(ids.len(), count);
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), count, "of {standard:?}, each once");
        }
    }
}
