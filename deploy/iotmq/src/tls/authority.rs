//! An authority of this installation's own, for machines that nobody has given a certificate. Its key and its
//! certificate are kept; the certificates that it issues live in memory, as long as the process at most.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Names, Trust};

const KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "ca.pem";

const DAY: Duration = Duration::from_hours(24);

/// How long the authority is good: as long as the devices that are told to trust it may be out.
const AUTHORITY_TIME: Duration = DAY.saturating_mul(365 * 20);

/// How long a certificate is good, and after how long the next one is made.
const CERTIFICATE_TIME: Duration = DAY.saturating_mul(90);
const RENEW_AFTER: Duration = DAY.saturating_mul(60);

/// Clocks of devices go wrong: a certificate is good a little before it is made.
const BACK_TIME: Duration = DAY;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    path: PathBuf,
    issued_at: SystemTime,
}

impl Authority {
    /// Opens the authority kept in `directory`, or founds it there.
    pub(super) fn open(directory: &Path, now: SystemTime) -> anyhow::Result<Self> {
        let (key_path, path) = (directory.join(KEY_FILE), directory.join(CERTIFICATE_FILE));
        let named = |path: &Path| format!("the certificate authority in `{}`", path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .with_context(|| named(directory))?;
        let key = match fs::read_to_string(&key_path) {
            Ok(text) => {
                KeyPair::from_pem(&text).with_context(|| format!("{} is damaged", named(&key_path)))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                keep(&key_path, &key.serialize_pem(), 0o600).with_context(|| named(&key_path))?;
                key
            }
            Err(error) => return Err(error).with_context(|| named(&key_path)),
        };
        // The same key gives the same name, so what it signs fits the certificate that is kept.
        let params = params_of(&key, now)?;
        let certificate = match fs::read(&path) {
            Ok(text) => CertificateDer::from_pem_slice(&text)
                .with_context(|| format!("{} is damaged", named(&path)))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let certificate = params.self_signed(&key)?;
                keep(&path, &certificate.pem(), 0o644).with_context(|| named(&path))?;
                certificate.der().clone()
            }
            Err(error) => return Err(error).with_context(|| named(&path)),
        };
        Ok(Self { issuer: Issuer::new(params, key), certificate, path, issued_at: now })
    }

    pub(super) fn trust(&self) -> Trust {
        let bytes = digest(&SHA256, &self.certificate);
        let pairs: Vec<_> = bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Trust { file: self.path.clone(), fingerprint: pairs.join(":") }
    }

    /// A certificate for these names, with a key of its own.
    pub(super) fn issue(
        &self,
        names: &Names,
        now: SystemTime,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<CertifiedKey> {
        let mut params = CertificateParams::new(names.all()).context("a name for the certificate is none")?;
        params.not_before = (now - BACK_TIME).into();
        params.not_after = (now + CERTIFICATE_TIME).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "IoT MQ");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }

    /// The next certificate, when it is time for it.
    pub(super) fn renewed(
        &mut self,
        names: &Names,
        now: SystemTime,
        provider: &Arc<CryptoProvider>,
    ) -> Option<anyhow::Result<CertifiedKey>> {
        let age = now.duration_since(self.issued_at).unwrap_or_default();
        if age < RENEW_AFTER {
            return None;
        }
        let issued = self.issue(names, now, provider);
        if issued.is_ok() {
            self.issued_at = now;
        }
        Some(issued)
    }
}

/// What the certificate of the authority says.
fn params_of(key: &KeyPair, now: SystemTime) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACK_TIME).into();
    params.not_after = (now + AUTHORITY_TIME).into();
    // Two installations must not have authorities of one name: whoever trusts both would look at the wrong key.
    let hash = digest(&SHA256, key.public_key_raw());
    let number = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("IoT MQ authority {number}"));
    Ok(params)
}

/// Writes beside and renames, so that a crash leaves the whole file or none.
fn keep(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
