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
}

struct File {
    path: PathBuf,
    /// When it was changed and how long it is: a first look, which costs little.
    mark: Option<(SystemTime, u64)>,
    text: Vec<u8>,
}

impl Files {
    pub(super) fn open(
        certificate: &Path,
        key: &Path,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<(Self, CertifiedKey)> {
        let mut files = Self { certificate: File::new(certificate), key: File::new(key) };
        files.certificate.read()?;
        files.key.read()?;
        let first = files.parse(provider)?;
        Ok((files, first))
    }

    /// What is in the files, if that is something new. The two are not written at one moment: a certificate whose key
    /// has yet to come is an error, and looked at again when it has.
    pub(super) fn changed(&mut self, provider: &Arc<CryptoProvider>) -> Option<anyhow::Result<CertifiedKey>> {
        let (certificate, key) = (self.certificate.changed(), self.key.changed());
        match (certificate, key) {
            (Ok(false), Ok(false)) => None,
            (Ok(_), Ok(_)) => Some(self.parse(provider)),
            (Err(error), _) | (_, Err(error)) => Some(Err(error)),
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

    fn read(&mut self) -> anyhow::Result<()> {
        self.changed().map(drop)
    }

    /// Whether there is another text in it than before. An error is told once, until the file changes again.
    fn changed(&mut self) -> anyhow::Result<bool> {
        let found = fs::metadata(&self.path).and_then(|found| Ok((found.modified()?, found.len())));
        let mark = match found {
            Ok(mark) if self.mark == Some(mark) => return Ok(false),
            Ok(mark) => mark,
            Err(_) if self.mark.is_none() && !self.text.is_empty() => return Ok(false),
            Err(error) => {
                self.mark = None;
                return Err(error).with_context(|| format!("cannot read `{}`", self.path.display()));
            }
        };
        self.mark = Some(mark);
        if mark.1 > FILE_BYTES_MAX {
            bail!("`{}` is too large for a certificate", self.path.display());
        }
        let text = fs::read(&self.path).with_context(|| format!("cannot read `{}`", self.path.display()))?;
        let is_other = text != self.text;
        self.text = text;
        Ok(is_other)
    }
}
