//! WebSocket (RFC 6455) as far as MQTT uses it: frames in, taken apart in the buffer that they were read into, and
//! frames out. The stream of bytes within knows nothing of frames: a packet may span frames and a frame may hold many
//! packets [MQTT-6.0.0-2]. Nothing is read or written here; how a connection becomes one is in [`handshake`].

pub(crate) mod frame;
pub(crate) mod framer;
pub(crate) mod handshake;
pub(crate) mod listen;
pub(crate) mod mount;

use contract::refusal::Refusal;

pub(crate) use frame::{Ended, Unframer};
pub(crate) use framer::Framer;

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(crate) struct WebSocket {
    pub(crate) inward: Unframer,
    pub(crate) outward: Framer,
}

/// Why a connection is closed (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CloseCode {
    /// All is done.
    Normal = 1000,
    /// The node is stopping.
    GoingAway = 1001,
    /// The frames are not lawful.
    ProtocolError = 1002,
    /// Other frames than binary ones [MQTT-6.0.0-1].
    Unsupported = 1003,
    /// The client may not do what it did.
    Policy = 1008,
    /// A frame or a packet is too large.
    TooBig = 1009,
    /// The node has failed.
    Internal = 1011,
}

impl From<Refusal> for CloseCode {
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::NodeStopping {
            Self::GoingAway
        } else if refusal == Refusal::InternalError {
            Self::Internal
        } else if refusal == Refusal::PacketBytesMax {
            Self::TooBig
        } else if matches!(refusal, Refusal::MalformedPacket | Refusal::ProtocolError) {
            Self::ProtocolError
        } else {
            Self::Policy
        }
    }
}

#[cfg(test)]
mod tests;
