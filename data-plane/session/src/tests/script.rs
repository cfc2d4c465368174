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
//! unix 5000                    the time of day of what follows, in milliseconds
//! ```
//! Besides, in 5.0:
//!
//! ```text
//! publish a/b 1 7 alias=3 expiry=9 type=x      `-` for no topic
//! subscribe 3 a/b:1np c:2d id=7                no local, retain as published, `i`: retained if new, `d`: no retained
//! puback 7 135 | pubrec 7 128                  with a reason code
//! disconnect will | disconnect 129 | disconnect expiry=9
//! auth                                         a step of authentication
//! deliver a/b 1 granted 0 retain expires=9000 type=x     published to be kept; over from then on
//! special a/b 1 own expires=9000               by what all subscriptions ask for; published by the client itself
//! ```
//! Topics and filters whose first level is `no` are refused by the surroundings; messages whose first level is `safe` are
//! acknowledged later, those of `nobody` have no subscriber, those of `broken` are refused for good, those of `text` since
//! they are none.

use std::fmt::Write as _;

use contract::limits::InstanceLimits;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::{self, TopicFilter};
use engine::Pos;
use mqtt::client::{self, ServerPacket};
use mqtt::{Auth, Content, ContentWriter, PacketId, Publish, ReasonCode, RetainHandling, Version};

use super::packets::encode;
use crate::{
    Accepted, Asked, Bounds, Close, Delivered, DropReason, Granted, Message, Millis, PassedOver, Rendering,
    Session, Settings, Sink,
};

/// The bounds that the platform gives when a plan says nothing.
pub(super) fn bounds() -> Bounds {
    Bounds::from(&InstanceLimits::default())
}

pub(super) fn settings() -> Settings {
    settings_of(Version::V311)
}

pub(super) fn settings_of(version: Version) -> Settings {
    Settings { keep_alive_secs: 60, expiry_secs: 100, ..Settings::new(version, bounds()) }
}

/// Writes the effects down, and what has been sent as packets.
pub(super) struct Scribe {
    pub(super) version: Version,
    pub(super) unix: u64,
    pub(super) text: String,
    pub(super) output: Vec<u8>,
    read: usize,
    /// Everything in the log before it has come by.
    pub(super) watermark: u64,
}

impl Default for Scribe {
    fn default() -> Self {
        Self::of(Version::V311)
    }
}

impl Scribe {
    pub(super) const fn of(version: Version) -> Self {
        Self { version, unix: 0, text: String::new(), output: Vec::new(), read: 0, watermark: 0 }
    }

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
            let packet = client::decode(self.version, frame).expect("a packet of a server");
            let line = render(&packet, self.version.is_v5());
            writeln!(self.text, "send {line}").expect("a String takes everything");
        }
        assert_eq!(self.read, self.output.len(), "only whole packets are appended");
    }
}

fn with(is_so: bool, words: &str) -> String {
    if is_so { words.to_owned() } else { String::new() }
}

/// What of a message only 5.0 has.
fn properties(publish: &Publish<'_>) -> String {
    let ids: Vec<_> = publish.subscription_ids().map(|id| id.to_string()).collect();
    publish.topic_alias.map_or(String::new(), |alias| format!(" alias={alias}"))
        + &publish.expiry_secs.map_or(String::new(), |secs| format!(" expiry={secs}"))
        + &publish.content.content_type().map_or(String::new(), |kind| format!(" type={kind}"))
        + &if ids.is_empty() { String::new() } else { format!(" ids={}", ids.join(",")) }
}

fn answer(name: &str, packet_id: PacketId, reason: ReasonCode) -> String {
    if reason == ReasonCode::Success {
        return format!("{name} {packet_id}");
    }
    format!("{name} {packet_id} {:#04x}", reason.byte())
}

