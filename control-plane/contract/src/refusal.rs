//! Refusals: every reason for which a client is not served, in one closed table.
//!
//! The name is the same in counters, events and documents. The wire form depends on the version and stands with the
//! codec; here is only what happened.

use serde::{Deserialize, Serialize};

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// Why a client, or something it asked for, was refused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Refusal {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in counters, events and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

refusals! {
    // --- before the client is known ---
    /// The bytes are no MQTT packet.
    MalformedPacket = "malformed_packet";
    /// The packet may not be sent at this point.
    ProtocolError = "protocol_error";
    /// The protocol version is not served.
    UnsupportedVersion = "unsupported_version";
    /// The CONNECT packet did not come in time.
    ConnectTimeout = "connect_timeout";
    /// The node, or this address, has too many connections that are not yet clients.
    TooManyHandshakes = "too_many_handshakes";
    /// TLS was not agreed on: the client is of another mind about versions, or does not trust the certificate.
    TlsHandshakeFailed = "tls_handshake_failed";
    /// The client identifier is empty with a kept session, too long, or one that no path can name.
    ClientIdInvalid = "client_id_invalid";
    /// Neither the server name, the user name nor the listener says which instance is meant.
    InstanceUnknown = "instance_unknown";
    /// The instance is suspended or being deleted.
    InstanceSuspended = "instance_suspended";
    /// The instance does not accept this kind of proof.
    AuthenticationKindRefused = "authentication_kind_refused";
    /// The authentication method is not served, or is not the one that the connection began with.
    AuthenticationMethodInvalid = "authentication_method_invalid";
    /// No user name and password, or none that is right.
    CredentialsWrong = "credentials_wrong";
    /// The credential is disabled.
    CredentialDisabled = "credential_disabled";
    /// The token is not one of this instance, or its signature is wrong.
    TokenInvalid = "token_invalid";
    /// The token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid";
    /// The token has expired.
    TokenExpired = "token_expired";
    /// The token has been revoked.
    TokenRevoked = "token_revoked";
    /// The token or credential is for another client identifier.
    ClientIdNotAllowed = "client_id_not_allowed";
    /// The client identifier is in use by another identity.
    ClientIdInUse = "client_id_in_use";
    /// What was kept of the client's session cannot be read; it is not begun anew unasked.
    SessionDamaged = "session_damaged";
    /// The will's topic is not granted.
    WillNotAuthorized = "will_not_authorized";

    // --- what a client asks for ---
    /// No grant allows it.
    NotAuthorized = "not_authorized";
    /// The instance has no such topic.
    TopicNotProvisioned = "topic_not_provisioned";
    /// The topic name of a message holds a wildcard.
    TopicNameInvalid = "topic_name_invalid";
    /// The topic alias is 0 or above the maximum.
    TopicAliasInvalid = "topic_alias_invalid";
    /// The payload is said to be text and is not.
    PayloadFormatInvalid = "payload_format_invalid";
    /// A shared subscription or a replay whose text is none: without a group, a time or a filter.
    FilterInvalid = "filter_invalid";
    /// A replay of topics of which no history is kept.
    HistoryNotKept = "history_not_kept";
    /// The message store takes nothing for now, so that a message which is to be stored cannot be acknowledged.
    StorageUnavailable = "storage_unavailable";

    // --- limits, by their names ---
    /// `connections_max`
    ConnectionsMax = "connections_max";
    /// `connects_per_sec`
    ConnectsPerSec = "connects_per_sec";
    /// `connections_per_subject_max`
    ConnectionsPerSubjectMax = "connections_per_subject_max";
    /// `packet_bytes_max`
    PacketBytesMax = "packet_bytes_max";
    /// `payload_bytes_max` of the topic
    PayloadBytesMax = "payload_bytes_max";
    /// `topic_levels_max`
    TopicLevelsMax = "topic_levels_max";
    /// `topic_bytes_max`
    TopicBytesMax = "topic_bytes_max";
    /// `filters_per_packet_max`
    FiltersPerPacketMax = "filters_per_packet_max";
    /// `client_subscriptions_max`
    ClientSubscriptionsMax = "client_subscriptions_max";
    /// `subscriptions_max`
    SubscriptionsMax = "subscriptions_max";
    /// `client_subscribes_per_sec`
    ClientSubscribesPerSec = "client_subscribes_per_sec";
    /// `in_flight_messages_max`
    InFlightMessagesMax = "in_flight_messages_max";
    /// `receive_max`
    ReceiveMax = "receive_max";
    /// `properties_bytes_max`
    PropertiesBytesMax = "properties_bytes_max";
    /// `user_properties_max`
    UserPropertiesMax = "user_properties_max";
    /// `sessions_max`
    SessionsMax = "sessions_max";
    /// `queued_messages_max`, `queued_bytes_max` or `queued_secs_max`, in an instance that then ends the session
    QueueOverflow = "queue_overflow";
    /// `retained_messages_max` or `retained_bytes_max`
    RetainedMax = "retained_max";
    /// `shared_subscriptions_max`
    SharedSubscriptionsMax = "shared_subscriptions_max";
    /// `replays_max`
    ReplaysMax = "replays_max";

    // --- connections that end ---
    /// Nothing was heard within one and a half times the keep alive.
    KeepAliveTimeout = "keep_alive_timeout";
    /// A newer connection of the same client took over.
    TakenOver = "taken_over";
    /// The grants no longer allow what the client holds.
    RightsWithdrawn = "rights_withdrawn";
    /// The node is stopping.
    NodeStopping = "node_stopping";
    /// The node failed while serving this client.
    InternalError = "internal_error";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_travel() {
        for (at, refusal) in Refusal::ALL.iter().enumerate() {
            assert!(Refusal::ALL[..at].iter().all(|other| other.name() != refusal.name()), "{refusal:?}");
            assert_eq!(*refusal as usize, at, "usable as an index");
            let json = serde_json::to_string(refusal).expect("serializes");
            assert_eq!(json, format!("\"{}\"", refusal.name()));
            assert!(!refusal.doc().is_empty());
        }
    }
}
