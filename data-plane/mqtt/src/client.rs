//! The client's end of the wire: what a client sends, and what it receives. For test clients and load generators;
//! a server uses none of it.
//!
//! The acknowledgements of a client are those of [`crate::encode`], and so is PUBLISH.

use contract::qos::Qos;

use crate::connect::{Connect, ConnectReturnCode};
use crate::encode::remaining_length;
pub use crate::encode::{puback, pubcomp, publish, pubrec, pubrel};
use crate::error::{DecodeError, EncodeError};
use crate::field::Fields;
use crate::frame::{Frame, REMAINING_LENGTH_MAX};
use crate::library;
use crate::packet::{PacketId, kind, only_packet_id};
use crate::publish::Publish;
use crate::version::Version;

/// CONNECT of 3.1.1. Nothing is written when it fails.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) -> Result<(), EncodeError> {
    if connect.password.is_some() && connect.username.is_none() {
        return Err(EncodeError::PasswordWithoutUserName);
    }
    let mut body = Vec::with_capacity(64);
    field(&mut body, b"MQTT")?;
    body.extend_from_slice(&[Version::V311.level(), connect.flags()]);
    body.extend_from_slice(&connect.keep_alive_secs.to_be_bytes());
    field(&mut body, connect.client_id.as_bytes())?;
    if let Some(will) = &connect.will {
        field(&mut body, will.topic.as_bytes())?;
        field(&mut body, will.payload)?;
    }
    if let Some(username) = connect.username {
        field(&mut body, username.as_bytes())?;
    }
    if let Some(password) = connect.password {
        field(&mut body, password)?;
    }
    debug_assert!(body.len() <= REMAINING_LENGTH_MAX, "six short fields");
    out.push(kind::CONNECT << 4);
    remaining_length(out, body.len());
    out.extend_from_slice(&body);
    Ok(())
}

/// SUBSCRIBE. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn subscribe(out: &mut Vec<u8>, packet_id: PacketId, filters: &[(&str, Qos)]) -> Result<(), EncodeError> {
    library::write_subscribe(out, packet_id, filters)
}

/// UNSUBSCRIBE. The filters are sent as they are given; at least one. Nothing is written when it fails.
pub fn unsubscribe(out: &mut Vec<u8>, packet_id: PacketId, filters: &[&str]) -> Result<(), EncodeError> {
    library::write_unsubscribe(out, packet_id, filters)
}

/// PINGREQ.
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::PINGREQ << 4, 0]);
}

/// DISCONNECT.
pub fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind::DISCONNECT << 4, 0]);
}

/// A packet that a server sends to a client of 3.1.1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerPacket<'a> {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the server had a session of this client; never with a refusal [MQTT-3.2.2-4].
        session_present: bool,
        /// Whether the connection stands.
        code: ConnectReturnCode,
    },
    /// A message for the client.
    Publish(Publish<'a>),
    /// The server has a message of QoS 1.
    PubAck(PacketId),
    /// The server has a message of QoS 2 (first answer).
    PubRec(PacketId),
    /// The server has had the first answer to its message of QoS 2.
    PubRel(PacketId),
    /// The server has forgotten the identifier of a message of QoS 2 (last answer).
    PubComp(PacketId),
    /// The answer to SUBSCRIBE.
    SubAck {
        /// That of the SUBSCRIBE.
        packet_id: PacketId,
        /// For each filter the QoS granted, or `None`: refused.
        granted: Vec<Option<Qos>>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck(PacketId),
    /// The answer to PINGREQ.
    PingResp,
}

/// Reads a packet of a server, as strictly as [`crate::decode`] reads a client's. A packet that only a client sends is
/// [`DecodeError::Unexpected`].
pub fn decode(frame: Frame<'_>) -> Result<ServerPacket<'_>, DecodeError> {
    match frame.kind() {
        kind::PUBLISH => Publish::decode(frame.flags(), frame.body).map(ServerPacket::Publish),
        kind::PUBACK => only_packet_id(frame.body).map(ServerPacket::PubAck),
        kind::PUBREC => only_packet_id(frame.body).map(ServerPacket::PubRec),
        kind::PUBREL => only_packet_id(frame.body).map(ServerPacket::PubRel),
        kind::PUBCOMP => only_packet_id(frame.body).map(ServerPacket::PubComp),
        kind::CONNACK => decode_connack(frame.body),
        kind::SUBACK => decode_suback(frame),
        kind::UNSUBACK => only_packet_id(frame.body).map(ServerPacket::UnsubAck),
        kind::PINGRESP => Fields::new(frame.body).finish().map(|()| ServerPacket::PingResp),
        _ => Err(DecodeError::Unexpected),
    }
}

fn decode_connack(body: &[u8]) -> Result<ServerPacket<'static>, DecodeError> {
    let mut fields = Fields::new(body);
    let (flags, code) = (fields.byte()?, fields.byte()?);
    fields.finish()?;
    if flags & !1 != 0 {
        return Err(DecodeError::ConnAckFlags);
    }
    let session_present = flags == 1;
    let code = ConnectReturnCode::from_byte(code).ok_or(DecodeError::ReturnCode)?;
    if session_present && code != ConnectReturnCode::Accepted {
        return Err(DecodeError::SessionOfRefused);
    }
    Ok(ServerPacket::ConnAck { session_present, code })
}

fn decode_suback(frame: Frame<'_>) -> Result<ServerPacket<'static>, DecodeError> {
    let mut fields = Fields::new(frame.body);
    let packet_id = fields.packet_id()?;
    let codes = fields.payload();
    if codes.is_empty() {
        return Err(DecodeError::Truncated);
    }
    if codes.iter().any(|&code| code != 0x80 && Qos::from_bits(code).is_none()) {
        return Err(DecodeError::ReturnCode);
    }
    Ok(ServerPacket::SubAck { packet_id, granted: library::read_suback(frame)? })
}

/// Bytes behind their two-byte length.
fn field(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    let length = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
