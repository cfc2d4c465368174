//! What a connected client may send: the packets and their dispatch.

use crate::acknowledgement;
use crate::auth::Auth;
use crate::disconnect::Disconnect;
use crate::encode::length_bytes;
use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::publish::{Publish, Sender};
use crate::reason::ReasonCode;
use crate::subscribe::{Subscribe, Unsubscribe};
use crate::version::Version;

/// A packet identifier, never 0 [MQTT-2.3.1-1].
pub type PacketId = std::num::NonZeroU16;

/// The packet types (table 2.1), as [`Frame::kind`] gives them.
pub mod kind {
    #![expect(missing_docs, reason = "the names are those of the protocol's own table")]

    pub const RESERVED_0: u8 = 0;
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
    pub const AUTH: u8 = 15;
}

/// A packet of a client that is already connected. Before 5.0 every reason is [`ReasonCode::Success`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// A message for the server.
    Publish(Publish<'a>),
    /// The client has received a message of QoS 1.
    PubAck(PacketId, ReasonCode),
    /// The client has received a message of QoS 2 (first answer).
    PubRec(PacketId, ReasonCode),
    /// The client has had the first answer to its message of QoS 2.
    PubRel(PacketId, ReasonCode),
    /// The client has forgotten the identifier of a message of QoS 2 (last answer).
    PubComp(PacketId, ReasonCode),
    /// The client asks for messages.
    Subscribe(Subscribe),
    /// The client wants no more of them.
    Unsubscribe(Unsubscribe),
    /// The client is alive.
    PingReq,
    /// The client goes in peace: unless it says otherwise, its will is void [MQTT-3.14.4-3].
    Disconnect(Disconnect<'a>),
    /// The client proves itself (5.0).
    Auth(Auth<'a>),
}

/// Reads a packet that follows CONNECT. A second CONNECT [MQTT-3.1.0-2], or a packet that only a server sends, is
/// [`DecodeError::Unexpected`]. See [`decode_publish`] and [`decode_acknowledgement`] for those that come most.
pub fn decode(version: Version, frame: Frame<'_>) -> Result<Packet<'_>, DecodeError> {
    let kind = frame.kind();
    match kind {
        kind::PUBLISH => decode_publish(version, frame).map(Packet::Publish),
        kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP => {
            let (packet_id, reason) = decode_acknowledgement(version, frame)?;
            Ok(match kind {
                kind::PUBACK => Packet::PubAck(packet_id, reason),
                kind::PUBREC => Packet::PubRec(packet_id, reason),
                kind::PUBREL => Packet::PubRel(packet_id, reason),
                _ => Packet::PubComp(packet_id, reason),
            })
        }
        _ => decode_rare(version, frame),
    }
}

/// Reads a PUBLISH: [`decode`] for who has looked at the packet's type, and need not move the message.
#[inline]
pub fn decode_publish(version: Version, frame: Frame<'_>) -> Result<Publish<'_>, DecodeError> {
    debug_assert_eq!(frame.kind(), kind::PUBLISH, "the caller has looked");
    if version.is_v5() {
        return decode_publish_v5(frame);
    }
    Publish::decode(frame.flags(), frame.body)
}

/// On its own, so that the shorter way of 3.1.1 can stand where it is called.
fn decode_publish_v5(frame: Frame<'_>) -> Result<Publish<'_>, DecodeError> {
    check_length(&frame)?;
    Publish::decode_v5(Sender::Client, frame.flags(), frame.body)
}

/// Reads a PUBACK, PUBREC, PUBREL or PUBCOMP: [`decode`] for who has looked at the packet's type.
#[inline]
pub fn decode_acknowledgement(
    version: Version,
    frame: Frame<'_>,
) -> Result<(PacketId, ReasonCode), DecodeError> {
    if version.is_v5() {
        return decode_acknowledgement_v5(frame);
    }
    if frame.flags() != 0 {
        check_rare_flags(version, &frame)?;
    }
    acknowledgement::only_packet_id(frame.body).map(|packet_id| (packet_id, ReasonCode::Success))
}

fn decode_acknowledgement_v5(frame: Frame<'_>) -> Result<(PacketId, ReasonCode), DecodeError> {
    check_length(&frame)?;
    check_rare_flags(Version::V5, &frame)?;
    acknowledgement::decode_v5(frame.kind(), frame.body)
}

fn decode_rare(version: Version, frame: Frame<'_>) -> Result<Packet<'_>, DecodeError> {
    if version.is_v5() {
        check_length(&frame)?;
    }
    check_rare_flags(version, &frame)?;
    match frame.kind() {
        kind::SUBSCRIBE => Subscribe::decode(version, frame).map(Packet::Subscribe),
        kind::UNSUBSCRIBE => Unsubscribe::decode(version, frame).map(Packet::Unsubscribe),
        kind::PINGREQ => Fields::new(frame.body).finish().map(|()| Packet::PingReq),
        kind::DISCONNECT if version.is_v5() => {
            Disconnect::decode(Sender::Client, frame.body).map(Packet::Disconnect)
        }
        kind::DISCONNECT => {
            Fields::new(frame.body).finish().map(|()| Packet::Disconnect(Disconnect::default()))
        }
        kind::AUTH if version.is_v5() => Auth::decode(frame.body).map(Packet::Auth),
        kind::AUTH => Err(DecodeError::PacketType),
        _ => Err(DecodeError::Unexpected),
    }
}

/// 5.0 knows a rule against padded lengths [MQTT-1.5.5-1].
#[inline]
pub(crate) const fn check_length(frame: &Frame<'_>) -> Result<(), DecodeError> {
    let length = frame.body.len();
    if frame.total == 1 + length_bytes(length) + length { Ok(()) } else { Err(DecodeError::PaddedLength) }
}

/// Framing lets pass the flag of a packet that is sent again, which only 3.1 knows besides PUBLISH.
pub(crate) const fn check_rare_flags(version: Version, frame: &Frame<'_>) -> Result<(), DecodeError> {
    match version {
        Version::V311 | Version::V5 if frame.flags() & 0b1000 != 0 => Err(DecodeError::Flags),
        Version::V31 | Version::V311 | Version::V5 => Ok(()),
    }
}
