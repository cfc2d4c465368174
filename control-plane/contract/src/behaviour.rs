//! Behaviour at limits: what MQTT leaves open, in one table. For each bound that a client can meet: when, what it sees of
//! it in 3.1.1 and in 5.0, under which name it is counted, and which kind of event it is.
//!
//! The user documentation is written from this table; tests hold it against the codec's reason codes, the table of
//! refusals and the reasons for which messages are dropped. 3.1 (`MQIsdp`) is as 3.1.1.

use crate::refusal::Refusal;

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// What the client is doing when it meets the bound.
    pub moment: Moment,
    /// What is bounded.
    pub bound: Bound,
    /// What a client of 3.1.1 sees.
    pub v311: &'static [Wire],
    /// What a client of 5.0 sees.
    pub v5: &'static [Wire],
    /// Under which names it is counted.
    pub counted: &'static [Counted],
}

/// What a client is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Moment {
    /// It connects.
    Connect,
    /// It says something, whatever it is, or nothing.
    Speak,
    /// It publishes.
    Publish,
    /// It subscribes or unsubscribes.
    Subscribe,
    /// It is to get messages.
    Receive,
    /// It is away, and its session is kept.
    Away,
}

/// What is bounded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bound {
    /// A row of [`LIMITS`](crate::limits::LIMITS), by its name.
    Limit(&'static str),
    /// A member of the topic's own rule.
    Topic(&'static str),
    /// A setting of the node, with its default.
    Node {
        /// Its name in the node's configuration.
        name: &'static str,
        /// Its value where the configuration does not say.
        default: u64,
    },
    /// Something that the client itself has said, by MQTT's name for it.
    Client(&'static str),
}

impl Bound {
    /// The name, whatever it is of.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit(name) | Self::Topic(name) | Self::Node { name, .. } | Self::Client(name) => name,
        }
    }
}

/// What a client sees. Codes are numbers on the wire: of CONNACK in 3.1.1 return codes, in 5.0 reason codes everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// The version knows no such thing.
    Absent,
    /// Nothing: it happens, and the client is not told.
    Unseen,
    /// CONNACK tells the bound in this property.
    Announced(&'static str),
    /// CONNACK refuses.
    ConnAck(u8),
    /// PUBACK or PUBREC refuses a message of QoS 1 or 2 and the connection goes on; one of QoS 0 is dropped.
    PubAck(u8),
    /// SUBACK refuses this filter; the others stand.
    SubAck(u8),
    /// A DISCONNECT with this code, then the connection is closed.
    Disconnect(u8),
    /// The connection is closed without a word.
    Closed,
    /// A message of QoS 1 or 2 closes the connection, since 3.1.1 cannot refuse it and acknowledging would be a lie; one
    /// of QoS 0 is dropped.
    ClosedUnlessQos0,
    /// Nothing is read from the client until it may go on; nothing is lost.
    NotRead,
    /// Messages wait.
    Waits,
    /// Messages are passed over.
    Dropped,
    /// Messages of QoS 0 are dropped, others wait.
    DroppedIfQos0,
    /// Fewer messages come than there are.
    Fewer,
    /// The session ends, and with it what waited.
    SessionEnds,
}

/// Under which name something is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// Metric `refused`, with the refusal's name as its reason.
    Refused(Refusal),
    /// Metric `dropped`, with this reason.
    Dropped(&'static str),
}

impl Counted {
    /// The reason that stands beside the metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Dropped(reason) => reason,
        }
    }

    /// The metric.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Dropped(_) => "dropped",
        }
    }
}

impl Behaviour {
    /// Which kind of event it is; none where nothing is refused or lost.
    #[must_use]
    pub fn event(&self) -> Option<&'static str> {
        self.counted.first().map(|counted| match (counted, self.moment) {
            (Counted::Dropped(_), Moment::Away) => "session.queue_dropped",
            (Counted::Dropped(_), _) => "message.dropped",
            (Counted::Refused(_), Moment::Connect) => "client.refused",
            (Counted::Refused(_), Moment::Speak | Moment::Receive | Moment::Away) => "client.disconnected",
            (Counted::Refused(_), Moment::Publish | Moment::Subscribe) => "limit.reached",
        })
    }
}

