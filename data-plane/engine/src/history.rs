//! `History`: stored messages of one instance, found again.

use std::collections::BTreeMap;

use contract::feed::TopicHistory;
use contract::ids::InstanceId;
use contract::message::{MESSAGES_PER_ANSWER_MAX, MessageId, MessagesAnswer, Order, StoredMessage};
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

/// The most index rows that one query looks at, unless it says less.
pub const ROWS_PER_QUERY_MAX: u64 = 2_000_000;

/// The most bytes of payload in one answer, unless the query says less. One message is answered whatever it has.
pub const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Stored messages, found by topic, time, client or identifier. Rules for every engine:
///
/// - What has been acknowledged is found, at once.
/// - Only messages that the caller's [`HistoryRules`] show are answered: a topic resource without a rule shows none.
/// - The order is that of positions in the log, which within a shard is that of storing.
/// - Both calls block on the disk: they are made off the workers, and few at a time.
pub trait History: Send + Sync {
    /// Messages that the query selects. Fewer than were asked for may be answered although there are more, since a
    /// call looks at a bounded number of rows: then `next` says where to go on. Damage makes the answer incomplete and
    /// says so; it is no error.
    fn query(
        &self,
        instance: InstanceId,
        query: &HistoryQuery,
        rules: &HistoryRules,
    ) -> Result<MessagesAnswer, QueryError>;

    /// One message with its whole payload, if it is there and shown.
    fn get(
        &self,
        instance: InstanceId,
        id: MessageId,
        rules: &HistoryRules,
    ) -> Result<FoundMessage, QueryError>;
}

/// The answer to who asks for one message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundMessage {
    /// The message; none when it was never stored, is over, hidden, or lost.
    pub message: Option<StoredMessage>,
    /// Whether nothing is lost that the message could have stood in: without a message and not complete, nobody knows
    /// whether there was one.
    pub complete: bool,
}

/// Which messages are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryQuery {
    /// Of topics that this filter matches.
    pub topic_filter: Option<TopicFilter>,
    /// Of this client identifier.
    pub client_id: Option<Box<str>>,
    /// Stored at this moment or later.
    pub from: UnixMillis,
    /// Stored before this moment.
    pub to: UnixMillis,
    /// Which come first.
    pub order: Order,
    /// Only those behind this one, in that order.
    pub after: Option<MessageId>,
    /// At most so many.
    pub limit: u32,
    /// At most so many bytes of each payload.
    pub payload_bytes_max: u64,
    /// At most so many bytes of payload in all, but for one message.
    pub answer_bytes_max: u64,
    /// At most so many rows of the index are looked at.
    pub rows_max: u64,
}

impl Default for HistoryQuery {
    /// Everything, the newest first, payloads whole, within the bounds of one answer.
    fn default() -> Self {
        Self {
            topic_filter: None,
            client_id: None,
            from: UnixMillis(0),
            to: UnixMillis(u64::MAX),
            order: Order::Newest,
            after: None,
            limit: MESSAGES_PER_ANSWER_MAX,
            payload_bytes_max: u64::MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
            rows_max: ROWS_PER_QUERY_MAX,
        }
    }
}

/// What of an instance's messages may be shown now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HistoryRules {
    /// The present, from which ages are counted.
    pub now: UnixMillis,
    /// The rule of each topic resource that is stored, by its name: the first level of its topics.
    pub topics: BTreeMap<Box<str>, TopicHistory>,
}

/// Why nothing is answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum QueryError {
    /// The disk or the network does not answer.
    #[error("the stored messages cannot be read")]
    Failed,
    /// As many queries run as may.
    #[error("too many queries run at the same time")]
    Busy,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}
