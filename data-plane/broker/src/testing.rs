//! What the tests of this crate share: configuration made by hand, a node that has it, and tokens signed here.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use contract::base64::Base64;
use contract::claims::{AUDIENCE, TokenClaims};
use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{
    Authentication, Change, CredentialDocument, CredentialSecret, Document, Generation, InstanceDocument,
    InstanceState, PasswordVerifier, SigningKeyDocument, TopicMode,
};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId, TenantId, TimelineId, TokenId};
use contract::limits::InstanceLimits;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::shared_group::SharedStrategy;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mqtt::Connect;
use replica::{Affected, InstanceRules, Replica, Revocations};
use tempfile::TempDir;
use uuid::Uuid;

use crate::api_publish::Publication;
use crate::clock::unix_now;
use crate::config_sync::Connections;
use crate::testing_log::HeldLog;
pub(crate) use crate::testing_peer::Peer;
use crate::{Broker, Config, Extras};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The name of the signing key of every instance.
pub(crate) const KID: &str = "k1";

/// The password of every credential.
pub(crate) const PASSWORD: &str = "a-generated-secret";

/// Grants everything that is served.
pub(crate) const ALL: &str = r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2}]"##;

pub(crate) fn instance_id(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

pub(crate) fn document(number: u128) -> InstanceDocument {
    InstanceDocument {
        id: instance_id(number),
        tenant: TenantId(Uuid::from_u128(1_000 + number)),
        label: format!("label-{number}"),
        state: InstanceState::Running,
        topic_mode: TopicMode::Open,
        authentication: vec![Authentication::Token, Authentication::Password],
        durability: DurabilityClass::default(),
        queue_overflow: QueueOverflow::default(),
        shared_strategy: SharedStrategy::default(),
        limits: InstanceLimits::default(),
    }
}

pub(crate) fn rules(number: u128) -> InstanceRules {
    InstanceRules {
        document: document(number),
        topics: Arc::default(),
        keys: Arc::default(),
        revocations: Revocations::default(),
        epoch: 1,
    }
}

pub(crate) fn grants(json: &str) -> Grants {
    serde_json::from_str(json).expect("grants")
}

pub(crate) fn credential(instance: u128, username: &str, grants_json: &str) -> CredentialDocument {
    let salt = b"salt of this secret".to_vec();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &salt);
    let hash = aws_lc_rs::hmac::sign(&key, PASSWORD.as_bytes()).as_ref().to_vec();
    CredentialDocument {
        id: CredentialId(Uuid::new_v5_like(username)),
        instance: instance_id(instance),
        username: username.into(),
        client_id: None,
        enabled: true,
        secrets: vec![CredentialSecret {
            verifier: PasswordVerifier { salt: Base64(salt), hash: Base64(hash) },
            scram: crate::scram::keys(PASSWORD.as_bytes(), b"salt of this secret for SCRAM"),
        }],
        grants: grants(grants_json),
    }
}

/// An id made of a name: the same name, the same id.
trait OfName {
    fn new_v5_like(name: &str) -> Self;
}

impl OfName for Uuid {
    fn new_v5_like(name: &str) -> Self {
        let mut bytes = [0; 16];
        for (at, byte) in name.bytes().enumerate() {
            bytes[at % 16] ^= byte;
        }
        Self::from_bytes(bytes)
    }
}

/// A node with configuration made by hand.
pub(crate) struct Fixture {
    pub(crate) broker: Broker,
    pub(crate) log: Arc<HeldLog>,
    /// To start it once more.
    given: (Config, Extras),
    key: Vec<u8>,
    generation: u64,
    dir: TempDir,
}

/// What a fixture begins with.
pub(crate) struct Given {
    pub(crate) config: Config,
    pub(crate) extras: Extras,
    pub(crate) documents: Vec<Document>,
}

