//! PUBACK, PUBREC, PUBREL and PUBCOMP: a packet identifier and, in 5.0, a reason.

use crate::disconnect::write_short;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::packet::{PacketId, kind};
use crate::property::{Properties, UserProperties, id, write};
use crate::reason::ReasonCode;
use crate::version::Version;

/// PUBACK. Before 5.0 it has no reason: a refusal is not to be written then.
#[inline]
pub fn puback(out: &mut Vec<u8>, version: Version, packet_id: PacketId, reason: ReasonCode) {
    acknowledge(out, version, kind::PUBACK << 4, packet_id, reason);
}

/// PUBREC. Before 5.0 it has no reason: a refusal is not to be written then.
#[inline]
pub fn pubrec(out: &mut Vec<u8>, version: Version, packet_id: PacketId, reason: ReasonCode) {
    acknowledge(out, version, kind::PUBREC << 4, packet_id, reason);
}

/// PUBREL, with the flags that it must have [MQTT-3.6.1-1].
#[inline]
pub fn pubrel(out: &mut Vec<u8>, version: Version, packet_id: PacketId, reason: ReasonCode) {
    acknowledge(out, version, kind::PUBREL << 4 | 0b0010, packet_id, reason);
}

/// PUBCOMP.
#[inline]
pub fn pubcomp(out: &mut Vec<u8>, version: Version, packet_id: PacketId, reason: ReasonCode) {
    acknowledge(out, version, kind::PUBCOMP << 4, packet_id, reason);
}

/// PUBACK of 5.0 that says why in words too, to a client that wants them.
pub fn puback_because(out: &mut Vec<u8>, packet_id: PacketId, reason: ReasonCode, why: &str) {
    because(out, kind::PUBACK << 4, packet_id, reason, why);
}

/// PUBREC of 5.0 that says why in words too, to a client that wants them.
pub fn pubrec_because(out: &mut Vec<u8>, packet_id: PacketId, reason: ReasonCode, why: &str) {
    because(out, kind::PUBREC << 4, packet_id, reason, why);
}

#[inline]
fn acknowledge(out: &mut Vec<u8>, version: Version, first: u8, packet_id: PacketId, reason: ReasonCode) {
    let [high, low] = packet_id.get().to_be_bytes();
    if reason == ReasonCode::Success || !version.is_v5() {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        out.extend_from_slice(&[first, 3, high, low, reason.byte()]);
    }
}

#[cold]
fn because(out: &mut Vec<u8>, first: u8, packet_id: PacketId, reason: ReasonCode, why: &str) {
    let mut section = Vec::with_capacity(3 + why.len());
    write::reason(&mut section, Some(why), &UserProperties::default());
    write_short(out, first, &packet_id.get().to_be_bytes(), reason, &section);
}

/// The body of an acknowledgement of this kind.
#[inline]
pub(crate) fn decode(version: Version, kind: u8, body: &[u8]) -> Result<(PacketId, ReasonCode), DecodeError> {
    if version.is_v5() {
        decode_v5(kind, body)
    } else {
        only_packet_id(body).map(|packet_id| (packet_id, ReasonCode::Success))
    }
}

/// The body of an acknowledgement of 3.1.1: a packet identifier and nothing else.
#[inline]
pub(crate) fn only_packet_id(body: &[u8]) -> Result<PacketId, DecodeError> {
    if let &[high, low] = body
        && let Some(packet_id) = PacketId::new(u16::from_be_bytes([high, low]))
    {
        return Ok(packet_id);
    }
    let mut fields = Fields::new(body);
    let packet_id = fields.packet_id()?;
    fields.finish()?;
    Ok(packet_id)
}

/// The body of an acknowledgement of 5.0.
pub(crate) fn decode_v5(kind: u8, body: &[u8]) -> Result<(PacketId, ReasonCode), DecodeError> {
    let mut fields = Fields::new(body);
    let packet_id = fields.packet_id()?;
    if fields.is_empty() {
        return Ok((packet_id, ReasonCode::Success));
    }
    decode_reason(kind, fields).map(|reason| (packet_id, reason))
}

/// What follows the packet identifier. What is said in words is checked and passed over.
fn decode_reason(kind: u8, mut fields: Fields<'_>) -> Result<ReasonCode, DecodeError> {
    let reason = ReasonCode::from_byte(fields.byte()?).ok_or(DecodeError::ReasonCode)?;
    if !is_allowed(kind, reason) {
        return Err(DecodeError::ReasonCode);
    }
    if !fields.is_empty() {
        let mut properties = Properties::read(&mut fields)?;
        while let Some(id) = properties.next()? {
            match id {
                id::REASON_STRING => drop(properties.text()?),
                id::USER_PROPERTY => properties.check_pair()?,
                _ => return Err(DecodeError::Property),
            }
        }
        fields.finish()?;
    }
    Ok(reason)
}

/// Tables 3-4, 3-5, 3-6 and 3-7.
const fn is_allowed(kind: u8, reason: ReasonCode) -> bool {
    match (kind, reason) {
        (_, ReasonCode::Success) => true,
        (kind::PUBREL | kind::PUBCOMP, reason) => matches!(reason, ReasonCode::PacketIdentifierNotFound),
        (_, reason) => matches!(
            reason,
            ReasonCode::NoMatchingSubscribers
                | ReasonCode::UnspecifiedError
                | ReasonCode::ImplementationSpecificError
                | ReasonCode::NotAuthorized
                | ReasonCode::TopicNameInvalid
                | ReasonCode::PacketIdentifierInUse
                | ReasonCode::QuotaExceeded
                | ReasonCode::PayloadFormatInvalid
        ),
    }
}
