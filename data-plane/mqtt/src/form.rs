//! One PUBLISH rendered once and shared by all who receive it in that form.

use std::num::{NonZeroU16, NonZeroU32};

use contract::qos::Qos;

use crate::content::Content;
use crate::encode::{publish_bytes, write_plain, write_v5};
use crate::error::EncodeError;
use crate::packet::PacketId;
use crate::property::id;
use crate::version::Version;

/// What of a message stands in front of its payload, for the receivers of one form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishHead<'a> {
    /// The version of the receivers. Before 5.0 there is nothing of what follows `retain`.
    pub version: Version,
    /// Empty only with an alias that stands for it.
    pub topic: &'a str,
    /// The quality of service of the delivery.
    pub qos: Qos,
    /// See [`Publish::retain`](crate::Publish::retain).
    pub retain: bool,
    /// An alias of one receiver's connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds that are left, see [`PublishForm::append_expiring`].
    pub expiry_secs: Option<u32>,
    /// Of the subscriptions that are meant, each at most [`VARIABLE_MAX`](crate::VARIABLE_MAX).
    pub subscription_ids: &'a [NonZeroU32],
    /// The content, in whatever form.
    pub content: Content<'a>,
}

impl<'a> PublishHead<'a> {
    /// A head without properties.
    #[inline]
    #[must_use]
    pub const fn plain(version: Version, topic: &'a str, qos: Qos, retain: bool) -> Self {
        Self {
            version,
            topic,
            qos,
            retain,
            topic_alias: None,
            expiry_secs: None,
            subscription_ids: &[],
            content: Content::EMPTY,
        }
    }

    /// Bytes of the packet with a payload of so many, without rendering it. It may be more than a packet can have.
    #[must_use]
    pub fn size_bytes(&self, payload_bytes: usize) -> usize {
        publish_bytes(self, payload_bytes)
    }

    /// Whether there is no property.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.expiry_secs.is_none()
            && self.topic_alias.is_none()
            && self.subscription_ids.is_empty()
            && self.content.is_empty()
    }
}

/// The wire form of a message at one QoS: a whole PUBLISH in which only the packet identifier is open.
///
/// Rendering again reuses the memory of the message before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishForm {
    /// The packet, with a 0 where the packet identifier belongs; empty before the first rendering.
    bytes: Vec<u8>,
    /// Where the two bytes of the packet identifier are; 0 at QoS 0, which has none.
    packet_id_at: u32,
    /// Where the four bytes of the expiry are; 0 where there is none.
    expiry_at: u32,
}

impl PublishForm {
    /// A form of no message yet: it appends nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), packet_id_at: 0, expiry_at: 0 }
    }

    /// Renders a message in place of the one before. When it fails, the form is empty.
    #[inline]
    pub fn render(&mut self, head: &PublishHead<'_>, payload: &[u8]) -> Result<(), EncodeError> {
        if head.is_plain() || !head.version.is_v5() {
            return self.render_plain(head.version, head.topic, head.qos, head.retain, payload);
        }
        self.bytes.clear();
        self.packet_id_at = 0;
        self.expiry_at = 0;
        let room = (head.qos != Qos::AtMostOnce).then_some([0, 0]);
        let places = write_v5(&mut self.bytes, first(head.qos, head.retain), head, room, payload)?;
        self.packet_id_at = room.map_or(0, |_| places.packet_id);
        self.expiry_at = places.expiry;
        Ok(())
    }

    /// As [`render`](Self::render), of a message without properties, or before 5.0.
    #[inline]
    pub fn render_plain(
        &mut self,
        version: Version,
        topic: &str,
        qos: Qos,
        retain: bool,
        payload: &[u8],
    ) -> Result<(), EncodeError> {
        self.bytes.clear();
        self.packet_id_at = 0;
        self.expiry_at = 0;
        let room = (qos != Qos::AtMostOnce).then_some([0, 0]);
        let is_v5 = version.is_v5();
        let at = write_plain(&mut self.bytes, first(qos, retain), topic, room, is_v5, payload)?;
        self.packet_id_at = room.map_or(0, |_| at);
        Ok(())
    }

    /// Appends the packet for one receiver. `packet_id` is there exactly when the form was rendered with QoS 1 or 2.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>, packet_id: Option<PacketId>) {
        debug_assert_eq!(
            self.packet_id_at != 0,
            packet_id.is_some(),
            "a packet identifier is for QoS 1 and 2"
        );
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let at = start + self.packet_id_at as usize;
        if self.packet_id_at != 0
            && let Some(packet_id) = packet_id
            && let Some(room) = out.get_mut(at..at + 2)
        {
            room.copy_from_slice(&packet_id.get().to_be_bytes());
        }
    }

    /// As [`append_to`](Self::append_to), with as many seconds left as there are now [MQTT-3.3.2-6]. They are not said in a
    /// form that was rendered without an expiry, or for 3.1.1.
    pub fn append_expiring(&self, out: &mut Vec<u8>, packet_id: Option<PacketId>, secs: u32) {
        let start = out.len();
        self.append_to(out, packet_id);
        let at = start + self.expiry_at as usize;
        if self.expiry_at != 0
            && let Some(room) = out.get_mut(at..at + 4)
        {
            room.copy_from_slice(&secs.to_be_bytes());
        }
    }

    /// Whether the packet says that it may have been sent before [MQTT-3.3.1-1]. Without effect at QoS 0, which never
    /// says so [MQTT-3.3.1-2]. Rendering takes it back.
    pub fn set_dup(&mut self, dup: bool) {
        if self.packet_id_at != 0
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

/// Writes how many seconds are left into a whole PUBLISH of 5.0 that was made here and waits to be sent [MQTT-3.3.2-6].
/// Without effect on any other.
pub fn set_expiry_secs(packet: &mut [u8], secs: u32) {
    if let Some(room) = expiry_at(packet).and_then(|at| packet.get_mut(at..at + 4)) {
        room.copy_from_slice(&secs.to_be_bytes());
    }
}

/// The expiry is written before the other properties.
fn expiry_at(packet: &[u8]) -> Option<usize> {
    let qos = Qos::from_bits(packet.first()? >> 1 & 0b11)?;
    let length_at = |at: usize| Some(at + packet.get(at..)?.iter().position(|byte| byte & 0x80 == 0)? + 1);
    let topic_at = length_at(1)?;
    let topic_bytes = u16::from_be_bytes([*packet.get(topic_at)?, *packet.get(topic_at + 1)?]);
    let id_bytes = if qos == Qos::AtMostOnce { 0 } else { 2 };
    let section_at = topic_at + 2 + usize::from(topic_bytes) + id_bytes;
    let first_at = length_at(section_at)?;
    let is_empty = *packet.get(section_at)? == 0;
    (!is_empty && *packet.get(first_at)? == id::MESSAGE_EXPIRY).then_some(first_at + 1)
}

#[inline]
const fn first(qos: Qos, retain: bool) -> u8 {
    0x30 | qos.bits() << 1 | retain as u8
}

impl Default for PublishForm {
    fn default() -> Self {
        Self::new()
    }
}
