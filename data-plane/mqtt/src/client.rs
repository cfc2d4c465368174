//! The client's end of the wire: what a client sends, and what it receives. For test clients and load generators;
//! a server uses none of it.
//!
//! What takes no version is written in its plain form: that of 3.1.1, which for acknowledgements and DISCONNECT is one
//! of 5.0 too. PUBLISH and acknowledgements with all that 5.0 adds are those of [`crate::encode`].

use std::num::NonZeroU32;

use contract::qos::Qos;

use crate::acknowledgement;
use crate::auth::Auth;
use crate::connack::{ConnackProperties, ConnectReturnCode};
use crate::connect::Connect;
use crate::disconnect::Disconnect;
use crate::encode::{self, remaining_length};
use crate::error::{DecodeError, EncodeError};
use crate::field::Fields;
use crate::frame::{Frame, REMAINING_LENGTH_MAX};
use crate::library;
use crate::packet::{PacketId, check_length, check_rare_flags, kind};
use crate::property::{Properties, UserProperties, VARIABLE_MAX, id, write};
use crate::publish::{Publish, Sender};
use crate::reason::ReasonCode;
use crate::subscribe::Options;
use crate::version::Version;

/// CONNECT, of the version that it names. Nothing is written when it fails.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) -> Result<(), EncodeError> {
    let version = connect.version;
    if !version.is_v5() && connect.password.is_some() && connect.username.is_none() {
        return Err(EncodeError::PasswordWithoutUserName);
    }
    let mut body = Vec::with_capacity(64);
    field(&mut body, version.protocol_name())?;
    body.extend_from_slice(&[version.level(), connect.flags()]);
    body.extend_from_slice(&connect.keep_alive_secs.to_be_bytes());
    if version.is_v5() {
        section(&mut body, |list| connect.properties.write(list))?;
    }
    field(&mut body, connect.client_id.as_bytes())?;
    if let Some(will) = &connect.will {
        if version.is_v5() {
            section(&mut body, |list| will.write_properties(list))?;
        }
        field(&mut body, will.topic.as_bytes())?;
        field(&mut body, will.payload)?;
    }
    if let Some(username) = connect.username {
        field(&mut body, username.as_bytes())?;
    }
    if let Some(password) = connect.password {
        field(&mut body, password)?;
    }
    packet(out, kind::CONNECT << 4, &body)
}

/// PUBLISH of 3.1.1. Nothing is written when it fails.
#[inline]
pub fn publish(out: &mut Vec<u8>, publish: &Publish<'_>) -> Result<(), EncodeError> {
    encode::publish(out, Version::V311, publish)
}

/// PUBACK: received.
#[inline]
pub fn puback(out: &mut Vec<u8>, packet_id: PacketId) {
    encode::puback(out, Version::V311, packet_id, ReasonCode::Success);
}

/// PUBREC: received.
#[inline]
pub fn pubrec(out: &mut Vec<u8>, packet_id: PacketId) {
    encode::pubrec(out, Version::V311, packet_id, ReasonCode::Success);
}

/// PUBREL: the first answer is here.
#[inline]
pub fn pubrel(out: &mut Vec<u8>, packet_id: PacketId) {
    encode::pubrel(out, Version::V311, packet_id, ReasonCode::Success);
}

/// PUBCOMP: done.
#[inline]
pub fn pubcomp(out: &mut Vec<u8>, packet_id: PacketId) {
    encode::pubcomp(out, Version::V311, packet_id, ReasonCode::Success);
}

/// SUBSCRIBE of 3.1.1. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn subscribe(out: &mut Vec<u8>, packet_id: PacketId, filters: &[(&str, Qos)]) -> Result<(), EncodeError> {
    library::write_subscribe(out, packet_id, filters)
}

/// UNSUBSCRIBE of 3.1.1. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn unsubscribe(out: &mut Vec<u8>, packet_id: PacketId, filters: &[&str]) -> Result<(), EncodeError> {
    library::write_unsubscribe(out, packet_id, filters)
}

/// SUBSCRIBE of 5.0. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn subscribe_v5(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    filters: &[(&str, Options)],
    subscription_id: Option<NonZeroU32>,
    user_properties: UserProperties<'_>,
) -> Result<(), EncodeError> {
    if filters.is_empty() {
        return Err(EncodeError::NoFilters);
    }
    let mut body = packet_id.get().to_be_bytes().to_vec();
    section(&mut body, |list| {
        if let Some(number) = subscription_id {
            debug_assert!(number.get() <= VARIABLE_MAX, "an identifier has four bytes");
            write::variable(list, id::SUBSCRIPTION_ID, number.get());
        }
        user_properties.write(list);
    })?;
    for (filter, options) in filters {
        field(&mut body, filter.as_bytes())?;
        body.push(options.byte());
    }
    packet(out, kind::SUBSCRIBE << 4 | 0b0010, &body)
}

