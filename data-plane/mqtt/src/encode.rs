//! What a server sends, appended to a buffer that the caller owns. What only a client sends is in [`crate::client`].

use contract::qos::Qos;

pub use crate::acknowledgement::{puback, puback_because, pubcomp, pubrec, pubrec_because, pubrel};
pub use crate::auth::auth;
pub use crate::connack::{connack, connack_unsupported_version};
pub use crate::disconnect::disconnect;
use crate::error::EncodeError;
use crate::form::PublishHead;
use crate::frame::REMAINING_LENGTH_MAX;
use crate::library;
use crate::packet::{PacketId, kind};
use crate::property::{UserProperties, id, write};
use crate::publish::Publish;
use crate::reason::ReasonCode;
use crate::version::Version;

/// PUBLISH, written in one go: the form for a single receiver, or for a message sent again (`dup`). For many
/// receivers see [`PublishForm`](crate::PublishForm). Before 5.0 the properties are left out. Nothing is written when
/// it fails.
#[inline]
pub fn publish(out: &mut Vec<u8>, version: Version, publish: &Publish<'_>) -> Result<(), EncodeError> {
    if publish.packet_id.is_some() != (publish.qos != Qos::AtMostOnce) {
        return Err(EncodeError::PacketId);
    }
    let packet_id = publish.packet_id.map(|packet_id| packet_id.get().to_be_bytes());
    let &Publish { topic, payload, .. } = publish;
    if !version.is_v5() {
        return write_plain(out, publish.first(), topic, packet_id, false, payload).map(drop);
    }
    let subscription_ids: Vec<_> = publish.subscription_ids().collect();
    let head = PublishHead {
        topic_alias: publish.topic_alias,
        expiry_secs: publish.expiry_secs,
        subscription_ids: &subscription_ids,
        content: publish.content,
        ..PublishHead::plain(version, topic, publish.qos, publish.retain)
    };
    write_v5(out, publish.first(), &head, packet_id, payload).map(drop)
}

/// Where in a buffer the fields of a PUBLISH are that may be written again.
pub(crate) struct Places {
    /// The packet identifier, where it is or would be.
    pub(crate) packet_id: u32,
    /// The seconds of the expiry; 0: there are none.
    pub(crate) expiry: u32,
}

/// Writes a PUBLISH without properties, which 5.0 says in a byte; the answer is where the packet identifier is, or would
/// be.
#[inline]
pub(crate) fn write_plain(
    out: &mut Vec<u8>,
    first: u8,
    topic: &str,
    packet_id: Option<[u8; 2]>,
    is_v5: bool,
    payload: &[u8],
) -> Result<u32, EncodeError> {
    let rest = packet_id.map_or(0, |bytes| bytes.len()) + usize::from(is_v5) + payload.len();
    write_topic(out, first, topic, rest)?;
    let packet_id_at = place(out);
    if let Some(bytes) = packet_id {
        out.extend_from_slice(&bytes);
    }
    if is_v5 {
        out.push(0);
    }
    out.extend_from_slice(payload);
    Ok(packet_id_at)
}

/// Writes a PUBLISH of 5.0.
pub(crate) fn write_v5(
    out: &mut Vec<u8>,
    first: u8,
    head: &PublishHead<'_>,
    packet_id: Option<[u8; 2]>,
    payload: &[u8],
) -> Result<Places, EncodeError> {
    if head.is_plain() {
        let packet_id = write_plain(out, first, head.topic, packet_id, true, payload)?;
        return Ok(Places { packet_id, expiry: 0 });
    }
    let section = section_bytes(head);
    let id_bytes = packet_id.map_or(0, |bytes| bytes.len());
    write_topic(out, first, head.topic, id_bytes + length_bytes(section) + section + payload.len())?;
    let packet_id_at = place(out);
    if let Some(bytes) = packet_id {
        out.extend_from_slice(&bytes);
    }
    let expiry = write_section(out, section, head);
    out.extend_from_slice(payload);
    Ok(Places { packet_id: packet_id_at, expiry })
}

/// The front of a PUBLISH, up to its topic, behind which there are `rest` bytes.
#[expect(clippy::inline_always, reason = "called, it costs a tenth of a rendering")]
#[inline(always)]
fn write_topic(out: &mut Vec<u8>, first: u8, topic: &str, rest: usize) -> Result<(), EncodeError> {
    let [high, low] = u16::try_from(topic.len()).map_err(|_| EncodeError::FieldTooLong)?.to_be_bytes();
    let length = 2 + topic.len() + rest;
    if length > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLong);
    }
    out.reserve(5 + length);
    if let Ok(short @ 0..=0x7F) = u8::try_from(length) {
        out.extend_from_slice(&[first, short, high, low]);
    } else {
        out.push(first);
        remaining_length(out, length);
        out.extend_from_slice(&[high, low]);
    }
    out.extend_from_slice(topic.as_bytes());
    Ok(())
}

