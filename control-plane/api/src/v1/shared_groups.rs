//! Shared subscriptions as they stand: members and what waits for them.

use axum::extract::State;
use contract::ids::InstanceId;
use contract::shared_group::SharedGroupState;
use serde::Serialize;
use service::clock::time;
use service::shared_groups::{ListSharedGroups, SharedGroupPage};
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::caller::SignedIn;
use crate::page::{RawQuery, value};
use crate::path::Path;
use crate::problem::Problem;
use crate::state::AppState;
use crate::time::Timestamp;
use crate::v1::missing::MissingNodeView;

/// A shared subscription: `$share/{group}/{topic_filter}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SharedGroup)]
pub(crate) struct SharedGroupView {
    /// The group's name. The same name with another filter is another group.
    #[schema(example = "billing")]
    group: String,
    /// Whose messages the group shares.
    #[schema(example = "vehicle/+/up/#")]
    topic_filter: String,
    /// Members that are connected.
    members_connected: u64,
    /// Members with a lasting session that are away.
    members_away: u64,
    /// Messages that members have got and not yet acknowledged.
    in_flight: u64,
    /// Stored messages that no member has acknowledged: how far the group is behind. Those in flight are among them.
    waiting_messages: u64,
    /// Bytes of what waits, as it is stored; those of messages in flight or handed back are estimated by their mean.
    waiting_bytes: u64,
    /// When the oldest of what waits was stored; null where nothing waits, or where it is not known.
    oldest_at: Option<Timestamp>,
    /// Whether all that waits was counted; false where messages were dropped before their time or a disk is damaged.
    complete: bool,
}

impl From<SharedGroupState> for SharedGroupView {
    fn from(state: SharedGroupState) -> Self {
        Self {
            group: state.key.group,
            topic_filter: state.key.filter,
            members_connected: state.members_connected,
            members_away: state.members_away,
            in_flight: state.in_flight,
            waiting_messages: state.waiting_messages,
            waiting_bytes: state.waiting_bytes,
            oldest_at: state.oldest_at.map(|at| time(at).into()),
            complete: state.complete,
        }
    }
}

/// What a page of shared subscriptions can say anything about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SharedGroupCoverage {
    /// Whether every node that may have groups was asked.
    complete: bool,
    /// The nodes that were not.
    missing: Vec<MissingNodeView>,
}

/// Shared subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SharedGroupList {
    /// The groups of this page, by name and then by filter.
    items: Vec<SharedGroupView>,
    /// The cursor of the next page; null exactly when nothing follows.
    next_cursor: Option<String>,
    /// What the page can say anything about.
    coverage: SharedGroupCoverage,
}

impl From<SharedGroupPage> for SharedGroupList {
    fn from(page: SharedGroupPage) -> Self {
        Self {
            items: page.items.into_iter().map(SharedGroupView::from).collect(),
            next_cursor: page.next_cursor,
            coverage: SharedGroupCoverage {
                complete: page.missing.is_empty(),
                missing: page.missing.into_iter().map(MissingNodeView::from).collect(),
            },
        }
    }
}

/// What a list of shared subscriptions takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this type only describes")]
pub(crate) struct SharedGroupParameters {
    /// Only groups of exactly this name.
    group: Option<String>,
    /// The most groups of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with `group` as it was.
    cursor: Option<String>,
}

/// List shared subscriptions as they stand.
///
/// All nodes are asked at once and each counts at a moment of its own, so that figures of a busy group need not add up to
/// the message. A group is there as long as it has a member, connected or with a lasting session.
#[utoipa::path(get, path = "/v1/instances/{instance_id}/shared-groups", tag = "shared-groups",
    params(("instance_id" = Uuid, Path), SharedGroupParameters),
    responses((status = 200, description = "A page", body = SharedGroupList)))]
pub(crate) async fn list_shared_groups(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(instance): Path<InstanceId>,
    query: RawQuery,
) -> Result<Answer<SharedGroupList>, Problem> {
    let mut given = query.only(&["group", "limit", "cursor"])?;
    let list = ListSharedGroups {
        group: given.remove("group"),
        limit: given.remove("limit").map(|text| value("limit", &text)).transpose()?,
        cursor: given.remove("cursor"),
    };
    let page = state.services.shared_groups.list(signed_in.caller(), instance, &list).await?;
    Ok(Answer::ok(page.into()))
}

#[cfg(test)]
mod tests {
    use contract::ids::NodeId;
    use contract::shared_group::SharedGroupKey;
    use contract::time::UnixMillis;
    use serde_json::json;
    use service::node_calls::{Missing, MissingNode};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_page_says_what_waits_and_whom_it_leaves_out() {
        let state = SharedGroupState {
            key: SharedGroupKey { group: "g".to_owned(), filter: "a/#".to_owned() },
            members_connected: 1,
            members_away: 2,
            in_flight: 3,
            waiting_messages: 4,
            waiting_bytes: 5,
            oldest_at: Some(UnixMillis(1_800_000_000_123)),
            complete: true,
        };
        let unknown = SharedGroupState { oldest_at: None, complete: false, ..state.clone() };
        let missing =
            MissingNode { node: NodeId(Uuid::nil()), name: "edge-1".to_owned(), reason: Missing::TimedOut };
        let page = SharedGroupPage {
            items: vec![state, unknown],
            next_cursor: Some("x".to_owned()),
            missing: vec![missing],
        };
        let group = json!({"group": "g", "topic_filter": "a/#", "members_connected": 1, "members_away": 2,
            "in_flight": 3, "waiting_messages": 4, "waiting_bytes": 5,
            "oldest_at": "2027-01-15T08:00:00.123Z", "complete": true});
        let mut unknown = group.clone();
        unknown["oldest_at"] = json!(null);
        unknown["complete"] = json!(false);
        let told = serde_json::to_value(SharedGroupList::from(page)).expect("serializes");
        let expected = json!({"items": [group, unknown], "next_cursor": "x", "coverage": {"complete": false,
            "missing": [{"node_id": Uuid::nil(), "name": "edge-1", "reason": "timed_out"}]}});
        assert_eq!(told, expected);
    }
}
