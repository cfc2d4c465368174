//! A session played from a text: one line a step, its effects rendered as lines. Packets go through the codec both
//! ways, so a script shows what is on the wire.
//!
//! ```text
//! at 1500                      the time of what follows, in milliseconds
//! publish a/b 0 | a/b 1 7      a message of the client: topic, QoS, packet identifier; `retain` at the end
//! puback 7 | pubrec 7 | …      acknowledgements of the client
//! subscribe 3 a/b:1 c/#:0      with packet identifier
//! unsubscribe 4 a/b
//! ping | disconnect | deadline
//! deliver a/b 1 granted 0      a message for the client: its topic, its QoS, the QoS granted
//! retained a/b 1 granted 0     the same, kept for its topic
//! committed 7 | failed 7       a message that was to be made safe is, or will not be
//! read                         the network takes what is in the output buffer
//! ```
//! Topics and filters whose first level is `no` are refused by the surroundings; messages whose first level is `safe` are
//! acknowledged later.

use std::fmt::Write as _;

use contract::limits::InstanceLimits;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::{self, TopicFilter};
use engine::Pos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish, encode};

use crate::{
    Accepted, Bounds, Close, Delivered, Message, Millis, PassedOver, Rendering, Session, Settings, Sink,
};

/// The bounds that the platform gives when a plan says nothing.
pub(super) fn bounds() -> Bounds {
    Bounds::from(&InstanceLimits::default())
}

pub(super) fn settings() -> Settings {
    Settings { keep_alive_secs: 60, will: None, bounds: bounds() }
}

/// Writes the effects down, and what has been sent as packets.
#[derive(Default)]
pub(super) struct Scribe {
    pub(super) text: String,
    pub(super) output: Vec<u8>,
    read: usize,
    /// Everything in the log before it has come by.
    pub(super) watermark: u64,
}

impl Scribe {
    pub(super) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.write_sent();
        self.text.write_fmt(line).expect("a String takes everything");
        self.text.push('\n');
    }

    /// Renders the packets that were appended since the last time.
    pub(super) fn write_sent(&mut self) {
        while let Some(frame) =
            mqtt::frame(&self.output[self.read..], usize::MAX).expect("whole, lawful packets")
        {
            self.read += frame.total;
            let line = render(&client::decode(frame).expect("a packet of a server"));
            writeln!(self.text, "send {line}").expect("a String takes everything");
        }
        assert_eq!(self.read, self.output.len(), "only whole packets are appended");
    }
}

fn render(packet: &ServerPacket<'_>) -> String {
    match packet {
        ServerPacket::Publish(Publish { topic, qos, packet_id, retain, dup, .. }) => {
            let packet_id = packet_id.map_or(String::new(), |packet_id| format!(" {packet_id}"));
            let (retain, dup) = (if *retain { " retain" } else { "" }, if *dup { " dup" } else { "" });
            format!("PUBLISH {topic} {}{packet_id}{retain}{dup}", qos.bits())
        }
        ServerPacket::PubAck(packet_id) => format!("PUBACK {packet_id}"),
        ServerPacket::SubAck { packet_id, granted } => {
            let granted: String = granted
                .iter()
                .map(|qos| qos.map_or(" no".to_owned(), |qos| format!(" {}", qos.bits())))
                .collect();
            format!("SUBACK {packet_id}{granted}")
        }
        ServerPacket::UnsubAck(packet_id) => format!("UNSUBACK {packet_id}"),
        ServerPacket::PingResp => "PINGRESP".to_owned(),
        ServerPacket::PubRec(packet_id) => format!("PUBREC {packet_id}"),
        ServerPacket::PubRel(packet_id) => format!("PUBREL {packet_id}"),
        ServerPacket::PubComp(packet_id) => format!("PUBCOMP {packet_id}"),
        other @ ServerPacket::ConnAck { .. } => panic!("{other:?} is none that a session sends"),
    }
}

impl Sink for Scribe {
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        if topic::first_level(publish.topic) == "no" {
            return Err(Refusal::NotAuthorized);
        }
        let retain = if publish.retain { " retain" } else { "" };
        self.line(format_args!("publish {} {}{retain}", publish.topic, publish.qos.bits()));
        Ok(if topic::first_level(publish.topic) == "safe" { Accepted::Later } else { Accepted::Now })
    }

    fn repeated(&mut self, publish: &Publish<'_>) {
        self.line(format_args!("repeated {}", publish.topic));
    }

    fn subscribe(&mut self, filter: &TopicFilter, asked: Qos) -> Result<Qos, Refusal> {
        if topic::first_level(filter.as_str()) == "no" {
            return Err(Refusal::NotAuthorized);
        }
        self.line(format_args!("subscribe {filter} {}", asked.bits()));
        Ok(asked)
    }

    fn unsubscribe(&mut self, filter: &TopicFilter) {
        self.line(format_args!("unsubscribe {filter}"));
    }

    fn since(&self, _filter: &TopicFilter) -> Pos {
        Pos::of_record(self.watermark)
    }

    fn shared_done(&mut self, group: u64, pos: Pos) {
        self.line(format_args!("done {group} {}", pos.record));
    }

    fn passed_over(&mut self, pos: Pos, why: PassedOver) {
        self.line(format_args!("pass {} {}", pos.record, why.name()));
    }

    fn refused(&mut self, refusal: Refusal) {
        self.line(format_args!("refused {}", refusal.name()));
    }

    fn close(&mut self, close: Close) {
        match close {
            Close::Disconnected => self.line(format_args!("close")),
            Close::Refused(refusal) => self.line(format_args!("close {}", refusal.name())),
        }
    }
}

