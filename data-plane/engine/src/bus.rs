//! `Bus`: messages between nodes that may be lost.

use contract::ids::{InstanceId, NodeId};

use crate::{Answer, Shard};

/// The most bytes of one message on the bus.
pub const BUS_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Messages between nodes. Rules for every engine:
///
/// - **At most once.** A message arrives once or not at all; who needs an answer sends one and asks again.
/// - **Order.** What one sender sends to one address arrives in that order, with holes where something was lost.
/// - **Bounded.** An inbox has room for a number of messages and bytes that its opener names. What does not fit is
///   dropped, the newest first, and counted: see [`Inbox::dropped`].
pub trait Bus: Send + Sync {
    /// Sends a message about an instance. Never blocks; success means that it was handed on, not that it arrived.
    fn send(&self, instance: InstanceId, to: Address, bytes: Vec<u8>) -> Result<(), SendError>;

    /// Opens the place where messages to this address arrive from now on, until the inbox is dropped. Several inboxes
    /// of one address get every message each.
    fn open(&self, address: Address, room: Room) -> Result<Box<dyn Inbox>, OpenError>;
}

/// Where messages to one address arrive.
pub trait Inbox: Send {
    /// The next message; none once the bus has stopped and everything has been taken. Dropping the answer before it
    /// is there loses no message.
    fn receive(&mut self) -> Answer<'_, Option<BusMessage>>;

    /// The next message, if it is there.
    fn try_receive(&mut self) -> Option<BusMessage>;

    /// How many messages had no room since it was opened.
    fn dropped(&self) -> u64;
}

/// Whom a message is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// One node.
    Node(NodeId),
    /// Whoever dispatches this shard.
    Dispatcher(Shard),
    /// Whoever keeps this part of the directory of clients.
    Directory(u16),
    /// Every node.
    All,
}

/// What arrives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BusMessage {
    /// The instance it is about.
    pub instance: InstanceId,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The bounds of an inbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The most messages that wait in it.
    pub messages_max: usize,
    /// The most bytes of content that wait in it.
    pub bytes_max: usize,
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum SendError {
    /// More than [`BUS_MESSAGE_BYTES_MAX`].
    #[error("a message on the bus has at most {BUS_MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// The network does not answer.
    #[error("the bus cannot be reached")]
    Failed,
    /// The bus has stopped.
    #[error("the bus has stopped")]
    Stopped,
}

/// Why there is no inbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum OpenError {
    /// The network does not answer.
    #[error("the bus cannot be reached")]
    Failed,
    /// The bus has stopped.
    #[error("the bus has stopped")]
    Stopped,
}
