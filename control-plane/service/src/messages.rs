//! Stored messages: queries over all nodes that may hold some, and publishing from an application.
//!
//! Each node has its own log, so a query asks every node at one time and merges what they answer ([`merge`]). A node
//! that cannot be asked is named, never passed over in silence. Which messages a node shows of its log it decides by
//! the same document of the topic that it stores them by; here only the window is known ([`window`]).

mod cursor;
mod merge;
mod properties;
mod publish;
mod window;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::InstanceId;
use contract::message::{
    LISTED_PAYLOAD_BYTES_MAX, MESSAGES_PER_ANSWER_MAX, MessageId, MessageProperties, MessageQuery,
    MessagesAnswer, Order, StoredMessage,
};
use contract::time::UnixMillis;
use contract::topic::{TopicError, check_filter};
use store::StoreError;
use store::instances::Instance;
use tokio::task::JoinSet;

use self::cursor::Cursor;
use self::merge::{Ask, Log, Place, Stop, merge};
pub use self::publish::{NewMessage, PublishError, Published};
use self::window::Window;
use crate::access::{AccessError, Action, Caller};
use crate::clock::{millis, time};
use crate::core::Core;
use crate::error::{GetError, WrongState, takes_get_error};
use crate::node_calls::{Missing, MissingNode, NODES_ASKED_MAX, NODES_MAX, NodeCallError, Peer};
use crate::page::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::permits::Permits;

/// The most bytes of its payload that one message shows; who wants the rest downloads it.
pub const SHOWN_PAYLOAD_BYTES_MAX: u64 = 64 * 1024;
/// How many whole payloads are read at one time: one takes tens of megabytes while it is read.
const PAYLOADS_MAX: usize = 8;
/// How many of them are of one tenant; those beyond wait for its others.
const PAYLOADS_OF_TENANT_MAX: usize = 4;
/// How far back a query looks that does not say.
pub const WINDOW_DEFAULT: TimeDelta = TimeDelta::minutes(15);
/// The most bytes of one whole payload; a longer one cannot be downloaded.
pub const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long a query may take; what has been found by then is shown, and the cursor goes on.
const QUERY_TIME_MAX: Duration = Duration::from_secs(7);
/// How often one query asks the nodes for more.
const ROUNDS_MAX: usize = 16;
/// How far ahead of ours a node's clock may be for its newest messages to be found.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Finds stored messages and publishes new ones.
#[derive(Clone)]
pub struct Messages {
    core: Arc<Core>,
    payloads: Arc<Permits>,
}

/// What to look for; what is none does not narrow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessagesQuery {
    /// Messages whose topic this filter matches.
    pub topic_filter: Option<String>,
    /// Messages of this client.
    pub client_id: Option<String>,
    /// This message alone.
    pub id: Option<MessageId>,
    /// Stored then or later; [`WINDOW_DEFAULT`] before the end unless told.
    pub from: Option<DateTime<Utc>>,
    /// Stored before; now unless told.
    pub to: Option<DateTime<Utc>>,
    /// Which come first.
    pub order: Order,
    /// Whether to show payloads too, their beginning at least.
    pub payload: bool,
    /// The most messages, 1 to [`LIMIT_MAX`]; [`LIMIT_DEFAULT`] when none.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// One page of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<StoredMessage>,
    /// The cursor of the next page; none exactly when nothing follows.
    pub next_cursor: Option<String>,
    /// What the page can say anything about.
    pub coverage: Coverage,
}

/// What a list of messages can say anything about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// From then on nothing that was asked for is left out, but for what is missing.
    pub from: DateTime<Utc>,
    /// Up to then.
    pub to: DateTime<Utc>,
    /// Since when the messages that were asked for have been kept; of several topics the latest; none where no
    /// topic that was asked for keeps any.
    pub history_enabled_since: Option<DateTime<Utc>>,
    /// Whether every node was asked and its log was whole.
    pub complete: bool,
    /// Who was not.
    pub missing: Vec<MissingNode>,
}