const fn limit(
    moment: Moment,
    name: &'static str,
    v311: &'static [Wire],
    v5: &'static [Wire],
    counted: &'static [Counted],
) -> Behaviour {
    Behaviour { moment, bound: Bound::Limit(name), v311, v5, counted }
}

/// The table, in the order in which people read it.
pub const BEHAVIOURS: &[Behaviour] = {
    use Counted::{Dropped as Drops, Refused as Refuses};
    use Moment::{Away, Connect, Publish, Receive, Speak, Subscribe};
    use Wire::{
        Absent, Announced, Closed, ClosedUnlessQos0, ConnAck, Disconnect, Dropped, DroppedIfQos0, Fewer,
        NotRead, PubAck, SessionEnds, SubAck, Unseen, Waits,
    };
    &[
        // --- it connects ---
        Behaviour {
            moment: Connect,
            bound: Bound::Node { name: "connect_secs_max", default: 10 },
            v311: &[Closed],
            v5: &[Closed],
            counted: &[Refuses(Refusal::ConnectTimeout)],
        },
        limit(
            Connect,
            "client_id_bytes_max",
            &[ConnAck(0x02)],
            &[ConnAck(0x85)],
            &[Refuses(Refusal::ClientIdInvalid)],
        ),
        limit(
            Connect,
            "connections_max",
            &[ConnAck(0x03)],
            &[ConnAck(0x97)],
            &[Refuses(Refusal::ConnectionsMax)],
        ),
        limit(
            Connect,
            "connects_per_sec",
            &[ConnAck(0x03)],
            &[ConnAck(0x9F)],
            &[Refuses(Refusal::ConnectsPerSec)],
        ),
        limit(
            Connect,
            "connections_per_subject_max",
            &[ConnAck(0x03)],
            &[ConnAck(0x97)],
            &[Refuses(Refusal::ConnectionsPerSubjectMax)],
        ),
        limit(Connect, "sessions_max", &[ConnAck(0x03)], &[ConnAck(0x97)], &[Refuses(Refusal::SessionsMax)]),
        limit(Connect, "session_expiry_secs_max", &[Unseen], &[Announced("Session Expiry Interval")], &[]),
        limit(Connect, "keep_alive_secs_max", &[Unseen], &[Announced("Server Keep Alive")], &[]),
        // --- it says something, or nothing ---
        Behaviour {
            moment: Speak,
            bound: Bound::Client("Keep Alive"),
            v311: &[Closed],
            v5: &[Disconnect(0x8D)],
            counted: &[Refuses(Refusal::KeepAliveTimeout)],
        },
        limit(
            Speak,
            "packet_bytes_max",
            &[Closed],
            &[Announced("Maximum Packet Size"), Disconnect(0x95)],
            &[Refuses(Refusal::PacketBytesMax)],
        ),
        // --- it publishes ---
        limit(
            Publish,
            "topic_bytes_max",
            &[ClosedUnlessQos0],
            &[PubAck(0x90)],
            &[Refuses(Refusal::TopicBytesMax)],
        ),
        limit(
            Publish,
            "topic_levels_max",
            &[ClosedUnlessQos0],
            &[PubAck(0x90)],
            &[Refuses(Refusal::TopicLevelsMax)],
        ),
        Behaviour {
            moment: Publish,
            bound: Bound::Topic("payload_bytes_max"),
            v311: &[ClosedUnlessQos0],
            v5: &[PubAck(0x97)],
            counted: &[Refuses(Refusal::PayloadBytesMax)],
        },
        limit(
            Publish,
            "properties_bytes_max",
            &[Absent],
            &[PubAck(0x97)],
            &[Refuses(Refusal::PropertiesBytesMax)],
        ),
        limit(
            Publish,
            "user_properties_max",
            &[Absent],
            &[PubAck(0x97)],
            &[Refuses(Refusal::UserPropertiesMax)],
        ),
        limit(
            Publish,
            "receive_max",
            &[Absent],
            &[Announced("Receive Maximum"), Disconnect(0x93)],
            &[Refuses(Refusal::ReceiveMax)],
        ),
        limit(
            Publish,
            "in_flight_messages_max",
            &[Closed],
            &[Absent],
            &[Refuses(Refusal::InFlightMessagesMax)],
        ),
        limit(
            Publish,
            "topic_alias_max",
            &[Absent],
            &[Announced("Topic Alias Maximum"), Disconnect(0x94)],
            &[Refuses(Refusal::TopicAliasInvalid)],
        ),
        limit(
            Publish,
            "retained_messages_max",
            &[ClosedUnlessQos0],
            &[PubAck(0x97)],
            &[Refuses(Refusal::RetainedMax)],
        ),
        limit(
            Publish,
            "retained_bytes_max",
            &[ClosedUnlessQos0],
            &[PubAck(0x97)],
            &[Refuses(Refusal::RetainedMax)],
        ),
        limit(Publish, "messages_in_per_sec", &[NotRead], &[NotRead], &[]),
        limit(Publish, "bytes_in_per_sec", &[NotRead], &[NotRead], &[]),
        limit(Publish, "client_messages_in_per_sec", &[NotRead], &[NotRead], &[]),
        limit(Publish, "client_bytes_in_per_sec", &[NotRead], &[NotRead], &[]),
        // --- it subscribes ---
        limit(
            Subscribe,
            "filters_per_packet_max",
            &[Closed],
            &[Disconnect(0x97)],
            &[Refuses(Refusal::FiltersPerPacketMax)],
        ),
        limit(
            Subscribe,
            "client_subscriptions_max",
            &[SubAck(0x80)],
            &[SubAck(0x97)],
            &[Refuses(Refusal::ClientSubscriptionsMax)],
        ),
        limit(
            Subscribe,
            "subscriptions_max",
            &[SubAck(0x80)],
            &[SubAck(0x97)],
            &[Refuses(Refusal::SubscriptionsMax)],
        ),
        limit(
            Subscribe,
            "topic_bytes_max",
            &[SubAck(0x80)],
            &[SubAck(0x8F)],
            &[Refuses(Refusal::TopicBytesMax)],
        ),
        limit(
            Subscribe,
            "topic_levels_max",
            &[SubAck(0x80)],
            &[SubAck(0x8F)],
            &[Refuses(Refusal::TopicLevelsMax)],
        ),
        limit(
            Subscribe,
            "shared_subscriptions_max",
            &[SubAck(0x80)],
            &[SubAck(0x97)],
            &[Refuses(Refusal::SharedSubscriptionsMax)],
        ),
        limit(Subscribe, "replays_max", &[SubAck(0x80)], &[SubAck(0x97)], &[Refuses(Refusal::ReplaysMax)]),
        limit(Subscribe, "client_subscribes_per_sec", &[NotRead], &[NotRead], &[]),
        limit(Subscribe, "retained_per_subscribe_max", &[Fewer], &[Fewer], &[]),
        // --- it is to get messages ---
        Behaviour {
            moment: Receive,
            bound: Bound::Client("Receive Maximum"),
            v311: &[Absent],
            v5: &[Waits],
            counted: &[],
        },
        limit(Receive, "in_flight_messages_max", &[Waits], &[Waits], &[]),
        Behaviour {
            moment: Receive,
            bound: Bound::Client("Maximum Packet Size"),
            v311: &[Absent],
            v5: &[Dropped],
            counted: &[Drops("client_packet_bytes_max")],
        },
        Behaviour {
            moment: Receive,
            bound: Bound::Client("Message Expiry Interval"),
            v311: &[Dropped],
            v5: &[Dropped],
            counted: &[Drops("message_expired")],
        },
        limit(Receive, "outbox_messages_max", &[Dropped], &[Dropped], &[Drops("outbox_messages_max")]),
        limit(Receive, "outbox_bytes_max", &[Dropped], &[Dropped], &[Drops("outbox_bytes_max")]),
        limit(Receive, "messages_out_per_sec", &[DroppedIfQos0], &[DroppedIfQos0], &[Drops("client_rate")]),
        limit(Receive, "bytes_out_per_sec", &[DroppedIfQos0], &[DroppedIfQos0], &[Drops("client_rate")]),
        limit(
            Receive,
            "client_messages_out_per_sec",
            &[DroppedIfQos0],
            &[DroppedIfQos0],
            &[Drops("client_rate")],
        ),
        limit(
            Receive,
            "client_bytes_out_per_sec",
            &[DroppedIfQos0],
            &[DroppedIfQos0],
            &[Drops("client_rate")],
        ),
        // --- it is away, or behind ---
        limit(
            Away,
            "queued_messages_max",
            &[Dropped, SessionEnds],
            &[Dropped, Disconnect(0x97), SessionEnds],
            &[Drops("queue_messages"), Refuses(Refusal::QueueOverflow)],
        ),
        limit(
            Away,
            "queued_bytes_max",
            &[Dropped, SessionEnds],
            &[Dropped, Disconnect(0x97), SessionEnds],
            &[Drops("queue_bytes"), Refuses(Refusal::QueueOverflow)],
        ),
        limit(Away, "queued_secs_max", &[Dropped], &[Dropped], &[Drops("queue_age")]),
    ]
};

