//! The data directory: where it is, that it is ours alone, and the master key in it.

use std::env;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use contract::base64::Base64;
use postgres_server::DataDirectory;
use service::seal::MasterKey;

/// What is called by the product's name below a directory for data.
const PRODUCT: &str = "iotmq";
/// The key that seals what is secret at rest.
const MASTER_KEY_FILE: &str = "master.key";

/// Takes the data directory for this process; the whole tree below it belongs to the product.
pub(crate) fn take(configured: &str) -> anyhow::Result<DataDirectory> {
    let path = if configured.is_empty() { default_path()? } else { PathBuf::from(configured) };
    let path = std::path::absolute(&path).with_context(|| format!("`{}` is no path", path.display()))?;
    Ok(DataDirectory::lock(&path)?)
}

fn default_path() -> anyhow::Result<PathBuf> {
    if nix::unistd::Uid::effective().is_root() {
        return Ok(Path::new("/var/lib").join(PRODUCT));
    }
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (variable("XDG_DATA_HOME"), variable("HOME")) {
        (Some(data), _) => Ok(data.join(PRODUCT)),
        (None, Some(home)) => Ok(home.join(".local/share").join(PRODUCT)),
        (None, None) => {
            bail!("there is no home directory to keep data in: give one with `--data-dir DIRECTORY`")
        }
    }
}

/// Reads the master key, or draws and keeps it at the first start.
///
/// Whoever has this file and the database can read the signing keys: it is made readable by its owner alone.
pub(crate) fn master_key(directory: &Path) -> anyhow::Result<MasterKey> {
    let path = directory.join(MASTER_KEY_FILE);
    let named = || format!("master key `{}`", path.display());
    match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text).with_context(named)?;
            parse(text.trim()).with_context(|| format!("{} is damaged", named()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = MasterKey::generate();
            keep(&path, &Base64(key.expose().to_vec()).encode()).with_context(named)?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(named),
    }
}

fn parse(text: &str) -> Option<MasterKey> {
    let bytes = Base64::decode(text)?.0;
    Some(MasterKey::new(bytes.try_into().ok()?))
}

/// Writes beside and renames, so that a crash leaves the whole key or none.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_master_key_is_drawn_once_and_closed_to_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = master_key(directory.path()).expect("drawn");
        let again = master_key(directory.path()).expect("read");
        assert!(first == again, "the same key");
        let mode =
            std::fs::metadata(directory.path().join(MASTER_KEY_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_master_key_is_no_key() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(MASTER_KEY_FILE), "x").expect("written");
        let error = master_key(directory.path()).expect_err("damaged");
        assert!(error.to_string().ends_with("master.key` is damaged"), "{error:#}");
    }
}
