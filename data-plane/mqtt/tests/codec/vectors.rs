//! Runs the wire vectors: every file, every row, read and, where the packet is lawful, written again.
//!
//! A file names its `decoder`: `first` (what opens a connection), `connected` (what a client sends after that) or
//! `client` (what a client receives), and a `version` if that is not 3.1.1. A row has a `name`, the `statement` it follows from, the `bytes`, and either the
//! `packet` they are or the `error` they cause; further `canonical: false` where other bytes would be written for the
//! packet, `answer` where the codec alone knows the server's, `packet_bytes_max` where the limit matters.

use std::path::Path;

use mqtt::client::{self, ServerPacket};
use mqtt::{
    Connect, ConnectReturnCode, Content, DecodeError, FirstPacket, Frame, Options, Packet, Publish,
    ReasonCode, UserProperties, Version, Will,
};
use serde_json::{Value, json};

use crate::rewrite;

/// Where a row does not say how long a packet may be.
const PACKET_BYTES_MAX: usize = 262_144;

/// What came of a row: the packet as the vectors write it, the packet written again, and the server's answer if the
/// packet alone decides it.
struct Outcome {
    packet: Value,
    rewritten: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
}

#[test]
fn every_vector_gives_its_packet_or_its_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let (mut lawful, mut malformed) = (0, 0);
    for entry in std::fs::read_dir(&folder).expect("the vectors are in the tree") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a readable file")).expect("valid JSON");
        let version = match file.get("version").and_then(Value::as_str) {
            None => Version::V311,
            Some("5.0") => Version::V5,
            Some(other) => panic!("there is no version `{other}`"),
        };
        let decoder = (version, text(&file, "decoder"));
        for row in file["vectors"].as_array().expect("a list of vectors") {
            let place = format!("{}: {}", path.display(), text(row, "name"));
            let statement = text(row, "statement");
            assert!(statement.starts_with("[MQTT-") || statement.starts_with("section "), "{place}");
            if let Some(error) = row.get("error") {
                check_malformed(&place, decoder, row, error.as_str().expect("an error is a text"));
                malformed += 1;
            } else {
                check_lawful(&place, decoder, row);
                lawful += 1;
            }
        }
    }
    assert!(lawful >= 110 && malformed >= 270, "vectors are missing: {lawful} lawful, {malformed} malformed");
}

fn check_malformed(place: &str, decoder: (Version, &str), row: &Value, error: &str) {
    let bytes = bytes(text(row, "bytes"));
    let found = frame(row, &bytes).map(|frame| frame.unwrap_or_else(|| panic!("{place}: incomplete")));
    let outcome = found.and_then(|frame| decode(decoder, frame));
    let found = outcome.map(|outcome| outcome.packet).expect_err(place);
    assert_eq!(format!("{found:?}"), error, "{place}");
}

fn check_lawful(place: &str, decoder: (Version, &str), row: &Value) {
    let mut bytes = bytes(text(row, "bytes"));
    for end in 0..bytes.len() {
        assert_eq!(frame(row, &bytes[..end]), Ok(None), "{place}: its first {end} bytes");
    }
    let length = bytes.len();
    bytes.extend_from_slice(b"\xff\xff\xff\xff\xff"); // what follows is nobody's business
    let frame = frame(row, &bytes).expect(place).expect(place);
    assert_eq!(frame.total, length, "{place}");
    let outcome = decode(decoder, frame).expect(place);
    assert_eq!(outcome.packet, row["packet"], "{place}");
    if row.get("canonical") != Some(&json!(false))
        && let Some(rewritten) = outcome.rewritten
    {
        assert_eq!(rewritten, bytes[..length], "{place}: written again");
    }
    assert_eq!(outcome.answer.map(|answer| hex(&answer)).as_deref(), row["answer"].as_str(), "{place}");
}

fn frame<'a>(row: &Value, bytes: &'a [u8]) -> Result<Option<Frame<'a>>, DecodeError> {
    let packet_bytes_max = row["packet_bytes_max"]
        .as_u64()
        .map_or(PACKET_BYTES_MAX, |max| usize::try_from(max).expect("a size"));
    mqtt::frame(bytes, packet_bytes_max)
}

