//! The client's end of a connection in tests, in any version: what it gets it renders as text.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, Options, PacketId, Publish, UserProperties, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::testing::PATIENCE;
use crate::testing_text::{Told, render};

/// The client's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
    packet_id: u16,
    /// That of its CONNECT.
    version: Version,
    /// Of the message that came last.
    pub(crate) last_packet_id: Option<PacketId>,
    /// What the last CONNACK has said.
    pub(crate) told: Told,
    /// The data of the AUTH that came last.
    pub(crate) auth_data: Vec<u8>,
}

impl Peer {
    /// A connection to this address, on which nothing has been said.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            received: Vec::new(),
            packet_id: 0,
            version: Version::V311,
            last_packet_id: None,
            told: Told::default(),
            auth_data: Vec::new(),
        }
    }

    /// What is received is of this version, also where no CONNECT says so.
    pub(crate) const fn speak(&mut self, version: Version) {
        self.version = version;
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
        self.version = connect.version;
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
        self.write_subscribe(&mut bytes, packet_id, filters);
        self.send(&bytes).await;
        let answer = self.next().await;
        answer.strip_prefix(&format!("suback {packet_id} ")).unwrap_or(&answer).to_owned()
    }

    fn write_subscribe(&self, bytes: &mut Vec<u8>, packet_id: PacketId, filters: &[(&str, Qos)]) {
        match self.version {
            Version::V5 => {
                let filters: Vec<_> =
                    filters.iter().map(|(filter, qos)| (*filter, Options::of(*qos))).collect();
                client::subscribe_v5(bytes, packet_id, &filters, None, UserProperties::default())
            }
            Version::V31 | Version::V311 => client::subscribe(bytes, packet_id, filters),
        }
        .expect("is written");
    }

    /// The same with what 5.0 may say besides.
    pub(crate) async fn subscribe_with(&mut self, filters: &[(&str, Options)], id: Option<u32>) -> String {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        let id = id.and_then(NonZeroU32::new);
        client::subscribe_v5(&mut bytes, packet_id, filters, id, UserProperties::default())
            .expect("is written");
        self.send(&bytes).await;
        let answer = self.next().await;
        answer.strip_prefix(&format!("suback {packet_id} ")).unwrap_or(&answer).to_owned()
    }

    /// Publishes a message with whatever it has, under an identifier of its own if it needs one; the answer is that.
    pub(crate) async fn send_publish(&mut self, publish: &Publish<'_>) -> u16 {
        let packet_id = (publish.qos != Qos::AtMostOnce).then(|| self.packet_id());
        let mut bytes = Vec::new();
        mqtt::publish(&mut bytes, self.version, &Publish { packet_id, ..*publish }).expect("is written");
        self.send(&bytes).await;
        packet_id.map_or(0, PacketId::get)
    }

    /// Unsubscribes; the answer is what came before the acknowledgement.
    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Vec<String> {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        match self.version {
            Version::V5 => {
                client::unsubscribe_v5(&mut bytes, packet_id, &[filter], UserProperties::default())
            }
            Version::V31 | Version::V311 => client::unsubscribe(&mut bytes, packet_id, &[filter]),
        }
        .expect("is written");
        self.send(&bytes).await;
        self.packets_until(&format!("unsuback {packet_id}")).await
    }

    /// Unsubscribes and says with which codes that was acknowledged.
    pub(crate) async fn unsubscribe_codes(&mut self, filter: &str) -> String {
        let packet_id = self.packet_id();
        let mut bytes = Vec::new();
        client::unsubscribe_v5(&mut bytes, packet_id, &[filter], UserProperties::default())
            .expect("is written");
        self.send(&bytes).await;
        let answer = self.next().await;
        answer.strip_prefix(&format!("unsuback {packet_id} ")).unwrap_or(&answer).to_owned()
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
        self.write_subscribe(&mut bytes, packet_id, &[(filter, Qos::AtLeastOnce)]);
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
        let publish = Publish { dup: false, qos, retain, topic, packet_id, payload, ..Publish::default() };
        mqtt::publish(&mut bytes, self.version, &publish).expect("is written");
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
        self.answer(mqtt::client::puback).await;
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
            if let Some(frame) = mqtt::frame(&self.received, usize::MAX).expect("a lawful server") {
                let total = frame.total;
                let packet = client::decode(self.version, frame).expect("a lawful server");
                if let ServerPacket::Publish(publish) = &packet {
                    self.last_packet_id = publish.packet_id;
                } else if let ServerPacket::ConnAck { properties, .. } = &packet {
                    self.told = Told::from(&**properties);
                } else if let ServerPacket::Auth(auth) = &packet {
                    self.auth_data = auth.data.unwrap_or_default().to_vec();
                }
                let text = render(self.version, &packet);
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
