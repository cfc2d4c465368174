//! Shared subscriptions as they stand on the nodes: their members and what waits for them.
//!
//! Every node is asked at one time, as for messages, and what they answer is merged by group and filter ([`merge`]). A
//! node that cannot be asked is named, never passed over in silence. Nothing of a message is shown here.

mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::base64::Base64;
use contract::ids::InstanceId;
use contract::shared_group::{
    SHARED_GROUPS_PER_ANSWER_MAX, SharedGroupKey, SharedGroupState, SharedGroupsAnswer, SharedGroupsQuery,
};
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::instances::Instance;
use tokio::task::JoinSet;

use self::merge::{is_believable, merge};
use crate::access::{AccessError, Action, Caller};
use crate::core::Core;
use crate::error::takes_get_error;
use crate::node_calls::{
    Missing, MissingNode, NODES_ASKED_MAX, NODES_MAX, NodeCallError, Peer, may_have_heard,
};
use crate::page::{LIMIT_DEFAULT, LIMIT_MAX};

/// How a node says that it has not heard of an instance.
const INSTANCE_UNKNOWN: &str = contract::refusal::Refusal::InstanceUnknown.name();

/// Shows shared subscriptions.
#[derive(Clone)]
pub struct SharedGroups {
    core: Arc<Core>,
}

/// Which groups to show; what is none does not narrow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListSharedGroups {
    /// Groups of exactly this name.
    pub group: Option<String>,
    /// The most groups, 1 to [`LIMIT_MAX`]; [`LIMIT_DEFAULT`] when none.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// One page of groups, by name and then by filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedGroupPage {
    /// The groups.
    pub items: Vec<SharedGroupState>,
    /// The cursor of the next page; none exactly when nothing follows.
    pub next_cursor: Option<String>,
    /// Nodes that may have members of groups and were not asked.
    pub missing: Vec<MissingNode>,
}

