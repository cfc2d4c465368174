//! Bytes to packets and back, strictly. It knows no session, no policy and no socket.
//!
//! [`frame`] cuts one packet off the front of a buffer, [`decode_first`] reads a CONNECT and [`decode`] everything
//! that follows it; the functions of [`encode`] append what a server sends, [`PublishForm`] renders one PUBLISH for
//! many receivers, and [`client`] is the other end of the wire.
//!
//! Whatever a peer sends is checked against its version of MQTT here, once: a packet that comes out of this crate is lawful
//! in itself, and each [`DecodeError`] names the statement that was broken. PUBLISH, CONNECT, framing, flags and
//! acknowledgements are read in place, without a copy. Packets that are rare on the wire go through the types of
//! `mqttbytes`, which is shown only what has passed these checks and never asked whether a topic is valid.

mod acknowledgement;
mod auth;
pub mod client;
mod connack;
mod connect;
mod content;
mod disconnect;
pub mod encode;
mod error;
mod field;
mod form;
mod frame;
mod library;
mod packet;
mod property;
mod publish;
mod reason;
mod subscribe;
mod version;

pub use auth::Auth;
pub use connack::{ConnackProperties, ConnectReturnCode};
pub use connect::{Connect, ConnectProperties, FirstPacket, Will, decode_first};
pub use content::{Content, ContentWriter};
pub use disconnect::{Disconnect, DisconnectProperties};
pub use encode::{
    auth, connack, connack_unsupported_version, disconnect, pingresp, puback, puback_because, pubcomp,
    publish, pubrec, pubrec_because, pubrel, suback, suback_because, unsuback, unsuback_because,
};
pub use error::{DecodeError, EncodeError};
pub use form::{PublishForm, PublishHead, set_expiry_secs};
pub use frame::{Frame, REMAINING_LENGTH_MAX, frame};
pub use packet::{Packet, PacketId, decode, decode_acknowledgement, decode_publish, kind};
pub use property::{UserProperties, VARIABLE_MAX};
pub use publish::Publish;
pub use reason::ReasonCode;
pub use subscribe::{FILTERS_PER_PACKET_MAX, Options, RetainHandling, Subscribe, Unsubscribe};
pub use version::{UnsupportedVersion, Version};