/// The place that is written next. A packet is shorter than this can say, and the places that matter are of a buffer
/// with one packet.
#[inline]
fn place(out: &[u8]) -> u32 {
    u32::try_from(out.len()).unwrap_or(0)
}

/// Bytes of a whole PUBLISH, see [`PublishHead::size_bytes`].
pub(crate) fn publish_bytes(head: &PublishHead<'_>, payload_bytes: usize) -> usize {
    let id_bytes = if head.qos == Qos::AtMostOnce { 0 } else { 2 };
    let properties = if head.version.is_v5() {
        let section = section_bytes(head);
        length_bytes(section) + section
    } else {
        0
    };
    let length = 2 + head.topic.len() + id_bytes + properties + payload_bytes;
    1 + length_bytes(length) + length
}

#[inline]
fn section_bytes(head: &PublishHead<'_>) -> usize {
    let expiry = if head.expiry_secs.is_some() { 5 } else { 0 };
    let alias = if head.topic_alias.is_some() { 3 } else { 0 };
    let ids = head.subscription_ids.iter().map(|id| 1 + length_bytes(id.get() as usize)).sum::<usize>();
    expiry + alias + ids + head.content.size_bytes()
}

/// Writes the properties and their length; the answer is where the expiry is.
fn write_section(out: &mut Vec<u8>, section: usize, head: &PublishHead<'_>) -> u32 {
    remaining_length(out, section);
    let mut expiry_at = 0;
    if let Some(secs) = head.expiry_secs {
        expiry_at = place(out) + 1;
        write::long(out, id::MESSAGE_EXPIRY, secs);
    }
    if let Some(alias) = head.topic_alias {
        write::number(out, id::TOPIC_ALIAS, alias.get());
    }
    for subscription_id in head.subscription_ids {
        write::variable(out, id::SUBSCRIPTION_ID, subscription_id.get());
    }
    head.content.append_to(out);
    expiry_at
}

/// SUBACK: a code for each filter, in the order of the SUBSCRIBE. Before 5.0 every refusal is 0x80.
pub fn suback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    codes: impl Iterator<Item = ReasonCode>,
) {
    if version.is_v5() {
        list_of_codes(out, kind::SUBACK << 4, packet_id, None, codes);
    } else {
        library::write_suback(out, packet_id, codes.map(ReasonCode::granted_qos));
    }
}

/// SUBACK of 5.0 that says in words too why a filter was refused, to a client that wants them.
pub fn suback_because(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    codes: impl Iterator<Item = ReasonCode>,
    why: &str,
) {
    list_of_codes(out, kind::SUBACK << 4, packet_id, Some(why), codes);
}

/// UNSUBACK: a code for each filter, in the order of the UNSUBSCRIBE; before 5.0 it has none.
pub fn unsuback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    codes: impl Iterator<Item = ReasonCode>,
) {
    if version.is_v5() {
        list_of_codes(out, kind::UNSUBACK << 4, packet_id, None, codes);
    } else {
        let [high, low] = packet_id.get().to_be_bytes();
        out.extend_from_slice(&[kind::UNSUBACK << 4, 2, high, low]);
    }
}

/// UNSUBACK of 5.0 that says in words too why, to a client that wants them.
pub fn unsuback_because(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    codes: impl Iterator<Item = ReasonCode>,
    why: &str,
) {
    list_of_codes(out, kind::UNSUBACK << 4, packet_id, Some(why), codes);
}

fn list_of_codes(
    out: &mut Vec<u8>,
    first: u8,
    packet_id: PacketId,
    why: Option<&str>,
    codes: impl Iterator<Item = ReasonCode>,
) {
    let mut section = Vec::new();
    write::reason(&mut section, why, &UserProperties::default());
    let mut body = packet_id.get().to_be_bytes().to_vec();
    remaining_length(&mut body, section.len());
    body.extend_from_slice(&section);
    body.extend(codes.map(ReasonCode::byte));
    out.push(first);
    remaining_length(out, body.len());
    out.extend_from_slice(&body);
}

/// PINGRESP.
#[inline]
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::PINGRESP << 4, 0]);
}

/// Writes a remaining length, or another variable byte integer, in as few bytes as it takes. The caller has checked
/// that it can be said.
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

/// Bytes that [`remaining_length`] writes.
#[inline]
pub(crate) const fn length_bytes(length: usize) -> usize {
    match length {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}