/// Why no messages were shown.
#[derive(Debug, thiserror::Error)]
pub enum QueryMessagesError {
    /// It is not there for this caller, or not to be seen by it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The text is no topic filter.
    #[error("`{filter}` is no topic filter: {why}")]
    TopicFilter {
        /// The text.
        filter: String,
        /// Why.
        why: TopicError,
    },
    /// The window ends before it begins.
    #[error("`from` must be before `to`")]
    Window,
    /// A page has 1 to 200 items.
    #[error("`limit` may be 1 to {LIMIT_MAX}, not {0}")]
    Limit(u32),
    /// The cursor is none that a list with these parameters has given.
    #[error("the cursor is not one of this list")]
    Cursor,
    /// The topic that is asked for keeps no messages.
    #[error("topic `{topic}` keeps no history: switch it on, and messages are kept from then on")]
    HistoryDisabled {
        /// The topic's name.
        topic: String,
    },
    /// The payload is too large to be given whole.
    #[error(transparent)]
    State(#[from] WrongState),
    /// Not one node that may hold messages answered.
    #[error("no node that stores messages can be asked")]
    NodeUnavailable,
    /// No node had anything to say in time.
    #[error("the nodes took too long: ask for less at a time")]
    TimedOut,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

takes_get_error!(QueryMessagesError);

/// A node, and its log as one list sees it.
struct Source {
    peer: Peer,
    log: Log,
}

/// What is asked of every node; only `after` and `limit` differ.
struct Question {
    of: MessageQuery,
    limit: usize,
}

impl Messages {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, payloads: Arc::new(Permits::new(PAYLOADS_MAX, PAYLOADS_OF_TENANT_MAX)) }
    }

    /// Messages of an instance that fit a query; their properties where payloads are shown.
    pub async fn list(
        &self,
        caller: &Caller,
        instance: InstanceId,
        query: &MessagesQuery,
    ) -> Result<MessagePage, QueryMessagesError> {
        let instance = self.core.instance(caller, instance, Action::ReadMessages).await?;
        if query.payload {
            self.core.instance(caller, instance.id, Action::ReadPayloads).await?;
        }
        check_query(query, &instance)?;
        let kept = store::topics::list_kept(&mut *self.core.store.read().await?, instance.id).await?;
        let asked = cursor::asked(&(instance.id, MessagesQuery { cursor: None, ..query.clone() }));
        let cursor = query.cursor.as_deref().map(|text| Cursor::decode(text, &asked)).transpose_cursor()?;
        let now = self.core.now();
        let mut window = Window::of(query, cursor.as_ref(), &kept, now)?;
        let question = Question {
            of: MessageQuery {
                instance: instance.id,
                topic_filter: query.topic_filter.clone(),
                client_id: query.client_id.clone(),
                id: None,
                from: window.from,
                to: window.to,
                order: query.order,
                after: None,
                limit: 0,
                payload_bytes_max: if query.payload { LISTED_PAYLOAD_BYTES_MAX } else { 0 },
            },
            limit: usize::try_from(query.limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX),
        };
        let mut sources = self.sources(&question, query.id, cursor.as_ref()).await?;
        sources.retain(|source| window.may_be_held_by(&source.peer));
        let mut items = Vec::new();
        let stop = self.fill(&question, query.id, &mut sources, &mut window, &mut items).await;
        if !query.payload {
            items.iter_mut().for_each(hide_properties);
        }
        answered(&sources)?;
        if items.is_empty() && stop == Stop::Ask && query.cursor.is_none() && all_at_start(&sources) {
            return Err(QueryMessagesError::TimedOut);
        }
        let places = sources.iter().map(|source| (source.log.number, source.log.place())).collect();
        let next = Cursor { asked, from: window.from, to: window.to, places };
        let next_cursor = (stop != Stop::End).then(|| next.encode());
        Ok(MessagePage { items, next_cursor, coverage: window.coverage(&sources, now) })
    }

    /// One message, with its properties and its payload, cut after [`SHOWN_PAYLOAD_BYTES_MAX`], if the caller may see
    /// payloads.
    pub async fn get(
        &self,
        caller: &Caller,
        instance: InstanceId,
        id: MessageId,
    ) -> Result<StoredMessage, QueryMessagesError> {
        let instance = self.core.instance(caller, instance, Action::ReadMessages).await?;
        let shown = shown(self.core.instance(caller, instance.id, Action::ReadPayloads).await)?;
        let mut found = self.find(instance.id, id, if shown { SHOWN_PAYLOAD_BYTES_MAX } else { 0 }).await?;
        if !shown {
            hide_properties(&mut found);
        }
        Ok(found)
    }