fn decode(decoder: (Version, &str), frame: Frame<'_>) -> Result<Outcome, DecodeError> {
    let (version, decoder) = decoder;
    match decoder {
        "first" => mqtt::decode_first(frame).map(|first| match first {
            FirstPacket::Connect(connect) => Outcome {
                packet: show_connect(&connect),
                rewritten: Some(rewrite::connect(&connect)),
                answer: None,
            },
            FirstPacket::UnsupportedVersion(version) => {
                let mut answer = Vec::new();
                mqtt::connack_unsupported_version(&mut answer, version);
                Outcome {
                    packet: json!({ "unsupported_version": version.level }),
                    rewritten: None,
                    answer: Some(answer),
                }
            }
        }),
        "connected" => mqtt::decode(version, frame).map(|packet| Outcome {
            packet: show_client_packet(version, &packet),
            rewritten: Some(rewrite::client_packet(version, &packet)),
            answer: None,
        }),
        "client" => client::decode(version, frame).map(|packet| Outcome {
            packet: show_server_packet(version, &packet),
            rewritten: Some(rewrite::server_packet(version, &packet)),
            answer: None,
        }),
        other => panic!("there is no decoder `{other}`"),
    }
}

/// `value` with what 5.0 adds, as far as it says anything.
fn with(mut value: Value, added: Value) -> Value {
    let added = added.as_object().expect("an object").iter().filter(|(_, it)| !it.is_null());
    let members = value.as_object_mut().expect("an object");
    members.extend(added.map(|(name, it)| (name.clone(), it.clone())));
    value
}

fn show_user(user: &UserProperties<'_>) -> Option<Vec<String>> {
    let pairs: Vec<_> = user.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!pairs.is_empty()).then_some(pairs)
}

fn show_content(content: &Content<'_>) -> Value {
    json!({
        "payload_format": content.payload_format(),
        "content_type": content.content_type(),
        "response_topic": content.response_topic(),
        "correlation_data": content.correlation_data().map(hex),
        "user": show_user(&content.user_properties()),
    })
}

fn show_will(will: &Will<'_>) -> Value {
    let plain =
        json!({ "topic": will.topic, "payload": hex(will.payload), "qos": will.qos, "retain": will.retain });
    let delay_secs = Some(will.delay_secs).filter(|&secs| secs != 0);
    with(with(plain, json!({ "delay": delay_secs, "expiry": will.expiry_secs })), show_content(&will.content))
}

fn show_connect(connect: &Connect<'_>) -> Value {
    let said = &connect.properties;
    let plain = json!({
        "clean_session": connect.clean_start,
        "keep_alive_secs": connect.keep_alive_secs,
        "client_id": connect.client_id,
        "will": connect.will.as_ref().map(show_will),
        "username": connect.username,
        "password": connect.password.map(hex),
    });
    let added = json!({
        "version": Some(connect.version.name()).filter(|_| connect.version != Version::V311),
        "session_expiry": Some(said.session_expiry_secs).filter(|&secs| secs != 0),
        "receive_max": Some(said.receive_max).filter(|&max| max != u16::MAX),
        "packet_bytes_max": said.packet_bytes_max,
        "topic_alias_max": Some(said.topic_alias_max).filter(|&max| max != 0),
        "wants_response_info": Some(true).filter(|_| said.wants_response_info),
        "wants_problem_info": Some(false).filter(|_| !said.wants_problem_info),
        "user": show_user(&said.user_properties),
        "auth_method": said.auth_method,
        "auth_data": said.auth_data.map(hex),
    });
    json!({ "connect": with(plain, added) })
}

fn show_acknowledgement(name: &str, packet_id: mqtt::PacketId, reason: ReasonCode) -> Value {
    if reason == ReasonCode::Success {
        json!({ name: packet_id })
    } else {
        json!({ name: { "packet_id": packet_id, "reason": reason.byte() } })
    }
}

fn show_options(version: Version, options: Options) -> Value {
    if version.is_v5() { json!(format!("{:02x}", options.byte())) } else { json!(options.qos) }
}

fn show_client_packet(version: Version, packet: &Packet<'_>) -> Value {
    match packet {
        Packet::Publish(publish) => show_publish(publish),
        Packet::PubAck(packet_id, reason) => show_acknowledgement("puback", *packet_id, *reason),
        Packet::PubRec(packet_id, reason) => show_acknowledgement("pubrec", *packet_id, *reason),
        Packet::PubRel(packet_id, reason) => show_acknowledgement("pubrel", *packet_id, *reason),
        Packet::PubComp(packet_id, reason) => show_acknowledgement("pubcomp", *packet_id, *reason),
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let filters: Vec<_> =
                filters.map(|(filter, options)| json!([filter, show_options(version, *options)])).collect();
            let plain = json!({ "packet_id": subscribe.packet_id, "filters": filters });
            json!({ "subscribe": with(plain, json!({ "id": subscribe.subscription_id })) })
        }
        Packet::Unsubscribe(unsubscribe) => {
            json!({ "unsubscribe": { "packet_id": unsubscribe.packet_id, "filters": unsubscribe.filters } })
        }
        Packet::PingReq => json!("pingreq"),
        Packet::Disconnect(disconnect) => show_disconnect(version, disconnect),
        Packet::Auth(auth) => show_auth(auth),
    }
}

