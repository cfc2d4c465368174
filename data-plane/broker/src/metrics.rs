//! What is counted. A worker counts in plain cells, the front in atomics it touches once a connection; nobody adds
//! them up until somebody asks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::ids::InstanceId;
use contract::refusal::Refusal;

/// Reasons in the table of refusals.
const REFUSALS: usize = Refusal::ALL.len();

/// Why an accepted message did not reach a client that wants it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum DropReason {
    /// `outbox_messages_max`: too many messages wait for acknowledgements.
    OutboxMessages,
    /// `outbox_bytes_max`: the client does not read what it is sent.
    OutboxBytes,
    /// No PUBLISH packet can hold it.
    TooLong,
    /// It is larger than the client has said that it takes.
    ClientPacketBytes,
    /// `client_messages_out_per_sec` or `client_bytes_out_per_sec`; only of QoS 0.
    ClientRate,
    /// The way to another worker is full of what cannot be held back; only of wills.
    CrossingFull,
    /// The message log has not taken it; only of messages that nobody is told about.
    StorageUnavailable,
    /// `queued_messages_max`: too many messages waited for a lasting session.
    QueueMessages,
    /// `queued_bytes_max`: too many bytes of them.
    QueueBytes,
    /// `queued_secs_max`: it waited too long for its session.
    QueueAge,
    /// It expired before its client got it.
    MessageExpired,
    /// Part of what waited for a session, or was to be replayed, is gone from the log before its time, or damaged; counted
    /// once for each part.
    QueueLost,
    /// No member of a shared subscription that is connected has room for it; only of what is in no log.
    SharedNoMember,
    /// The disk is nearly full: it was delivered and left out of its topic's history.
    HistoryStopped,
}

impl DropReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::OutboxMessages,
        Self::OutboxBytes,
        Self::TooLong,
        Self::ClientPacketBytes,
        Self::ClientRate,
        Self::CrossingFull,
        Self::StorageUnavailable,
        Self::QueueMessages,
        Self::QueueBytes,
        Self::QueueAge,
        Self::MessageExpired,
        Self::QueueLost,
        Self::SharedNoMember,
        Self::HistoryStopped,
    ];

    /// The name in counters and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutboxMessages => "outbox_messages_max",
            Self::OutboxBytes => "outbox_bytes_max",
            Self::TooLong => "message_too_long",
            Self::ClientPacketBytes => "client_packet_bytes_max",
            Self::ClientRate => "client_rate",
            Self::CrossingFull => "crossing_full",
            Self::StorageUnavailable => "storage_unavailable",
            Self::QueueMessages => "queue_messages",
            Self::QueueBytes => "queue_bytes",
            Self::QueueAge => "queue_age",
            Self::MessageExpired => "message_expired",
            Self::QueueLost => "queue_lost",
            Self::SharedNoMember => "shared_no_member",
            Self::HistoryStopped => "history_stopped",
        }
    }
}

impl From<session::DropReason> for DropReason {
    fn from(reason: session::DropReason) -> Self {
        match reason {
            session::DropReason::OutboxMessages => Self::OutboxMessages,
            session::DropReason::OutboxBytes => Self::OutboxBytes,
            session::DropReason::TooLong => Self::TooLong,
            session::DropReason::ClientPacketBytes => Self::ClientPacketBytes,
            session::DropReason::MessageExpired => Self::MessageExpired,
        }
    }
}

/// Counts by reason of refusal, in plain cells.
#[derive(Debug)]
pub(crate) struct RefusalCells([Cell<u64>; REFUSALS]);

impl Default for RefusalCells {
    fn default() -> Self {
        Self([const { Cell::new(0) }; REFUSALS])
    }
}

impl RefusalCells {
    pub(crate) fn add(&self, refusal: Refusal) {
        let cell = &self.0[refusal as usize];
        cell.set(cell.get() + 1);
    }
}

/// Counts by reason of refusal, of threads that share them.
#[derive(Debug)]
pub(crate) struct RefusalAtomics([AtomicU64; REFUSALS]);

