//! One connection of a vector: bytes out, packets in, and what its CONNECT has asked the broker to keep to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::notation::{Words, number};
use super::reader::{Seen, Value, take};

/// The longest that a packet or an end is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// The protocol level that its CONNECT has asked for.
    pub(super) level: u8,
    next_id: u16,
    /// The largest alias and packet that the broker may send.
    alias_max: u64,
    packet_max: u64,
    aliases: BTreeMap<u64, Value>,
    stage: Stage,
}

/// How far a connection has come, which says what a server may send on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// There was no CONNACK yet.
    Connecting,
    /// CONNECT was accepted.
    Connected,
    /// CONNECT was refused, or DISCONNECT has come.
    Over,
}

/// What came next.
pub(super) enum Next {
    /// A packet.
    Packet(Seen),
    /// The broker has closed.
    End,
    /// Nothing, for as long as anything is waited for.
    Silence,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, level: u8) -> Result<Self, String> {
        let connecting = timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream = connecting.map_err(|_| "no connection in time".to_owned())?;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            received: Vec::new(),
            level,
            next_id: 1_000,
            alias_max: 0,
            packet_max: u64::MAX,
            aliases: BTreeMap::new(),
            stage: Stage::Connecting,
        })
    }

    /// Keeps what this CONNECT asks of the broker.
    pub(super) fn asks(&mut self, connect: &Words) -> Result<(), String> {
        let said = |key| connect.find(key).and_then(number);
        // Who asks for a version beyond the last is answered in the form of the last.
        let level = said("v").unwrap_or_else(|| self.level.into());
        self.level = u8::try_from(level).map_err(|_| "no level".to_owned())?;
        self.alias_max = said("+alias-max").unwrap_or(0);
        // 0 is unlawful, and who says so has not said what it takes.
        self.packet_max = said("+max-packet").filter(|max| *max > 0).unwrap_or(u64::MAX);
        Ok(())
    }

    /// A packet identifier that no vector writes out.
    pub(super) fn next_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// A broker that has closed already is noticed by what is looked at next.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    pub(super) async fn next(&mut self) -> Result<Next, String> {
        loop {
            if let Some((seen, length)) = take(&self.received, self.level)? {
                self.received.drain(..length);
                if length as u64 > self.packet_max {
                    return Err(format!("{length} bytes, more than the client takes: {seen}"));
                }
                self.stage = self.stage_after(&seen)?;
                return Ok(Next::Packet(self.resolved(seen)?));
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await {
                Err(_) => return Ok(Next::Silence),
                Ok(Ok(0) | Err(_)) if self.received.is_empty() => return Ok(Next::End),
                Ok(Ok(0) | Err(_)) => return Err("the broker closed within a packet".to_owned()),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// One CONNACK, nothing but AUTH before it, and nothing after the last word [MQTT-3.2.0-1], [MQTT-3.2.0-2],
    /// [MQTT-3.14.0-1], [MQTT-3.14.4-1].
    fn stage_after(&self, seen: &Seen) -> Result<Stage, String> {
        match (self.stage, seen.kind) {
            (Stage::Connecting, "CONNACK") if seen.number("code") == Some(0) => Ok(Stage::Connected),
            (Stage::Connecting, "CONNACK") | (Stage::Connected, "DISCONNECT") => Ok(Stage::Over),
            (Stage::Connecting, "AUTH") => Ok(Stage::Connecting),
            (Stage::Connecting, _) => Err(format!("before CONNACK: {seen}")),
            (Stage::Connected, "CONNACK") => Err(format!("a second CONNACK: {seen}")),
            (Stage::Connected, _) => Ok(Stage::Connected),
            (Stage::Over, _) => Err(format!("after the end: {seen}")),
        }
    }

    /// The packet with its topic in the place of an alias, which must be one that the client takes.
    fn resolved(&mut self, mut seen: Seen) -> Result<Seen, String> {
        let Some(alias) = seen.number("+alias") else { return Ok(seen) };
        if alias == 0 || alias > self.alias_max {
            return Err(format!("an alias that the client does not take: {seen}"));
        }
        let topic = seen.fields.iter_mut().find(|(key, _)| key == "topic");
        let Some((_, topic)) = topic else { return Ok(seen) };
        if *topic == Value::Bytes(Vec::new()) {
            let known = self.aliases.get(&alias).ok_or_else(|| format!("alias {alias} means nothing yet"))?;
            *topic = known.clone();
        } else {
            self.aliases.insert(alias, topic.clone());
        }
        Ok(seen)
    }
}
