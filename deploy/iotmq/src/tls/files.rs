//! A certificate and its key in files that somebody else writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The two files as they were when they were last looked at.
pub(super) struct Files {
    certificate: File,
    key: File,
    /// There is a text in them that is not in use.
    is_dirty: bool,
    /// What was last said to be wrong with them: it is not said at every look.
    told: Option<String>,
}

struct File {
    path: PathBuf,
    /// When what was read had been changed and how long it is: a first look, which costs little.
    mark: Option<(SystemTime, u64)>,
    text: Vec<u8>,
}

impl Files {
    pub(super) fn open(
        certificate: &Path,
        key: &Path,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<(Self, CertifiedKey)> {
        let (certificate, key) = (File::new(certificate), File::new(key));
        let mut files = Self { certificate, key, is_dirty: false, told: None };
        files.certificate.read()?;
        files.key.read()?;
        let first = files.parse(provider)?;
        Ok((files, first))
    }

    /// What is in the files, if that is something new. The two are not written at one moment: a certificate whose key
    /// has yet to come is an error, and looked at again until it has. An error is told once, until a file changes.
    pub(super) fn changed(&mut self, provider: &Arc<CryptoProvider>) -> Option<anyhow::Result<CertifiedKey>> {
        let (certificate, key) = (self.certificate.read(), self.key.read());
        if matches!(certificate, Ok(true)) || matches!(key, Ok(true)) {
            self.is_dirty = true;
            self.told = None;
        }
        let found = match (certificate, key) {
            (Ok(_), Ok(_)) if self.is_dirty => self.parse(provider),
            (Ok(_), Ok(_)) => {
                self.told = None;
                return None;
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        match found {
            Ok(found) => {
                self.is_dirty = false;
                self.told = None;
                Some(Ok(found))
            }
            Err(error) => {
                let said = Some(format!("{error:#}"));
                let is_new = self.told != said;
                self.told = said;
                is_new.then_some(Err(error))
            }
        }
    }

    fn parse(&self, provider: &Arc<CryptoProvider>) -> anyhow::Result<CertifiedKey> {
        let named = |file: &File, what: &str| format!("`{}` holds no {what} in PEM", file.path.display());
        let chain = CertificateDer::pem_slice_iter(&self.certificate.text)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| named(&self.certificate, "certificate"))?;
        if chain.is_empty() {
            bail!(named(&self.certificate, "certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key.text).with_context(|| named(&self.key, "key"))?;
        CertifiedKey::from_der(chain, key, provider).with_context(|| {
            let (certificate, key) = (self.certificate.path.display(), self.key.path.display());
            format!("`{certificate}` and `{key}` do not belong together")
        })
    }
}

impl File {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), mark: None, text: Vec::new() }
    }

    /// Reads the file again if it has changed: whether there is another text in it than before. What could not be read
    /// is read again at the next look, though nothing but a right may have changed until then.
    fn read(&mut self) -> anyhow::Result<bool> {
        let unreadable = || format!("cannot read `{}`", self.path.display());
        let found = fs::metadata(&self.path).and_then(|found| Ok((found.modified()?, found.len())));
        let mark = found.with_context(unreadable)?;
        if self.mark == Some(mark) {
            return Ok(false);
        }
        if mark.1 > FILE_BYTES_MAX {
            bail!("`{}` is too large for a certificate", self.path.display());
        }
        let text = fs::read(&self.path).with_context(unreadable)?;
        self.mark = Some(mark);
        let is_other = text != self.text;
        self.text = text;
        Ok(is_other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory stands for a file that may not be read: both can be looked at from outside.
    #[test]
    fn what_could_not_be_read_is_read_at_the_next_look() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        fs::create_dir(&path).expect("is made");
        let mut file = File::new(&path);
        for look in 0..3 {
            assert!(file.read().is_err(), "{look}");
        }
        fs::remove_dir(&path).expect("is removed");
        fs::write(&path, "key").expect("is written");
        assert!(file.read().expect("is readable"));
        assert!(!file.read().expect("has not changed"));
    }
}