    /// One message with its whole payload.
    pub async fn payload(
        &self,
        caller: &Caller,
        instance: InstanceId,
        id: MessageId,
    ) -> Result<StoredMessage, QueryMessagesError> {
        let instance = self.core.instance(caller, instance, Action::ReadPayloads).await?;
        let _permit = self.payloads.acquire(instance.tenant).await;
        let found = self.find(instance.id, id, PAYLOAD_BYTES_MAX).await?;
        if found.payload.0.len() as u64 != found.bytes {
            let detail = format!("the payload has {} bytes, more than {PAYLOAD_BYTES_MAX}", found.bytes);
            return Err(WrongState(detail).into());
        }
        Ok(found)
    }

    async fn find(
        &self,
        instance: InstanceId,
        id: MessageId,
        payload_bytes_max: u64,
    ) -> Result<StoredMessage, QueryMessagesError> {
        let not_found = || AccessError::not_found("message", id);
        let query = MessageQuery {
            instance,
            topic_filter: None,
            client_id: None,
            id: Some(in_its_log(id)),
            from: UnixMillis(0),
            to: UnixMillis(i64::MAX.unsigned_abs()),
            order: Order::Newest,
            after: None,
            limit: 1,
            payload_bytes_max,
        };
        let peers = self.peers(instance).await?;
        let peer = peers.into_iter().find(|peer| peer.number == id.shard).ok_or_else(not_found)?;
        let answer = self.core.node_calls.messages(&peer, &query).await.map_err(|error| {
            tracing::warn!(node = %peer.id, %error, "a message cannot be asked for");
            if error == NodeCallError::TimedOut {
                QueryMessagesError::TimedOut
            } else {
                QueryMessagesError::NodeUnavailable
            }
        })?;
        let found = answer.items.into_iter().find(|message| Some(message.id) == query.id);
        Ok(found.map(|message| StoredMessage { id, ..message }).ok_or_else(not_found)?)
    }

    async fn peers(&self, instance: InstanceId) -> Result<Vec<Peer>, StoreError> {
        store::nodes::list_peers(&mut *self.core.store.read().await?, instance, NODES_MAX).await
    }

    /// The nodes that may hold what is asked for: of a message that is named, the one that has named it.
    async fn sources(
        &self,
        question: &Question,
        id: Option<MessageId>,
        cursor: Option<&Cursor>,
    ) -> Result<Vec<Source>, StoreError> {
        let mut peers = self.peers(question.of.instance).await?;
        peers.retain(|peer| id.is_none_or(|id| id.shard == peer.number));
        let source = |(at, peer): (usize, Peer)| {
            let mut log = match cursor {
                None => Log::at(peer.number, Place::After(None)),
                // A node that has joined since the first page holds nothing of the list's time.
                Some(cursor) => {
                    let known = cursor.places.iter().find(|(number, _)| *number == peer.number);
                    Log::at(peer.number, known.map_or(Place::End, |(_, place)| *place))
                }
            };
            if peer.address.is_none() {
                log.lose(Missing::Closed);
            } else if at >= NODES_ASKED_MAX {
                log.lose(Missing::NotAsked);
            }
            Source { peer, log }
        };
        Ok(peers.into_iter().enumerate().map(source).collect())
    }

    /// Asks and merges until the page is full, nothing follows, or the time is over.
    async fn fill(
        &self,
        question: &Question,
        id: Option<MessageId>,
        sources: &mut [Source],
        window: &mut Window,
        items: &mut Vec<StoredMessage>,
    ) -> Stop {
        let over = tokio::time::sleep(QUERY_TIME_MAX);
        tokio::pin!(over);
        for _ in 0..ROUNDS_MAX {
            let stop = merge_sources(sources, question, items);
            if stop != Stop::Ask {
                return stop;
            }
            let left = question.limit.saturating_sub(items.len()) + 1;
            let mut calls = self.ask(question, id, sources, left);
            loop {
                let (at, answer) = tokio::select! {
                    joined = calls.join_next() => match joined {
                        Some(Ok(answered)) => answered,
                        Some(Err(_)) => continue,
                        None => break,
                    },
                    () = &mut over => return Stop::Ask,
                };
                let source = &mut sources[at];
                match answer {
                    Ok(answer) => {
                        window.covered_from(answer.covered_from);
                        source.log.take(answer);
                    }
                    Err(error) => {
                        // The answer names it, as often as it is asked: the log need not.
                        tracing::debug!(node = %source.peer.id, %error, "a node cannot be asked for messages");
                        source.log.lose(error.into());
                    }
                }
            }
        }
        merge_sources(sources, question, items)
    }

