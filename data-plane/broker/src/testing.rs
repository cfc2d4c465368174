//! What the tests of this crate share: configuration made by hand, tokens signed here, and a client that renders what
//! it gets as text.

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
    InstanceState, PasswordVerifier, ScramKeys, SigningKeyDocument, TopicMode,
};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId, TenantId, TimelineId, TokenId};
use contract::limits::InstanceLimits;
use contract::qos::Qos;
use contract::refusal::Refusal;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, PacketId, Publish};
use replica::{Affected, InstanceRules, Replica, Revocations};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::clock::unix_now;
use crate::config_sync::Connections;
use crate::testing_log::HeldLog;
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
    let nothing = || Base64(Vec::new());
    CredentialDocument {
        id: CredentialId(Uuid::new_v5_like(username)),
        instance: instance_id(instance),
        username: username.into(),
        client_id: None,
        enabled: true,
        secrets: vec![CredentialSecret {
            verifier: PasswordVerifier { salt: Base64(salt), hash: Base64(hash) },
            scram: ScramKeys { salt: nothing(), iterations: 1, stored_key: nothing(), server_key: nothing() },
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
        peer.connect(&Connect { clean_session: false, ..connect(client_id, &token) }).await;
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
        clean_session: true,
        keep_alive_secs: 60,
        client_id,
        will: None,
        username: Some("device"),
        password: Some(token.as_bytes()),
    }
}

/// The client's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
    packet_id: u16,
    /// Of the message that came last.
    pub(crate) last_packet_id: Option<PacketId>,
}