impl Given {
    /// So many workers, and each instance spread over all of them. Two instances, 1 and 2; the first is meant where
    /// none is named.
    pub(crate) fn workers(workers: usize) -> Self {
        let mut config = Config { workers, connections_per_worker_max: 1, ..Config::default() };
        config.listeners[0].address = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners[0].default_instance = Some("label-1".into());
        let instances = [1, 2].map(|number| Document::Instance(document(number)));
        Self { config, extras: Extras::default(), documents: instances.into() }
    }

    pub(crate) fn with(mut self, document: Document) -> Self {
        self.documents.push(document);
        self
    }

    /// Changes the limits of instance 1.
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut InstanceLimits)) -> Self {
        if let Document::Instance(instance) = &mut self.documents[0] {
            change(&mut instance.limits);
        }
        self
    }

    /// Starts a node whose messages are stored in a log of the test.
    pub(crate) fn start(self) -> Fixture {
        let log = HeldLog::new();
        let engine = log.engine();
        self.start_on(log, |config, extras| crate::app::start_on(config, extras, |_| Ok(engine)))
    }

    /// Starts a node whose messages are stored in files.
    pub(crate) fn start_with_files(self) -> Fixture {
        self.start_on(HeldLog::new(), crate::start_with)
    }

    fn start_on(
        mut self,
        log: Arc<HeldLog>,
        start: impl FnOnce(Config, Extras) -> Result<Broker, crate::StartError>,
    ) -> Fixture {
        let dir = tempfile::tempdir().expect("a directory");
        self.config.data_dir = dir.path().to_owned();
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let public = Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key").public_key().as_ref().to_vec();
        for instance in [1, 2] {
            self.documents.push(Document::SigningKey(SigningKeyDocument {
                instance: instance_id(instance),
                kid: KID.into(),
                public_key: Base64(public.clone()),
                verifies_until: None,
            }));
        }
        fill(dir.path(), &self.documents);
        let given = (self.config.clone(), self.extras.clone());
        let broker = start(self.config, self.extras).expect("starts");
        Fixture { broker, log, given, key: key.as_ref().to_vec(), generation: 1, dir }
    }
}

const TIMELINE: TimelineId = TimelineId(Uuid::nil());

pub(crate) fn fill(dir: &Path, documents: &[Document]) {
    let replica = Arc::new(Replica::open(&dir.join("replica")).expect("opens"));
    let mut export = replica.begin_export().expect("begins");
    export.put(documents).expect("is put");
    export.finish(Generation { timeline: TIMELINE, number: 1 }, 0).expect("finishes");
}

impl Fixture {
    /// One worker, and as many as make messages cross.
    pub(crate) fn start(workers: usize) -> Self {
        Given::workers(workers).start()
    }

    /// Stops the node, and starts it again on the log of the test. What the old one writes with its end is lost, if the
    /// log loses it: that is a crash.
    pub(crate) async fn restart_on_log(self) -> Self {
        let Self { broker, log, given, key, generation, dir } = self;
        broker.stop().await;
        log.lose(false);
        let (config, extras) = given.clone();
        let engine = log.engine();
        let broker = crate::app::start_on(config, extras, |_| Ok(engine)).expect("starts again");
        Self { broker, log, given, key, generation, dir }
    }

    /// How often messages were dropped for this reason.
    pub(crate) async fn dropped(&self, reason: crate::DropReason) -> u64 {
        self.broker.metrics().await.total.dropped.get(&reason).copied().unwrap_or(0)
    }

    /// Stops the node, and starts it again on what it has stored in files.
    pub(crate) async fn restart(self) -> Self {
        let Self { broker, log, given, key, generation, dir } = self;
        broker.stop().await;
        let (config, extras) = given.clone();
        let broker = crate::start_with(config, extras).expect("starts again");
        Self { broker, log, given, key, generation, dir }
    }

    /// Applies changes of the configuration and has live connections looked at, as the feed does.
    pub(crate) async fn change(&mut self, changes: &[Change]) {
        self.generation += 1;
        let generation = Generation { timeline: TIMELINE, number: self.generation };
        let affected = self.broker.replica().apply(changes, generation).expect("applies");
        self.recheck(affected).await;
    }

