//! One PUBLISH rendered once and shared by all who receive it in that form.

use contract::qos::Qos;

use crate::encode::write_publish;
use crate::error::EncodeError;
use crate::packet::PacketId;
use crate::publish::Publish;

/// The wire form of a message at one QoS: a whole PUBLISH in which only the packet identifier is open.
///
/// Rendering again reuses the memory of the message before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishForm {
    /// The packet, with a 0 where the packet identifier belongs; empty before the first rendering.
    bytes: Vec<u8>,
    /// Where the two bytes of the packet identifier are; `None` at QoS 0, which has none.
    packet_id_at: Option<usize>,
}

impl PublishForm {
    /// A form of no message yet: it appends nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), packet_id_at: None }
    }

    /// Renders a message in place of the one before. When it fails, the form is empty.
    #[inline]
    pub fn render(&mut self, topic: &str, payload: &[u8], qos: Qos, retain: bool) -> Result<(), EncodeError> {
        self.bytes.clear();
        self.packet_id_at = None;
        let room = (qos != Qos::AtMostOnce).then_some([0, 0]);
        let first = Publish { dup: false, qos, retain, topic, packet_id: None, payload }.first();
        let at = write_publish(&mut self.bytes, first, topic, room, payload)?;
        self.packet_id_at = room.map(|_| at);
        Ok(())
    }

    /// Appends the packet for one receiver. `packet_id` is there exactly when the form was rendered with QoS 1 or 2.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>, packet_id: Option<PacketId>) {
        debug_assert_eq!(
            self.packet_id_at.is_some(),
            packet_id.is_some(),
            "a packet identifier is for QoS 1 and 2"
        );
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if let (Some(at), Some(packet_id)) = (self.packet_id_at, packet_id)
            && let Some(room) = out.get_mut(start + at..start + at + 2)
        {
            room.copy_from_slice(&packet_id.get().to_be_bytes());
        }
    }

    /// Whether the packet says that it may have been sent before [MQTT-3.3.1-1]. Without effect at QoS 0, which never
    /// says so [MQTT-3.3.1-2]. Rendering takes it back.
    pub fn set_dup(&mut self, dup: bool) {
        if self.packet_id_at.is_some()
            && let Some(first) = self.bytes.first_mut()
        {
            *first = *first & !0b1000 | u8::from(dup) << 3;
        }
    }

    /// Bytes that [`append_to`](Self::append_to) adds.
    #[inline]
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The QoS that it was rendered with; 0 when nothing is.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.bytes.first().and_then(|first| Qos::from_bits(first >> 1 & 0b11)).unwrap_or(Qos::AtMostOnce)
    }

    /// Whether nothing is rendered.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Default for PublishForm {
    fn default() -> Self {
        Self::new()
    }
}
