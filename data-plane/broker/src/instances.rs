//! What all threads share of an instance that has, or lately had, clients here: its routes, its seats, and the part
//! of its rate that no worker has taken yet. It is touched when clients come and go or subscribe, not for a message.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use contract::ids::InstanceId;
use contract::limits::InstanceLimits;
use contract::refusal::Refusal;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use router::{Epochs, RouteTable, WorkerId};

use crate::buckets::{Micros, SharedBucket};
use crate::groups::Registry;
use crate::placement;
use crate::sys_topics::SharedTraffic;

/// An instance that nobody has used for so long is forgotten. Longer than any bucket takes to fill, so that going
/// and coming back buys nobody a fresh one.
const FORGOTTEN_AFTER: Micros = 10_000_000;

/// Millionths of a connect that one connect takes.
const CONNECT: u64 = 1_000_000;

/// The instances in use on this node.
pub(crate) struct Instances {
    by_id: RwLock<HashMap<InstanceId, Arc<Instance>, RandomState>>,
    epochs: Arc<Epochs>,
    /// Keys of shared subscriptions that were given away.
    group_keys: Arc<AtomicU64>,
    hasher: RandomState,
    workers: usize,
    connections_per_worker_max: u64,
}

impl Instances {
    pub(crate) fn new(workers: usize, connections_per_worker_max: u64) -> Self {
        Self {
            by_id: RwLock::default(),
            epochs: Arc::new(Epochs::new()),
            group_keys: Arc::default(),
            hasher: RandomState::default(),
            workers,
            connections_per_worker_max,
        }
    }

    pub(crate) fn epochs(&self) -> Arc<Epochs> {
        Arc::clone(&self.epochs)
    }

    /// The instance, from now on in use. How many workers it is spread over is settled here and stays until it is
    /// forgotten: one client identifier must not meet on two workers.
    pub(crate) fn get(&self, id: InstanceId, limits: &InstanceLimits, now: Micros) -> Arc<Instance> {
        if let Some(instance) = self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            instance.used_at.fetch_max(now, Ordering::Relaxed);
            return Arc::clone(instance);
        }
        let make = || {
            let workers = placement::workers_of(
                self.hasher.hash_one(id),
                limits.connections_max,
                self.connections_per_worker_max,
                self.workers,
            );
            let seed = self.hasher.hash_one((id, "routes"));
            Arc::new(Instance::new(
                id,
                workers,
                RouteTable::new(seed, self.epochs()),
                Registry::new(Arc::clone(&self.group_keys)),
                self.hasher.clone(),
                now,
            ))
        };
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_id.entry(id).or_insert_with(make))
    }

    /// Forgets the instances that nobody uses any more.
    pub(crate) fn sweep(&self, now: Micros) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|_, instance| {
            // The lock is held for writing, so nobody can take one that only this table has.
            let unused = Arc::strong_count(instance) == 1;
            !unused || now.saturating_sub(instance.used_at.load(Ordering::Relaxed)) < FORGOTTEN_AFTER
        });
    }

    /// The clients connected now, by instance.
    pub(crate) fn connections(&self) -> BTreeMap<InstanceId, u64> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id
            .values()
            .map(|instance| (instance.id, instance.connections()))
            .filter(|&(_, connections)| connections > 0)
            .collect()
    }
}

/// One instance.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    /// Its subscriptions on all workers. Locked for writing to change one, for reading when a publisher does not
    /// know a topic.
    pub(crate) routes: RwLock<RouteTable>,
    /// Its shared subscriptions.
    pub(crate) groups: Registry,
    /// What of its rates no worker has taken; without use while it lives on one.
    pub(crate) inbound: SharedBucket,
    pub(crate) outbound: SharedBucket,
    /// What its workers have counted.
    pub(crate) traffic: SharedTraffic,
    workers: Box<[WorkerId]>,
    workers_mask: u64,
    hasher: RandomState,
    used_at: AtomicU64,
    seats: Mutex<Seats>,
    connections: AtomicU64,
    /// Lasting sessions on all workers.
    sessions: AtomicU64,
}

struct Seats {
    /// Millionths of the connects that may come now.
    connects: u64,
    filled_at: Micros,
    /// Connections by the subject of their token; bounded by the connections.
    subjects: HashMap<Box<str>, u64, RandomState>,
}

impl Seats {
    fn fill(&mut self, now: Micros, connects_per_sec: u64) {
        let passed = now.saturating_sub(self.filled_at);
        let come = connects_per_sec.saturating_mul(passed);
        self.connects = self.connects.saturating_add(come).min(connects_per_sec.saturating_mul(CONNECT));
        self.filled_at = now;
    }
}

impl Instance {
    fn new(
        id: InstanceId,
        workers: Box<[WorkerId]>,
        routes: RouteTable,
        groups: Registry,
        hasher: RandomState,
        now: Micros,
    ) -> Self {
        Self {
            id,
            routes: RwLock::new(routes),
            groups,
            inbound: SharedBucket::default(),
            outbound: SharedBucket::default(),
            traffic: SharedTraffic::default(),
            workers_mask: workers.iter().fold(0, |mask, worker| mask | worker.bit()),
            workers,
            hasher,
            used_at: AtomicU64::new(now),
            // More than a second's worth, which is what it is cut to when it is first looked at.
            seats: Mutex::new(Seats { connects: u64::MAX, filled_at: now, subjects: HashMap::default() }),
            connections: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
        }
    }

    /// The workers that it is spread over.
    pub(crate) fn workers(&self) -> &[WorkerId] {
        &self.workers
    }

