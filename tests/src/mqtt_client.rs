//! An MQTT client that does one thing at a time: what a test says next is what it does next.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::ServerPacket;
use mqtt::{Connect, ConnectReturnCode, PacketId, Publish, ReasonCode, Will, client, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::wait::{PATIENCE, now, within};

/// The largest packet that a test receives.
const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes read at once, at least.
const READ_BYTES: usize = 16 * 1024;

/// A connected client. Dropped, its connection ends without DISCONNECT.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    inbox: VecDeque<Message>,
    packet_id: PacketId,
    /// The client identifier.
    pub client_id: String,
    session_present: bool,
}

/// A message as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload; tests send text.
    pub payload: String,
    /// The QoS it was delivered with.
    pub qos: Qos,
    /// Whether it was a retained one.
    pub retain: bool,
    /// Whether it was sent before.
    pub dup: bool,
}

/// A connection that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What came before the broker closed: nothing, or a CONNACK.
    pub bytes: Vec<u8>,
}

impl Refused {
    /// The return code of a CONNACK of 3.1.1; none if there was no CONNACK.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        match self.bytes[..] {
            [0x20, 2, 0, code] => Some(code),
            _ => None,
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    /// Where to.
    pub address: SocketAddr,
    /// The client identifier.
    pub client_id: String,
    /// The user name.
    pub username: Option<String>,
    /// The password: a token, a secret, or nothing.
    pub password: Option<String>,
    /// Seconds; 0 for none.
    pub keep_alive_secs: u16,
    /// Whether the session begins and ends with the connection.
    pub clean_session: bool,
    /// Topic, payload, QoS and whether it is retained.
    pub will: Option<(String, String, Qos, bool)>,
}

impl ClientBuilder {
    /// A clean session without a keep alive and without any proof.
    #[must_use]
    pub fn new(address: SocketAddr, client_id: &str) -> Self {
        Self {
            address,
            client_id: client_id.to_owned(),
            username: None,
            password: None,
            keep_alive_secs: 0,
            clean_session: true,
            will: None,
        }
    }

    /// At another broker.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// With a user name and a password.
    #[must_use]
    pub fn login(self, username: &str, password: &str) -> Self {
        Self { username: Some(username.to_owned()), password: Some(password.to_owned()), ..self }
    }

    /// With a token in the password field.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.login("device", token)
    }

    /// With a user name and no password.
    #[must_use]
    pub fn username_only(self, username: &str) -> Self {
        Self { username: Some(username.to_owned()), password: None, ..self }
    }

    /// With a keep alive.
    #[must_use]
    pub fn keep_alive(self, secs: u16) -> Self {
        Self { keep_alive_secs: secs, ..self }
    }

    /// With a session that is to be kept.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { clean_session: false, ..self }
    }

    /// With a will that is not retained.
    #[must_use]
    pub fn will(self, topic: &str, payload: &str, qos: Qos) -> Self {
        Self { will: Some((topic.to_owned(), payload.to_owned(), qos, false)), ..self }
    }

    /// With a will that is retained.
    #[must_use]
    pub fn retained_will(self, topic: &str, payload: &str, qos: Qos) -> Self {
        Self { will: Some((topic.to_owned(), payload.to_owned(), qos, true)), ..self }
    }

    /// The CONNECT packet.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let will = self.will.as_ref().map(|(topic, payload, qos, retain)| Will {
            topic,
            payload: payload.as_bytes(),
            qos: *qos,
            retain: *retain,
            ..Will::default()
        });
        let connect = Connect {
            clean_start: self.clean_session,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &self.client_id,
            will,
            username: self.username.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
            ..Connect::default()
        };
        let mut out = Vec::new();
        client::connect(&mut out, &connect).expect("a lawful CONNECT");
        out
    }

    /// Connects; panics when it is refused.
    pub async fn connect(&self) -> Client {
        match self.try_connect().await {
            Ok(client) => client,
            Err(refused) => panic!("client `{}` was refused: {refused:?}", self.client_id),
        }
    }

    /// Connects, or answers how it was refused.
    pub async fn try_connect(&self) -> Result<Client, Refused> {
        let mut client = Client::open(self.address, &self.client_id).await;
        client.send(&self.packet()).await;
        let bytes = client.read_until(|bytes| bytes.len() >= 4).await;
        // What waits for a lasting session may come in the same breath.
        if let [0x20, 2, present @ 0..=1, code, ..] = *bytes
            && code == ConnectReturnCode::Accepted as u8
        {
            client.session_present = present == 1;
            client.received.drain(..4);
            return Ok(client);
        }
        let bytes = client.read_until_closed().await;
        Err(Refused { bytes })
    }

    /// Connects, is refused, and answers the return code.
    pub async fn refusal(&self) -> Option<u8> {
        match self.try_connect().await {
            Ok(_) => panic!("client `{}` was accepted", self.client_id),
            Err(refused) => refused.code(),
        }
    }
}