fn show_disconnect(version: Version, disconnect: &mqtt::Disconnect<'_>) -> Value {
    if !version.is_v5() {
        return json!("disconnect");
    }
    let added = json!({
        "session_expiry": disconnect.session_expiry_secs,
        "reason_string": disconnect.reason_string,
        "server_reference": disconnect.server_reference,
        "user": show_user(&disconnect.user_properties),
    });
    json!({ "disconnect": with(json!({ "reason": disconnect.reason.byte() }), added) })
}

fn show_auth(auth: &mqtt::Auth<'_>) -> Value {
    let added = json!({
        "method": auth.method,
        "data": auth.data.map(hex),
        "reason_string": auth.reason_string,
        "user": show_user(&auth.user_properties),
    });
    json!({ "auth": with(json!({ "reason": auth.reason.byte() }), added) })
}

fn show_connack(session_present: bool, reason: ReasonCode, said: &mqtt::ConnackProperties<'_>) -> Value {
    let refused = |is_available: bool| Some(false).filter(|_| !is_available);
    let added = json!({
        "session_expiry": said.session_expiry_secs,
        "receive_max": Some(said.receive_max).filter(|&max| max != u16::MAX),
        "qos_max": Some(said.qos_max).filter(|&qos| qos != contract::qos::Qos::ExactlyOnce),
        "retain_available": refused(said.retain_available),
        "packet_bytes_max": said.packet_bytes_max,
        "assigned_client_id": said.assigned_client_id,
        "topic_alias_max": Some(said.topic_alias_max).filter(|&max| max != 0),
        "reason_string": said.reason_string,
        "user": show_user(&said.user_properties),
        "wildcards_available": refused(said.wildcards_available),
        "subscription_ids_available": refused(said.subscription_ids_available),
        "shared_available": refused(said.shared_available),
        "server_keep_alive": said.server_keep_alive_secs,
        "response_info": said.response_info,
        "server_reference": said.server_reference,
        "auth_method": said.auth_method,
        "auth_data": said.auth_data.map(hex),
    });
    with(json!({ "session_present": session_present, "code": reason.byte() }), added)
}

fn show_server_packet(version: Version, packet: &ServerPacket<'_>) -> Value {
    match packet {
        ServerPacket::ConnAck { session_present, reason, .. } if !version.is_v5() => {
            let code = ConnectReturnCode::of_reason(*reason) as u8;
            json!({ "connack": { "session_present": session_present, "code": code } })
        }
        ServerPacket::ConnAck { session_present, reason, properties } => {
            json!({ "connack": show_connack(*session_present, *reason, properties) })
        }
        ServerPacket::Publish(publish) => show_publish(publish),
        ServerPacket::PubAck(packet_id, reason) => show_acknowledgement("puback", *packet_id, *reason),
        ServerPacket::PubRec(packet_id, reason) => show_acknowledgement("pubrec", *packet_id, *reason),
        ServerPacket::PubRel(packet_id, reason) => show_acknowledgement("pubrel", *packet_id, *reason),
        ServerPacket::PubComp(packet_id, reason) => show_acknowledgement("pubcomp", *packet_id, *reason),
        ServerPacket::SubAck { packet_id, codes } => {
            let granted: Vec<_> = codes.iter().map(|code| code.granted_qos()).collect();
            let codes: Vec<_> = codes.iter().map(|code| code.byte()).collect();
            let granted = if version.is_v5() { json!(codes) } else { json!(granted) };
            json!({ "suback": { "packet_id": packet_id, "granted": granted } })
        }
        ServerPacket::UnsubAck { packet_id, .. } if !version.is_v5() => json!({ "unsuback": packet_id }),
        ServerPacket::UnsubAck { packet_id, codes } => {
            let codes: Vec<_> = codes.iter().map(|code| code.byte()).collect();
            json!({ "unsuback": { "packet_id": packet_id, "codes": codes } })
        }
        ServerPacket::PingResp => json!("pingresp"),
        ServerPacket::Disconnect(disconnect) => show_disconnect(version, disconnect),
        ServerPacket::Auth(auth) => show_auth(auth),
    }
}

fn show_publish(publish: &Publish<'_>) -> Value {
    let plain = json!({
        "dup": publish.dup,
        "qos": publish.qos,
        "retain": publish.retain,
        "topic": publish.topic,
        "packet_id": publish.packet_id,
        "payload": hex(publish.payload),
    });
    let ids: Vec<_> = publish.subscription_ids().collect();
    let hop = json!({
        "alias": publish.topic_alias,
        "expiry": publish.expiry_secs,
        "ids": Some(ids).filter(|ids| !ids.is_empty()),
    });
    json!({ "publish": with(with(plain, hop), show_content(&publish.content)) })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` is missing in {value}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