    /// The same, a bit for each.
    #[inline]
    pub(crate) const fn workers_mask(&self) -> u64 {
        self.workers_mask
    }

    /// The worker that owns the client of this identifier.
    pub(crate) fn worker_of(&self, client_id: &str) -> WorkerId {
        placement::worker_of(self.hasher.hash_one(client_id), &self.workers)
            .expect("an instance has a worker at least")
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Room for one more lasting session, to be given back with [`Self::return_session`].
    pub(crate) fn take_session(&self, sessions_max: u64) -> Result<(), Refusal> {
        let take = |sessions: u64| (sessions < sessions_max).then_some(sessions + 1);
        let taken = self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| Refusal::SessionsMax)
    }

    /// A lasting session was there already, whatever the plan allows by now.
    pub(crate) fn add_session(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// A lasting session has ended.
    pub(crate) fn return_session(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a client may connect now, as far as rate goes: asked before its proof is checked, which costs.
    pub(crate) fn has_connects(&self, limits: &InstanceLimits, now: Micros) -> bool {
        let mut seats = self.lock();
        seats.fill(now, limits.connects_per_sec);
        seats.connects >= CONNECT
    }

    /// A seat for one more client, held until it is dropped. One that is `given_up` for it counts as free already.
    pub(crate) fn take_seat(
        self: &Arc<Self>,
        limits: &InstanceLimits,
        subject: Option<&str>,
        given_up: Option<&Seat>,
        now: Micros,
    ) -> Result<Seat, Refusal> {
        self.used_at.fetch_max(now, Ordering::Relaxed);
        let mut seats = self.lock();
        seats.fill(now, limits.connects_per_sec);
        if seats.connects < CONNECT {
            return Err(Refusal::ConnectsPerSec);
        }
        if self.connections() - u64::from(given_up.is_some()) >= limits.connections_max {
            return Err(Refusal::ConnectionsMax);
        }
        if let Some(subject) = subject {
            let taken = seats.subjects.get(subject).copied().unwrap_or(0);
            let free = given_up.is_some_and(|seat| seat.subject.as_deref() == Some(subject));
            if taken - u64::from(free) >= limits.connections_per_subject_max {
                return Err(Refusal::ConnectionsPerSubjectMax);
            }
            seats.subjects.insert(subject.into(), taken + 1);
        }
        seats.connects -= CONNECT;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { instance: Arc::clone(self), subject: subject.map(Into::into) })
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one client to be connected.
pub(crate) struct Seat {
    instance: Arc<Instance>,
    subject: Option<Box<str>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.instance.lock();
        self.instance.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(subject) = &self.subject
            && let Some(taken) = seats.subjects.get_mut(subject)
        {
            *taken -= 1;
            if *taken == 0 {
                seats.subjects.remove(subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn id(number: u128) -> InstanceId {
        InstanceId(uuid::Uuid::from_u128(number))
    }

    fn limits() -> InstanceLimits {
        InstanceLimits {
            connections_max: 3,
            connects_per_sec: 5,
            connections_per_subject_max: 2,
            ..InstanceLimits::default()
        }
    }

    #[test]
    fn seats_are_bounded_and_come_back() {
        let instance = Instances::new(2, 10_000).get(id(1), &limits(), SECOND);
        let take = |subject, now| instance.take_seat(&limits(), subject, None, now).map_err(Refusal::name);
        let one = take(Some("fleet"), SECOND).expect("a seat");
        let two = take(Some("fleet"), SECOND).expect("a seat");
        assert_eq!(take(Some("fleet"), SECOND).err(), Some("connections_per_subject_max"));
        let instead = instance.take_seat(&limits(), Some("fleet"), Some(&one), SECOND + SECOND / 5);
        drop(instead.expect("that of the one before"));
        let three = take(None, SECOND).expect("a seat");
        assert_eq!(take(None, SECOND).err(), Some("connections_max"));
        drop((one, two));
        assert_eq!(instance.connections(), 1);
        let four = take(Some("fleet"), SECOND).expect("a seat");
        drop(take(None, SECOND).expect("the fifth connect"));
        assert_eq!(take(None, SECOND).err(), Some("connects_per_sec"));
        assert!(!instance.has_connects(&limits(), SECOND));
        assert!(instance.has_connects(&limits(), SECOND + SECOND / 5));
        drop((three, four));
        assert_eq!(instance.connections(), 0);
    }

    #[test]
    fn an_instance_is_forgotten_only_when_it_is_long_unused() {
        let instances = Instances::new(2, 10_000);
        let seat =
            instances.get(id(1), &limits(), 0).take_seat(&limits(), None, None, SECOND).expect("a seat");
        instances.sweep(100 * SECOND);
        assert_eq!(instances.connections().get(&id(1)), Some(&1));
        let seats = Arc::as_ptr(&seat.instance);
        drop(seat);
        instances.sweep(5 * SECOND);
        assert_eq!(Arc::as_ptr(&instances.get(id(1), &limits(), 5 * SECOND)), seats);
        instances.sweep(100 * SECOND);
        assert!(instances.by_id.read().expect("no panic").is_empty());
    }

    #[test]
    fn the_width_of_an_instance_follows_its_plan() {
        let instances = Instances::new(4, 2);
        assert_eq!(instances.get(id(1), &limits(), 0).workers().len(), 2);
        let wide = InstanceLimits { connections_max: 100, ..limits() };
        assert_eq!(instances.get(id(2), &wide, 0).workers().len(), 4);
        assert_eq!(instances.get(id(1), &wide, 0).workers().len(), 2, "while it is in use it stays");
    }
}