fn render(packet: &ServerPacket<'_>, is_v5: bool) -> String {
    match packet {
        ServerPacket::Publish(publish) => {
            let Publish { topic, qos, packet_id, retain, dup, .. } = publish;
            let topic = if topic.is_empty() { "-" } else { topic };
            let packet_id = packet_id.map_or(String::new(), |packet_id| format!(" {packet_id}"));
            let more = with(*retain, " retain") + &with(*dup, " dup") + &properties(publish);
            format!("PUBLISH {topic} {}{packet_id}{more}", qos.bits())
        }
        ServerPacket::PubAck(packet_id, reason) => answer("PUBACK", *packet_id, *reason),
        ServerPacket::PubRec(packet_id, reason) => answer("PUBREC", *packet_id, *reason),
        ServerPacket::PubRel(packet_id, reason) => answer("PUBREL", *packet_id, *reason),
        ServerPacket::PubComp(packet_id, reason) => answer("PUBCOMP", *packet_id, *reason),
        ServerPacket::SubAck { packet_id, codes } => {
            let granted = codes.iter().map(|code| match code.granted_qos() {
                Some(qos) => format!(" {}", qos.bits()),
                None if is_v5 => format!(" {:#04x}", code.byte()),
                None => " no".to_owned(),
            });
            format!("SUBACK {packet_id}{}", granted.collect::<String>())
        }
        ServerPacket::UnsubAck { packet_id, codes } => {
            let codes = codes.iter().map(|code| format!(" {:#04x}", code.byte()));
            format!("UNSUBACK {packet_id}{}", codes.collect::<String>())
        }
        ServerPacket::PingResp => "PINGRESP".to_owned(),
        other @ (ServerPacket::ConnAck { .. } | ServerPacket::Disconnect(_) | ServerPacket::Auth(_)) => {
            panic!("{other:?} is none that a session sends")
        }
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
        match topic::first_level(publish.topic) {
            "broken" => return Err(Refusal::ProtocolError),
            "text" => return Err(Refusal::PayloadFormatInvalid),
            _ => {}
        }
        let more = with(publish.retain, " retain") + &properties(publish);
        self.line(format_args!("publish {} {}{more}", publish.topic, publish.qos.bits()));
        Ok(match topic::first_level(publish.topic) {
            "safe" => Accepted::Later,
            "nobody" => Accepted::Unmatched,
            _ => Accepted::Now,
        })
    }

    fn unix_now(&self) -> UnixMillis {
        UnixMillis(self.unix)
    }

    fn is_own(&self, publisher: &str) -> bool {
        publisher == "me"
    }

    fn dropped_waiting(&mut self, why: DropReason, bytes: u32) {
        self.line(format_args!("drop waiting {bytes} {}", why.name()));
    }

    fn auth(&mut self, auth: &Auth<'_>) -> Result<(), Refusal> {
        let method = auth.method.ok_or(Refusal::AuthenticationMethodInvalid)?;
        self.line(format_args!("auth {method}"));
        Ok(())
    }

    fn repeated(&mut self, publish: &Publish<'_>) {
        self.line(format_args!("repeated {}", publish.topic));
    }

    fn subscribe(&mut self, filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        if topic::first_level(filter.as_str()) == "no" {
            return Err(Refusal::NotAuthorized);
        }
        let options = asked.options;
        let more = with(options.no_local, " no-local")
            + &with(options.retain_as_published, " as-published")
            + match options.retain_handling {
                RetainHandling::SendAtSubscribe => "",
                RetainHandling::SendIfNew => " retained-if-new",
                RetainHandling::DoNotSend => " no-retained",
            }
            + &with(self.version.is_v5() && !asked.is_new, " again");
        let id = asked.subscription_id.map_or(String::new(), |id| format!(" id={id}"));
        self.line(format_args!("subscribe {filter} {}{more}{id}", options.qos.bits()));
        Ok(options.qos)
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
            Close::Disconnected { with_will: false } => self.line(format_args!("close")),
            Close::Disconnected { with_will: true } => self.line(format_args!("close with will")),
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
        let scribe = Scribe::of(settings.version);
        Self { session: Session::new(now, settings), scribe, rendering: Rendering::new(), now }
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
            ["unix", millis] => self.scribe.unix = millis.parse().expect("milliseconds"),
            ["retained", topic, published, "granted", granted] => {
                let mut message = self.rendering.retained(topic, b"payload", qos(published));
                let granted = Granted::of(qos(granted));
                let _ = self.session.deliver_retained(&mut message, granted, &mut self.scribe.output);
            }
            ["retained", topic, published, "of", filter] => {
                let mut message = self.rendering.retained(topic, b"payload", qos(published));
                let filter = filter.parse().expect("a filter");
                let granted = self.session.find_granted(&filter).expect("it is held");
                let _ = self.session.deliver_retained(&mut message, granted, &mut self.scribe.output);
            }
            ["deliver", topic, published, "granted", granted] => {
                let _ = self.deliver(topic, b"payload", qos(published), qos(granted));
            }
            ["deliver", topic, published, "granted", granted, more @ ..] => {
                let content = content(more);
                let now = UnixMillis(self.scribe.unix);
                let message = self.rendering.message(topic, b"payload", qos(published));
                let mut message = described(message, more, &content, now);
                let output = &mut self.scribe.output;
                let delivered = deliver(&mut self.session, &mut message, qos(granted), output);
                self.note(topic, delivered);
            }
            ["special", topic, published, more @ ..] => {
                let content = content(more);
                let now = UnixMillis(self.scribe.unix);
                let message = self.rendering.message(topic, b"payload", qos(published));
                let mut message = described(message, more, &content, now);
                match self.session.special(topic, more.contains(&"own")) {
                    None => self.scribe.line(format_args!("none {topic}")),
                    Some(special) => {
                        let pos = value(more, "at").map(Pos::of_record);
                        let output = &mut self.scribe.output;
                        let delivered = self.session.deliver_special(pos, &mut message, &special, output);
                        self.note(topic, delivered);
                    }
                }
            }
            packet => {
                let version = self.scribe.version;
                let bytes = encode(version, packet);
                let frame = mqtt::frame(&bytes, usize::MAX).expect("lawful").expect("whole");
                let packet = mqtt::decode(version, frame).expect("lawful");
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

/// The number behind `name=`.
pub(super) fn value<T: std::str::FromStr>(words: &[&str], name: &str) -> Option<T> {
    let text = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some(text.parse().ok().expect("a value of its kind"))
}

/// The properties of a message that are the publisher's own.
pub(super) fn content(words: &[&str]) -> Vec<u8> {
    let mut content = ContentWriter::default();
    if let Some(kind) = value::<String>(words, "type") {
        content = content.content_type(&kind);
    }
    content.into_bytes()
}

fn described<'a>(message: Message<'a>, words: &[&str], content: &'a [u8], now: UnixMillis) -> Message<'a> {
    let message = message.with_retain(words.contains(&"retain"));
    let message = message.with_content(Content::from_stored(content));
    message.with_expiry(value(words, "expires").map(UnixMillis), now)
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