impl Default for RefusalAtomics {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; REFUSALS])
    }
}

impl RefusalAtomics {
    pub(crate) fn add(&self, refusal: Refusal) {
        self.0[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> BTreeMap<Refusal, u64> {
        nonzero(
            Refusal::ALL.iter().map(|&refusal| (refusal, self.0[refusal as usize].load(Ordering::Relaxed))),
        )
    }
}

/// What one worker counts of one instance.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    pub(crate) connects: Cell<u64>,
    pub(crate) disconnects: Cell<u64>,
    pub(crate) messages_in: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) messages_out: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    pub(crate) messages_unmatched: Cell<u64>,
    pub(crate) messages_stored: Cell<u64>,
    pub(crate) refused: RefusalCells,
    dropped: [Cell<u64>; DropReason::ALL.len()],
    /// What the last sample was taken up to.
    sampled: RefCell<Counts>,
}

impl Cells {
    #[inline]
    pub(crate) fn came_in(&self, bytes: usize) {
        self.messages_in.set(self.messages_in.get() + 1);
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    #[inline]
    pub(crate) fn went_out(&self, bytes: u32) {
        self.messages_out.set(self.messages_out.get() + 1);
        self.bytes_out.set(self.bytes_out.get() + u64::from(bytes));
    }

    /// The messages and bytes counted.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            messages_in: self.messages_in.get(),
            bytes_in: self.bytes_in.get(),
            messages_out: self.messages_out.get(),
            bytes_out: self.bytes_out.get(),
        }
    }

    pub(crate) fn stored(&self, messages: u64) {
        self.messages_stored.set(self.messages_stored.get() + messages);
    }

    pub(crate) fn matched_nobody(&self) {
        self.messages_unmatched.set(self.messages_unmatched.get() + 1);
    }

    pub(crate) fn dropped(&self, reason: DropReason, count: u64) {
        let cell = &self.dropped[reason as usize];
        cell.set(cell.get() + count);
    }

    pub(crate) fn connected(&self) {
        self.connects.set(self.connects.get() + 1);
    }

    pub(crate) fn disconnected(&self) {
        self.disconnects.set(self.disconnects.get() + 1);
    }

    /// What has been counted since this was asked the last time.
    pub(crate) fn sample(&self) -> Counts {
        let now = self.read();
        let before = self.sampled.replace(now.clone());
        now.since(&before)
    }

    pub(crate) fn read(&self) -> Counts {
        let refused = Refusal::ALL.iter().map(|&refusal| (refusal, self.refused.0[refusal as usize].get()));
        let dropped = DropReason::ALL.iter().map(|&reason| (reason, self.dropped[reason as usize].get()));
        Counts {
            connects: self.connects.get(),
            disconnects: self.disconnects.get(),
            messages_in: self.messages_in.get(),
            bytes_in: self.bytes_in.get(),
            messages_out: self.messages_out.get(),
            bytes_out: self.bytes_out.get(),
            messages_unmatched: self.messages_unmatched.get(),
            messages_stored: self.messages_stored.get(),
            refused: nonzero(refused),
            dropped: nonzero(dropped),
        }
    }
}

/// Messages of an instance, and bytes of their packets, that came from clients and went to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_out: u64,
}

impl Traffic {
    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            messages_in: self.messages_in + other.messages_in,
            bytes_in: self.bytes_in + other.bytes_in,
            messages_out: self.messages_out + other.messages_out,
            bytes_out: self.bytes_out + other.bytes_out,
        }
    }
}

fn nonzero<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    counts.filter(|&(_, count)| count > 0).collect()
}

