//! Certificates of the process: given files, or ones made here; read again when they change, and renewed before they
//! expire. Whatever listens over TLS uses the newest at each handshake.

mod authority;
mod files;
mod names;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use self::authority::Authority;
use self::files::Files;
pub(crate) use self::names::{Names, reachable};
use crate::announce;

/// How often files are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(3);

/// Where certificates come from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A chain in PEM; empty: one is made.
    pub(crate) certificate: String,
    /// Its key in PEM.
    pub(crate) key: String,
    /// Names of this machine for a certificate that is made.
    pub(crate) names: Vec<String>,
}

/// The certificates, and what a client needs to trust them.
pub(crate) struct Tls {
    /// For MQTT itself.
    pub(crate) mqtt: Arc<ServerConfig>,
    /// For HTTP, and what begins as such.
    pub(crate) http: Arc<ServerConfig>,
    /// There if the certificates are made here.
    pub(crate) authority: Option<Trust>,
    certificates: Arc<Certificates>,
    source: Source,
}

/// What a client is to trust.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trust {
    /// The certificate in PEM.
    pub(crate) file: PathBuf,
    /// The SHA-256 of the certificate, as people compare it.
    pub(crate) fingerprint: String,
}

enum Source {
    Files(Files),
    Made(Box<Authority>, Names),
}

/// The newest certificate.
#[derive(Debug)]
struct Certificates(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the given certificate, or makes one for `names`; what is made is kept below `directory`.
    pub(crate) fn open(
        settings: &Settings,
        directory: &Path,
        names: Names,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (source, authority, first) = match (&*settings.certificate, &*settings.key) {
            ("", "") => {
                let authority = Authority::open(&directory.join("tls"), now)?;
                let first = authority.issue(&names, now, &provider)?;
                let trust = authority.trust();
                (Source::Made(Box::new(authority), names), Some(trust), first)
            }
            (certificate, key) if !certificate.is_empty() && !key.is_empty() => {
                let (files, first) = Files::open(certificate.as_ref(), key.as_ref(), &provider)
                    .context("the given certificate cannot be used")?;
                (Source::Files(files), None, first)
            }
            _ => bail!("`tls.certificate` and `tls.key` go together: give both, or none"),
        };
        let certificates = Arc::new(Certificates(ArcSwap::from_pointee(first)));
        Ok(Self {
            mqtt: server_config(&provider, &certificates, b"mqtt")?,
            http: server_config(&provider, &certificates, b"http/1.1")?,
            authority,
            certificates,
            source,
        })
    }

    /// Keeps the certificates new until `stop`.
    pub(crate) async fn keep_new(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_PERIOD)).await.is_some() {
            self.look(crate::clock::now());
        }
    }

    /// Takes a changed or a renewed certificate. A bad one is told about, and the one before stays.
    fn look(&mut self, now: SystemTime) {
        let provider = Arc::clone(self.mqtt.crypto_provider());
        let newer = match &mut self.source {
            Source::Files(files) => files.changed(&provider),
            Source::Made(authority, names) => authority.renewed(names, now, &provider),
        };
        match newer {
            None => {}
            Some(Ok(certificate)) => {
                self.certificates.0.store(Arc::new(certificate));
                announce::progress("a new certificate is in use");
            }
            Some(Err(error)) => {
                announce::progress(&format!("the new certificate is not used, the old one stays: {error:#}"));
            }
        }
    }
}

/// `protocol` is agreed on with clients that ask for one at all.
fn server_config(
    provider: &Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
    protocol: &[u8],
) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![protocol.to_vec()];
    // A client that comes back costs no signature, and the node keeps nothing for it.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
