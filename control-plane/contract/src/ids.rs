//! Typed ids: a node's id cannot stand where a tenant's is wanted, in Rust or in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

typed_id! {
    /// One organisation: members, instances, audit log.
    TenantId;
    /// One isolated MQTT namespace of a tenant; the data plane's unit of isolation.
    InstanceId;
    /// A person who signs in.
    MemberId;
    /// A broker (or gateway) process.
    NodeId;
    /// A device's long-lived proof of identity.
    CredentialId;
    /// One issued temporary token; UUIDv7, so that it carries its own time of issue.
    TokenId;
    /// One revocation of temporary tokens.
    RevocationId;
    /// One database's line of generations; a restored database begins another.
    TimelineId;
    /// A one-time right of a node to enrol.
    JoinTokenId;
    /// A rule that raises alarms.
    AlarmRuleId;
    /// One alarm: from its raising to its end.
    AlarmId;
    /// Where alarms are told.
    ChannelId;
    /// One event on its way to one channel.
    DeliveryId;
}

impl TokenId {
    /// The millisecond in which the token was issued, as its UUIDv7 says; `None` for another kind of UUID.
    pub fn issued_at(self) -> Option<crate::time::UnixMillis> {
        let (secs, nanos) = self.0.get_timestamp()?.to_unix();
        Some(crate::time::UnixMillis(secs.saturating_mul(1000) + u64::from(nanos / 1_000_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    #[test]
    fn a_token_knows_when_it_was_issued() {
        let id = TokenId("0193a5f0-0000-7000-8000-000000000000".parse().expect("a UUID"));
        assert_eq!(id.issued_at(), Some(UnixMillis(0x0193_a5f0_0000)));
        assert_eq!(TokenId(Uuid::nil()).issued_at(), None);
    }

    #[test]
    fn an_id_is_a_plain_string_in_json() {
        let id = TenantId(Uuid::nil());
        let json = serde_json::to_string(&id).expect("serializes");
        assert_eq!(json, "\"00000000-0000-0000-0000-000000000000\"");
        assert_eq!(serde_json::from_str::<TenantId>(&json).expect("parses"), id);
    }
}