/// UNSUBSCRIBE of 5.0. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn unsubscribe_v5(
    out: &mut Vec<u8>,
    packet_id: PacketId,
    filters: &[&str],
    user_properties: UserProperties<'_>,
) -> Result<(), EncodeError> {
    if filters.is_empty() {
        return Err(EncodeError::NoFilters);
    }
    let mut body = packet_id.get().to_be_bytes().to_vec();
    section(&mut body, |list| user_properties.write(list))?;
    for filter in filters {
        field(&mut body, filter.as_bytes())?;
    }
    packet(out, kind::UNSUBSCRIBE << 4 | 0b0010, &body)
}

/// PINGREQ.
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::PINGREQ << 4, 0]);
}

/// DISCONNECT: goodbye.
pub fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::DISCONNECT << 4, 0]);
}

/// DISCONNECT of 5.0, as short as it can be.
pub fn disconnect_v5(out: &mut Vec<u8>, disconnect: &Disconnect<'_>) {
    disconnect.write(out);
}

/// AUTH, as short as it can be.
pub fn auth(out: &mut Vec<u8>, auth: &Auth<'_>) {
    auth.write(out);
}

/// A packet that a server sends. Before 5.0 there are no properties, and every reason that the packet does not say is
/// [`ReasonCode::Success`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerPacket<'a> {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the server had a session of this client; never with a refusal [MQTT-3.2.2-4].
        session_present: bool,
        /// Whether the connection stands; before 5.0 the [`ConnectReturnCode::reason`] of its return code.
        reason: ReasonCode,
        /// What 5.0 adds.
        properties: Box<ConnackProperties<'a>>,
    },
    /// A message for the client.
    Publish(Publish<'a>),
    /// The server has a message of QoS 1, or refuses it.
    PubAck(PacketId, ReasonCode),
    /// The server has a message of QoS 2 (first answer), or refuses it.
    PubRec(PacketId, ReasonCode),
    /// The server has had the first answer to its message of QoS 2.
    PubRel(PacketId, ReasonCode),
    /// The server has forgotten the identifier of a message of QoS 2 (last answer).
    PubComp(PacketId, ReasonCode),
    /// The answer to SUBSCRIBE.
    SubAck {
        /// That of the SUBSCRIBE.
        packet_id: PacketId,
        /// For each filter [`ReasonCode::granted`], or why it is refused; before 5.0
        /// [`UnspecifiedError`](ReasonCode::UnspecifiedError).
        codes: Vec<ReasonCode>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck {
        /// That of the UNSUBSCRIBE.
        packet_id: PacketId,
        /// For each filter what became of it; before 5.0 none.
        codes: Vec<ReasonCode>,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// The server sends the client away (5.0).
    Disconnect(Disconnect<'a>),
    /// The server wants the client to go on proving itself (5.0).
    Auth(Auth<'a>),
}

/// Reads a packet of a server, as strictly as [`crate::decode`] reads a client's. A packet that only a client sends is
/// [`DecodeError::Unexpected`].
pub fn decode(version: Version, frame: Frame<'_>) -> Result<ServerPacket<'_>, DecodeError> {
    if version.is_v5() {
        check_length(&frame)?;
    }
    if frame.kind() == kind::PUBLISH {
        let publish = if version.is_v5() {
            Publish::decode_v5(Sender::Server, frame.flags(), frame.body)
        } else {
            Publish::decode(frame.flags(), frame.body)
        };
        return publish.map(ServerPacket::Publish);
    }
    check_rare_flags(version, &frame)?;
    match frame.kind() {
        kind @ (kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP) => {
            let (packet_id, reason) = acknowledgement::decode(version, kind, frame.body)?;
            Ok(match kind {
                kind::PUBACK => ServerPacket::PubAck(packet_id, reason),
                kind::PUBREC => ServerPacket::PubRec(packet_id, reason),
                kind::PUBREL => ServerPacket::PubRel(packet_id, reason),
                _ => ServerPacket::PubComp(packet_id, reason),
            })
        }
        kind::CONNACK => decode_connack(version, frame.body),
        kind::SUBACK => decode_suback(version, frame),
        kind::UNSUBACK => decode_unsuback(version, frame.body),
        kind::PINGRESP => Fields::new(frame.body).finish().map(|()| ServerPacket::PingResp),
        kind::DISCONNECT if version.is_v5() => {
            Disconnect::decode(Sender::Server, frame.body).map(ServerPacket::Disconnect)
        }
        kind::AUTH if version.is_v5() => Auth::decode(frame.body).map(ServerPacket::Auth),
        kind::AUTH => Err(DecodeError::PacketType),
        _ => Err(DecodeError::Unexpected),
    }
}

fn decode_connack(version: Version, body: &[u8]) -> Result<ServerPacket<'_>, DecodeError> {
    let mut fields = Fields::new(body);
    let (flags, code) = (fields.byte()?, fields.byte()?);
    let mut properties = ConnackProperties::default();
    let reason = if version.is_v5() {
        properties = ConnackProperties::read(&mut fields)?;
        ReasonCode::from_byte(code)
            .filter(|reason| *reason == ReasonCode::Success || reason.is_error())
            .ok_or(DecodeError::ReturnCode)?
    } else {
        ConnectReturnCode::from_byte(code).ok_or(DecodeError::ReturnCode)?.reason()
    };
    fields.finish()?;
    if flags & !1 != 0 {
        return Err(DecodeError::ConnAckFlags);
    }
    let session_present = flags == 1;
    if session_present && reason != ReasonCode::Success {
        return Err(DecodeError::SessionOfRefused);
    }
    Ok(ServerPacket::ConnAck { session_present, reason, properties: Box::new(properties) })
}

fn decode_suback(version: Version, frame: Frame<'_>) -> Result<ServerPacket<'static>, DecodeError> {
    if version.is_v5() {
        let (packet_id, codes) = decode_codes(frame.body)?;
        return Ok(ServerPacket::SubAck { packet_id, codes });
    }
    let mut fields = Fields::new(frame.body);
    let packet_id = fields.packet_id()?;
    let codes = fields.payload();
    if codes.is_empty() {
        return Err(DecodeError::Truncated);
    }
    if codes.iter().any(|&code| code != 0x80 && Qos::from_bits(code).is_none()) {
        return Err(DecodeError::ReturnCode);
    }
    let code = |granted: Option<Qos>| granted.map_or(ReasonCode::UnspecifiedError, ReasonCode::granted);
    let codes = library::read_suback(frame)?.into_iter().map(code).collect();
    Ok(ServerPacket::SubAck { packet_id, codes })
}

fn decode_unsuback(version: Version, body: &[u8]) -> Result<ServerPacket<'static>, DecodeError> {
    if version.is_v5() {
        let (packet_id, codes) = decode_codes(body)?;
        return Ok(ServerPacket::UnsubAck { packet_id, codes });
    }
    let packet_id = acknowledgement::only_packet_id(body)?;
    Ok(ServerPacket::UnsubAck { packet_id, codes: Vec::new() })
}

/// The body of SUBACK and UNSUBACK of 5.0.
fn decode_codes(body: &[u8]) -> Result<(PacketId, Vec<ReasonCode>), DecodeError> {
    let mut fields = Fields::new(body);
    let packet_id = fields.packet_id()?;
    let mut properties = Properties::read(&mut fields)?;
    while let Some(id) = properties.next()? {
        match id {
            id::REASON_STRING => drop(properties.text()?),
            id::USER_PROPERTY => properties.check_pair()?,
            _ => return Err(DecodeError::Property),
        }
    }
    let codes = fields.payload();
    if codes.is_empty() {
        return Err(DecodeError::Truncated);
    }
    let code = |&byte: &u8| ReasonCode::from_byte(byte).ok_or(DecodeError::ReturnCode);
    Ok((packet_id, codes.iter().map(code).collect::<Result<_, _>>()?))
}

/// Bytes behind their two-byte length.
fn field(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    let length = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// A list of properties behind its length.
fn section(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EncodeError> {
    let mut list = Vec::new();
    write(&mut list);
    if list.len() > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLong);
    }
    remaining_length(out, list.len());
    out.extend_from_slice(&list);
    Ok(())
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) -> Result<(), EncodeError> {
    if body.len() > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLong);
    }
    out.push(first);
    remaining_length(out, body.len());
    out.extend_from_slice(body);
    Ok(())
}
