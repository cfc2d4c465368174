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
    Many(BTreeMap<(WorkerId, ClientKey), Qos>),
}

impl Subscribers {
    pub(crate) fn insert(&mut self, new: Subscriber) -> Inserted {
        match self {
            Self::One(only) if (only.worker, only.client) == (new.worker, new.client) => {
                Inserted::Replaced(std::mem::replace(&mut only.qos, new.qos))
            }
            Self::One(only) => {
                let both = [*only, new].map(|it| ((it.worker, it.client), it.qos));
                *self = Self::Many(both.into());
                Inserted::New
            }
            Self::Many(all) => match all.insert((new.worker, new.client), new.qos) {
                Some(before) => Inserted::Replaced(before),
                None => Inserted::New,
            },
        }
    }

    /// Takes a client away; false when it was not there. [`Subscribers::One`] keeps what it has: the caller drops it
    /// when it [`holds_only`](Self::holds_only) that client.
    pub(crate) fn remove(&mut self, worker: WorkerId, client: ClientKey) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(all) => {
                let removed = all.remove(&(worker, client)).is_some();
                if let (1, Some((&(worker, client), &qos))) = (all.len(), all.first_key_value()) {
                    *self = Self::One(Subscriber { worker, client, qos });
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
            Self::One(only) => found.push((only.worker, Target::new(only.client, only.qos))),
            Self::Many(all) => {
                found.extend(all.iter().map(|(&(worker, client), &qos)| (worker, Target::new(client, qos))));
            }
        }
    }
}
