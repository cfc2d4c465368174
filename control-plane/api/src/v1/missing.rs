//! Nodes that should have been asked and were not: part of every answer that is made of what nodes say.

use contract::ids::NodeId;
use serde::Serialize;
use service::node_calls::{Missing, MissingNode};
use utoipa::ToSchema;

/// Why a node was not asked.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissingReason {
    /// Its own listener is closed.
    Closed,
    /// It cannot be reached.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// It did not do what it was asked.
    Failed,
    /// One question does not ask so many nodes.
    NotAsked,
}

/// A node that may have something to say and was not asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MissingNode)]
pub(crate) struct MissingNodeView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    node_id: NodeId,
    /// What people call it.
    name: String,
    /// Why.
    reason: MissingReason,
}

impl From<MissingNode> for MissingNodeView {
    fn from(missing: MissingNode) -> Self {
        let reason = match missing.reason {
            Missing::Closed => MissingReason::Closed,
            Missing::Unreachable => MissingReason::Unreachable,
            Missing::TimedOut => MissingReason::TimedOut,
            Missing::Failed => MissingReason::Failed,
            Missing::NotAsked => MissingReason::NotAsked,
        };
        Self { node_id: missing.node, name: missing.name, reason }
    }
}
