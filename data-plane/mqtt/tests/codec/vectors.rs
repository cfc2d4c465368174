//! Runs the wire vectors: every file, every row, read and, where the packet is lawful, written again.
//!
//! A file names its `decoder`: `first` (what opens a connection), `connected` (what a client sends after that) or
//! `client` (what a client receives). A row has a `name`, the `statement` it follows from, the `bytes`, and either the
//! `packet` they are or the `error` they cause; further `canonical: false` where other bytes would be written for the
//! packet, `answer` where the codec alone knows the server's, `packet_bytes_max` where the limit matters.

use std::path::Path;

use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, DecodeError, FirstPacket, Frame, Packet, Publish, UnsupportedVersion};
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let (mut lawful, mut malformed) = (0, 0);
    for entry in std::fs::read_dir(&folder).expect("the vectors are in the tree") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a readable file")).expect("valid JSON");
        let decoder = text(&file, "decoder");
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
    assert!(lawful >= 60 && malformed >= 140, "vectors are missing: {lawful} lawful, {malformed} malformed");
}

fn check_malformed(place: &str, decoder: &str, row: &Value, error: &str) {
    let bytes = bytes(text(row, "bytes"));
    let found = frame(row, &bytes).map(|frame| frame.unwrap_or_else(|| panic!("{place}: incomplete")));
    let outcome = found.and_then(|frame| decode(decoder, frame));
    let found = outcome.map(|outcome| outcome.packet).expect_err(place);
    assert_eq!(format!("{found:?}"), error, "{place}");
}

fn check_lawful(place: &str, decoder: &str, row: &Value) {
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

fn decode(decoder: &str, frame: Frame<'_>) -> Result<Outcome, DecodeError> {
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
                let level = match version {
                    UnsupportedVersion::V5 => 5,
                    UnsupportedVersion::Other { level } => level,
                };
                Outcome {
                    packet: json!({ "unsupported_version": level }),
                    rewritten: None,
                    answer: Some(answer),
                }
            }
        }),
        "connected" => mqtt::decode(frame).map(|packet| Outcome {
            packet: show_client_packet(&packet),
            rewritten: Some(rewrite::client_packet(&packet)),
            answer: None,
        }),
        "client" => client::decode(frame).map(|packet| Outcome {
            packet: show_server_packet(&packet),
            rewritten: Some(rewrite::server_packet(&packet)),
            answer: None,
        }),
        other => panic!("there is no decoder `{other}`"),
    }
}

fn show_connect(connect: &Connect<'_>) -> Value {
    let will = connect.will.map(|will| {
        json!({ "topic": will.topic, "payload": hex(will.payload), "qos": will.qos, "retain": will.retain })
    });
    json!({ "connect": {
        "clean_session": connect.clean_session,
        "keep_alive_secs": connect.keep_alive_secs,
        "client_id": connect.client_id,
        "will": will,
        "username": connect.username,
        "password": connect.password.map(hex),
    } })
}

fn show_client_packet(packet: &Packet<'_>) -> Value {
    match packet {
        Packet::Publish(publish) => show_publish(publish),
        Packet::PubAck(packet_id) => json!({ "puback": packet_id }),
        Packet::PubRec(packet_id) => json!({ "pubrec": packet_id }),
        Packet::PubRel(packet_id) => json!({ "pubrel": packet_id }),
        Packet::PubComp(packet_id) => json!({ "pubcomp": packet_id }),
        Packet::Subscribe(subscribe) => {
            json!({ "subscribe": { "packet_id": subscribe.packet_id, "filters": subscribe.filters } })
        }
        Packet::Unsubscribe(unsubscribe) => {
            json!({ "unsubscribe": { "packet_id": unsubscribe.packet_id, "filters": unsubscribe.filters } })
        }
        Packet::PingReq => json!("pingreq"),
        Packet::Disconnect => json!("disconnect"),
    }
}

fn show_server_packet(packet: &ServerPacket<'_>) -> Value {
    match packet {
        ServerPacket::ConnAck { session_present, code } => {
            json!({ "connack": { "session_present": session_present, "code": *code as u8 } })
        }
        ServerPacket::Publish(publish) => show_publish(publish),
        ServerPacket::PubAck(packet_id) => json!({ "puback": packet_id }),
        ServerPacket::PubRec(packet_id) => json!({ "pubrec": packet_id }),
        ServerPacket::PubRel(packet_id) => json!({ "pubrel": packet_id }),
        ServerPacket::PubComp(packet_id) => json!({ "pubcomp": packet_id }),
        ServerPacket::SubAck { packet_id, granted } => {
            json!({ "suback": { "packet_id": packet_id, "granted": granted } })
        }
        ServerPacket::UnsubAck(packet_id) => json!({ "unsuback": packet_id }),
        ServerPacket::PingResp => json!("pingresp"),
    }
}

fn show_publish(publish: &Publish<'_>) -> Value {
    json!({ "publish": {
        "dup": publish.dup,
        "qos": publish.qos,
        "retain": publish.retain,
        "topic": publish.topic,
        "packet_id": publish.packet_id,
        "payload": hex(publish.payload),
    } })
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
