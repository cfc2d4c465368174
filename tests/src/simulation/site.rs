//! What the workers of a node share, and the look-ups that they leave to others because those wait for the disk.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Log, QueryError, Replay, RetainedPage};
use router::{ClientKey, RouteTable};
use session::{Bounds, Granted, Millis};

use super::chance::Chance;
use super::conditions::Conditions;
use super::doors::Doors;
use super::groups::Groups;
use super::paging::{Look, Page, PageWanted};
use super::plan::{INSTANCES, Plan};

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
    /// Shared subscriptions.
    pub groups: RefCell<Groups>,
    /// What is to be looked up, the oldest first.
    pub lookups: RefCell<VecDeque<Lookup>>,
    /// What a client may use.
    pub bounds: Bounds,
    /// What this run is like.
    pub plan: Plan,
    /// Which rules hold.
    pub conditions: Conditions,
    /// Before that time no will of a restored session is published, in milliseconds since the run began.
    pub wills_not_before: u64,
    /// Part of every batch's id: another in each run of the node.
    pub run: [u8; 8],
    /// Milliseconds since the run began.
    pub now: Cell<u64>,
    /// Sessions and their followers so far.
    pub incarnations: Cell<u64>,
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
    /// Stored messages for a session.
    Page(PageWanted),
    /// Retained messages behind a topic, for a subscription.
    Retained(TopicFilter, Granted, Option<Box<str>>),
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
    Page(Result<Page, QueryError>),
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
            Wanted::Page(wanted) => {
                let look = Look { replay: &*self.replay, instance, messages_max: 1 + chance.below(8) };
                Found::Page(look.page(wanted))
            }
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
}

/// When every run begins.
pub const EPOCH_MILLIS: u64 = 1_800_000_000_000;
