//! Limits: the one table of what an instance may use.
//!
//! A plan is a set of these; the API checks them, the store keeps them, the broker enforces them, and a refusal names
//! the one that was reached. A limit that a document leaves out has its default, so that a node and a controller
//! that are one release apart understand each other.

use serde::{Deserialize, Serialize};

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Limit {
    /// Its name in every document, metric and refusal.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Its value where a plan does not say.
    pub default: u64,
    /// The smallest value a plan may give.
    pub min: u64,
    /// The largest value a plan may give.
    pub max: u64,
    /// What it bounds.
    pub doc: &'static str,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident : $unit:literal = $default:literal in $min:literal ..= $max:literal;)*) => {
        /// The limits of one instance.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
        #[serde(default)]
        pub struct InstanceLimits {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        /// Every limit, in the order in which people read them.
        pub const LIMITS: &[Limit] = &[$(Limit {
            name: stringify!($name), unit: $unit, default: $default, min: $min, max: $max,
            doc: concat!($($doc),*).trim_ascii(),
        },)*];

        impl Default for InstanceLimits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl InstanceLimits {
            /// The value of the limit with this name.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            /// Sets the limit with this name.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
                let limit = LIMITS
                    .iter()
                    .find(|limit| limit.name == name)
                    .ok_or_else(|| LimitError::Unknown { name: name.to_owned() })?;
                if !(limit.min..=limit.max).contains(&value) {
                    return Err(LimitError::OutOfBounds { name: limit.name, value, min: limit.min, max: limit.max });
                }
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => unreachable!("found in the table"),
                }
                Ok(())
            }
        }
    };
}

/// Why a value is no limit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// No limit has this name.
    #[error("no limit is called `{name}`")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The value is outside what the table allows.
    #[error("`{name}` may be {min} to {max}, not {value}")]
    OutOfBounds {
        /// The limit's name.
        name: &'static str,
        /// The value given.
        value: u64,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
}

