//! The bounds of one session, taken once from the instance's limits when its client connects.

use contract::limits::InstanceLimits;

/// What one client may use, in the smallest integers that hold what a plan may allow. Stable for the session's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Subscriptions held at one time.
    pub subscriptions_max: u32,
    /// Messages waiting because too many are in flight.
    pub outbox_messages_max: u32,
    /// Bytes waiting for the client: its output buffer and its outbox together. At least one packet of the largest
    /// size, else a lawful message could never be delivered.
    pub outbox_bytes_max: u32,
    /// Messages sent at QoS 1 or 2 that are not yet acknowledged to the end, and as many of QoS 2 received and not yet
    /// released.
    pub in_flight_max: u16,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub filters_per_packet_max: u16,
    /// Bytes of a topic filter.
    pub topic_bytes_max: u16,
    /// Levels of a topic filter.
    pub topic_levels_max: u16,
    /// Seconds of the longest keep alive.
    pub keep_alive_secs_max: u16,
}

impl From<&InstanceLimits> for Bounds {
    /// Values beyond their field stand for its largest.
    fn from(limits: &InstanceLimits) -> Self {
        let long = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let short = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
        Self {
            subscriptions_max: long(limits.client_subscriptions_max),
            outbox_messages_max: long(limits.outbox_messages_max),
            outbox_bytes_max: long(limits.outbox_bytes_max.max(limits.packet_bytes_max)),
            in_flight_max: short(limits.in_flight_messages_max).max(1),
            filters_per_packet_max: short(limits.filters_per_packet_max),
            topic_bytes_max: short(limits.topic_bytes_max),
            topic_levels_max: short(limits.topic_levels_max),
            keep_alive_secs_max: short(limits.keep_alive_secs_max).max(1),
        }
    }
}
