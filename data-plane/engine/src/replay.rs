//! `Replay`: logged messages of one instance given again, gap-free and in order; and the retained ones looked up.

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use crate::{Pos, QueryError};

/// The most retained messages of one [`RetainedPage`].
pub const RETAINED_PAGE_MAX: usize = 1_000;

/// The most bytes of records in one [`RetainedPage`], but for one message.
pub const RETAINED_PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What was logged, given again by position, for sessions that were away or slow. Rules for every engine:
///
/// - **Acknowledged is there.** What a completion has named is found at once.
/// - **No gap.** Between `from` and [`ReplayPage::next`] no message that the query selects is missing, and none is
///   given twice, unless [`ReplayPage::lost`] says so. What is older than its retention class is over: it may be missing
///   without being lost.
/// - The order is that of positions.
/// - Nothing of one instance is ever seen through another's id.
/// - Every call blocks on the disk: it is made off the workers. How many are made at a time is the caller's to bound.
pub trait Replay: Send + Sync {
    /// One page of the messages that the query selects, from its beginning on.
    fn replay(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<ReplayPage, QueryError>;

    /// How many messages the query selects, from the index alone: no record is read, and the bounds of a page do not
    /// count.
    fn backlog(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<Backlog, QueryError>;

    /// Where the newest of the selected messages begin that are at most `messages` and at most `bytes` of records
    /// together: the beginning of the range when all of them are, its end when not even the newest is.
    fn newest(
        &self,
        instance: InstanceId,
        query: &ReplayQuery<'_>,
        messages: u64,
        bytes: u64,
    ) -> Result<Pos, QueryError>;

    /// The first position at which a message of the instance was stored at `time` or later; the head of the log when
    /// there is none. Every message that was stored so late stands there or behind it. What cannot be read is passed
    /// over: a replay from there says whether something of it is lost.
    fn position_at(&self, instance: InstanceId, time: UnixMillis) -> Result<Pos, QueryError>;

    /// Retained messages whose topics the filter matches [MQTT-3.8.4-3], in the order of their topics' bytes, those
    /// that have expired at `now` left out. At most `limit`, and never more than [`RETAINED_PAGE_MAX`].
    fn retained(
        &self,
        instance: InstanceId,
        filter: &TopicFilter,
        after: Option<&str>,
        now: UnixMillis,
        limit: usize,
    ) -> Result<RetainedPage, QueryError>;
}

/// A subscription as a replay sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayFilter<'a> {
    /// The topics it is for.
    pub filter: &'a TopicFilter,
    /// Messages before this position do not count for it.
    pub since: Pos,
}

/// Which messages are wanted: those that at least one of the filters is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayQuery<'a> {
    /// They may overlap: a message is given once.
    pub filters: &'a [ReplayFilter<'a>],
    /// Where to begin.
    pub from: Pos,
    /// Where to end: the first position that is not wanted. Beyond the head of the log it is the head.
    pub to: Pos,
    /// Published with this QoS or a higher one.
    pub qos_min: Qos,
    /// Only messages that history shows too: for those who may replay what a topic's history has, and no more.
    pub history_only: bool,
    /// Stored at this moment or later; 0: whenever.
    pub stored_since: UnixMillis,
    /// The most messages of a page; 0 is 1.
    pub messages_max: usize,
    /// The most bytes of records in a page, but for one message.
    pub bytes_max: usize,
}

/// A message that was logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// Where it stands. Of a retained message: the revision of its document as the record, and index 0.
    pub pos: Pos,
    /// What [`Envelope::from_record`](crate::Envelope::from_record) reads.
    pub record: Box<[u8]>,
}

/// Messages in the order of their positions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayPage {
    /// Possibly none although more follow: see `next`.
    pub messages: Vec<Replayed>,
    /// Where to go on: everything before it has been looked at. The end of the range when there is no more.
    pub next: Pos,
    /// Part of what lies between `from` and `next` was dropped before its time, or is damaged.
    pub lost: bool,
}

/// What waits in a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Part of the range was dropped before its time, or is damaged: there may have been more.
    pub lost: bool,
}

/// Retained messages in the order of their topics.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RetainedPage {
    /// Possibly fewer than were asked for although more follow, since a call looks at a bounded number of topics.
    pub messages: Vec<Replayed>,
    /// Behind which topic to go on; none at the end.
    pub next: Option<Box<str>>,
}
