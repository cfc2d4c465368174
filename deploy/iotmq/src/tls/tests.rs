//! Certificates as a client sees them: every test shakes hands, in memory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn made() -> Settings {
    Settings { certificate: String::new(), key: String::new(), names: Vec::new() }
}

fn open(directory: &Path, now: SystemTime) -> Tls {
    let names = Names::new(&["mq.example.com".into()], &[[192, 0, 2, 7].into()]);
    Tls::open(&made(), directory, names, now).expect("opens")
}

/// The certificate that a client gets who trusts `root` and calls the server `name`, or why it gets none.
fn shake_hands(
    server: &Arc<ServerConfig>,
    root: &[u8],
    name: &str,
    protocol: &[u8],
) -> Result<Vec<u8>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).expect("a certificate")).expect("a root");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = [protocol].iter().filter(|it| !it.is_empty()).map(|it| it.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        while !wire.is_empty() {
            let read = server.read_tls(&mut &wire[..]).expect("memory");
            wire.drain(..read);
            server.process_new_packets()?;
        }
        server.write_tls(&mut wire).expect("memory");
        while !wire.is_empty() {
            let read = client.read_tls(&mut &wire[..]).expect("memory");
            wire.drain(..read);
            client.process_new_packets()?;
        }
    }
    Ok(client.peer_certificates().expect("a chain")[0].to_vec())
}

#[test]
fn a_made_certificate_is_trusted_through_the_authority_under_each_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = open(directory.path(), clock());
    let trust = tls.authority.expect("made here");
    let root = fs::read(&trust.file).expect("the authority's file");
    for name in ["mq.example.com", "localhost", "192.0.2.7", "127.0.0.1", "::1"] {
        for (config, protocol) in [(&tls.http, &b"http/1.1"[..]), (&tls.mqtt, b"mqtt"), (&tls.mqtt, b"")] {
            shake_hands(config, &root, name, protocol).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    for name in ["evil.example.com", "192.0.2.8"] {
        assert!(shake_hands(&tls.http, &root, name, b"").is_err(), "{name}");
    }
    assert_eq!(trust.fingerprint.len(), 32 * 3 - 1);
    let mode =
        |name: &str| fs::metadata(directory.path().join("tls").join(name)).expect("there").permissions();
    assert_eq!(mode("ca.key").mode() & 0o777, 0o600);
    assert_eq!(mode("ca.pem").mode() & 0o777, 0o644);
}

fn clock() -> SystemTime {
    crate::clock::now()
}

#[test]
fn the_authority_is_founded_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = open(directory.path(), clock()).authority.expect("made here");
    let root = fs::read(&first.file).expect("the authority's file");
    let again = open(directory.path(), clock() + 400 * DAY);
    assert_eq!(again.authority.as_ref(), Some(&first));
    assert_eq!(fs::read(&first.file).expect("the authority's file"), root);

    fs::remove_file(&first.file).expect("is lost");
    let found = open(directory.path(), clock());
    shake_hands(&found.mqtt, &root, "localhost", b"").expect("the one that was given away still fits");

    fs::write(directory.path().join("tls/ca.key"), "x").expect("is damaged");
    let names = Names::new(&[], &[]);
    let error = Tls::open(&made(), directory.path(), names, clock()).err().expect("damaged");
    assert!(error.to_string().contains("is damaged"), "{error:#}");
}

#[test]
fn a_made_certificate_is_renewed_long_before_it_expires() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = clock();
    let mut tls = open(directory.path(), now);
    let root = fs::read(&tls.authority.as_ref().expect("made here").file).expect("the authority's file");
    let mut seen = vec![shake_hands(&tls.http, &root, "localhost", b"").expect("trusted")];
    for (days, is_renewed) in [(59, false), (61, true), (90, false), (122, true)] {
        tls.look(now + DAY * days);
        let certificate = tls.certificates.0.load().cert[0].to_vec();
        assert_eq!(!seen.contains(&certificate), is_renewed, "{days}");
        seen.push(certificate);
    }
}

/// A certificate of its own authority and its key, in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

struct Given {
    directory: TempDir,
    tls: Tls,
    writes: u64,
}

fn given(certificate: &str, key: &str) -> anyhow::Result<Given> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let settings = Settings { certificate: path("chain.pem"), key: path("key.pem"), names: Vec::new() };
    fs::write(&settings.certificate, certificate).expect("is written");
    fs::write(&settings.key, key).expect("is written");
    let tls = Tls::open(&settings, directory.path(), Names::default(), clock())?;
    Ok(Given { directory, tls, writes: 0 })
}

