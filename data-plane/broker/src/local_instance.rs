//! An instance as one worker sees it: everything that is asked for a message, in plain cells.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use contract::limits::InstanceLimits;
use contract::topic;
use engine::RetentionClass;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use replica::InstanceRules;
use router::ClientKey;

use crate::buckets::{InstanceBucket, Lessor, Micros, Rates};
use crate::fading::Fading;
use crate::instances::Instance;
use crate::lasting::LastingClient;
use crate::metrics::Cells;
use crate::routes::Routes;

/// The part of the limits that every message or packet asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paces {
    pub(crate) client_in: Rates,
    pub(crate) client_out: Rates,
    pub(crate) inbound: Rates,
    pub(crate) outbound: Rates,
    pub(crate) client_subscribes: Rates,
    pub(crate) packet_bytes_max: usize,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) in_flight_max: usize,
}

impl From<&InstanceLimits> for Paces {
    fn from(limits: &InstanceLimits) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            client_in: Rates::new(limits.client_messages_in_per_sec, limits.client_bytes_in_per_sec),
            client_out: Rates::new(limits.client_messages_out_per_sec, limits.client_bytes_out_per_sec),
            inbound: Rates::new(limits.messages_in_per_sec, limits.bytes_in_per_sec),
            outbound: Rates::new(limits.messages_out_per_sec, limits.bytes_out_per_sec),
            client_subscribes: Rates::new(limits.client_subscribes_per_sec, u64::MAX),
            packet_bytes_max: size(limits.packet_bytes_max),
            outbox_bytes_max: size(limits.outbox_bytes_max),
            in_flight_max: size(limits.in_flight_messages_max),
        }
    }
}

/// An instance on one worker.
pub(crate) struct LocalInstance {
    pub(crate) shared: Arc<Instance>,
    rules: RefCell<Arc<InstanceRules>>,
    /// That of the rules; what clients remember of topics holds as long as it is the same.
    pub(crate) epoch: Cell<u64>,
    paces: RefCell<Rc<Paces>>,
    pub(crate) inbound: InstanceBucket,
    pub(crate) outbound: InstanceBucket,
    /// Its clients on this worker, by their identifiers.
    pub(crate) clients: RefCell<HashMap<Rc<str>, ClientKey, RandomState>>,
    /// Its lasting sessions on this worker, those of connected clients too.
    pub(crate) lasting: RefCell<HashMap<Rc<str>, Rc<LastingClient>, RandomState>>,
    /// Shared subscriptions that have their home on this worker.
    pub(crate) homes: Cell<usize>,
    pub(crate) routes: Routes,
    pub(crate) counts: Cells,
    /// Clients that are not read until the instance may receive again, in the order in which they get their turns.
    pub(crate) waiting: RefCell<VecDeque<ClientKey>>,
    /// It is in the list of those that have work.
    pub(crate) is_working: Cell<bool>,
    /// Turns that its clients have had in this round.
    pub(crate) turns: Cell<u32>,
    /// Clients that wait for their turns in a later round.
    pub(crate) deferred: RefCell<VecDeque<ClientKey>>,
    /// A timer is set for those that wait for the instance.
    pub(crate) is_timed: Cell<bool>,
    /// A client here may want what the instance is told about itself.
    pub(crate) watches_sys: Cell<bool>,
    /// Messages of some of its topics go, or once went, by way of the log.
    pub(crate) uses_log: Cell<bool>,
    /// Topics whose messages did until lately.
    pub(crate) fading: Fading,
    /// When its last client left.
    pub(crate) unused_since: Cell<Micros>,
}

impl LocalInstance {
    pub(crate) fn new(shared: Arc<Instance>, rules: Arc<InstanceRules>, now: Micros) -> Self {
        let paces = Paces::from(&rules.document.limits);
        let uses_log = uses_log(&rules);
        let lessor = |bucket| {
            let instance = Arc::clone(&shared);
            (shared.workers().len() > 1).then_some(Lessor { instance, shared: bucket })
        };
        Self {
            inbound: InstanceBucket::new(now, &paces.inbound, lessor(|instance| &instance.inbound)),
            outbound: InstanceBucket::new(now, &paces.outbound, lessor(|instance| &instance.outbound)),
            shared,
            epoch: Cell::new(rules.epoch),
            rules: RefCell::new(rules),
            paces: RefCell::new(Rc::new(paces)),
            clients: RefCell::default(),
            lasting: RefCell::default(),
            homes: Cell::new(0),
            routes: Routes::default(),
            counts: Cells::default(),
            waiting: RefCell::default(),
            is_working: Cell::new(false),
            turns: Cell::new(0),
            deferred: RefCell::default(),
            is_timed: Cell::new(false),
            watches_sys: Cell::new(false),
            uses_log: Cell::new(uses_log),
            fading: Fading::default(),
            unused_since: Cell::new(now),
        }
    }

    /// The rules as they are now.
    pub(crate) fn rules(&self) -> Arc<InstanceRules> {
        Arc::clone(&self.rules.borrow())
    }

    /// Takes other rules. Rates change at once: what is in the buckets is kept. `append` is the number of the last
    /// append of its worker, made or in the making; `settled` that of the last of which the outcome is known.
    pub(crate) fn adopt(&self, rules: Arc<InstanceRules>, append: u64, settled: u64) {
        self.fading.forget(settled);
        self.note_fading(&rules, append);
        self.uses_log.set(self.uses_log.get() || uses_log(&rules));
        self.epoch.set(rules.epoch);
        *self.paces.borrow_mut() = Rc::new(Paces::from(&rules.document.limits));
        *self.rules.borrow_mut() = rules;
    }

    /// Keeps in mind which topics are no longer stored.
    fn note_fading(&self, rules: &InstanceRules, append: u64) {
        for (name, rule) in self.rules.borrow().topics.iter() {
            let is_stored = rules.topics.get(name).is_some_and(|rule| rule.history.is_some());
            if let Some(history) = rule.history.filter(|_| !is_stored) {
                self.fading.add(name, RetentionClass::for_secs(history.retention_secs), append);
            }
        }
    }

    /// From now on, and for the time being, messages are not stored for the history alone: those that were must not be
    /// overtaken by those that are not.
    pub(crate) fn stop_history(&self, append: u64) {
        for (name, rule) in self.rules.borrow().topics.iter() {
            if let Some(history) = rule.history {
                self.fading.add(name, RetentionClass::for_secs(history.retention_secs), append);
            }
        }
    }

    /// Whether messages of this topic are stored.
    pub(crate) fn stores(&self, topic: &str) -> bool {
        let rules = self.rules.borrow();
        rules.topics.get(topic::first_level(topic)).is_some_and(|rule| rule.history.is_some())
    }

    #[inline]
    pub(crate) fn paces(&self) -> Rc<Paces> {
        Rc::clone(&self.paces.borrow())
    }

    /// How long until a client of it may be read, as far as the instance's own rates go; 0: now.
    #[inline]
    pub(crate) fn wait(&self, now: Micros) -> Micros {
        let paces = self.paces.borrow();
        let inbound = self.inbound.wait(now, &paces.inbound);
        let outbound = self.outbound.wait(now, &paces.outbound);
        inbound.max(outbound)
    }
}

fn uses_log(rules: &InstanceRules) -> bool {
    rules.topics.values().any(|rule| rule.history.is_some())
}
