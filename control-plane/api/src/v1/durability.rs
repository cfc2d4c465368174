//! What a publication is worth, as the API names it: strictly, where a node reads leniently.

use contract::durability::{DurabilityClass, QueueOverflow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which messages are on disk before they are acknowledged. `relay`: none, they go from memory to who is connected.
/// `logged`: QoS 1 and 2 for which a lasting session or a shared subscription waits. `always`: all of QoS 1 and 2.
/// `synced`: as `always`, and refused where the disk cannot promise it. In each, messages of a topic with history and retained ones are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = DurabilityClass)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DurabilityClassView {
    /// None: messages go from memory to who is connected, and a session that is away misses them.
    Relay,
    /// QoS 1 and 2 for which a lasting session or a shared subscription waits; the others are relayed.
    #[default]
    Logged,
    /// Every message of QoS 1 and 2.
    Always,
    /// As `always`, and refused where the store cannot say that a message is on the disk.
    Synced,
}

impl From<DurabilityClass> for DurabilityClassView {
    fn from(class: DurabilityClass) -> Self {
        match class {
            DurabilityClass::Relay => Self::Relay,
            DurabilityClass::Logged => Self::Logged,
            DurabilityClass::Always => Self::Always,
            DurabilityClass::Synced => Self::Synced,
        }
    }
}

impl From<DurabilityClassView> for DurabilityClass {
    fn from(class: DurabilityClassView) -> Self {
        match class {
            DurabilityClassView::Relay => Self::Relay,
            DurabilityClassView::Logged => Self::Logged,
            DurabilityClassView::Always => Self::Always,
            DurabilityClassView::Synced => Self::Synced,
        }
    }
}

/// What gives way when more waits for a lasting session or a shared subscription than `queued_messages_max` and
/// `queued_bytes_max` allow: the oldest messages, the newest, or the session, which is ended and its client disconnected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = QueueOverflow)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueueOverflowView {
    /// The oldest messages.
    #[default]
    DropOldest,
    /// The newest messages.
    DropNew,
    /// The session: it is ended, and its client disconnected. Of a shared subscription, the oldest messages.
    Disconnect,
}

impl From<QueueOverflow> for QueueOverflowView {
    fn from(overflow: QueueOverflow) -> Self {
        match overflow {
            QueueOverflow::DropOldest => Self::DropOldest,
            QueueOverflow::DropNew => Self::DropNew,
            QueueOverflow::Disconnect => Self::Disconnect,
        }
    }
}

impl From<QueueOverflowView> for QueueOverflow {
    fn from(overflow: QueueOverflowView) -> Self {
        match overflow {
            QueueOverflowView::DropOldest => Self::DropOldest,
            QueueOverflowView::DropNew => Self::DropNew,
            QueueOverflowView::Disconnect => Self::Disconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_refused_and_the_defaults_are_the_contracts() {
        assert!(serde_json::from_str::<DurabilityClassView>("\"notarized\"").is_err());
        assert!(serde_json::from_str::<QueueOverflowView>("\"spill\"").is_err());
        assert_eq!(DurabilityClassView::default(), DurabilityClass::default().into());
        assert_eq!(QueueOverflowView::default(), QueueOverflow::default().into());
    }
}