limits! {
    /// Clients connected at one time.
    connections_max: "connections" = 1_000 in 1..=100_000_000;
    /// CONNECT packets answered with success, per second.
    connects_per_sec: "connects/s" = 200 in 1..=1_000_000;
    /// Connections at one time that share the subject of one temporary token.
    connections_per_subject_max: "connections" = 10 in 1..=100_000;
    /// Messages published by all clients of the instance, per second.
    messages_in_per_sec: "messages/s" = 5_000 in 1..=1_000_000_000;
    /// Bytes of PUBLISH packets received from all clients of the instance, per second.
    bytes_in_per_sec: "bytes/s" = 10_485_760 in 1_024..=1_000_000_000_000;
    /// Messages delivered to all clients of the instance, per second.
    messages_out_per_sec: "messages/s" = 20_000 in 1..=1_000_000_000;
    /// Bytes of PUBLISH packets sent to all clients of the instance, per second.
    bytes_out_per_sec: "bytes/s" = 41_943_040 in 1_024..=1_000_000_000_000;
    /// Messages published by one client, per second.
    client_messages_in_per_sec: "messages/s" = 500 in 1..=100_000_000;
    /// Bytes of PUBLISH packets received from one client, per second.
    client_bytes_in_per_sec: "bytes/s" = 2_097_152 in 1_024..=100_000_000_000;
    /// Messages delivered to one client, per second.
    client_messages_out_per_sec: "messages/s" = 2_000 in 1..=100_000_000;
    /// Bytes of PUBLISH packets sent to one client, per second.
    client_bytes_out_per_sec: "bytes/s" = 8_388_608 in 1_024..=100_000_000_000;
    /// The size of one packet, with its header.
    packet_bytes_max: "bytes" = 1_048_576 in 128..=268_435_460;
    /// Levels of a topic name or filter.
    topic_levels_max: "levels" = 32 in 1..=200;
    /// The length of a topic name or filter.
    topic_bytes_max: "bytes" = 1_024 in 16..=65_535;
    /// The length of a client identifier.
    client_id_bytes_max: "bytes" = 256 in 23..=65_535;
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE packet.
    filters_per_packet_max: "filters" = 100 in 1..=1_000;
    /// Subscriptions of one client.
    client_subscriptions_max: "subscriptions" = 100 in 1..=100_000;
    /// Subscriptions of all clients of the instance.
    subscriptions_max: "subscriptions" = 100_000 in 1..=1_000_000_000;
    /// SUBSCRIBE and UNSUBSCRIBE packets of one client, per second.
    client_subscribes_per_sec: "packets/s" = 50 in 1..=1_000_000;
    /// Messages sent to one client at QoS 1 or 2 that it has not acknowledged, and with 3.1.1 those of QoS 2 from it that it has not released.
    in_flight_messages_max: "messages" = 1_000 in 1..=65_535;
    /// Messages at QoS 1 or 2 that a client of MQTT 5.0 may have sent without having been acknowledged: the receive maximum that it is told.
    receive_max: "messages" = 1_000 in 1..=65_535;
    /// Topic aliases that a client of MQTT 5.0 may set up for what it publishes; 0: none.
    topic_alias_max: "aliases" = 16 in 0..=65_535;
    /// Bytes of one message's properties of MQTT 5.0 that go to its subscribers: content type, response topic, correlation data, user properties.
    properties_bytes_max: "bytes" = 8_192 in 64..=65_535;
    /// User properties of one message.
    user_properties_max: "properties" = 64 in 0..=5_000;
    /// Messages waiting for one client.
    outbox_messages_max: "messages" = 1_000 in 1..=1_000_000;
    /// Bytes waiting for one client.
    outbox_bytes_max: "bytes" = 4_194_304 in 4_096..=1_073_741_824;
    /// The longest keep alive; a client that asks for more, or for none, is held to this.
    keep_alive_secs_max: "seconds" = 65_535 in 10..=65_535;
    /// Lasting sessions, of clients that are connected and of those that are away.
    sessions_max: "sessions" = 1_000 in 1..=100_000_000;
    /// How long a lasting session is kept for a client that is away.
    session_expiry_secs_max: "seconds" = 86_400 in 60..=31_536_000;
    /// Messages waiting for one lasting session or shared subscription; what gives way beyond it, the instance's `queue_overflow` says.
    queued_messages_max: "messages" = 1_000 in 1..=100_000_000;
    /// Bytes of messages waiting for one lasting session or shared subscription.
    queued_bytes_max: "bytes" = 4_194_304 in 4_096..=1_099_511_627_776;
    /// How long a message waits for a lasting session or a shared subscription.
    queued_secs_max: "seconds" = 86_400 in 60..=2_592_000;
    /// Topics that have a retained message.
    retained_messages_max: "messages" = 10_000 in 1..=100_000_000;
    /// Bytes of all retained messages, with their topic names.
    retained_bytes_max: "bytes" = 268_435_456 in 4_096..=1_099_511_627_776;
    /// Retained messages that one subscription brings; the first of them, by topic name.
    retained_per_subscribe_max: "messages" = 1_000 in 1..=1_000_000;
    /// Shared subscriptions; each pair of a group's name and a filter is one.
    shared_subscriptions_max: "subscriptions" = 100 in 1..=1_000_000;
    /// Replays of stored messages that one client has under way at one time.
    replays_max: "replays" = 10 in 1..=1_000;
    /// Topics provisioned in the instance.
    topics_max: "topics" = 100 in 1..=1_000_000;
    /// Credentials in the instance.
    credentials_max: "credentials" = 10_000 in 1..=100_000_000;
    /// Signing keys in the instance that are not yet revoked.
    signing_keys_max: "keys" = 4 in 2..=16;
    /// Grants of one temporary token or credential.
    grants_max: "grants" = 100 in 1..=1_000;
    /// The longest life of a temporary token.
    token_ttl_secs_max: "seconds" = 2_592_000 in 60..=31_536_000;
    /// Revocations in force; beyond it the oldest are merged into wider ones.
    revocations_max: "revocations" = 100_000 in 100..=1_000_000;
    /// Alarm rules in the instance.
    alarm_rules_max: "rules" = 50 in 1..=10_000;
    /// Channels in the instance.
    channels_max: "channels" = 10 in 1..=1_000;
    /// Deliveries to the instance's channels that have not arrived yet; what comes beyond it fails at once.
    deliveries_pending_max: "deliveries" = 1_000 in 10..=1_000_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_within_its_bounds_and_every_name_is_found() {
        let mut limits = InstanceLimits::default();
        for limit in LIMITS {
            assert!((limit.min..=limit.max).contains(&limit.default), "{}", limit.name);
            assert_eq!(limits.get(limit.name), Some(limit.default), "{}", limit.name);
            assert!(!limit.doc.is_empty() && limit.doc.ends_with('.'), "{}", limit.name);
            assert_eq!(limits.set(limit.name, limit.max), Ok(()));
            assert_eq!(limits.get(limit.name), Some(limit.max));
            assert_eq!(limits.set(limit.name, limit.min), Ok(()));
            assert!(limits.set(limit.name, limit.max + 1).is_err(), "{}", limit.name);
            let below = limit.min.checked_sub(1);
            assert!(below.is_none_or(|below| limits.set(limit.name, below).is_err()), "{}", limit.name);
        }
    }

    #[test]
    fn a_document_of_another_release_is_understood() {
        let older: InstanceLimits =
            serde_json::from_str(r#"{"topics_max":7,"of_the_future_max":1}"#).expect("limits");
        assert_eq!(older, InstanceLimits { topics_max: 7, ..InstanceLimits::default() });
    }

    #[test]
    fn an_unknown_limit_is_named() {
        let error = InstanceLimits::default().set("speed_max", 1).expect_err("unknown");
        assert_eq!(error.to_string(), "no limit is called `speed_max`");
    }
}
