//! Shared subscriptions as they stand: the forms in which the controller asks a node for the groups at home there.
//!
//! The call is the controller's, on the node's own listener: `GET /node/v1/shared-groups` with a [`SharedGroupsQuery`]
//! as its query string's one member `query` (JSON). Nothing of a message is in an answer.

use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;
use crate::time::UnixMillis;

/// The most groups of one answer.
pub const SHARED_GROUPS_PER_ANSWER_MAX: u32 = 201;

/// Whose turn it is among the members of a group that are connected and have room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SharedStrategy {
    /// Always the same member's, as long as it has room; then the next one's.
    Sticky,
    /// That of the member with the fewest messages unacknowledged; among several they take turns.
    LeastInFlight,
    /// They take turns. Also what a strategy of a later release is read as.
    #[default]
    #[serde(other)]
    RoundRobin,
}

/// Which group: groups are ordered by name and then by filter, both compared by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct SharedGroupKey {
    /// The group's name.
    pub group: String,
    /// Its topic filter.
    pub filter: String,
}

/// What the controller asks of a node. Members that are left out do not narrow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct SharedGroupsQuery {
    /// The instance; another one's groups are never seen.
    pub instance: InstanceId,
    /// Groups of exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only groups behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SharedGroupKey>,
    /// At most so many, and never more than [`SHARED_GROUPS_PER_ANSWER_MAX`].
    pub limit: u32,
}

/// One group of a node as it stands: what is asked of it at different moments need not add up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct SharedGroupState {
    /// Which one.
    #[serde(flatten)]
    pub key: SharedGroupKey,
    /// Members that are connected.
    pub members_connected: u64,
    /// Members with a lasting session that are away.
    pub members_away: u64,
    /// Messages sent to members that have not acknowledged them.
    pub in_flight: u64,
    /// Logged messages of the group that no member has acknowledged; those in flight are among them.
    pub waiting_messages: u64,
    /// Bytes of the records of what waits; those in flight, or handed back by a member, are estimated by their mean.
    pub waiting_bytes: u64,
    /// When the oldest of them was stored; none where nothing waits, or where the node does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<UnixMillis>,
    /// Whether all that waits was counted; damage on the node's disk, or messages dropped before their time, make it
    /// false.
    pub complete: bool,
}

/// What a node answers to a [`SharedGroupsQuery`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct SharedGroupsAnswer {
    /// In the order of their keys.
    pub items: Vec<SharedGroupState>,
    /// Whether groups follow behind the last of them. There may be fewer than were asked for, but never none, and
    /// still some follow: a call counts for a bounded time.
    pub has_more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_an_answer_of_another_release_are_understood() {
        let json = r#"{"instance":"00000000-0000-0000-0000-000000000001","limit":5,"of_the_future":true}"#;
        let query: SharedGroupsQuery = serde_json::from_str(json).expect("parses");
        assert_eq!((query.group, query.after), (None, None));

        let json = r#"{"items":[{"group":"g","filter":"a/#","members_connected":1,"members_away":0,"in_flight":2,
            "waiting_messages":3,"waiting_bytes":4,"complete":true,"of_the_future":1}],"has_more":false}"#;
        let answer: SharedGroupsAnswer = serde_json::from_str(json).expect("parses");
        assert_eq!(answer.items[0].key, SharedGroupKey { group: "g".into(), filter: "a/#".into() });
        assert_eq!(answer.items[0].oldest_at, None);
    }

    #[test]
    fn groups_are_ordered_by_name_and_then_by_filter() {
        let key = |group: &str, filter: &str| SharedGroupKey { group: group.into(), filter: filter.into() };
        assert!(
            key("a", "z") < key("b", "a") && key("a", "y") < key("a", "z") && key("a", "z") < key("a/", "a")
        );
    }

    #[test]
    fn a_strategy_travels_by_name_and_an_unknown_one_is_taking_turns() {
        for (strategy, name) in [
            (SharedStrategy::RoundRobin, "round_robin"),
            (SharedStrategy::Sticky, "sticky"),
            (SharedStrategy::LeastInFlight, "least_in_flight"),
        ] {
            assert_eq!(serde_json::to_value(strategy).expect("serializes"), name);
            assert_eq!(serde_json::from_value::<SharedStrategy>(name.into()).expect("parses"), strategy);
        }
        let later = serde_json::from_str::<SharedStrategy>("\"by_weight\"").expect("parses");
        assert_eq!(
            (later, SharedStrategy::default()),
            (SharedStrategy::RoundRobin, SharedStrategy::RoundRobin)
        );
    }
}
