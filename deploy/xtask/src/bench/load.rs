//! The load: one thread that publishes, receives and checks every message. It measures nothing.
//!
//! A message's payload begins with its publisher and a sequence number; what arrives must be, for each publisher,
//! every number once and in order, and at the subscriber it was meant for.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::qos::Qos;
use mqtt::kind;
use mqtt::{Content, ContentWriter, Frame, PacketId, Publish, client, frame};

use super::case::{Case, PAYLOAD_BYTES};
use super::now;
use super::sockets::Sockets;

/// Nothing at all may happen for this long.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Publisher and sequence number at the front of a payload.
const STAMP_BYTES: usize = 12;

/// The topic of publisher `publisher` of a case.
pub(crate) fn topic(case: Case, publisher: usize) -> String {
    format!("{}/{}/{publisher}", case.first_level(), publisher % case.subscribers().max(1))
}

/// The filter of subscriber `subscriber` of a case.
pub(crate) fn filter(case: Case, subscriber: usize) -> String {
    format!("{}/{}/+", case.first_level(), if case.is_fan_out() { 0 } else { subscriber })
}

struct Publisher {
    /// A whole PUBLISH; packet identifier and stamp are patched in the copy.
    template: Vec<u8>,
    /// Where in it the packet identifier stands, if it has one.
    packet_id_at: usize,
    sent: u64,
    delivered: u64,
    acknowledged: u64,
    packet_id: NonZeroU16,
    /// How many subscribers have each of the messages that not all of them have, the oldest first; where all get all.
    heard: VecDeque<usize>,
    /// Its window has room that this round has not used yet.
    waiting: bool,
}

/// The connections of one case on one broker, and where each publisher is.
pub(crate) struct Load {
    /// Publishers first, then subscribers.
    sockets: Sockets,
    progress: Progress,
    publishing: bool,
}

/// How far the messages of one case are.
struct Progress {
    case: Case,
    publishers: Vec<Publisher>,
    /// Publishers with room in their windows.
    ready: Vec<usize>,
    /// What each subscriber is to get next, where all get all.
    next: Vec<u64>,
    delivered: u64,
}

impl Load {
    /// Takes over connections that are subscribed already, publishers first.
    pub(crate) fn new(case: Case, streams: Vec<TcpStream>) -> Result<Self> {
        ensure!(streams.len() == case.publishers() + case.subscribers(), "a connection for each client");
        let publishers = (0..case.publishers()).map(|at| Publisher::new(case, at)).collect::<Result<_>>()?;
        let ready = (0..case.publishers()).collect();
        let next = vec![0; if case.is_fan_out() { case.subscribers() } else { 0 }];
        let progress = Progress { case, publishers, ready, next, delivered: 0 };
        Ok(Self { sockets: Sockets::new(streams)?, progress, publishing: true })
    }

    /// Messages that have arrived and were right; where nobody subscribes, those that were acknowledged.
    pub(crate) const fn delivered(&self) -> u64 {
        self.progress.delivered
    }

    /// Keeps every window full for `duration`.
    pub(crate) fn run(&mut self, duration: Duration) -> Result<()> {
        let end = now() + duration;
        let mut last_progress = (self.delivered(), now());
        loop {
            let at = now();
            if at >= end {
                return Ok(());
            }
            self.round(end - at)?;
            self.check_progress(&mut last_progress)?;
        }
    }

    /// Publishes no more and waits until everything sent has arrived and is acknowledged.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.publishing = false;
        let mut last_progress = (self.delivered(), now());
        while self.progress.under_way() > 0 {
            self.round(SILENCE_MAX)?;
            self.check_progress(&mut last_progress)?;
        }
        Ok(())
    }

    fn check_progress(&self, last: &mut (u64, Instant)) -> Result<()> {
        let at = now();
        if self.delivered() != last.0 {
            *last = (self.delivered(), at);
        } else if at - last.1 > SILENCE_MAX {
            bail!(
                "nothing arrived for {SILENCE_MAX:?}, {} messages of QoS {} are missing",
                self.progress.under_way(),
                self.progress.case.qos()
            );
        }
        Ok(())
    }

    /// Publishes what the windows allow, writes, and takes in what has come.
    fn round(&mut self, wait: Duration) -> Result<()> {
        let Self { sockets, progress, publishing } = self;
        if *publishing {
            progress.publish(sockets);
        } else {
            progress.ready.clear();
        }
        sockets.turn(wait, &mut |at, packet, out| progress.take(at, packet, out))
    }
}

impl Progress {
    fn under_way(&self) -> u64 {
        self.publishers.iter().map(|it| it.under_way(self.case)).sum()
    }

    fn publish(&mut self, sockets: &mut Sockets) {
        for at in self.ready.drain(..) {
            let publisher = &mut self.publishers[at];
            publisher.waiting = false;
            let room = self.case.window() - publisher.under_way(self.case);
            if room > 0 {
                let out = sockets.out(at);
                for _ in 0..room {
                    publisher.append_next(self.case, out);
                }
            }
        }
    }

    fn take(&mut self, at: usize, packet: Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
        match packet.kind() {
            kind::PUBLISH => self.take_message(at, packet.flags(), packet.body, out),
            kind::PUBREC => {
                client::pubrel(out, packet_id(packet.body)?);
                Ok(())
            }
            kind::PUBREL => {
                client::pubcomp(out, packet_id(packet.body)?);
                Ok(())
            }
            kind::PUBACK | kind::PUBCOMP => {
                let publisher =
                    self.publishers.get_mut(at).context("the end of a delivery for a subscriber")?;
                publisher.acknowledged += 1;
                ensure!(publisher.acknowledged <= publisher.sent, "the end of a delivery of nothing");
                self.delivered += u64::from(self.case.is_append());
                self.mark_ready(at);
                Ok(())
            }
            other => bail!("packet type {other} came unasked"),
        }
    }

