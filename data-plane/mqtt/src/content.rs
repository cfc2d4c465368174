//! The properties of a message that every subscriber gets unaltered [MQTT-3.3.2-4], [MQTT-3.3.2-15],
//! [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-20]: bytes that were checked once and travel as they came. Not those
//! that belong to one hop (topic alias, subscription identifiers), nor the expiry, which ticks.

use std::num::NonZeroU32;

use crate::property::{Checked, UserProperties, Value, id, write};

/// Payload format, content type, response topic, correlation data and user properties, in the order in which they came.
///
/// Of a message that was read, properties of the hop may stand between them; [`plain`](Self::plain) is the form without,
/// in which alone [`as_bytes`](Self::as_bytes) may be asked for. Everything else works in either form.
#[derive(Clone, Copy, Default)]
pub struct Content<'a> {
    bytes: &'a [u8],
    /// Whether properties of the hop stand between those of the content.
    has_gaps: bool,
}

impl<'a> Content<'a> {
    /// No properties.
    pub const EMPTY: Self = Self { bytes: &[], has_gaps: false };

    /// What [`as_bytes`](Self::as_bytes) gave once. Bytes that are no content are read as far as they are.
    #[inline]
    #[must_use]
    pub const fn from_stored(bytes: &'a [u8]) -> Self {
        Self { bytes, has_gaps: false }
    }

    pub(crate) const fn read(bytes: &'a [u8], has_gaps: bool) -> Self {
        Self { bytes, has_gaps }
    }

    /// The content alone, contiguous. Where properties of the hop stand between, it is copied to `scratch`, whose
    /// former contents go.
    #[inline]
    #[must_use]
    pub fn plain<'b>(&self, scratch: &'b mut Vec<u8>) -> Content<'b>
    where
        'a: 'b,
    {
        if !self.has_gaps {
            return *self;
        }
        scratch.clear();
        self.append_to(scratch);
        Content { bytes: scratch, has_gaps: false }
    }

    /// Its bytes, to be kept and given to [`from_stored`](Self::from_stored). Only of the [`plain`](Self::plain) form.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        debug_assert!(!self.has_gaps, "the plain form is asked for first");
        self.bytes
    }

    /// Whether there is no property.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() || self.has_gaps && self.size_between() == 0
    }

    /// Bytes of the [`plain`](Self::plain) form.
    #[inline]
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        if self.has_gaps { self.size_between() } else { self.bytes.len() }
    }

    #[cold]
    fn size_between(&self) -> usize {
        self.properties().map(|(_, bytes, _)| bytes.len()).sum()
    }

    /// Whether the payload is said to be well-formed UTF-8 (payload format indicator 1).
    #[must_use]
    pub fn payload_is_text(&self) -> bool {
        matches!(self.payload_format(), Some(1))
    }

    /// The payload format indicator: 0 for any bytes, 1 for text; `None`: it does not say.
    #[must_use]
    pub fn payload_format(&self) -> Option<u8> {
        self.find(id::PAYLOAD_FORMAT).and_then(|value| match value {
            Value::Number(number) => u8::try_from(number).ok(),
            Value::Bytes(_) | Value::Pair(..) => None,
        })
    }

    /// What kind of thing the payload is, in words of the publisher's.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.find_text(id::CONTENT_TYPE)
    }

    /// Where an answer is to be published: a topic name [MQTT-3.3.2-14].
    #[must_use]
    pub fn response_topic(&self) -> Option<&'a str> {
        self.find_text(id::RESPONSE_TOPIC)
    }

    /// What the answer is to carry, so that the asker knows which question it answers.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.find(id::CORRELATION_DATA).and_then(|value| match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) | Value::Pair(..) => None,
        })
    }

    /// In the order of the publisher [MQTT-3.3.2-18].
    #[must_use]
    pub const fn user_properties(&self) -> UserProperties<'a> {
        UserProperties::within(self.bytes)
    }

    /// The subscription identifiers that stand between the properties of the content.
    pub(crate) fn subscription_ids(&self) -> impl Iterator<Item = NonZeroU32> + use<'a> {
        let between = if self.has_gaps { self.bytes } else { &[] };
        Checked::new(between).filter_map(|(id, _, value)| match value {
            Value::Number(number) if id == id::SUBSCRIPTION_ID => NonZeroU32::new(number),
            Value::Number(_) | Value::Bytes(_) | Value::Pair(..) => None,
        })
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        if self.has_gaps {
            for (_, bytes, _) in self.properties() {
                out.extend_from_slice(bytes);
            }
        } else {
            out.extend_from_slice(self.bytes);
        }
    }

    fn properties(&self) -> impl Iterator<Item = (u8, &'a [u8], Value<'a>)> + use<'a> {
        Checked::new(self.bytes).filter(|&(id, ..)| is_content(id))
    }

    fn find(&self, wanted: u8) -> Option<Value<'a>> {
        self.properties().find(|&(id, ..)| id == wanted).map(|(_, _, value)| value)
    }

    fn find_text(&self, wanted: u8) -> Option<&'a str> {
        self.find(wanted).and_then(|value| match value {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Value::Number(_) | Value::Pair(..) => None,
        })
    }
}