impl Peer {
    /// A connection to this address, on which nothing has been said.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, received: Vec::new(), packet_id: 0, last_packet_id: None }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("is sent");
    }

    /// Sends; false when the connection has gone.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub(crate) async fn connect(&mut self, connect: &Connect<'_>) {
        let mut bytes = Vec::new();
        client::connect(&mut bytes, connect).expect("is written");
        self.send(&bytes).await;
    }

    fn packet_id(&mut self) -> PacketId {
        self.packet_id = self.packet_id % 60_000 + 1;
        PacketId::new(self.packet_id).expect("not 0")
    }

    /// Subscribes and says what was granted, `x` for nothing.
    pub(crate) async fn subscribe(&mut self, filters: &[(&str, Qos)]) -> String {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        client::subscribe(&mut bytes, packet_id, filters).expect("is written");
        self.send(&bytes).await;
        let answer = self.next().await;
        answer.strip_prefix(&format!("suback {packet_id} ")).unwrap_or(&answer).to_owned()
    }

    /// Unsubscribes; the answer is what came before the acknowledgement.
    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Vec<String> {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        client::unsubscribe(&mut bytes, packet_id, &[filter]).expect("is written");
        self.send(&bytes).await;
        self.packets_until(&format!("unsuback {packet_id}")).await
    }

    /// The packets that come before, and without, this one.
    pub(crate) async fn packets_until(&mut self, last: &str) -> Vec<String> {
        let mut packets = Vec::new();
        loop {
            let packet = self.next().await;
            if packet == last {
                return packets;
            }
            assert_ne!(packet, "closed", "before `{last}`");
            packets.push(packet);
        }
    }

    /// Sends SUBSCRIBE for one filter at QoS 1; the answer is what says that it was granted so.
    pub(crate) async fn send_subscribe(&mut self, filter: &str) -> String {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        client::subscribe(&mut bytes, packet_id, &[(filter, Qos::AtLeastOnce)]).expect("is written");
        self.send(&bytes).await;
        format!("suback {packet_id} 1")
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: Qos) -> u16 {
        self.publish_as(topic, payload, qos, false).await
    }

    /// Publishes a message to be kept for its topic at QoS 1, and waits for the acknowledgement.
    pub(crate) async fn retain(&mut self, topic: &str, payload: &str) {
        let packet_id = self.publish_as(topic, payload, Qos::AtLeastOnce, true).await;
        assert_eq!(self.next().await, format!("puback {packet_id}"));
    }

    pub(crate) async fn publish_as(&mut self, topic: &str, payload: &str, qos: Qos, retain: bool) -> u16 {
        let packet_id = (qos != Qos::AtMostOnce).then(|| self.packet_id());
        let mut bytes = Vec::new();
        let payload = payload.as_bytes();
        let publish = Publish { dup: false, qos, retain, topic, packet_id, payload };
        mqtt::publish(&mut bytes, &publish).expect("is written");
        self.send(&bytes).await;
        packet_id.map_or(0, PacketId::get)
    }

    /// Publishes at QoS 1 and waits for the acknowledgement.
    pub(crate) async fn publish_acknowledged(&mut self, topic: &str, payload: &str) {
        let packet_id = self.publish(topic, payload, Qos::AtLeastOnce).await;
        assert_eq!(self.next().await, format!("puback {packet_id}"));
    }

    /// The same, passing over the acknowledgements of what was published before.
    pub(crate) async fn publish_until_acknowledged(&mut self, topic: &str, payload: &str) {
        let packet_id = self.publish(topic, payload, Qos::AtLeastOnce).await;
        while self.next().await != format!("puback {packet_id}") {}
    }

    /// Publishes at QoS 2 and waits until the node has forgotten the identifier.
    pub(crate) async fn publish_exactly_once(&mut self, topic: &str, payload: &str) {
        let packet_id = self.publish(topic, payload, Qos::ExactlyOnce).await;
        assert_eq!(self.next().await, format!("pubrec {packet_id}"));
        let mut bytes = Vec::new();
        client::pubrel(&mut bytes, PacketId::new(packet_id).expect("from 1"));
        self.send(&bytes).await;
        assert_eq!(self.next().await, format!("pubcomp {packet_id}"));
    }

    /// Answers the last message with this packet.
    pub(crate) async fn answer(&mut self, write: fn(&mut Vec<u8>, PacketId)) {
        let mut bytes = Vec::new();
        write(&mut bytes, self.last_packet_id.expect("of QoS 1 or 2"));
        self.send(&bytes).await;
    }

    /// The next message, acknowledged.
    pub(crate) async fn take(&mut self) -> String {
        let message = self.next().await;
        self.answer(mqtt::encode::puback).await;
        message
    }

    /// Says DISCONNECT, and waits until it is served.
    pub(crate) async fn leave(mut self) {
        self.send(&[0xE0, 0]).await;
        assert_eq!(self.next().await, "closed");
    }

    /// The next packet, as text; `closed` when the connection has been closed.
    pub(crate) async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an answer in time")
    }

    /// The next packet, if it comes so soon.
    pub(crate) async fn next_within(&mut self, wait: Duration) -> Option<String> {
        tokio::time::timeout(wait, self.read()).await.ok()
    }

    async fn read(&mut self) -> String {
        loop {
            if self.received.first() == Some(&0x20) && self.received.get(1) == Some(&3) {
                return format!("connack of 5.0 {:02x?}", &self.received[2..]);
            }
            if let Some(frame) = mqtt::frame(&self.received, usize::MAX).expect("a lawful server") {
                let total = frame.total;
                let packet = client::decode(frame).expect("a lawful server");
                if let ServerPacket::Publish(publish) = &packet {
                    self.last_packet_id = publish.packet_id;
                }
                let text = render(&packet);
                self.received.drain(..total);
                return text;
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => return "closed".into(),
                Ok(_) => {}
                Err(error) => return format!("broken: {error}"),
            }
        }
    }

    /// The payloads of the messages that come before, and without, the one with payload `last`.
    pub(crate) async fn payloads_until(&mut self, last: &str) -> Vec<String> {
        let mut payloads = Vec::new();
        loop {
            let packet = self.next().await;
            let Some(message) = packet.strip_prefix("publish ") else { panic!("`{packet}` before `{last}`") };
            let payload = message.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
            if payload == last {
                return payloads;
            }
            payloads.push(payload);
        }
    }

    /// Proves that the connection is served: everything sent to it before has been answered.
    pub(crate) async fn ping(&mut self) -> String {
        self.send(&[0xC0, 0]).await;
        self.next().await
    }
}

fn render(packet: &ServerPacket<'_>) -> String {
    match packet {
        ServerPacket::ConnAck { session_present: false, code } => format!("connack {}", *code as u8),
        ServerPacket::ConnAck { session_present: true, .. } => "connack with a session".into(),
        ServerPacket::Publish(publish) => {
            let payload = String::from_utf8_lossy(publish.payload);
            let again = if publish.dup { "again " } else { "" };
            let kept = if publish.retain { "retained " } else { "" };
            format!("{again}{kept}publish {} {} {payload}", publish.qos.bits(), publish.topic)
        }
        ServerPacket::PubAck(packet_id) => format!("puback {packet_id}"),
        ServerPacket::PubRec(packet_id) => format!("pubrec {packet_id}"),
        ServerPacket::PubRel(packet_id) => format!("pubrel {packet_id}"),
        ServerPacket::PubComp(packet_id) => format!("pubcomp {packet_id}"),
        ServerPacket::SubAck { packet_id, granted } => {
            let granted = granted.iter().map(|qos| qos.map_or('x', |qos| char::from(b'0' + qos.bits())));
            format!("suback {packet_id} {}", granted.collect::<String>())
        }
        ServerPacket::UnsubAck(packet_id) => format!("unsuback {packet_id}"),
        ServerPacket::PingResp => "pingresp".into(),
    }
}
