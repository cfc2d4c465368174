//! The message engine: the forms of messages and batches, and what every engine promises that keeps them. The only
//! engine in here is the one in memory, for tests; none here touches a disk or a network.

mod answer;
mod batch;
mod bus;
mod change;
pub mod conformance;
mod entries;
mod envelope;
mod history;
mod leases;
mod log;
pub mod memory;
mod position;
mod replay;
mod retention;
mod state;
pub mod view;

pub use answer::{Answer, ready};
pub use batch::{Batch, BatchError, FORMAT_VERSION};
pub use bus::{Address, BUS_MESSAGE_BYTES_MAX, Bus, BusMessage, Inbox, OpenError, Room, SendError};
pub use change::{CHANGE_HEADER_BYTES, Change};
pub use entries::{Changes, Entries, Entry, Envelopes, Record, Records};
pub use envelope::{CONTENT_BYTES_MAX, Envelope, EnvelopeError, RECORD_HEADER_BYTES, expires_at_of};
pub use history::{
    ANSWER_BYTES_MAX, FoundMessage, History, HistoryQuery, HistoryRules, QueryError, ROWS_PER_QUERY_MAX,
};
pub use leases::{AcquireError, LEASE_NAME_BYTES_MAX, Lease, Leases, RenewError};
pub use log::{
    Append, AppendError, BATCH_BYTES_MAX, BATCH_IDS_REMEMBERED, BATCH_MESSAGES_MAX, Bounds, Committed,
    CommittedBatch, CommittedBatches, Completion, Durability, FOLLOWERS_MAX, FollowError, Follower, Log,
    ORIGINS_MAX, Page, ReadError, Refused, RefusedWhy,
};
pub use position::{BatchId, Pos, Shard};
pub use replay::{
    Backlog, RETAINED_PAGE_BYTES_MAX, RETAINED_PAGE_MAX, Replay, ReplayFilter, ReplayPage, ReplayQuery,
    Replayed, RetainedPage,
};
pub use retention::RetentionClass;
pub use state::{
    DOCUMENT_BYTES_MAX, Document, FoundDocument, KEY_BYTES_MAX, Key, KeyError, RETAINED_PREFIX, Rev,
    SCAN_BYTES_MAX, SCAN_MAX, State, StateError, WriteError,
};

#[cfg(test)]
mod tests;
