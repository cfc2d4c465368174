//! PUBLISH, read in place: the packet that must cost nothing.

use contract::qos::Qos;

use crate::error::DecodeError;
use crate::field::Fields;
use crate::packet::PacketId;

/// A message on the wire, in either direction. Topic and payload are ranges of the buffer it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Sent before under the same packet identifier [MQTT-3.3.1-1]; never with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// The quality of service of this delivery.
    pub qos: Qos,
    /// Towards the server: keep it for the topic. Towards a client: it was kept, and is no news.
    pub retain: bool,
    /// A topic name: at least one character, no wildcard, no null character.
    pub topic: &'a str,
    /// There exactly when `qos` is not 0 [MQTT-2.3.1-1], [MQTT-2.3.1-5].
    pub packet_id: Option<PacketId>,
    /// Any bytes, or none.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(flags: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let qos = Qos::from_bits(flags >> 1 & 0b11).ok_or(DecodeError::PublishQos)?;
        let topic = fields.topic_name()?;
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce | Qos::ExactlyOnce => Some(fields.packet_id()?),
        };
        Ok(Self {
            dup: flags & 0b1000 != 0,
            qos,
            retain: flags & 0b0001 != 0,
            topic,
            packet_id,
            payload: fields.payload(),
        })
    }

    /// The first byte of this packet: its type and its three flags.
    #[inline]
    pub(crate) const fn first(&self) -> u8 {
        0x30 | (self.dup as u8) << 3 | self.qos.bits() << 1 | self.retain as u8
    }
}
