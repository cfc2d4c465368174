//! What the workers of a node share, and the look-ups that they leave to others because those wait for the disk.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Log, Pos, QueryError, Replay, ReplayFilter, ReplayPage, ReplayQuery, RetainedPage};
use router::{ClientKey, RouteTable};
use session::{Bounds, Millis, Rules};

use super::chance::Chance;
use super::doors::Doors;
use super::plan::INSTANCES;

/// Retained messages of one page.
const RETAINED_PAGE: usize = 2;

/// One incarnation of the node, as its workers see it.
pub struct Site {
    /// The log.
    pub log: Arc<dyn Log>,
    /// What was logged, and what is retained.
    pub replay: Arc<dyn Replay>,
    /// Before the workers.
    pub doors: Doors,
    /// Who wants what, by instance.
    pub routes: Vec<RefCell<RouteTable>>,
    /// What is to be looked up, the oldest first.
    pub lookups: RefCell<VecDeque<Lookup>>,
    /// What a client may use.
    pub bounds: Bounds,
    /// By instance: every message of QoS 1 and 2 is logged.
    pub always: [bool; INSTANCES],
    /// What sessions keep to.
    pub rules: Rules,
    /// Part of every batch's id: another in each run of the node.
    pub run: [u8; 8],
    /// Milliseconds since the run began.
    pub now: Cell<u64>,
    /// Sessions and their followers so far.
    pub incarnations: Cell<u64>,
    /// A crash has left a hole in what was not synced.
    pub is_damaged: bool,
}

/// Something to look up for a client.
#[derive(Debug)]
pub struct Lookup {
    /// Its worker.
    pub worker: usize,
    /// The client on it.
    pub client: ClientKey,
    /// Its instance.
    pub instance: usize,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What is to be looked up.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Stored messages that any of the filters matches.
    Page(Vec<(TopicFilter, Pos)>, Range<Pos>),
    /// Retained messages behind a topic, for a subscription.
    Retained(TopicFilter, Qos, Option<Box<str>>),
}

/// What was found for a client.
#[derive(Debug)]
pub struct Looked {
    /// The client.
    pub client: ClientKey,
    /// What was wanted.
    pub wanted: Wanted,
    /// What was found.
    pub found: Found,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// Stored messages.
    Page(Result<ReplayPage, QueryError>),
    /// Retained ones.
    Retained(Result<RetainedPage, QueryError>),
}

/// The id of an instance by its place.
#[must_use]
pub fn instance_id(instance: usize) -> InstanceId {
    InstanceId(uuid::Uuid::from_u128(1 + instance as u128))
}

/// The place of an instance.
#[must_use]
pub fn instance_at(id: InstanceId) -> Option<usize> {
    (0..INSTANCES).find(|instance| instance_id(*instance) == id)
}

impl Site {
    /// The time as sessions are told it.
    #[must_use]
    pub const fn millis(&self) -> Millis {
        Millis(self.now.get())
    }

    /// The time of day.
    #[must_use]
    pub const fn time_of_day(&self) -> UnixMillis {
        UnixMillis(EPOCH_MILLIS + self.now.get())
    }

    /// Looks one thing up, not always the oldest. False when there is nothing to look up.
    pub fn look_up(&self, chance: &mut Chance) -> bool {
        let lookup = {
            let mut lookups = self.lookups.borrow_mut();
            let at = chance.below(lookups.len());
            lookups.remove(at)
        };
        let Some(Lookup { worker, client, instance, wanted }) = lookup else { return false };
        let found = match &wanted {
            Wanted::Page(filters, range) => Found::Page(self.page(instance, filters, range, chance)),
            Wanted::Retained(filter, _, after) => Found::Retained(self.replay.retained(
                instance_id(instance),
                filter,
                after.as_deref(),
                self.time_of_day(),
                RETAINED_PAGE,
            )),
        };
        self.doors.found(worker, Looked { client, wanted, found });
        true
    }

    fn page(
        &self,
        instance: usize,
        filters: &[(TopicFilter, Pos)],
        range: &Range<Pos>,
        chance: &mut Chance,
    ) -> Result<ReplayPage, QueryError> {
        let filters: Vec<_> =
            filters.iter().map(|(filter, since)| ReplayFilter { filter, since: *since }).collect();
        let query = ReplayQuery {
            filters: &filters,
            from: range.start,
            to: range.end,
            qos_min: Qos::AtLeastOnce,
            history_only: false,
            stored_since: UnixMillis(0),
            messages_max: 1 + chance.below(8),
            bytes_max: 64 * 1024,
        };
        self.replay.replay(instance_id(instance), &query)
    }
}

/// When every run begins.
pub const EPOCH_MILLIS: u64 = 1_800_000_000_000;