/// Why no groups were shown.
#[derive(Debug, thiserror::Error)]
pub enum ListSharedGroupsError {
    /// It is not there for this caller, or not to be seen by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A page has 1 to 200 items.
    #[error("`limit` may be 1 to {LIMIT_MAX}, not {0}")]
    Limit(u32),
    /// The cursor is none that a list with these parameters has given.
    #[error("the cursor is not one of this list")]
    Cursor,
    /// Not one node answered.
    #[error("no node of the instance can be asked")]
    NodeUnavailable,
    /// No node answered in time.
    #[error("the nodes took too long")]
    TimedOut,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(ListSharedGroupsError);

/// What a cursor says: behind which group to go on, in which list. Who has no right to the list learns nothing by it,
/// since the list is asked for anew.
#[derive(Serialize, Deserialize)]
struct Cursor {
    instance: InstanceId,
    only: Option<String>,
    after: SharedGroupKey,
    /// Numbers of the nodes of which a page before has shown nothing: from the middle on, theirs would be no list.
    #[serde(default)]
    left: Vec<u16>,
}

impl SharedGroups {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Shared subscriptions of an instance.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        list: &ListSharedGroups,
    ) -> Result<SharedGroupPage, ListSharedGroupsError> {
        let instance = self.core.instance(caller, instance, Action::Read).await?;
        let limit = list.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(ListSharedGroupsError::Limit(limit));
        }
        let cursor = list.cursor.as_deref().map(|text| read(text, instance.id, list)).transpose()?;
        let (after, left) = cursor.map(|it| (it.after, it.left)).unzip();
        let query = SharedGroupsQuery {
            instance: instance.id,
            group: list.group.clone(),
            after,
            // One more than is shown, which says that something follows.
            limit: (limit + 1).min(SHARED_GROUPS_PER_ANSWER_MAX),
        };
        let Asked { answers, missing, left } =
            self.ask(&instance, &query, left.as_deref().unwrap_or_default()).await?;
        if answers.is_empty() && !missing.is_empty() {
            let timed_out = missing.iter().all(|node| node.reason == Missing::TimedOut);
            return Err(if timed_out {
                ListSharedGroupsError::TimedOut
            } else {
                ListSharedGroupsError::NodeUnavailable
            });
        }
        let (items, has_more) = merge(answers, usize::try_from(limit).unwrap_or(usize::MAX));
        let last = items.last().filter(|_| has_more);
        let next_cursor = last.map(|last| encode(instance.id, list, &last.key, left));
        Ok(SharedGroupPage { items, next_cursor, missing })
    }

    /// `left` are not asked.
    async fn ask(
        &self,
        instance: &Instance,
        query: &SharedGroupsQuery,
        left: &[u16],
    ) -> Result<Asked, StoreError> {
        let peers =
            store::nodes::list_peers(&mut *self.core.store.read().await?, instance.id, NODES_MAX).await?;
        let mut asked = Asked { answers: Vec::new(), missing: Vec::new(), left: Vec::new() };
        let (mut calls, mut called) = (JoinSet::new(), BTreeMap::new());
        let may_know = peers.into_iter().filter(|peer| may_have_heard(peer, instance.created_at));
        for (at, peer) in may_know.enumerate() {
            if peer.address.is_none() {
                asked.lose(&peer, Missing::Closed);
            } else if left.contains(&peer.number) {
                asked.lose(&peer, Missing::Unreachable);
            } else if at >= NODES_ASKED_MAX {
                asked.lose(&peer, Missing::NotAsked);
            } else {
                let call = self.core.node_calls.shared_groups(&peer, query);
                called.insert(at, peer);
                calls.spawn(async move { (at, call.await) });
            }
        }
        // Each call has its own time limit.
        while let Some(joined) = calls.join_next().await {
            let Ok((at, answer)) = joined else { continue };
            let Some(peer) = called.remove(&at) else { continue };
            match answer {
                Ok(answer) if is_believable(&answer, query) => asked.answers.push(answer),
                Ok(_) => asked.lose(&peer, Missing::Failed),
                // What it has not heard of has no members there.
                Err(NodeCallError::Refused { code }) if code == INSTANCE_UNKNOWN => {
                    asked.answers.push(SharedGroupsAnswer::default());
                }
                Err(error) => {
                    tracing::debug!(node = %peer.id, %error, "a node cannot be asked for shared subscriptions");
                    asked.lose(&peer, error.into());
                }
            }
        }
        // A call that broke down here.
        for peer in called.values() {
            asked.lose(peer, Missing::Failed);
        }
        asked.missing.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(asked)
    }
}

/// What the nodes have answered, and who has not.
struct Asked {
    answers: Vec<SharedGroupsAnswer>,
    missing: Vec<MissingNode>,
    /// The numbers of those.
    left: Vec<u16>,
}

impl Asked {
    fn lose(&mut self, peer: &Peer, reason: Missing) {
        self.left.push(peer.number);
        self.missing.push(MissingNode { node: peer.id, name: peer.name.clone(), reason });
    }
}

fn encode(instance: InstanceId, list: &ListSharedGroups, last: &SharedGroupKey, left: Vec<u16>) -> String {
    let cursor = Cursor { instance, only: list.group.clone(), after: last.clone(), left };
    Base64(serde_json::to_vec(&cursor).expect("texts have a JSON form")).encode()
}

/// What a cursor of this list says.
fn read(text: &str, instance: InstanceId, list: &ListSharedGroups) -> Result<Cursor, ListSharedGroupsError> {
    let json = Base64::decode(text).ok_or(ListSharedGroupsError::Cursor)?;
    let cursor: Cursor = serde_json::from_slice(&json.0).map_err(|_| ListSharedGroupsError::Cursor)?;
    if cursor.instance != instance || cursor.only != list.group {
        return Err(ListSharedGroupsError::Cursor);
    }
    Ok(cursor)
}
