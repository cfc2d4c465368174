//! The committed figures, and how new ones compare with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// By how much a script may become dearer before somebody has to decide.
pub(super) const DEARER_PERCENT_MAX: f64 = 3.0;

/// Instructions a message, by script.
#[derive(Debug, Default)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// Those of the file; none if there is no file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let figures =
            serde_json::from_str(&text).with_context(|| format!("`{}` holds no figures", path.display()))?;
        Ok(Self(figures))
    }

    /// Writes the file.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Takes new figures in the place of the old ones.
    pub(super) fn accept(&mut self, counted: &BTreeMap<String, u64>) {
        self.0.extend(counted.iter().map(|(script, each)| (script.clone(), *each)));
    }

    /// The scripts that have become dearer than may be without a decision, each with by how much.
    pub(super) fn dearer(&self, counted: &BTreeMap<String, u64>) -> Vec<String> {
        let changes = counted.iter().filter_map(|(script, each)| Some((script, self.change(script, *each)?)));
        changes
            .filter(|(_, percent)| *percent > DEARER_PERCENT_MAX)
            .map(|(script, percent)| format!("{script} {percent:+.1} %"))
            .collect()
    }

    /// For people.
    pub(super) fn table(&self, counted: &BTreeMap<String, u64>) -> String {
        let mut lines = vec![format!(
            "{:<24} {:>10} {:>10} {:>8}",
            "instructions a message", "committed", "now", "change"
        )];
        for (script, each) in counted {
            let before = self.0.get(script).map_or_else(|| "-".to_owned(), u64::to_string);
            let change =
                self.change(script, *each).map_or_else(|| "-".to_owned(), |it| format!("{it:+.1} %"));
            lines.push(format!("{script:<24} {before:>10} {each:>10} {change:>8}"));
        }
        lines.join("\n")
    }

    fn change(&self, script: &str, each: u64) -> Option<f64> {
        let before = *self.0.get(script)?;
        Some((each as f64 - before as f64) * 100.0 / before as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(figures: &[(&str, u64)]) -> BTreeMap<String, u64> {
        figures.iter().map(|(script, each)| ((*script).to_owned(), *each)).collect()
    }

    #[test]
    fn three_percent_are_allowed_and_more_is_a_decision() {
        let mut figures = Figures(counted(&[("a", 1_000), ("b", 1_000), ("c", 1_000)]));
        let now = counted(&[("a", 1_030), ("b", 1_031), ("new", 5_000)]);
        assert_eq!(figures.dearer(&now), ["b +3.1 %"]);
        figures.accept(&now);
        assert!(figures.dearer(&now).is_empty());
        assert_eq!(figures.0, counted(&[("a", 1_030), ("b", 1_031), ("c", 1_000), ("new", 5_000)]));
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("figures.json");
        assert!(Figures::read(&path).expect("none yet").0.is_empty());
        Figures(counted(&[("a", 1)])).write(&path).expect("written");
        assert_eq!(Figures::read(&path).expect("read").0, counted(&[("a", 1)]));
    }
}
