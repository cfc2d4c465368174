//! Lasting sessions whose clients are away, what is queued for them, and how they take it when they come back. Each message
//! that comes is checked: its session, its number, every byte of it.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::qos::Qos;
use mqtt::client::{self, ServerPacket, decode};
use mqtt::{Publish, ReasonCode, Version};
use serde_json::json;

use super::broker::Broker;
use super::case::{PAYLOAD_BYTES, TOPIC};
use super::connection::{Identity, leave_all_subscribed, open_all, send_connect};
use super::now;
use super::publishing::publish_all;
use super::sockets::Sockets;

/// Who publishes what is queued.
const PUBLISHERS: usize = 10;
/// Nothing at all may come for this long while something is missing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the clients rest between two looks. All that waits for one of them is under way at once, so nobody waits for
/// it but the last message.
const PAUSE: Duration = Duration::from_micros(500);

/// Lasting sessions and how much was published for each of them.
pub(crate) struct Queue {
    sessions: Vec<Identity>,
    publishers: Vec<Identity>,
    /// Messages for each session so far.
    each: u64,
}

/// Sessions that have taken what waited for them, and are still connected.
pub(crate) struct Drained {
    /// From the first CONNECT to the last message.
    pub(crate) elapsed: Duration,
    /// From the first CONNECT to the first message.
    pub(crate) first: Duration,
    /// All of them together.
    pub(crate) messages: u64,
    sockets: Sockets,
}

impl Queue {
    /// Clients for so many sessions, of which the broker knows nothing yet.
    pub(crate) fn new(broker: &Broker, sessions: usize) -> Result<Self> {
        ensure!(sessions.is_multiple_of(PUBLISHERS), "each session has one publisher, for the order");
        let subscribe = |at: usize| json!([{"actions": ["subscribe"], "topic_filter": filter(at)}]);
        let publish = |_| json!([{"actions": ["publish"], "topic_filter": format!("{TOPIC}/#")}]);
        Ok(Self {
            sessions: broker.clients("away", sessions, &subscribe)?,
            publishers: broker.clients("queuing", PUBLISHERS, &publish)?,
            each: 0,
        })
    }

    /// Connects every client with clean session 0, subscribes and leaves.
    pub(crate) fn leave(&self, address: SocketAddr) -> Result<()> {
        leave_all_subscribed(address, &self.sessions, &filter, Qos::AtLeastOnce)
    }

    /// Publishes `more` messages for each session, all of them acknowledged.
    pub(crate) fn fill(&mut self, address: SocketAddr, more: u64) -> Result<()> {
        let streams = open_all(address, &self.publishers)?;
        let (sessions, from) = (self.sessions.len() as u64, self.each);
        publish_all(streams, more * sessions, |number, packet_id, out| {
            let session = usize::try_from(number % sessions)?;
            let publish = Publish {
                dup: false,
                qos: Qos::AtLeastOnce,
                retain: false,
                topic: &topic(session),
                packet_id: Some(packet_id),
                payload: &payload(session, from + number / sessions),
                ..Publish::default()
            };
            Ok(client::publish(out, &publish)?)
        })?;
        self.each += more;
        Ok(())
    }

    /// The client of a session.
    pub(crate) fn session(&self, at: usize) -> &Identity {
        &self.sessions[at]
    }

    /// Connects these clients at once and takes what waits for each of them: its messages from number `from` on, every one
    /// once and in order.
    pub(crate) fn drain(&self, address: SocketAddr, which: Range<usize>, from: u64) -> Result<Drained> {
        let started = now();
        let mut taking = Taking {
            next: vec![None; which.len()],
            sessions: which.clone(),
            from,
            received: 0,
            first: None,
            expected: (self.each - from) * which.len() as u64,
        };
        let streams = self.sessions[which].iter().map(|identity| send_connect(address, identity, false));
        let mut sockets = Sockets::new(streams.collect::<Result<_>>()?)?;
        let mut last_progress = (0, started);
        while taking.received < taking.expected {
            sockets.turn(SILENCE_MAX, &mut |at, packet, out| {
                taking.take(at, decode(Version::V311, packet)?, out)
            })?;
            // Who reads a little later reads more at once: the clients take less of the machine that they share.
            thread::sleep(PAUSE);
            let at = now();
            if taking.received > last_progress.0 {
                last_progress = (taking.received, at);
            } else if at - last_progress.1 >= SILENCE_MAX {
                bail!("{} of {} messages came and no more", taking.received, taking.expected);
            }
        }
        let elapsed = now() - started;
        sockets.flush()?;
        let first = taking.first.map_or(elapsed, |first| first - started);
        Ok(Drained { elapsed, first, messages: taking.received, sockets })
    }
}

