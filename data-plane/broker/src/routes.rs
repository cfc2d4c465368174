//! Who wants a topic, as a worker remembers it: one look at the shared table for many messages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::PoisonError;

use contract::p2p;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use router::{Epochs, RouteSet, Scratch, Stamp, Target, TopicSlots, WorkerId};

use crate::instances::Instance;

/// Receivers from which on a route is not kept by each who publishes to it.
const LARGE: usize = 256;

/// Receivers that are remembered for all topics of an instance together: eight bytes each.
const RECEIVERS_MAX: usize = 1 << 20;

/// The receivers of one topic, and the state of the route table that they were read from.
#[derive(Debug)]
pub(crate) struct Route {
    receivers: RouteSet,
    stamp: Cell<Stamp>,
    /// The workers that have receivers.
    workers: u64,
    /// The same, this one left out.
    pub(crate) elsewhere: u64,
    is_lasting: bool,
    to_one: Option<Box<ToOne>>,
}

/// Where a message goes that is for one client, whoever subscribes to what. Whether there is such a client is known on
/// its worker alone.
#[derive(Debug)]
pub(crate) struct ToOne {
    pub(crate) client_id: Box<str>,
    /// The name under which the message goes to other workers and into the log.
    pub(crate) stored: Box<str>,
}

impl Route {
    /// Whether nobody has come or gone since.
    #[inline]
    pub(crate) fn is_current(&self, epochs: &Epochs) -> bool {
        let mut stamp = self.stamp.get();
        let current = epochs.is_current(&mut stamp);
        if current {
            self.stamp.set(stamp);
        }
        current
    }

    /// Whether there are so many receivers that it is kept in one place only: looking it up costs little beside
    /// delivering to them.
    pub(crate) fn is_large(&self) -> bool {
        self.receivers.len() > LARGE
    }

    /// Whether a lasting session wants it, be its client connected or not; or may, if it is for one client.
    #[inline]
    pub(crate) const fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// The workers that have receivers; if it is for one client, that client's.
    #[inline]
    pub(crate) const fn workers(&self) -> u64 {
        self.workers
    }

    /// Whom it is for, if that is one client.
    #[inline]
    pub(crate) fn to_one(&self) -> Option<&ToOne> {
        self.to_one.as_deref()
    }

    /// The name under which a message to `topic` goes to other workers and into the log.
    #[inline]
    pub(crate) fn stored_topic<'a>(&'a self, topic: &'a str) -> &'a str {
        self.to_one.as_ref().map_or(topic, |to_one| &to_one.stored)
    }

    /// The route of a message for one client.
    #[cold]
    fn of_one(instance: &Instance, topic: &str, client_id: &str, worker: WorkerId, stamp: Stamp) -> Self {
        let workers = instance.worker_of(client_id).bit();
        Self {
            receivers: RouteSet::default(),
            stamp: Cell::new(stamp),
            workers,
            elsewhere: workers & !worker.bit(),
            is_lasting: true,
            to_one: Some(Box::new(ToOne { client_id: client_id.into(), stored: p2p::stored(topic) })),
        }
    }

    fn new(receivers: RouteSet, worker: WorkerId, stamp: Stamp) -> Self {
        Self {
            stamp: Cell::new(stamp),
            workers: receivers.workers(),
            elsewhere: receivers.workers() & !worker.bit(),
            is_lasting: receivers.is_lasting(),
            receivers,
            to_one: None,
        }
    }

    /// How many receivers there are.
    pub(crate) fn len(&self) -> usize {
        self.receivers.len()
    }

    /// The receivers on one worker.
    #[inline]
    pub(crate) fn on(&self, worker: WorkerId) -> &[Target] {
        self.receivers.of(worker)
    }
}

/// The routes that a worker remembers for one instance, shared by all who publish to the topic.
#[derive(Default)]
pub(crate) struct Routes {
    by_topic: RefCell<HashMap<Box<str>, Rc<Route>, RandomState>>,
    /// Those of all topics, at least.
    receivers: Cell<usize>,
}

impl Routes {
    /// The route of a topic: the one remembered if it still holds, else what the table says now.
    pub(crate) fn get(
        &self,
        instance: &Instance,
        topic: &str,
        worker: WorkerId,
        epochs: &Epochs,
        scratch: &mut Scratch,
        remembered_max: usize,
    ) -> Rc<Route> {
        let mut routes = self.by_topic.borrow_mut();
        if let Some(route) = routes.get(topic)
            && route.is_current(epochs)
        {
            return Rc::clone(route);
        }
        let table = instance.routes.read().unwrap_or_else(PoisonError::into_inner);
        // Stamped before it is read: it may then be older than what was read, never newer.
        let stamp = epochs.stamp(TopicSlots::of(table.seed(), topic));
        let named = p2p::named(topic);
        let to_one = p2p::receiver(named);
        let receivers = if to_one.is_none() { table.matches(topic, scratch) } else { RouteSet::default() };
        drop(table);
        let route = Rc::new(match to_one {
            None => Route::new(receivers, worker, stamp),
            Some(client_id) => Route::of_one(instance, named, client_id, worker, stamp),
        });
        let receivers = self.receivers.get() + route.receivers.len();
        self.receivers.set(receivers);
        if routes.len() >= remembered_max || receivers > RECEIVERS_MAX {
            // What is in use is found again at the price of one look each.
            routes.clear();
            self.receivers.set(route.receivers.len());
        }
        routes.insert(topic.into(), Rc::clone(&route));
        route
    }
}

#[cfg(test)]
mod tests {
    use contract::limits::InstanceLimits;
    use contract::qos::Qos;
    use router::{ClientKey, Subscriber};

    use super::*;
    use crate::instances::Instances;
    use crate::testing;

    #[test]
    fn a_route_holds_until_somebody_comes_or_goes() {
        let instances = Instances::new(2, 1);
        let epochs = instances.epochs();
        let instance = instances.get(testing::instance_id(1), &InstanceLimits::default(), 0);
        let (here, there) = (WorkerId::new(0).expect("a worker"), WorkerId::new(1).expect("a worker"));
        let routes = Routes::default();
        let mut scratch = Scratch::new();
        let mut route = |topic| routes.get(&instance, topic, here, &epochs, &mut scratch, 2);
        let subscribe = |filter: &str, worker, slot| {
            let client = ClientKey::new(slot, 0);
            let filter = filter.parse().expect("a filter");
            let mut table = instance.routes.write().expect("no panic");
            let subscriber = Subscriber { worker, client, qos: Qos::AtMostOnce, is_special: false };
            table.insert(&filter, subscriber, 100).expect("room");
        };

        let nobody = route("a/b/c");
        assert!(nobody.on(here).is_empty() && nobody.elsewhere == 0);
        assert!(Rc::ptr_eq(&nobody, &route("a/b/c")), "remembered");

        subscribe("a/+/c", here, 7);
        assert!(!nobody.is_current(&epochs));
        let one = route("a/b/c");
        assert_eq!(one.on(here).iter().map(|target| target.client().slot()).collect::<Vec<_>>(), [7]);

        subscribe("x/y", there, 8);
        assert!(one.is_current(&epochs), "another topic's subscribers are nothing to it");
        subscribe("#", there, 9);
        assert_eq!(route("a/b/c").elsewhere, there.bit());

        let first = route("a/b/c");
        route("2");
        route("3");
        assert!(!Rc::ptr_eq(&first, &route("a/b/c")), "only so many are remembered");
    }
}