    pub(crate) async fn recheck(&self, affected: Affected) -> u64 {
        let closed = self.broker.control().recheck_urgent(vec![(7, affected)]).await;
        closed.get(&7).copied().unwrap_or_default()
    }

    /// Gives an instance the key with which tokens are signed here.
    pub(crate) async fn put_key(&mut self, instance: u128) {
        let key = Ed25519KeyPair::from_pkcs8(&self.key).expect("a key");
        let public_key = Base64(key.public_key().as_ref().to_vec());
        let instance = instance_id(instance);
        let document = SigningKeyDocument { instance, kid: KID.into(), public_key, verifies_until: None };
        self.put(Document::SigningKey(document)).await;
    }

    pub(crate) async fn put(&mut self, document: Document) {
        self.change(&[Change::Put { document: Box::new(document) }]).await;
    }

    pub(crate) fn sign(&self, claims: &TokenClaims) -> String {
        let header = Header { kid: Some(KID.into()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&self.key)).expect("signs")
    }

    /// A client of an instance with every right, connected by a token of its own.
    pub(crate) async fn client(&self, instance: u128, client_id: &str) -> Peer {
        self.client_with(&claims(instance, client_id), client_id).await
    }

    /// A client whose session is kept; it is `present` when there was one already.
    pub(crate) async fn lasting_client(&self, client_id: &str, present: bool) -> Peer {
        let token = self.sign(&claims(1, client_id));
        let mut peer = self.peer().await;
        peer.connect(&Connect { clean_start: false, ..connect(client_id, &token) }).await;
        let expected = if present { "connack with a session" } else { "connack 0" };
        assert_eq!(peer.next().await, expected, "{client_id}");
        peer
    }

    /// A client connected by a token with these claims.
    pub(crate) async fn client_with(&self, claims: &TokenClaims, client_id: &str) -> Peer {
        let token = self.sign(claims);
        let mut peer = self.peer().await;
        peer.connect(&connect(client_id, &token)).await;
        assert_eq!(peer.next().await, "connack 0", "{client_id}");
        peer
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn peer(&self) -> Peer {
        Peer::at(self.broker.mqtt_address()).await
    }

    /// What a client is told that connects like this.
    pub(crate) async fn answer_to(&self, connect: &Connect<'_>) -> String {
        let mut peer = self.peer().await;
        peer.connect(connect).await;
        peer.next().await
    }

    pub(crate) async fn refused(&self, refusal: Refusal) -> u64 {
        self.broker.metrics().await.total.refused.get(&refusal).copied().unwrap_or(0)
    }

    /// Waits until a count of refusals has come to `count`.
    pub(crate) async fn wait_refused(&self, refusal: Refusal, count: u64) {
        wait_for(refusal.name(), async || self.refused(refusal).await >= count).await;
        assert_eq!(self.refused(refusal).await, count, "{refusal:?}");
    }
}

/// The claims of a token of an instance that is good for an hour.
pub(crate) fn claims(instance: u128, client_id: &str) -> TokenClaims {
    let now = unix_now().secs();
    TokenClaims {
        aud: AUDIENCE.into(),
        jti: TokenId(Uuid::now_v7()),
        instance: instance_id(instance),
        client_id: Some(client_id.into()),
        subject: None,
        labels: std::collections::BTreeMap::default(),
        grants: grants(ALL),
        nbf: now - 60,
        exp: now + 3_600,
        iat: now,
    }
}

/// What an application publishes, without properties.
pub(crate) fn publication(payload: &[u8], qos: Qos, retain: bool) -> Publication {
    Publication { payload: payload.to_vec(), qos, retain, content: Vec::new(), expiry_secs: None }
}

/// Waits until a condition holds.
pub(crate) async fn wait_for(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// A CONNECT with a token as its password.
pub(crate) fn connect<'a>(client_id: &'a str, token: &'a str) -> Connect<'a> {
    Connect {
        clean_start: true,
        keep_alive_secs: 60,
        client_id,
        will: None,
        username: Some("device"),
        password: Some(token.as_bytes()),
        ..Connect::default()
    }
}
