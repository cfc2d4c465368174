//! SUBSCRIBE and UNSUBSCRIBE: checked here, their filters parsed by `contract`. Those of 3.1.1 are taken apart by the
//! library once they have passed.

use std::num::NonZeroU32;

use contract::qos::Qos;
use contract::topic::TopicFilter;

use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::library;
use crate::packet::PacketId;
use crate::property::{Properties, id};
use crate::version::Version;

/// Topic filters in one SUBSCRIBE or UNSUBSCRIBE, at most. No plan allows so many, so within this bound a plan's own
/// limit can still answer; beyond it the packet is refused, for a parsed filter takes some ten times the memory of the
/// four bytes that it may be on the wire.
pub const FILTERS_PER_PACKET_MAX: usize = 1_024;

/// What a shared subscription begins with (section 4.8.2 of 5.0).
const SHARED_PREFIX: &str = "$share/";

/// Which retained messages a subscription begins with (section 3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match, with each SUBSCRIBE.
    #[default]
    SendAtSubscribe = 0,
    /// All that match, if there was no such subscription before.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// How a client wants the messages of one filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Options {
    /// At most.
    pub qos: Qos,
    /// Not those that the client published itself [MQTT-3.8.3-3].
    pub no_local: bool,
    /// With the retain flag that they were published with [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Which retained messages come first.
    pub retain_handling: RetainHandling,
}

impl Options {
    const NO_LOCAL: u8 = 0b0000_0100;
    const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
    const RETAIN_HANDLING_SHIFT: u8 = 4;
    const RESERVED: u8 = 0b1100_0000;

    /// What a subscription of 3.1.1 means.
    #[inline]
    #[must_use]
    pub const fn of(qos: Qos) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The options as 5.0 writes them, to be kept or sent.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.qos.bits()
            | if self.no_local { Self::NO_LOCAL } else { 0 }
            | if self.retain_as_published { Self::RETAIN_AS_PUBLISHED } else { 0 }
            | (self.retain_handling as u8) << Self::RETAIN_HANDLING_SHIFT
    }

    /// What [`byte`](Self::byte) gave, as strictly as from the wire: reserved bits are 0 [MQTT-3.8.3-5].
    pub const fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        if byte & Self::RESERVED != 0 {
            return Err(DecodeError::SubscriptionOptions);
        }
        let Some(qos) = Qos::from_bits(byte & 0b11) else { return Err(DecodeError::SubscriptionOptions) };
        let retain_handling = match byte >> Self::RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandling),
        };
        Ok(Self {
            qos,
            no_local: byte & Self::NO_LOCAL != 0,
            retain_as_published: byte & Self::RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

/// A client's wish for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    /// Answered by SUBACK with the same identifier [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// Each filter with what is asked for, in the order of the packet, which is that of the return codes
    /// [MQTT-3.9.3-1]; at least one. What a filter that begins with `$share/` means is decided elsewhere.
    pub filters: Vec<(TopicFilter, Options)>,
    /// What messages of these subscriptions are to be marked with: at most [`VARIABLE_MAX`](crate::VARIABLE_MAX).
    pub subscription_id: Option<NonZeroU32>,
}

/// A client's wish for no more of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe {
    /// Answered by UNSUBACK with the same identifier [MQTT-3.10.4-4].
    pub packet_id: PacketId,
    /// In the order of the packet; at least one.
    pub filters: Vec<TopicFilter>,
}

impl Subscribe {
    pub(crate) fn decode(version: Version, frame: Frame<'_>) -> Result<Self, DecodeError> {
        if version.is_v5() { Self::decode_v5(frame.body) } else { Self::decode_v3(frame) }
    }

    fn decode_v3(frame: Frame<'_>) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(frame.body);
        let packet_id = fields.packet_id()?;
        check(fields, |fields, _| {
            let options = fields.byte()?;
            Qos::from_bits(options).map(drop).ok_or(DecodeError::SubscriptionOptions)
        })?;
        let filters = library::read_subscribe(frame)?;
        let parse = |(filter, qos): (String, Qos)| Ok((filter.parse()?, Options::of(qos)));
        let filters = filters.into_iter().map(parse).collect::<Result<_, DecodeError>>()?;
        Ok(Self { packet_id, filters, subscription_id: None })
    }

    fn decode_v5(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(body);
        let packet_id = fields.packet_id()?;
        let subscription_id = read_properties(&mut fields, true)?;
        let list = fields.payload();
        let count = check(Fields::new(list), |fields, filter| {
            let options = Options::from_byte(fields.byte()?)?;
            let is_shared = filter.starts_with(SHARED_PREFIX);
            if is_shared && options.no_local { Err(DecodeError::SharedNoLocal) } else { Ok(()) }
        })?;
        let mut filters = Vec::with_capacity(count);
        let mut fields = Fields::new(list);
        while !fields.is_empty() {
            filters.push((fields.topic_filter()?.parse()?, Options::from_byte(fields.byte()?)?));
        }
        Ok(Self { packet_id, filters, subscription_id })
    }
}

impl Unsubscribe {
    pub(crate) fn decode(version: Version, frame: Frame<'_>) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(frame.body);
        let packet_id = fields.packet_id()?;
        if version.is_v5() {
            read_properties(&mut fields, false)?;
        }
        let list = fields.payload();
        let count = check(Fields::new(list), |_, _| Ok(()))?;
        let filters = if version.is_v5() {
            let mut filters = Vec::with_capacity(count);
            let mut fields = Fields::new(list);
            while !fields.is_empty() {
                filters.push(fields.topic_filter()?.parse()?);
            }
            filters
        } else {
            let filters = library::read_unsubscribe(frame)?;
            let parse = |filter: String| Ok(filter.parse()?);
            filters.into_iter().map(parse).collect::<Result<_, DecodeError>>()?
        };
        Ok(Self { packet_id, filters })
    }
}

/// The properties of both packets; only SUBSCRIBE may have an identifier, and one.
fn read_properties(fields: &mut Fields<'_>, may_identify: bool) -> Result<Option<NonZeroU32>, DecodeError> {
    let mut properties = Properties::read(fields)?;
    let mut subscription_id = None;
    while let Some(id) = properties.next()? {
        match id {
            id::SUBSCRIPTION_ID if may_identify => {
                let number = NonZeroU32::new(properties.variable()?).ok_or(DecodeError::SubscriptionId)?;
                if subscription_id.replace(number).is_some() {
                    return Err(DecodeError::SubscriptionId);
                }
            }
            id::USER_PROPERTY => properties.check_pair()?,
            _ => return Err(DecodeError::Property),
        }
    }
    Ok(subscription_id)
}

/// The strict pass over a list of filters, before anything is allocated; `options` reads what follows each filter. The
/// answer is how many there are.
fn check(
    mut fields: Fields<'_>,
    options: impl Fn(&mut Fields<'_>, &str) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    if fields.is_empty() {
        return Err(DecodeError::NoFilters);
    }
    let mut count = 0;
    while !fields.is_empty() {
        let filter = fields.topic_filter()?;
        options(&mut fields, filter)?;
        count += 1;
        if count > FILTERS_PER_PACKET_MAX {
            return Err(DecodeError::TooManyFilters);
        }
    }
    Ok(count)
}
