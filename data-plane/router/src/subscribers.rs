//! The subscribers of one filter: one of them nearly always, a hundred thousand sometimes.

use std::collections::BTreeMap;

use contract::qos::Qos;

use crate::route_set::Target;
use crate::subscriber::{ClientKey, Subscriber, WorkerId};

/// What an insertion found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The client had no subscription to this filter.
    New,
    /// It had one, which is replaced; this was its QoS.
    Replaced(Qos),
}

/// Each client once. A fleet that subscribes to its own topics has one client for each filter, which is kept in
/// place; joining and leaving of a large set costs its logarithm; and the order makes an answer of one filter ready
/// as it is.
#[derive(Debug)]
pub(crate) enum Subscribers {
    One(Subscriber),
    Many(BTreeMap<(WorkerId, ClientKey), Wanted>),
}

/// How one of many gets what it wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    qos: Qos,
    is_special: bool,
}

impl Subscriber {
    const fn parts(self) -> ((WorkerId, ClientKey), Wanted) {
        ((self.worker, self.client), Wanted { qos: self.qos, is_special: self.is_special })
    }

    const fn of_parts(((worker, client), wanted): ((WorkerId, ClientKey), Wanted)) -> Self {
        Self { worker, client, qos: wanted.qos, is_special: wanted.is_special }
    }

    const fn target(self) -> (WorkerId, Target) {
        (self.worker, Target::new(self.client, self.qos, self.is_special))
    }
}

impl Subscribers {
    /// Puts a client in; the answer is what stood in its place.
    pub(crate) fn insert(&mut self, new: Subscriber) -> Option<Subscriber> {
        match self {
            Self::One(only) if (only.worker, only.client) == (new.worker, new.client) => {
                Some(std::mem::replace(only, new))
            }
            Self::One(only) => {
                *self = Self::Many([*only, new].map(Subscriber::parts).into());
                None
            }
            Self::Many(all) => {
                let (key, wanted) = new.parts();
                all.insert(key, wanted).map(|before| Subscriber::of_parts((key, before)))
            }
        }
    }

    /// Takes a client away; false when it was not there. [`Subscribers::One`] keeps what it has: the caller drops it
    /// when it [`holds_only`](Self::holds_only) that client.
    pub(crate) fn remove(&mut self, worker: WorkerId, client: ClientKey) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(all) => {
                let removed = all.remove(&(worker, client)).is_some();
                if let (1, Some((&key, &wanted))) = (all.len(), all.first_key_value()) {
                    *self = Self::One(Subscriber::of_parts((key, wanted)));
                }
                removed
            }
        }
    }

    /// Whether nobody would remain without this client.
    pub(crate) fn holds_only(&self, worker: WorkerId, client: ClientKey) -> bool {
        matches!(self, Self::One(only) if (only.worker, only.client) == (worker, client))
    }

    pub(crate) fn contains(&self, worker: WorkerId, client: ClientKey) -> bool {
        match self {
            Self::One(only) => (only.worker, only.client) == (worker, client),
            Self::Many(all) => all.contains_key(&(worker, client)),
        }
    }

    /// Appends all of them, in the order of worker and client.
    pub(crate) fn append_to(&self, found: &mut Vec<(WorkerId, Target)>) {
        match self {
            Self::One(only) => found.push(only.target()),
            Self::Many(all) => {
                found.extend(all.iter().map(|(&key, &wanted)| Subscriber::of_parts((key, wanted)).target()));
            }
        }
    }
}
