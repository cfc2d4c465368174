//! Packets of a client, from the words of a script.

use contract::qos::Qos;
use mqtt::client;
use mqtt::{
    Auth, Content, Disconnect, Options, PacketId, Publish, ReasonCode, RetainHandling, UserProperties,
    Version, encode,
};

use super::script::{content, packet_id, qos, value};

/// The bytes of one packet.
pub(super) fn encode(version: Version, words: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    match words {
        ["publish", topic, level, more @ ..] => publish(&mut out, version, topic, level, more),
        ["puback", id, more @ ..] => encode::puback(&mut out, version, packet_id(id), reason(more)),
        ["pubrec", id, more @ ..] => encode::pubrec(&mut out, version, packet_id(id), reason(more)),
        ["pubrel", id] => encode::pubrel(&mut out, version, packet_id(id), ReasonCode::Success),
        ["pubcomp", id] => encode::pubcomp(&mut out, version, packet_id(id), ReasonCode::Success),
        ["subscribe", id, filters @ ..] if version.is_v5() => subscribe(&mut out, packet_id(id), filters),
        ["subscribe", id, filters @ ..] => {
            let filters = filters.iter().map(|filter| filter.split_once(':').expect("filter:qos"));
            let filters: Vec<_> = filters.map(|(filter, level)| (filter, qos(level))).collect();
            client::subscribe(&mut out, packet_id(id), &filters).expect("lawful");
        }
        ["unsubscribe", id, filters @ ..] if version.is_v5() => {
            client::unsubscribe_v5(&mut out, packet_id(id), filters, UserProperties::default())
                .expect("lawful");
        }
        ["unsubscribe", id, filters @ ..] => {
            client::unsubscribe(&mut out, packet_id(id), filters).expect("lawful");
        }
        ["ping"] => client::pingreq(&mut out),
        ["disconnect"] => client::disconnect(&mut out),
        ["disconnect", more @ ..] => {
            let reason = if more.contains(&"will") { ReasonCode::DisconnectWithWill } else { reason(more) };
            let session_expiry_secs = value(more, "expiry");
            client::disconnect_v5(
                &mut out,
                &Disconnect { reason, session_expiry_secs, ..Disconnect::default() },
            );
        }
        ["auth"] => client::auth(&mut out, &Auth { method: Some("method"), ..again() }),
        ["auth", "short"] => client::auth(&mut out, &Auth::default()),
        unknown => panic!("no step is {unknown:?}"),
    }
    out
}

fn again() -> Auth<'static> {
    Auth { reason: ReasonCode::Reauthenticate, ..Auth::default() }
}

/// The first word that is a number; none: success.
fn reason(words: &[&str]) -> ReasonCode {
    let byte = words.iter().find_map(|word| word.parse().ok());
    byte.map_or(ReasonCode::Success, |byte| ReasonCode::from_byte(byte).expect("one that there is"))
}

fn publish(out: &mut Vec<u8>, version: Version, topic: &str, level: &str, more: &[&str]) {
    let topic = if topic == "-" { "" } else { topic };
    let packet_id: Option<PacketId> = more.iter().find_map(|word| word.parse().ok());
    let content = content(more);
    let publish = Publish {
        qos: qos(level),
        retain: more.contains(&"retain"),
        topic,
        packet_id,
        payload: b"payload",
        topic_alias: value(more, "alias"),
        expiry_secs: value(more, "expiry"),
        content: Content::from_stored(&content),
        ..Publish::default()
    };
    encode::publish(out, version, &publish).expect("lawful");
}

fn subscribe(out: &mut Vec<u8>, packet_id: PacketId, words: &[&str]) {
    let filters = words.iter().filter_map(|word| word.split_once(':'));
    let filters: Vec<_> = filters.map(|(filter, asked)| (filter, options(asked))).collect();
    client::subscribe_v5(out, packet_id, &filters, value(words, "id"), UserProperties::default())
        .expect("lawful");
}

/// A digit and letters.
fn options(text: &str) -> Options {
    let level = text.chars().next().and_then(|digit| digit.to_digit(10)).and_then(|it| u8::try_from(it).ok());
    let mut options = Options::of(level.and_then(Qos::from_bits).expect("a QoS"));
    for letter in text.chars().skip(1) {
        match letter {
            'n' => options.no_local = true,
            'p' => options.retain_as_published = true,
            'i' => options.retain_handling = RetainHandling::SendIfNew,
            'd' => options.retain_handling = RetainHandling::DoNotSend,
            other => panic!("no option is {other}"),
        }
    }
    options
}
