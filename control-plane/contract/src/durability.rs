//! What a publication is worth: which messages are logged, and what an instance does when more waits for a session than
//! it may hold. What an engine does with a logged message is not said here.

use serde::{Deserialize, Serialize};

/// Which messages are logged before they are acknowledged. Of a topic, or else of its instance.
///
/// Each class logs what the ones before it log. What has a history rule or the retain flag is logged in each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DurabilityClass {
    /// None: messages go from memory to who is connected. For a lasting session that is away they are lost.
    Relay,
    /// QoS 1 and 2 for which a lasting session or a shared subscription waits; the others are relayed.
    #[default]
    Logged,
    /// Every message of QoS 1 and 2.
    Always,
    /// As `always`, and refused unless the node's engine has a message on stable storage before it says so.
    ///
    /// A class of a later release is read as this one, so that not knowing it can cost speed and never a message.
    #[serde(other)]
    Synced,
}

/// What gives way when more waits for a lasting session or a shared subscription than its instance allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueueOverflow {
    /// The session: it is ended, and its client disconnected. Of a shared subscription, the oldest messages.
    Disconnect,
    /// The newest messages: what came first is kept.
    DropNew,
    /// The oldest messages. Also what a way of a later release is read as.
    #[default]
    #[serde(other)]
    DropOldest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_and_an_unknown_one_is_the_careful_one() {
        for (class, name) in [
            (DurabilityClass::Relay, "relay"),
            (DurabilityClass::Logged, "logged"),
            (DurabilityClass::Always, "always"),
            (DurabilityClass::Synced, "synced"),
        ] {
            assert_eq!(serde_json::to_value(class).expect("serializes"), name);
            assert_eq!(serde_json::from_value::<DurabilityClass>(name.into()).expect("parses"), class);
        }
        for (overflow, name) in [
            (QueueOverflow::DropOldest, "drop_oldest"),
            (QueueOverflow::DropNew, "drop_new"),
            (QueueOverflow::Disconnect, "disconnect"),
        ] {
            assert_eq!(serde_json::to_value(overflow).expect("serializes"), name);
            assert_eq!(serde_json::from_value::<QueueOverflow>(name.into()).expect("parses"), overflow);
        }
        assert_eq!(
            serde_json::from_str::<DurabilityClass>("\"notarized\"").expect("parses"),
            DurabilityClass::Synced
        );
        assert_eq!(
            serde_json::from_str::<QueueOverflow>("\"spill\"").expect("parses"),
            QueueOverflow::DropOldest
        );
    }

    #[test]
    fn classes_are_ordered_by_what_they_log() {
        use DurabilityClass::{Always, Logged, Relay, Synced};
        assert!(Relay < Logged && Logged < Always && Always < Synced);
        assert_eq!(
            (DurabilityClass::default(), QueueOverflow::default()),
            (Logged, QueueOverflow::DropOldest)
        );
    }
}