impl Client {
    /// A bare connection: nothing is sent, not even CONNECT.
    pub async fn open(address: SocketAddr, client_id: &str) -> Self {
        let stream =
            within("a TCP connection", TcpStream::connect(address)).await.expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            received: Vec::new(),
            inbox: VecDeque::new(),
            packet_id: PacketId::MIN,
            client_id: client_id.to_owned(),
            session_present: false,
        }
    }

    /// Whether CONNACK said that there was a session to go on with.
    #[must_use]
    pub const fn session_present(&self) -> bool {
        self.session_present
    }

    /// Subscribes; answers the QoS granted, or none when it was refused.
    pub async fn try_subscribe(&mut self, filter: &str, qos: Qos) -> Option<Qos> {
        self.subscribe_all(&[(filter, qos)]).await[0]
    }

    /// Subscribes to several filters in one packet.
    pub async fn subscribe_all(&mut self, filters: &[(&str, Qos)]) -> Vec<Option<Qos>> {
        let mut out = Vec::new();
        let packet_id = self.next_packet_id();
        client::subscribe(&mut out, packet_id, filters).expect("a lawful SUBSCRIBE");
        self.send(&out).await;
        self.wait_for_packet("SUBACK", |packet| {
            let ServerPacket::SubAck { packet_id: id, codes } = packet else { return None };
            (*id == packet_id).then(|| codes.iter().map(|code| code.granted_qos()).collect())
        })
        .await
    }

    /// Subscribes; the QoS asked for must be granted.
    pub async fn subscribe(&mut self, filter: &str, qos: Qos) {
        let granted = self.try_subscribe(filter, qos).await;
        assert_eq!(granted, Some(qos), "client `{}`, filter `{filter}`", self.client_id);
    }

    /// The same client, subscribed.
    pub async fn subscribed(mut self, filter: &str, qos: Qos) -> Self {
        self.subscribe(filter, qos).await;
        self
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&mut self, filter: &str) {
        let mut out = Vec::new();
        let packet_id = self.next_packet_id();
        client::unsubscribe(&mut out, packet_id, &[filter]).expect("a lawful UNSUBSCRIBE");
        self.send(&out).await;
        self.wait_for_packet("UNSUBACK", |packet| {
            matches!(packet, ServerPacket::UnsubAck { packet_id: id, .. } if *id == packet_id).then_some(())
        })
        .await;
    }

    /// Publishes; with QoS 1 waits for the PUBACK, with QoS 2 for the PUBCOMP.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: Qos) {
        self.publish_as(topic, payload, qos, false).await;
    }

    /// Publishes a message that is to be kept for its topic, and waits as [`publish`](Self::publish) does.
    pub async fn retain(&mut self, topic: &str, payload: &str, qos: Qos) {
        self.publish_as(topic, payload, qos, true).await;
    }

    async fn publish_as(&mut self, topic: &str, payload: &str, qos: Qos, retain: bool) {
        let packet_id = self.send_publish(topic, payload, qos, retain).await;
        match packet_id {
            None => {}
            Some(packet_id) if qos == Qos::ExactlyOnce => {
                self.wait_for("PUBREC", ServerPacket::PubRec(packet_id, ReasonCode::Success)).await;
                self.release(packet_id).await;
            }
            Some(packet_id) => {
                self.wait_for("PUBACK", ServerPacket::PubAck(packet_id, ReasonCode::Success)).await;
            }
        }
    }

    /// Publishes at QoS 2 and says everything twice, as a client may that has lost an answer.
    pub async fn publish_repeating(&mut self, topic: &str, payload: &str) {
        let packet_id = self.next_packet_id();
        for dup in [false, true] {
            let (packet_id, payload) = (Some(packet_id), payload.as_bytes());
            let publish = Publish {
                dup,
                qos: Qos::ExactlyOnce,
                retain: false,
                topic,
                packet_id,
                payload,
                ..Publish::default()
            };
            let mut out = Vec::new();
            client::publish(&mut out, &publish).expect("a lawful PUBLISH");
            self.send(&out).await;
        }
        for _ in 0..2 {
            self.wait_for("PUBREC", ServerPacket::PubRec(packet_id, ReasonCode::Success)).await;
        }
        self.release(packet_id).await;
        self.release(packet_id).await;
    }

    async fn release(&mut self, packet_id: PacketId) {
        let mut out = Vec::new();
        client::pubrel(&mut out, packet_id);
        self.send(&out).await;
        self.wait_for("PUBCOMP", ServerPacket::PubComp(packet_id, ReasonCode::Success)).await;
    }

    async fn wait_for(&mut self, what: &str, wanted: ServerPacket<'static>) {
        self.wait_for_packet(what, |packet| (*packet == wanted).then_some(())).await;
    }

    /// Sends a PUBLISH and waits for nothing.
    pub async fn send_publish(
        &mut self,
        topic: &str,
        payload: &str,
        qos: Qos,
        retain: bool,
    ) -> Option<PacketId> {
        let packet_id = (qos != Qos::AtMostOnce).then(|| self.next_packet_id());
        let publish = Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id,
            payload: payload.as_bytes(),
            ..Publish::default()
        };
        let mut out = Vec::new();
        client::publish(&mut out, &publish).expect("a lawful PUBLISH");
        self.send(&out).await;
        packet_id
    }

    /// The next message; acknowledged, if it wants that.
    pub async fn message(&mut self) -> Message {
        if let Some(message) = self.inbox.pop_front() {
            return message;
        }
        let packet = within("a message", self.packet()).await;
        assert!(
            packet.is_some(),
            "client `{}` was disconnected while it waited for a message",
            self.client_id
        );
        match self.inbox.pop_front() {
            Some(message) => message,
            None => panic!("client `{}` waited for a message and got {packet:?}", self.client_id),
        }
    }

    /// The next message must be this one.
    pub async fn expect(&mut self, topic: &str, payload: &str) -> Message {
        let message = self.message().await;
        assert_eq!((&*message.topic, &*message.payload), (topic, payload), "client `{}`", self.client_id);
        message
    }

    /// The topics of all messages up to and with the first one to `last`: proves what did not come before it.
    pub async fn topics_until(&mut self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            topics.push(self.message().await.topic);
            if topics.last().is_some_and(|topic| topic == last) {
                return topics;
            }
        }
    }

    /// PINGREQ and PINGRESP: everything that was sent before has been handled.
    pub async fn ping(&mut self) {
        let mut out = Vec::new();
        client::pingreq(&mut out);
        self.send(&out).await;
        self.wait_for_packet("PINGRESP", |packet| (*packet == ServerPacket::PingResp).then_some(())).await;
    }

    /// DISCONNECT; the broker closes.
    pub async fn disconnect(mut self) {
        let mut out = Vec::new();
        client::disconnect(&mut out);
        self.send(&out).await;
        self.closed().await;
    }

    /// Waits until the broker has closed the connection; answers how long that took.
    pub async fn closed(&mut self) -> Duration {
        let begin = now();
        self.closed_at().await.duration_since(begin)
    }

    /// Waits until the broker has closed the connection; answers when it did. Messages that come before are kept.
    pub async fn closed_at(&mut self) -> Instant {
        let what = format!("client `{}` to be disconnected", self.client_id);
        within(&what, async { while self.packet().await.is_some() {} }).await;
        now()
    }

    /// Waits longer than a test usually does until the broker has closed the connection; answers how long that took.
    pub async fn closed_within(&mut self, patience: Duration) -> Duration {
        let begin = now();
        let closing = async { while self.packet().await.is_some() {} };
        let outcome = tokio::time::timeout(patience, closing).await;
        assert!(outcome.is_ok(), "client `{}` was not disconnected within {patience:?}", self.client_id);
        begin.elapsed()
    }

    /// Sends these bytes as they are. A connection that is closed already is no error: the test looks at that next.
    pub async fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    fn next_packet_id(&mut self) -> PacketId {
        let packet_id = self.packet_id;
        self.packet_id = packet_id.checked_add(1).unwrap_or(PacketId::MIN);
        packet_id
    }

    async fn wait_for_packet<T>(&mut self, what: &str, find: impl Fn(&ServerPacket<'_>) -> Option<T>) -> T {
        let client_id = self.client_id.clone();
        let waiting = async {
            loop {
                match self.take(&find) {
                    Some(Taken::Wanted(found)) => return found,
                    Some(Taken::Other | Taken::Answered) => {}
                    None => assert!(
                        self.fill().await,
                        "client `{client_id}` was disconnected while it waited for {what}"
                    ),
                }
            }
        };
        within(what, waiting).await
    }

    /// One packet, as text for messages; none at the end of the connection. A message goes to the inbox.
    async fn packet(&mut self) -> Option<String> {
        loop {
            match self.take(&|packet| Some(format!("{packet:?}"))) {
                Some(Taken::Wanted(text)) => return Some(text),
                Some(Taken::Other) => return Some("a message".to_owned()),
                Some(Taken::Answered) => {}
                None if self.fill().await => {}
                None => return None,
            }
        }
    }

    /// One whole packet from what was received. A message goes to the inbox and is acknowledged, to the end.
    fn take<T>(&mut self, find: &impl Fn(&ServerPacket<'_>) -> Option<T>) -> Option<Taken<T>> {
        let frame = frame(&self.received, PACKET_BYTES_MAX).expect("the broker sends lawful frames")?;
        let total = frame.total;
        let packet = client::decode(mqtt::Version::V311, frame).expect("the broker sends lawful packets");
        let mut answer = Vec::new();
        let taken = if let ServerPacket::Publish(publish) = packet {
            self.inbox.push_back(Message {
                topic: publish.topic.to_owned(),
                payload: String::from_utf8_lossy(publish.payload).into_owned(),
                qos: publish.qos,
                retain: publish.retain,
                dup: publish.dup,
            });
            match publish.packet_id {
                Some(packet_id) if publish.qos == Qos::ExactlyOnce => client::pubrec(&mut answer, packet_id),
                Some(packet_id) => client::puback(&mut answer, packet_id),
                None => {}
            }
            Taken::Other
        } else if let ServerPacket::PubRel(packet_id, _) = packet {
            client::pubcomp(&mut answer, packet_id);
            Taken::Answered
        } else {
            find(&packet).map_or(Taken::Other, Taken::Wanted)
        };
        self.received.drain(..total);
        if !answer.is_empty() {
            // Four bytes always fit; a connection that is gone will be noticed by whoever reads next.
            drop(self.stream.try_write(&answer));
        }
        Some(taken)
    }

    /// Reads more; false at the end of the connection.
    async fn fill(&mut self) -> bool {
        self.received.reserve(READ_BYTES);
        matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0)
    }

    /// What was received once `enough` holds or the connection has ended.
    async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let reading = async { while !enough(&self.received) && self.fill().await {} };
        within("an answer to CONNECT", reading).await;
        self.received.clone()
    }

    /// Everything that comes until the broker closes.
    pub async fn read_until_closed(&mut self) -> Vec<u8> {
        let reading = async { while self.fill().await {} };
        let outcome = tokio::time::timeout(PATIENCE, reading).await;
        let (client_id, received) = (&self.client_id, &self.received);
        assert!(outcome.is_ok(), "client `{client_id}` was not disconnected; received {received:02x?}");
        self.received.clone()
    }
}

enum Taken<T> {
    Wanted(T),
    Other,
    /// A step of an exchange, taken care of.
    Answered,
}