/// Equal when the same properties stand in the same order.
impl PartialEq for Content<'_> {
    fn eq(&self, other: &Self) -> bool {
        let of = |content: &Self| content.properties().map(|(_, bytes, _)| bytes);
        let is_plain = !self.has_gaps && !other.has_gaps;
        if is_plain { self.bytes == other.bytes } else { of(self).eq(of(other)) }
    }
}

impl Eq for Content<'_> {}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("payload_format", &self.payload_format())
            .field("content_type", &self.content_type())
            .field("response_topic", &self.response_topic())
            .field("correlation_data", &self.correlation_data())
            .field("user_properties", &self.user_properties())
            .finish()
    }
}

/// Whether a property is part of the content.
pub(crate) const fn is_content(id: u8) -> bool {
    matches!(
        id,
        id::PAYLOAD_FORMAT | id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::CORRELATION_DATA | id::USER_PROPERTY
    )
}

/// Builds the content of a message that did not come from the wire. Each but a user property is to be given once.
#[derive(Clone, Default, Debug)]
pub struct ContentWriter {
    bytes: Vec<u8>,
}

impl ContentWriter {
    /// No properties yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Says whether the payload is well-formed UTF-8.
    #[must_use]
    pub fn payload_format(mut self, is_text: bool) -> Self {
        write::byte(&mut self.bytes, id::PAYLOAD_FORMAT, is_text.into());
        self
    }

    /// See [`Content::content_type`]. What is longer than 65 535 bytes is left out, here and below.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        write::bytes(&mut self.bytes, id::CONTENT_TYPE, content_type.as_bytes());
        self
    }

    /// See [`Content::response_topic`]; the caller has checked that it is a topic name.
    #[must_use]
    pub fn response_topic(mut self, topic: &str) -> Self {
        write::bytes(&mut self.bytes, id::RESPONSE_TOPIC, topic.as_bytes());
        self
    }

    /// See [`Content::correlation_data`].
    #[must_use]
    pub fn correlation_data(mut self, data: &[u8]) -> Self {
        write::bytes(&mut self.bytes, id::CORRELATION_DATA, data);
        self
    }

    /// One more user property.
    #[must_use]
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        write::pair(&mut self.bytes, name, value);
        self
    }

    /// What has been written.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        Content::from_stored(&self.bytes)
    }

    /// Only the user properties, for packets that carry nothing else of a message.
    #[must_use]
    pub fn user_properties(&self) -> UserProperties<'_> {
        UserProperties::within(&self.bytes)
    }

    /// The bytes of the [`content`](Self::content).
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