    /// Asks every node that must be asked before the merge can go on.
    fn ask(
        &self,
        question: &Question,
        id: Option<MessageId>,
        sources: &[Source],
        left: usize,
    ) -> JoinSet<(usize, Result<MessagesAnswer, NodeCallError>)> {
        let mut calls = JoinSet::new();
        for (at, source) in sources.iter().enumerate() {
            let Some(Ask { after }) = source.log.to_ask() else { continue };
            let limit = u32::try_from(left).unwrap_or(u32::MAX).min(MESSAGES_PER_ANSWER_MAX);
            let query = MessageQuery { id: id.map(in_its_log), after, limit, ..question.of.clone() };
            let call = self.core.node_calls.messages(&source.peer, &query);
            calls.spawn(async move { (at, call.await) });
        }
        calls
    }
}

/// The identifier as the node that has stored it calls it: its own log is its one shard.
fn in_its_log(id: MessageId) -> MessageId {
    MessageId { shard: 0, ..id }
}

/// Leaves out what belongs to a payload that is not shown.
fn hide_properties(message: &mut StoredMessage) {
    message.properties = MessageProperties::default();
}

/// Whether a payload is shown to who was asked about like this: a missing permission hides it, and nothing else.
fn shown(may_read: Result<Instance, GetError>) -> Result<bool, GetError> {
    match may_read {
        Ok(_) => Ok(true),
        Err(GetError::Access(AccessError::PermissionDenied { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

fn merge_sources(sources: &mut [Source], question: &Question, items: &mut Vec<StoredMessage>) -> Stop {
    let mut logs: Vec<&mut Log> = sources.iter_mut().map(|source| &mut source.log).collect();
    merge(&mut logs, question.of.order, question.limit, items)
}

fn check_query(query: &MessagesQuery, instance: &Instance) -> Result<(), QueryMessagesError> {
    if let Some(limit) = query.limit.filter(|limit| !(1..=LIMIT_MAX).contains(limit)) {
        return Err(QueryMessagesError::Limit(limit));
    }
    if let Some(filter) = &query.topic_filter {
        let too_long = filter.len() as u64 > instance.limits.topic_bytes_max;
        let checked = if too_long { Err(TopicError::TooLong) } else { check_filter(filter) };
        checked.map_err(|why| QueryMessagesError::TopicFilter { filter: filter.clone(), why })?;
    }
    Ok(())
}

/// Fails when there was somebody to ask and nobody answered.
fn answered(sources: &[Source]) -> Result<(), QueryMessagesError> {
    let mut reasons = sources.iter().map(|source| source.log.missing).peekable();
    if reasons.peek().is_none() {
        return Ok(());
    }
    let mut timed_out = true;
    for reason in reasons {
        match reason {
            None => return Ok(()),
            Some(reason) => timed_out &= reason == Missing::TimedOut,
        }
    }
    Err(if timed_out { QueryMessagesError::TimedOut } else { QueryMessagesError::NodeUnavailable })
}

fn all_at_start(sources: &[Source]) -> bool {
    let at_start = |place| matches!(place, Place::After(None) | Place::Left);
    sources.iter().all(|source| at_start(source.log.place()))
}

/// A cursor that was given must be one of this list.
trait TransposeCursor {
    fn transpose_cursor(self) -> Result<Option<Cursor>, QueryMessagesError>;
}

impl TransposeCursor for Option<Option<Cursor>> {
    fn transpose_cursor(self) -> Result<Option<Cursor>, QueryMessagesError> {
        match self {
            Some(None) => Err(QueryMessagesError::Cursor),
            Some(cursor) => Ok(cursor),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use store::error::Constraint;

    use super::*;

    #[test]
    fn only_a_missing_permission_hides_a_payload() {
        let denied = AccessError::PermissionDenied { missing: Action::ReadPayloads.name() };
        assert!(!shown(Err(denied.into())).expect("hidden"));
        let gone = AccessError::not_found("instance", 1);
        assert!(matches!(shown(Err(gone.into())), Err(GetError::Access(AccessError::NotFound { .. }))));
        let failed = StoreError::Constraint(Constraint::TopicTaken);
        assert!(matches!(shown(Err(failed.into())), Err(GetError::Store(_))));
    }
}