impl Given {
    /// Writes a file with a time of its own: the clock of a file system may be coarse.
    fn write(&mut self, name: &str, text: &str) {
        self.writes += 1;
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("is written");
        let file = fs::File::options().write(true).open(&path).expect("opens");
        file.set_modified(clock() + Duration::from_secs(self.writes)).expect("is set");
    }

    fn serves(&self, certificate: &str) -> bool {
        shake_hands(&self.tls.http, certificate.as_bytes(), "localhost", b"").is_ok()
    }
}

#[test]
fn the_next_handshake_sees_a_changed_file() {
    let ((first, first_key), (second, second_key)) = (pair(), pair());
    let mut given = given(&first, &first_key).expect("opens");
    assert!(given.tls.authority.is_none() && given.serves(&first));
    given.tls.look(clock());
    assert!(given.serves(&first));
    given.write("chain.pem", &second);
    given.tls.look(clock());
    assert!(given.serves(&first), "its key has yet to come");
    given.write("key.pem", &second_key);
    given.tls.look(clock());
    assert!(given.serves(&second) && !given.serves(&first));
}

#[test]
fn a_bad_file_leaves_the_certificate_before_it_in_use() {
    let ((first, first_key), (second, second_key)) = (pair(), pair());
    let mut given = given(&first, &first_key).expect("opens");
    for (name, text) in
        [("chain.pem", ""), ("chain.pem", "no PEM"), ("chain.pem", &*first_key), ("key.pem", "x")]
    {
        given.write(name, text);
        given.tls.look(clock());
        assert!(given.serves(&first), "{name}: {text:?}");
    }
    fs::remove_file(given.directory.path().join("key.pem")).expect("is removed");
    given.tls.look(clock());
    assert!(given.serves(&first));
    given.write("key.pem", &second_key);
    given.write("chain.pem", &second);
    given.tls.look(clock());
    assert!(given.serves(&second), "and a good one is taken after all");
}

/// The key stays the same, and is away for a moment while the two are written.
#[test]
fn a_new_certificate_for_the_same_key_is_taken_though_the_key_was_away() {
    let key = KeyPair::generate().expect("a key");
    let [first, second] = ["one.example.com", "two.example.com"].map(|name| {
        let params = CertificateParams::new(vec!["localhost".to_owned(), name.to_owned()]).expect("names");
        params.self_signed(&key).expect("a certificate")
    });
    let mut given = given(&first.pem(), &key.serialize_pem()).expect("opens");
    let served = |given: &Given| given.tls.certificates.0.load().cert[0].to_vec();
    let path = given.directory.path().join("key.pem");
    let away = given.directory.path().join("away.pem");
    fs::rename(&path, &away).expect("is moved");
    given.write("chain.pem", &second.pem());
    for _ in 0..2 {
        given.tls.look(clock());
        assert_eq!(served(&given), first.der().to_vec());
    }
    fs::rename(&away, &path).expect("is moved");
    given.tls.look(clock());
    assert_eq!(served(&given), second.der().to_vec());
}

#[test]
fn what_is_wrong_with_the_files_is_told_once() {
    let ((certificate, key), (other, _)) = (pair(), pair());
    let mut given = given(&certificate, &key).expect("opens");
    let provider = Arc::clone(given.tls.mqtt.crypto_provider());
    let told = |given: &mut Given| match &mut given.tls.source {
        Source::Files(files) => files.changed(&provider).map(|found| found.is_ok()),
        Source::Made(..) => panic!("files were given"),
    };
    assert_eq!(told(&mut given), None);
    for _ in 0..2 {
        given.write("chain.pem", &other);
        assert_eq!((told(&mut given), told(&mut given)), (Some(false), None));
        given.write("chain.pem", "no PEM");
        assert_eq!((told(&mut given), told(&mut given)), (Some(false), None));
    }
    given.write("chain.pem", &certificate);
    assert_eq!((told(&mut given), told(&mut given)), (Some(true), None));
}

#[test]
fn what_cannot_be_used_at_the_start_is_said() {
    let ((certificate, key), (_, other_key)) = (pair(), pair());
    for (certificate, key, said) in [
        ("", &*key, "chain.pem` holds no certificate"),
        (&*certificate, "", "key.pem` holds no key"),
        (&*certificate, &*other_key, "do not belong together"),
    ] {
        let error = given(certificate, key).err().expect(said);
        assert!(format!("{error:#}").contains(said), "{error:#}");
    }
    let half = Settings { certificate: "/chain.pem".into(), ..made() };
    let error = Tls::open(&half, Path::new("/"), Names::default(), clock()).err().expect("half of a pair");
    assert!(error.to_string().contains("go together"), "{error:#}");
}
