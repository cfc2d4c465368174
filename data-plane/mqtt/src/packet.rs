//! What a connected client may send: the packets and their dispatch.

use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::publish::Publish;
use crate::subscribe::{Subscribe, Unsubscribe};

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
    pub const RESERVED_15: u8 = 15;
}

/// A packet of a client that is already connected with 3.1.1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// A message for the server.
    Publish(Publish<'a>),
    /// The client has received a message of QoS 1.
    PubAck(PacketId),
    /// The client has received a message of QoS 2 (first answer).
    PubRec(PacketId),
    /// The client has had the first answer to its message of QoS 2.
    PubRel(PacketId),
    /// The client has forgotten the identifier of a message of QoS 2 (last answer).
    PubComp(PacketId),
    /// The client asks for messages.
    Subscribe(Subscribe),
    /// The client wants no more of them.
    Unsubscribe(Unsubscribe),
    /// The client is alive.
    PingReq,
    /// The client goes in peace: its will is void [MQTT-3.14.4-3].
    Disconnect,
}

/// Reads a packet that follows CONNECT. A second CONNECT [MQTT-3.1.0-2], or a packet that only a server sends, is
/// [`DecodeError::Unexpected`].
#[inline]
pub fn decode(frame: Frame<'_>) -> Result<Packet<'_>, DecodeError> {
    match frame.kind() {
        kind::PUBLISH => Publish::decode(frame.flags(), frame.body).map(Packet::Publish),
        kind::PUBACK => only_packet_id(frame.body).map(Packet::PubAck),
        _ => decode_rare(frame),
    }
}

fn decode_rare(frame: Frame<'_>) -> Result<Packet<'_>, DecodeError> {
    match frame.kind() {
        kind::PUBREC => only_packet_id(frame.body).map(Packet::PubRec),
        kind::PUBREL => only_packet_id(frame.body).map(Packet::PubRel),
        kind::PUBCOMP => only_packet_id(frame.body).map(Packet::PubComp),
        kind::SUBSCRIBE => Subscribe::decode(frame).map(Packet::Subscribe),
        kind::UNSUBSCRIBE => Unsubscribe::decode(frame).map(Packet::Unsubscribe),
        kind::PINGREQ => Fields::new(frame.body).finish().map(|()| Packet::PingReq),
        kind::DISCONNECT => Fields::new(frame.body).finish().map(|()| Packet::Disconnect),
        _ => Err(DecodeError::Unexpected),
    }
}

/// The body of the acknowledgements: a packet identifier and nothing else.
#[inline]
pub(crate) fn only_packet_id(body: &[u8]) -> Result<PacketId, DecodeError> {
    let mut fields = Fields::new(body);
    let packet_id = fields.packet_id()?;
    fields.finish()?;
    Ok(packet_id)
}
