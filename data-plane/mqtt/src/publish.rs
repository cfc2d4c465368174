//! PUBLISH, read in place: the packet that must cost nothing.

use std::num::{NonZeroU16, NonZeroU32};

use contract::qos::Qos;

use crate::content::{Content, is_content};
use crate::error::DecodeError;
use crate::field::Fields;
use crate::packet::PacketId;
use crate::property::{Properties, id};

/// A message on the wire, in either direction. Topic, payload and content are ranges of the buffer it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Sent before under the same packet identifier [MQTT-3.3.1-1]; never with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// The quality of service of this delivery.
    pub qos: Qos,
    /// Towards the server: keep it for the topic. Towards a client: it was kept, and is no news.
    pub retain: bool,
    /// A topic name: no wildcard, no null character; empty only with a topic alias.
    pub topic: &'a str,
    /// There exactly when `qos` is not 0 [MQTT-2.3.1-1], [MQTT-2.3.1-5].
    pub packet_id: Option<PacketId>,
    /// Any bytes, or none.
    pub payload: &'a [u8],
    /// The number that stands for the topic from now on, or instead of it (5.0).
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds until the message is void; `None`: never (5.0).
    pub expiry_secs: Option<u32>,
    /// What goes to every subscriber as it is (5.0).
    pub content: Content<'a>,
}

impl Default for Publish<'_> {
    /// An empty message of QoS 0 to no topic: what other fields are written over.
    fn default() -> Self {
        Self {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic: "",
            packet_id: None,
            payload: &[],
            topic_alias: None,
            expiry_secs: None,
            content: Content::EMPTY,
        }
    }
}

/// Who sent a packet that either side may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sender {
    Client,
    Server,
}

impl<'a> Publish<'a> {
    /// The identifiers of the subscriptions for which a server sends the message, in the order of the packet (5.0).
    pub fn subscription_ids(&self) -> impl Iterator<Item = NonZeroU32> + use<'a> {
        self.content.subscription_ids()
    }

    /// The body of a PUBLISH of 3.1.1.
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
            topic_alias: None,
            expiry_secs: None,
            content: Content::EMPTY,
        })
    }

    /// The body of a PUBLISH of 5.0.
    #[inline]
    pub(crate) fn decode_v5(sender: Sender, flags: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let qos = Qos::from_bits(flags >> 1 & 0b11).ok_or(DecodeError::PublishQos)?;
        let topic = fields.topic_name_or_none()?;
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce | Qos::ExactlyOnce => Some(fields.packet_id()?),
        };
        let mut publish = Self {
            dup: flags & 0b1000 != 0,
            qos,
            retain: flags & 0b0001 != 0,
            topic,
            packet_id,
            ..Self::default()
        };
        if !fields.skip_empty_properties() {
            publish.read_properties(sender, &mut fields)?;
        }
        if topic.is_empty() && publish.topic_alias.is_none() {
            return Err(DecodeError::TopicMissing);
        }
        publish.payload = fields.payload();
        Ok(publish)
    }

    fn read_properties(&mut self, sender: Sender, fields: &mut Fields<'a>) -> Result<(), DecodeError> {
        let mut properties = Properties::read(fields)?;
        let mut content = ContentRange::default();
        while let Some(id) = properties.next()? {
            let from = properties.position() - 1;
            match id {
                id::MESSAGE_EXPIRY => self.expiry_secs = Some(properties.long()?),
                id::TOPIC_ALIAS => {
                    let alias = NonZeroU16::new(properties.number()?).ok_or(DecodeError::TopicAlias)?;
                    self.topic_alias = Some(alias);
                }
                id::SUBSCRIPTION_ID if sender == Sender::Server => {
                    if properties.variable()? == 0 {
                        return Err(DecodeError::SubscriptionId);
                    }
                    content.cover(from, &properties);
                }
                // A client sends none [MQTT-3.3.4-6].
                id::SUBSCRIPTION_ID => return Err(DecodeError::SubscriptionId),
                _ => content.read(id, from, &mut properties)?,
            }
        }
        self.content = content.of(properties.section());
        Ok(())
    }

    /// The first byte of this packet: its type and its three flags.
    #[inline]
    pub(crate) const fn first(&self) -> u8 {
        0x30 | (self.dup as u8) << 3 | self.qos.bits() << 1 | self.retain as u8
    }
}

/// Where in a list of properties those of the content stand.
#[derive(Default)]
pub(crate) struct ContentRange {
    from: usize,
    to: usize,
    has_gaps: bool,
}

impl ContentRange {
    /// Reads one property of the content, which begins at `from`; any other is an error.
    pub(crate) fn read(
        &mut self,
        id: u8,
        from: usize,
        properties: &mut Properties<'_>,
    ) -> Result<(), DecodeError> {
        match id {
            id::PAYLOAD_FORMAT => drop(properties.flag()?),
            id::CONTENT_TYPE => drop(properties.text()?),
            // [MQTT-3.3.2-13], [MQTT-3.3.2-14]
            id::RESPONSE_TOPIC => {
                let topic = properties.text()?;
                contract::topic::check_name(topic).map_err(|_| DecodeError::ResponseTopic)?;
            }
            id::CORRELATION_DATA => drop(properties.binary()?),
            id::USER_PROPERTY => properties.check_pair()?,
            _ => return Err(DecodeError::Property),
        }
        debug_assert!(is_content(id), "both lists are the same");
        if self.to == 0 {
            self.from = from;
        } else if self.to != from {
            self.has_gaps = true;
        }
        self.to = properties.position();
        Ok(())
    }

    /// Takes in a property that is none of the content, to be found again: as a gap.
    fn cover(&mut self, from: usize, properties: &Properties<'_>) {
        self.from = if self.to == 0 { from } else { self.from };
        self.to = properties.position();
        self.has_gaps = true;
    }

    pub(crate) fn of<'a>(&self, section: &'a [u8]) -> Content<'a> {
        Content::read(section.get(self.from..self.to).unwrap_or_default(), self.has_gaps)
    }
}
