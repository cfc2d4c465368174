//! The cache of checked queries in `.sqlx/`: what the macros of sqlx learnt from a database, committed so
//! that nobody needs a database to compile.
//!
//! The macros write it themselves when they are compiled with a database and a folder to write to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::packages::{self, POSTGRES};
use crate::private_postgres::PrivatePostgres;
use crate::run::{self, cargo, step};

/// The only crate with queries.
const CRATE: &str = "store";
const DATABASE: &str = "prepare";
/// How many differences a message names.
const LISTED_MAX: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if the cache is not what the code and the migrations make
    #[arg(long)]
    check: bool,
}

/// File name to content.
type Cache = BTreeMap<String, String>;

/// Fails if the cache is not what the code and the migrations make.
pub(crate) fn check() -> Result<()> {
    run(&Arguments { check: true })
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = run::root();
    let committed = root.join(".sqlx");
    let made = make(&root)?;
    let differences = differences(&read(&committed)?, &made);
    if differences.is_empty() {
        step(&format!("{} checked queries, cache up to date", made.len()));
        return Ok(());
    }
    if arguments.check {
        let list = differences[..differences.len().min(LISTED_MAX)].join("\n  ");
        let count = differences.len();
        bail!(
            "the cache of checked queries is out of date; run `cargo xtask prepare` ({count} files):\n  {list}"
        );
    }
    replace(&committed, &made)?;
    step(&format!("{} checked queries, {} files of .sqlx changed", made.len(), differences.len()));
    Ok(())
}

fn make(root: &Path) -> Result<Cache> {
    packages::ensure(&[POSTGRES])?;
    let postgres = PrivatePostgres::start()?;
    postgres.server.create_database(DATABASE)?;
    for migration in migrations(&root.join("migrations"))? {
        let sql = fs::read_to_string(&migration)
            .with_context(|| format!("cannot read `{}`", migration.display()))?;
        let applied = postgres.server.run_sql(DATABASE, &sql);
        applied.with_context(|| format!("migration `{}`", migration.display()))?;
    }
    // A target directory of its own: compiling with a database must not undo what is built without.
    let target = root.join("target/prepare");
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    step("compiling the queries against it");
    run::run_and_return(cargo(["clean", "--quiet", "--package", CRATE]).env("CARGO_TARGET_DIR", &target))?;
    run::run_and_return(
        cargo(["check", "--quiet", "--package", CRATE, "--all-targets"])
            .env("CARGO_TARGET_DIR", &target)
            .env("DATABASE_URL", postgres.server.url(DATABASE))
            .env("SQLX_OFFLINE", "false")
            .env("SQLX_OFFLINE_DIR", folder.path()),
    )?;
    let made = read(folder.path())?;
    if made.is_empty() {
        bail!("crate `{CRATE}` compiled and no query was written to the cache");
    }
    Ok(made)
}

/// In the order of their numbers.
fn migrations(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number: Option<u64> = name.split_once('_').and_then(|(number, _)| number.parse().ok());
        numbered.push((number.with_context(|| format!("migration `{name}` has no number"))?, path));
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// The cache in a folder; an absent folder is empty.
fn read(folder: &Path) -> Result<Cache> {
    let mut cache = Cache::new();
    if !folder.exists() {
        return Ok(cache);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_json = Path::new(&name).extension().is_some_and(|extension| extension == "json");
        if name.starts_with("query-") && is_json {
            cache.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(cache)
}

fn differences(committed: &Cache, made: &Cache) -> Vec<String> {
    let new = made.iter().filter_map(|(name, content)| match committed.get(name) {
        None => Some(format!("missing: {name}")),
        Some(old) if old != content => Some(format!("changed: {name}")),
        Some(_) => None,
    });
    let stale = committed.keys().filter(|name| !made.contains_key(*name));
    new.chain(stale.map(|name| format!("unused: {name}"))).collect()
}

fn replace(folder: &Path, made: &Cache) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in read(folder)?.keys().filter(|name| !made.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, content) in made {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(files: &[(&str, &str)]) -> Cache {
        files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told_and_mended() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let old = cache(&[("query-a.json", "a"), ("query-b.json", "b"), ("query-c.json", "c")]);
        let new = cache(&[("query-a.json", "a"), ("query-b.json", "B"), ("query-d.json", "d")]);
        assert_eq!(
            differences(&old, &new),
            ["changed: query-b.json", "missing: query-d.json", "unused: query-c.json"]
        );
        replace(folder.path(), &old).expect("written");
        replace(folder.path(), &new).expect("written");
        assert_eq!(read(folder.path()).expect("read"), new);
    }

    #[test]
    fn migrations_go_by_number() {
        let folder = tempfile::tempdir().expect("temporary directory");
        for name in ["0010_c.sql", "0002_b.sql", "README.md", "0001_a.sql"] {
            fs::write(folder.path().join(name), "").expect("writable");
        }
        let sorted = migrations(folder.path()).expect("listed");
        let names: Vec<_> = sorted.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["0001_a.sql", "0002_b.sql", "0010_c.sql"]);
        fs::write(folder.path().join("later.sql"), "").expect("writable");
        migrations(folder.path()).expect_err("no number");
    }
}
