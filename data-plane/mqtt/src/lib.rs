//! Bytes to packets and back, strictly. It knows no session, no policy and no socket.
//!
//! [`frame`] cuts one packet off the front of a buffer, [`decode_first`] reads a CONNECT and [`decode`] everything
//! that follows it; the functions of [`encode`] append what a server sends, [`PublishForm`] renders one PUBLISH for
//! many receivers, and [`client`] is the other end of the wire.
//!
//! Whatever a peer sends is checked against MQTT 3.1.1 here, once: a packet that comes out of this crate is lawful
//! in itself, and each [`DecodeError`] names the statement that was broken. PUBLISH, CONNECT, framing, flags and
//! acknowledgements are read in place, without a copy. Packets that are rare on the wire go through the types of
//! `mqttbytes`, which is shown only what has passed these checks and never asked whether a topic is valid.

pub mod client;
mod connect;
pub mod encode;
mod error;
mod field;
mod form;
mod frame;
mod library;
mod packet;
mod publish;
mod subscribe;
mod version;

pub use connect::{Connect, ConnectReturnCode, FirstPacket, Will, decode_first};
pub use encode::{
    connack, connack_unsupported_version, pingresp, puback, pubcomp, publish, pubrec, pubrel, suback,
    unsuback,
};
pub use error::{DecodeError, EncodeError};
pub use form::PublishForm;
pub use frame::{Frame, REMAINING_LENGTH_MAX, frame};
pub use packet::{Packet, PacketId, decode, kind};
pub use publish::Publish;
pub use subscribe::{FILTERS_PER_PACKET_MAX, Subscribe, Unsubscribe};
pub use version::{UnsupportedVersion, Version};
