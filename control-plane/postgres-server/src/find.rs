//! Finds the programs of PostgreSQL on this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::StartError;

/// The oldest major version that the product is written for (Debian 12's).
pub(crate) const MAJOR_MIN: u32 = 15;

/// Debian keeps each major version's programs apart, below here and off `PATH`.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";

/// Where to look, in this order.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Named by a person: the only place then.
    pub(crate) bin_dir: Option<PathBuf>,
    /// Holds `<major>/bin`.
    pub(crate) versions_root: PathBuf,
    /// As in the environment.
    pub(crate) path: OsString,
}

/// A folder with `initdb` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) bin_dir: PathBuf,
}

impl Programs {
    fn at(bin_dir: &Path) -> Option<Self> {
        let whole = ["initdb", "postgres"].iter().all(|program| bin_dir.join(program).is_file());
        whole.then(|| Self { bin_dir: bin_dir.to_path_buf() })
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin_dir.join(program)
    }
}

/// Whether a PostgreSQL server is to be found on this machine: `PG_BIN_DIR`, Debian's folders, `PATH`.
pub fn is_installed() -> bool {
    Search::from_environment().programs(None).is_ok()
}

impl Search {
    pub(crate) fn from_environment() -> Self {
        Self {
            bin_dir: env::var_os("PG_BIN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            versions_root: PathBuf::from(DEBIAN_ROOT),
            path: env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// The programs of major version `wanted` (that of existing data) where they are, else the newest.
    pub(crate) fn programs(&self, wanted: Option<u32>) -> Result<Programs, StartError> {
        if let Some(bin_dir) = &self.bin_dir {
            return Programs::at(bin_dir).ok_or_else(|| StartError::NotInBinDir { bin_dir: bin_dir.clone() });
        }
        let mut versions = self.versions();
        versions.sort_by_key(|(major, _)| (wanted == Some(*major), *major));
        match versions.pop() {
            Some((_, programs)) => Ok(programs),
            None => env::split_paths(&self.path)
                .find_map(|folder| Programs::at(&folder))
                .ok_or(StartError::NotInstalled),
        }
    }

    fn versions(&self) -> Vec<(u32, Programs)> {
        let Ok(entries) = fs::read_dir(&self.versions_root) else { return Vec::new() };
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let major = entry.file_name().to_str()?.parse().ok()?;
                Some((major, Programs::at(&entry.path().join("bin"))?))
            })
            .collect()
    }
}

/// The major version in what `postgres --version` says: `postgres (PostgreSQL) 15.18 (Debian …)`.
pub(crate) fn major_version(said: &str) -> Option<u32> {
    let version = said.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(bin_dir: &Path) {
        fs::create_dir_all(bin_dir).expect("writable");
        for program in ["initdb", "postgres"] {
            fs::write(bin_dir.join(program), "").expect("writable");
        }
    }

    #[test]
    fn named_then_newest_then_path() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let root = temp.path();
        let mut search =
            Search { bin_dir: None, versions_root: root.join("lib"), path: root.join("path").into() };
        let found = |search: &Search, wanted| {
            let bin_dir = search.programs(wanted).expect("found").bin_dir;
            bin_dir.strip_prefix(root).expect("below").to_str().expect("text").to_owned()
        };
        assert!(matches!(search.programs(None), Err(StartError::NotInstalled)));

        install(&root.join("path"));
        assert_eq!(found(&search, None), "path");

        fs::create_dir_all(root.join("lib/18/bin")).expect("writable"); // the client alone
        for version in ["9", "15", "17"] {
            install(&root.join("lib").join(version).join("bin"));
        }
        assert_eq!(found(&search, None), "lib/17/bin");
        assert_eq!(found(&search, Some(15)), "lib/15/bin");
        assert_eq!(found(&search, Some(16)), "lib/17/bin");

        search.bin_dir = Some(root.join("mine"));
        assert!(matches!(search.programs(None), Err(StartError::NotInBinDir { .. })));
        install(&root.join("mine"));
        assert_eq!(found(&search, Some(15)), "mine");
    }

    #[test]
    fn versions() {
        for (said, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18beta2", Some(18)),
            ("postgres (PostgreSQL) ", None),
            ("mysqld 8", None),
        ] {
            assert_eq!(major_version(said), major, "{said}");
        }
    }
}