/// A session and its surroundings.
pub(super) struct Play {
    pub(super) session: Session,
    pub(super) scribe: Scribe,
    pub(super) rendering: Rendering,
    pub(super) now: Millis,
}

impl Play {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Millis::default();
        let session = Session::new(now, settings);
        Self { session, scribe: Scribe::default(), rendering: Rendering::new(), now }
    }

    /// Plays a script; the answer is its effects.
    pub(super) fn run(&mut self, script: &str) -> String {
        for line in script.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            self.step(&words);
        }
        self.scribe.write_sent();
        std::mem::take(&mut self.scribe.text)
    }

    pub(super) fn step(&mut self, words: &[&str]) {
        match words {
            [] => {}
            ["at", millis] => self.now = Millis(millis.parse().expect("milliseconds")),
            ["deadline"] => self.session.on_deadline(self.now, &mut self.scribe),
            ["committed", id] => {
                let before = self.scribe.output.len();
                let wrote = self.session.committed(packet_id(id), &mut self.scribe.output);
                assert_eq!(wrote, self.scribe.output.len() > before);
            }
            ["failed", id] => {
                let refusal = Refusal::StorageUnavailable;
                self.session.not_committed(packet_id(id), refusal, &mut self.scribe);
            }
            ["read"] => {
                self.scribe.write_sent();
                self.scribe.output.clear();
                self.scribe.read = 0;
            }
            ["retained", topic, published, "granted", granted] => {
                let mut message = self.rendering.retained(topic, b"payload", qos(published));
                let _ = self.session.deliver_retained(&mut message, qos(granted), &mut self.scribe.output);
            }
            ["deliver", topic, published, "granted", granted] => {
                let _ = self.deliver(topic, b"payload", qos(published), qos(granted));
            }
            packet => {
                let bytes = encode(packet);
                let frame = mqtt::frame(&bytes, usize::MAX).expect("lawful").expect("whole");
                let packet = mqtt::decode(frame).expect("lawful");
                self.session.handle(self.now, packet, &mut self.scribe);
            }
        }
    }

    /// What is not sent at once is written down.
    pub(super) fn deliver(&mut self, topic: &str, payload: &[u8], published: Qos, granted: Qos) -> Delivered {
        let mut message = self.rendering.message(topic, payload, published);
        let delivered = deliver(&mut self.session, &mut message, granted, &mut self.scribe.output);
        self.note(topic, delivered);
        delivered
    }

    /// Writes down what became of a delivery, if it was not sent at once.
    pub(super) fn note(&mut self, topic: &str, delivered: Delivered) {
        match delivered {
            Delivered::Sent(_) => {}
            Delivered::Replaying => self.scribe.line(format_args!("leave {topic}")),
            Delivered::Waiting(_) => self.scribe.line(format_args!("wait {topic}")),
            Delivered::Dropped(reason) => self.scribe.line(format_args!("drop {topic} {}", reason.name())),
        }
    }
}

/// Delivers, and sees that what is said of the bytes is true.
pub(super) fn deliver(
    session: &mut Session,
    message: &mut Message<'_>,
    granted: Qos,
    output: &mut Vec<u8>,
) -> Delivered {
    let (sent, waiting) = (output.len(), session.waiting_bytes());
    let delivered = session.deliver(message, granted, output);
    let (more_sent, more_waiting) = (output.len() - sent, session.waiting_bytes() - waiting);
    match delivered {
        Delivered::Sent(bytes) => assert_eq!((more_sent, more_waiting), (bytes as usize, 0)),
        Delivered::Waiting(bytes) => assert_eq!((more_sent, more_waiting), (0, bytes as usize)),
        Delivered::Dropped(_) | Delivered::Replaying => assert_eq!((more_sent, more_waiting), (0, 0)),
    }
    delivered
}

fn encode(words: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    match words {
        ["publish", topic, level, rest @ ..] => {
            let (retain, rest) = match rest {
                [rest @ .., "retain"] => (true, rest),
                rest => (false, rest),
            };
            let packet_id = rest.first().map(|text| packet_id(text));
            let publish =
                Publish { dup: false, qos: qos(level), retain, topic, packet_id, payload: b"payload" };
            encode::publish(&mut out, &publish).expect("lawful");
        }
        ["puback", id] => encode::puback(&mut out, packet_id(id)),
        ["pubrec", id] => encode::pubrec(&mut out, packet_id(id)),
        ["pubrel", id] => encode::pubrel(&mut out, packet_id(id)),
        ["pubcomp", id] => encode::pubcomp(&mut out, packet_id(id)),
        ["subscribe", id, filters @ ..] => {
            let filters: Vec<_> = filters
                .iter()
                .map(|filter| filter.split_once(':').expect("filter:qos"))
                .map(|(filter, level)| (filter, qos(level)))
                .collect();
            client::subscribe(&mut out, packet_id(id), &filters).expect("lawful");
        }
        ["unsubscribe", id, filters @ ..] => {
            client::unsubscribe(&mut out, packet_id(id), filters).expect("lawful");
        }
        ["ping"] => client::pingreq(&mut out),
        ["disconnect"] => client::disconnect(&mut out),
        unknown => panic!("no step is {unknown:?}"),
    }
    out
}

pub(super) fn packet_id(text: &str) -> PacketId {
    text.parse().expect("1 to 65535")
}

pub(super) fn qos(text: &str) -> Qos {
    Qos::from_bits(text.parse().expect("a number")).expect("a QoS")
}

/// Plays `script` with a fresh session and compares the effects with `expected`; indentation does not count.
#[track_caller]
pub(super) fn check(settings: Settings, script: &str, expected: &str) {
    let effects = Play::new(settings).run(script);
    let expected: String = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(effects, expected, "of the script {script}");
}