    fn take_message(&mut self, at: usize, flags: u8, body: &[u8], out: &mut Vec<u8>) -> Result<()> {
        ensure!(flags >> 1 & 3 == self.case.qos(), "delivered with flags {flags:04b}");
        let payload_at = body.len().checked_sub(PAYLOAD_BYTES).context("the payload is short")?;
        let (head, payload) = body.split_at(payload_at);
        let (publisher, sequence) = read_stamp(payload);
        let subscriber = at.checked_sub(self.case.publishers()).context("a message for a publisher")?;
        self.note_delivery(publisher, subscriber, sequence)?;
        match self.case.qos() {
            0 => {}
            1 => client::puback(out, message_id(head)?),
            _ => client::pubrec(out, message_id(head)?),
        }
        self.mark_ready(publisher);
        Ok(())
    }

    /// Message `sequence` of a publisher must be what this subscriber is to get next.
    fn note_delivery(&mut self, publisher: usize, subscriber: usize, sequence: u64) -> Result<()> {
        let sender = self.publishers.get_mut(publisher).context("a publisher that does not exist")?;
        let is_fan_out = self.case.is_fan_out();
        let expected = if is_fan_out { &mut self.next[subscriber] } else { &mut sender.delivered };
        ensure!(
            is_fan_out || publisher % self.case.subscribers() == subscriber,
            "publisher {publisher} at subscriber {subscriber}"
        );
        ensure!(
            sequence == *expected,
            "publisher {publisher}: message {sequence} came in the place of {expected} at subscriber {subscriber}"
        );
        *expected += 1;
        self.delivered += 1;
        if is_fan_out {
            sender.note_heard(sequence, self.case.subscribers())?;
        }
        Ok(())
    }

    fn mark_ready(&mut self, publisher: usize) {
        if !std::mem::replace(&mut self.publishers[publisher].waiting, true) {
            self.ready.push(publisher);
        }
    }
}

impl Publisher {
    fn new(case: Case, at: usize) -> Result<Self> {
        let mut payload = [0xA5; PAYLOAD_BYTES];
        payload[..4].copy_from_slice(&u32::try_from(at)?.to_be_bytes());
        let qos = Qos::from_bits(case.qos()).context("a QoS")?;
        let content = properties();
        let publish = Publish {
            qos,
            topic: &topic(case, at),
            packet_id: (qos != Qos::AtMostOnce).then_some(NonZeroU16::MIN),
            payload: &payload,
            content: if case.has_properties() { content.content() } else { Content::EMPTY },
            ..Publish::default()
        };
        let mut template = Vec::new();
        mqtt::publish(&mut template, case.version(), &publish)?;
        let packet_id_at = 2 + publish.topic.len() + template.len() - body_bytes(&template)?;
        Ok(Self {
            template,
            packet_id_at,
            heard: VecDeque::new(),
            sent: 0,
            delivered: 0,
            acknowledged: 0,
            packet_id: NonZeroU16::MIN,
            waiting: true,
        })
    }

    /// One more subscriber has message `sequence`. It is delivered when all of them have it.
    fn note_heard(&mut self, sequence: u64, subscribers: usize) -> Result<()> {
        let at = usize::try_from(sequence - self.delivered)?;
        if self.heard.len() <= at {
            self.heard.resize(at + 1, 0);
        }
        self.heard[at] += 1;
        while self.heard.front() == Some(&subscribers) {
            self.heard.pop_front();
            self.delivered += 1;
        }
        Ok(())
    }

    fn under_way(&self, case: Case) -> u64 {
        let finished = match case.qos() {
            0 => self.delivered,
            _ if case.is_append() => self.acknowledged,
            _ => self.delivered.min(self.acknowledged),
        };
        self.sent - finished
    }

    fn append_next(&mut self, case: Case, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.template);
        let payload_at = out.len() - PAYLOAD_BYTES;
        out[payload_at + 4..payload_at + STAMP_BYTES].copy_from_slice(&self.sent.to_be_bytes());
        if case.qos() > 0 {
            let packet_id_at = begin + self.packet_id_at;
            out[packet_id_at..packet_id_at + 2].copy_from_slice(&self.packet_id.get().to_be_bytes());
            self.packet_id = self.packet_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
        }
        self.sent += 1;
    }
}

/// The identifier at the front of an acknowledgement.
fn packet_id(body: &[u8]) -> Result<PacketId> {
    let id = body.first_chunk::<2>().context("a packet identifier")?;
    PacketId::new(u16::from_be_bytes(*id)).context("packet identifier 0")
}

/// The identifier of a message whose topic and what is behind it are `head`.
fn message_id(head: &[u8]) -> Result<PacketId> {
    let topic_bytes = u16::from_be_bytes(*head.first_chunk::<2>().context("a topic")?);
    packet_id(head.get(2 + usize::from(topic_bytes)..).unwrap_or_default())
}

fn body_bytes(packet: &[u8]) -> Result<usize> {
    Ok(frame(packet, packet.len())?.context("a whole packet")?.body.len())
}

/// What an application says of its messages: their form, and two pairs of its own.
pub(crate) fn properties() -> ContentWriter {
    ContentWriter::default()
        .payload_format(false)
        .content_type("application/octet-stream")
        .user_property("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736")
        .user_property("site", "north")
}

fn read_stamp(payload: &[u8]) -> (usize, u64) {
    let mut publisher = [0; 4];
    let mut sequence = [0; 8];
    publisher.copy_from_slice(&payload[..4]);
    sequence.copy_from_slice(&payload[4..STAMP_BYTES]);
    (u32::from_be_bytes(publisher) as usize, u64::from_be_bytes(sequence))
}
