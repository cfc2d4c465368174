//! What the controller asks of a node itself, whose own listener it calls. There is no HTTP here: who starts the
//! services says how a node is called.

use std::pin::Pin;

use contract::message::{MessageQuery, MessagesAnswer, PublishAnswer, PublishRequest};
pub use store::nodes::Peer;

/// An answer that is on its way.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T, NodeCallError>> + Send>>;

/// Calls nodes. Each call is bounded in time and in bytes, proves itself to the node, and takes no answer for one
/// that the node has not signed.
pub trait NodeCalls: Send + Sync + 'static {
    /// Asks a node for messages that it has stored.
    fn messages(&self, node: &Peer, query: &MessageQuery) -> Call<MessagesAnswer>;

    /// Hands a node a message; done when it is acknowledged as a message of QoS 1 would be.
    fn publish(&self, node: &Peer, request: &PublishRequest) -> Call<PublishAnswer>;
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
}