impl Drained {
    /// Every client leaves as it should.
    pub(crate) fn leave(mut self) -> Result<()> {
        for at in 0..self.sockets.count() {
            client::disconnect(self.sockets.out(at));
        }
        self.sockets.flush()
    }
}

/// How far the sessions are with what waits for them.
struct Taking {
    /// The number of the message that each of them gets next; none before its CONNACK.
    next: Vec<Option<u64>>,
    sessions: Range<usize>,
    from: u64,
    received: u64,
    first: Option<Instant>,
    expected: u64,
}

impl Taking {
    fn take(&mut self, at: usize, packet: ServerPacket<'_>, out: &mut Vec<u8>) -> Result<()> {
        let session = self.sessions.start + at;
        if let ServerPacket::ConnAck { session_present: true, reason: ReasonCode::Success, .. } = packet {
            self.next[at] = Some(self.from);
            return Ok(());
        }
        let ServerPacket::Publish(message) = packet else { bail!("session {session} got {packet:?}") };
        let next = self.next[at].as_mut().context("a message before CONNACK")?;
        ensure!(message.topic == topic(session), "session {session} got `{}`", message.topic);
        ensure!(message.payload == payload(session, *next), "session {session} did not get message {next}");
        *next += 1;
        if self.first.is_none() {
            self.first = Some(now());
        }
        self.received += 1;
        client::puback(out, message.packet_id.context("a message of QoS 1")?);
        Ok(())
    }
}

fn filter(session: usize) -> String {
    format!("{TOPIC}/{session}/+")
}

fn topic(session: usize) -> String {
    format!("{TOPIC}/{session}/queued")
}

/// Message `number` of a session, told from every other by its first bytes.
fn payload(session: usize, number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [0xA5; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&(session as u64).to_be_bytes());
    payload[8..16].copy_from_slice(&number.to_be_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use mqtt::PacketId;

    use super::*;

    fn taking() -> Taking {
        Taking { next: vec![None; 2], sessions: 5..7, from: 3, received: 0, first: None, expected: 4 }
    }

    fn message(topic: &str, payload: [u8; PAYLOAD_BYTES], taking: &mut Taking) -> Result<()> {
        let packet_id = Some(PacketId::MIN);
        let publish = Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic,
            packet_id,
            payload: &payload,
            ..Publish::default()
        };
        taking.take(1, ServerPacket::Publish(publish), &mut Vec::new())
    }

    #[test]
    fn each_message_comes_once_in_order_to_its_session() {
        let connack = |session_present| ServerPacket::ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: Box::default(),
        };
        let mut taking = taking();
        assert!(message(&topic(6), payload(6, 3), &mut taking).is_err(), "before CONNACK");
        let gone = connack(false);
        assert!(taking.take(1, gone, &mut Vec::new()).is_err(), "the session is lost");
        let there = connack(true);
        taking.take(1, there, &mut Vec::new()).expect("accepted");
        assert!(message(&topic(6), payload(6, 4), &mut taking).is_err(), "one is missing");
        assert!(message(&topic(5), payload(6, 3), &mut taking).is_err(), "another's topic");
        message(&topic(6), payload(6, 3), &mut taking).expect("the first");
        assert!(message(&topic(6), payload(6, 3), &mut taking).is_err(), "twice");
        message(&topic(6), payload(6, 4), &mut taking).expect("the second");
        assert_eq!(taking.received, 2);
    }
}
