//! What a server sends, appended to a buffer that the caller owns. What only a client sends is in [`crate::client`].

use contract::qos::Qos;

use crate::connect::ConnectReturnCode;
use crate::error::EncodeError;
use crate::frame::REMAINING_LENGTH_MAX;
use crate::library;
use crate::packet::{PacketId, kind};
use crate::publish::Publish;
use crate::version::UnsupportedVersion;

/// CONNACK. A refusal never claims a session, whatever `session_present` says [MQTT-3.2.2-4].
pub fn connack(out: &mut Vec<u8>, session_present: bool, code: ConnectReturnCode) {
    library::write_connack(out, session_present && code == ConnectReturnCode::Accepted, code);
}

/// CONNACK for a client of a version that is not served, in the form which that client understands.
pub fn connack_unsupported_version(out: &mut Vec<u8>, version: UnsupportedVersion) {
    match version {
        UnsupportedVersion::V5 => library::write_connack_v5_unsupported(out),
        UnsupportedVersion::Other { .. } => {
            connack(out, false, ConnectReturnCode::UnacceptableProtocolVersion);
        }
    }
}

/// PUBLISH, written in one go: the form for a single receiver, or for a message sent again (`dup`). For many
/// receivers see [`PublishForm`](crate::PublishForm). Nothing is written when it fails.
#[inline]
pub fn publish(out: &mut Vec<u8>, publish: &Publish<'_>) -> Result<(), EncodeError> {
    if publish.packet_id.is_some() != (publish.qos != Qos::AtMostOnce) {
        return Err(EncodeError::PacketId);
    }
    let packet_id = publish.packet_id.map(|packet_id| packet_id.get().to_be_bytes());
    write_publish(out, publish.first(), publish.topic, packet_id, publish.payload).map(drop)
}

/// Writes a PUBLISH with the given first byte; the answer is where the packet identifier is, or would be.
#[inline]
pub(crate) fn write_publish(
    out: &mut Vec<u8>,
    first: u8,
    topic: &str,
    packet_id: Option<[u8; 2]>,
    payload: &[u8],
) -> Result<usize, EncodeError> {
    let topic_length = u16::try_from(topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
    let length = 2 + topic.len() + packet_id.map_or(0, |bytes| bytes.len()) + payload.len();
    if length > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLong);
    }
    out.reserve(5 + length);
    out.push(first);
    remaining_length(out, length);
    out.extend_from_slice(&topic_length.to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    let packet_id_at = out.len();
    if let Some(bytes) = packet_id {
        out.extend_from_slice(&bytes);
    }
    out.extend_from_slice(payload);
    Ok(packet_id_at)
}

/// PUBACK.
#[inline]
pub fn puback(out: &mut Vec<u8>, packet_id: PacketId) {
    acknowledgement(out, kind::PUBACK << 4, packet_id);
}

/// PUBREC.
#[inline]
pub fn pubrec(out: &mut Vec<u8>, packet_id: PacketId) {
    acknowledgement(out, kind::PUBREC << 4, packet_id);
}

/// PUBREL, with the flags that it must have [MQTT-3.6.1-1].
#[inline]
pub fn pubrel(out: &mut Vec<u8>, packet_id: PacketId) {
    acknowledgement(out, kind::PUBREL << 4 | 0b0010, packet_id);
}

/// PUBCOMP.
#[inline]
pub fn pubcomp(out: &mut Vec<u8>, packet_id: PacketId) {
    acknowledgement(out, kind::PUBCOMP << 4, packet_id);
}

/// SUBACK: for each filter, in the order of the SUBSCRIBE, the QoS granted, or `None` for a refusal (0x80).
pub fn suback(out: &mut Vec<u8>, packet_id: PacketId, granted: impl Iterator<Item = Option<Qos>>) {
    library::write_suback(out, packet_id, granted);
}

/// UNSUBACK.
pub fn unsuback(out: &mut Vec<u8>, packet_id: PacketId) {
    acknowledgement(out, kind::UNSUBACK << 4, packet_id);
}

/// PINGRESP.
#[inline]
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::PINGRESP << 4, 0]);
}

#[inline]
fn acknowledgement(out: &mut Vec<u8>, first: u8, packet_id: PacketId) {
    let [high, low] = packet_id.get().to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// Writes a remaining length, in as few bytes as it takes. The caller has checked that it can be said.
#[inline]
pub(crate) fn remaining_length(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length <= REMAINING_LENGTH_MAX, "a remaining length has four bytes");
    let mut rest = length;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}