/// MQTT's name for a reason code of 5.0 that stands in the table.
#[must_use]
pub const fn code_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x85 => "client identifier not valid",
        0x8D => "keep alive timeout",
        0x8F => "topic filter invalid",
        0x90 => "topic name invalid",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x97 => "quota exceeded",
        0x9F => "connection rate exceeded",
        _ => return None,
    })
}

/// The limits that no client of MQTT meets: they bound what the REST API makes.
pub const OF_THE_API_ALONE: &[&str] = &[
    "topics_max",
    "credentials_max",
    "signing_keys_max",
    "grants_max",
    "token_ttl_secs_max",
    "revocations_max",
    "alarm_rules_max",
    "channels_max",
    "deliveries_pending_max",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LIMITS;

    #[test]
    fn every_limit_has_its_row_and_every_row_its_limit() {
        let rows: Vec<&str> = BEHAVIOURS
            .iter()
            .filter_map(|row| if let Bound::Limit(name) = row.bound { Some(name) } else { None })
            .collect();
        for limit in LIMITS {
            let is_met = rows.contains(&limit.name);
            assert_ne!(is_met, OF_THE_API_ALONE.contains(&limit.name), "{}", limit.name);
        }
        for name in rows.iter().chain(OF_THE_API_ALONE) {
            assert!(LIMITS.iter().any(|limit| limit.name == *name), "{name}");
        }
    }

    #[test]
    fn rows_are_in_the_order_of_their_moments_and_each_is_there_once() {
        assert!(BEHAVIOURS.is_sorted_by_key(|row| row.moment));
        for (at, row) in BEHAVIOURS.iter().enumerate() {
            let is_new = BEHAVIOURS[..at].iter().all(|it| (it.moment, it.bound) != (row.moment, row.bound));
            assert!(is_new && !row.v311.is_empty() && !row.v5.is_empty(), "{row:?}");
        }
    }

    #[test]
    fn what_is_refused_or_lost_is_counted() {
        for row in BEHAVIOURS {
            let is_harmless = |wire: &Wire| {
                matches!(
                    wire,
                    Wire::Absent
                        | Wire::Unseen
                        | Wire::Announced(_)
                        | Wire::NotRead
                        | Wire::Waits
                        | Wire::Fewer
                )
            };
            let is_harmless = row.v311.iter().chain(row.v5).all(is_harmless);
            assert_eq!(is_harmless, row.counted.is_empty(), "{row:?}");
            assert_eq!(is_harmless, row.event().is_none(), "{row:?}");
        }
    }
}
