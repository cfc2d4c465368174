//! What the controller asks of a node itself, whose own listener it calls. There is no HTTP here: who starts the
//! services says how a node is called.

use std::pin::Pin;

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::NodeId;
use contract::message::{MessageQuery, MessagesAnswer, PublishAnswer, PublishRequest};
use contract::shared_group::{SharedGroupsAnswer, SharedGroupsQuery};
pub use store::nodes::Peer;

/// The most nodes that one question is asked of; the others are named as missing.
pub const NODES_ASKED_MAX: usize = 64;
/// The most nodes that are looked at at all.
pub(crate) const NODES_MAX: i64 = 1_000;
/// How long after it was last heard of a node may still have been told something: longer than any of its calls waits.
const HEARD_WITHOUT_SAYING: TimeDelta = TimeDelta::minutes(2);

/// An answer that is on its way.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T, NodeCallError>> + Send>>;

/// Calls nodes. Each call is bounded in time and in bytes, proves itself to the node, and takes no answer for one
/// that the node has not signed.
pub trait NodeCalls: Send + Sync + 'static {
    /// Asks a node for messages that it has stored.
    fn messages(&self, node: &Peer, query: &MessageQuery) -> Call<MessagesAnswer>;

    /// Hands a node a message; done when it is acknowledged as a message of QoS 1 would be.
    fn publish(&self, node: &Peer, request: &PublishRequest) -> Call<PublishAnswer>;

    /// Asks a node for the shared subscriptions that are at home there.
    fn shared_groups(&self, node: &Peer, query: &SharedGroupsQuery) -> Call<SharedGroupsAnswer>;
}

/// Why a call brought no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NodeCallError {
    /// The node has no listener of its own.
    #[error("the node's own listener is closed")]
    Closed,
    /// No connection came about: nothing was asked.
    #[error("the node cannot be reached")]
    NotReached,
    /// The connection broke while it was asked.
    #[error("the node went away")]
    Broken,
    /// No answer in time.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The answer is not one of this node's, or cannot be read.
    #[error("the node's answer cannot be believed")]
    NotBelieved,
    /// The node refused.
    #[error("the node refused: `{code}`")]
    Refused {
        /// Its reason.
        code: String,
    },
}

/// A node that may have something to say and was not asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingNode {
    /// Its id.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Why.
    pub reason: Missing,
}

/// Why a node was not asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It has no listener of its own.
    Closed,
    /// It cannot be reached, or was not when the list began.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// It did not do what it was asked, or what it answered cannot be believed.
    Failed,
    /// There are more nodes than one question is asked of.
    NotAsked,
}

impl From<NodeCallError> for Missing {
    fn from(error: NodeCallError) -> Self {
        match error {
            NodeCallError::Closed => Self::Closed,
            NodeCallError::NotReached | NodeCallError::Broken => Self::Unreachable,
            NodeCallError::TimedOut => Self::TimedOut,
            NodeCallError::NotBelieved | NodeCallError::Refused { .. } => Self::Failed,
        }
    }
}

/// Whether a node may know anything of what there has been since then: one that was not heard of since cannot.
pub(crate) fn may_have_heard(node: &Peer, since: DateTime<Utc>) -> bool {
    node.last_seen_at + HEARD_WITHOUT_SAYING > since
}

/// Calls nobody: where there is no way to call a node, every one counts as closed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCalls;

impl NodeCalls for NoCalls {
    fn messages(&self, _: &Peer, _: &MessageQuery) -> Call<MessagesAnswer> {
        Box::pin(std::future::ready(Err(NodeCallError::Closed)))
    }

    fn publish(&self, _: &Peer, _: &PublishRequest) -> Call<PublishAnswer> {
        Box::pin(std::future::ready(Err(NodeCallError::Closed)))
    }

    fn shared_groups(&self, _: &Peer, _: &SharedGroupsQuery) -> Call<SharedGroupsAnswer> {
        Box::pin(std::future::ready(Err(NodeCallError::Closed)))
    }
}