/// What has been counted of one instance, or of all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Connections that became clients.
    pub connects: u64,
    /// Clients that went, whatever ended them.
    pub disconnects: u64,
    /// Messages accepted from clients.
    pub messages_in: u64,
    /// Bytes of their packets.
    pub bytes_in: u64,
    /// Messages for clients, one for each receiver.
    pub messages_out: u64,
    /// Bytes of their packets.
    pub bytes_out: u64,
    /// Messages accepted that nobody wanted, on the worker that looked.
    pub messages_unmatched: u64,
    /// Messages that are safely in the log.
    pub messages_stored: u64,
    /// What clients were refused, and why they were sent away.
    pub refused: BTreeMap<Refusal, u64>,
    /// Deliveries that did not take place.
    pub dropped: BTreeMap<DropReason, u64>,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.connects += other.connects;
        self.disconnects += other.disconnects;
        self.messages_in += other.messages_in;
        self.bytes_in += other.bytes_in;
        self.messages_out += other.messages_out;
        self.bytes_out += other.bytes_out;
        self.messages_unmatched += other.messages_unmatched;
        self.messages_stored += other.messages_stored;
        for (&refusal, count) in &other.refused {
            *self.refused.entry(refusal).or_default() += count;
        }
        for (&reason, count) in &other.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
    }
}

impl Counts {
    /// What has come since `before` was read from the same cells.
    fn since(&self, before: &Self) -> Self {
        Self {
            connects: self.connects - before.connects,
            disconnects: self.disconnects - before.disconnects,
            messages_in: self.messages_in - before.messages_in,
            bytes_in: self.bytes_in - before.bytes_in,
            messages_out: self.messages_out - before.messages_out,
            bytes_out: self.bytes_out - before.bytes_out,
            messages_unmatched: self.messages_unmatched - before.messages_unmatched,
            messages_stored: self.messages_stored - before.messages_stored,
            refused: new_counts(&self.refused, &before.refused),
            dropped: new_counts(&self.dropped, &before.dropped),
        }
    }
}

fn new_counts<K: Ord + Copy>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    nonzero(now.iter().map(|(reason, count)| (*reason, count - before.get(reason).copied().unwrap_or(0))))
}

/// What a node has counted since it was started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Clients connected now, by instance.
    pub connections: BTreeMap<InstanceId, u64>,
    /// By instance, as long as it has clients here.
    pub instances: BTreeMap<InstanceId, Counts>,
    /// Of all instances, those forgotten and the connections that never became clients included.
    pub total: Counts,
    /// Failures of the program that cost one client its connection.
    pub panics: u64,
    /// The message log does not store: what is to be stored is refused, the rest goes on.
    pub log_fails: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_name_only_what_happened_and_add_up() {
        let cells = Cells::default();
        cells.came_in(10);
        cells.went_out(12);
        cells.went_out(12);
        cells.refused.add(Refusal::NotAuthorized);
        cells.dropped(DropReason::ClientRate, 1);
        let mut counts = cells.read();
        assert_eq!((counts.messages_in, counts.bytes_in), (1, 10));
        assert_eq!((counts.messages_out, counts.bytes_out), (2, 24));
        assert_eq!(counts.refused, BTreeMap::from([(Refusal::NotAuthorized, 1)]));
        counts.add(&cells.read());
        assert_eq!(counts.dropped, BTreeMap::from([(DropReason::ClientRate, 2)]));
        assert_eq!(counts.messages_out, 4);
    }

    #[test]
    fn a_sample_is_what_is_new() {
        let cells = Cells::default();
        cells.connected();
        cells.came_in(10);
        cells.refused.add(Refusal::NotAuthorized);
        assert_eq!(cells.sample(), cells.read(), "at first everything");
        assert_eq!(cells.sample(), Counts::default());
        cells.came_in(5);
        cells.refused.add(Refusal::NotAuthorized);
        cells.refused.add(Refusal::KeepAliveTimeout);
        let new = cells.sample();
        assert_eq!((new.messages_in, new.bytes_in, new.connects), (1, 5, 0));
        let expected = [(Refusal::NotAuthorized, 1), (Refusal::KeepAliveTimeout, 1)];
        assert_eq!(new.refused, BTreeMap::from(expected));
        assert_eq!(cells.read().refused[&Refusal::NotAuthorized], 2, "what is asked in all goes on");
    }

    #[test]
    fn reasons_are_usable_as_indexes() {
        for (at, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, at, "{}", reason.name());
        }
    }
}
