//! SUBSCRIBE and UNSUBSCRIBE: checked here, taken apart by the library, their filters parsed by `contract`.

use contract::qos::Qos;
use contract::topic::TopicFilter;

use crate::error::DecodeError;
use crate::field::Fields;
use crate::frame::Frame;
use crate::library;
use crate::packet::PacketId;

/// Topic filters in one SUBSCRIBE or UNSUBSCRIBE, at most. No plan allows so many, so within this bound a plan's own
/// limit can still answer; beyond it the packet is refused, for a parsed filter takes some ten times the memory of the
/// four bytes that it may be on the wire.
pub const FILTERS_PER_PACKET_MAX: usize = 1_024;

/// A client's wish for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    /// Answered by SUBACK with the same identifier [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// Each filter with the QoS asked for, in the order of the packet, which is that of the return codes
    /// [MQTT-3.9.3-1]; at least one. 3.1.1 knows no shared subscriptions: `$share/…` is a filter like any other here.
    pub filters: Vec<(TopicFilter, Qos)>,
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
    pub(crate) fn decode(frame: Frame<'_>) -> Result<Self, DecodeError> {
        let packet_id = check(frame.body, |fields| {
            let options = fields.byte()?;
            Qos::from_bits(options).map(drop).ok_or(DecodeError::SubscriptionOptions)
        })?;
        let filters = library::read_subscribe(frame)?;
        let parse = |(filter, qos): (String, Qos)| Ok((filter.parse()?, qos));
        Ok(Self { packet_id, filters: filters.into_iter().map(parse).collect::<Result<_, DecodeError>>()? })
    }
}

impl Unsubscribe {
    pub(crate) fn decode(frame: Frame<'_>) -> Result<Self, DecodeError> {
        let packet_id = check(frame.body, |_| Ok(()))?;
        let filters = library::read_unsubscribe(frame)?;
        let parse = |filter: String| Ok(filter.parse()?);
        Ok(Self { packet_id, filters: filters.into_iter().map(parse).collect::<Result<_, DecodeError>>()? })
    }
}

/// The strict pass over a list of filters, before anything is allocated; `options` reads what follows each filter.
fn check(
    body: &[u8],
    options: impl Fn(&mut Fields<'_>) -> Result<(), DecodeError>,
) -> Result<PacketId, DecodeError> {
    let mut fields = Fields::new(body);
    let packet_id = fields.packet_id()?;
    if fields.is_empty() {
        return Err(DecodeError::NoFilters);
    }
    let mut count = 0;
    while !fields.is_empty() {
        fields.topic_filter()?;
        options(&mut fields)?;
        count += 1;
        if count > FILTERS_PER_PACKET_MAX {
            return Err(DecodeError::TooManyFilters);
        }
    }
    Ok(packet_id)
}
