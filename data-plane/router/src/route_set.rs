//! The answer of the route table: an immutable set of receivers, grouped by worker.

use contract::qos::Qos;

use crate::subscriber::{ClientKey, Subscriber, WorkerId};

/// One receiver in eight bytes: the client, the QoS it was granted, and whether it is special.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(u64);

impl Target {
    #[inline]
    pub(crate) const fn new(client: ClientKey, qos: Qos, is_special: bool) -> Self {
        Self(client.bits() << 3 | (is_special as u64) << 2 | qos.bits() as u64)
    }

    /// This one and another of the same client: the higher QoS, and special if either is.
    pub(crate) const fn merged(self, other: Self) -> Self {
        let qos = if self.0 & 0b11 < other.0 & 0b11 { other.qos() } else { self.qos() };
        Self::new(self.client(), qos, self.is_special() || other.is_special())
    }

    /// The client, on the worker in whose part of the set this target is.
    #[inline]
    #[must_use]
    pub const fn client(self) -> ClientKey {
        ClientKey::from_bits(self.0 >> 3)
    }

    /// The QoS granted: the highest of its subscriptions that match.
    #[inline]
    #[must_use]
    pub const fn qos(self) -> Qos {
        match self.0 & 0b11 {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        }
    }

    /// Whether one of its subscriptions that match has an option or an identifier, so that its session has to be asked
    /// what it gets.
    #[inline]
    #[must_use]
    pub const fn is_special(self) -> bool {
        self.0 & 0b100 != 0
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut target = f.debug_struct("Target");
        target.field("client", &self.client()).field("qos", &self.qos());
        target.field("is_special", &self.is_special()).finish()
    }
}

/// Everyone who wants one topic: each client once, on its worker; and whether somebody may be away who wants it too.
///
/// Each worker's targets are together and in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteSet {
    targets: Box<[Target]>,
    /// Where each worker's targets end, in the order of the workers; none when there is one worker or none.
    #[expect(clippy::box_collection, reason = "eight bytes, which most sets need none of")]
    ends: Option<Box<Vec<u32>>>,
    workers: u64,
    is_lasting: bool,
}

impl RouteSet {
    /// The set of the given subscribers, which are in the order of worker and client, each client once.
    pub(crate) fn from_sorted(found: &[(WorkerId, Target)], is_lasting: bool) -> Self {
        debug_assert!(
            found.is_sorted_by(|a, b| (a.0, a.1.client()) < (b.0, b.1.client())),
            "in order and each client once"
        );
        let workers = found.iter().fold(0, |workers, (worker, _)| workers | worker.bit());
        let targets = found.iter().map(|&(_, target)| target).collect();
        let ends = (workers.count_ones() > 1).then(|| {
            let end_of = |part: &[(WorkerId, Target)]| u32::try_from(part.len()).unwrap_or(u32::MAX);
            let mut end = 0;
            let ends = found.chunk_by(|a, b| a.0 == b.0).map(|part| {
                end += end_of(part);
                end
            });
            Box::new(ends.collect())
        });
        Self { targets, ends, workers, is_lasting }
    }

    /// The workers that have a target, one bit each ([`WorkerId::bit`]).
    #[inline]
    #[must_use]
    pub const fn workers(&self) -> u64 {
        self.workers
    }

    /// The targets of one worker.
    #[inline]
    #[must_use]
    pub fn of(&self, worker: WorkerId) -> &[Target] {
        if self.workers == worker.bit() { &self.targets } else { self.part(worker) }
    }

    fn part(&self, worker: WorkerId) -> &[Target] {
        if self.workers & worker.bit() == 0 {
            return &[];
        }
        let Some(ends) = self.ends.as_deref() else { return &[] };
        let at = (self.workers & (worker.bit() - 1)).count_ones() as usize;
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        &self.targets[start..ends[at] as usize]
    }

    /// Every target with its worker.
    pub fn iter(&self) -> impl Iterator<Item = Subscriber> + '_ {
        (0..crate::WORKERS_MAX).filter_map(WorkerId::new).flat_map(move |worker| {
            self.of(worker).iter().map(move |target| Subscriber {
                worker,
                client: target.client(),
                qos: target.qos(),
                is_special: target.is_special(),
            })
        })
    }

    /// Whether a lasting subscription wants the topic, whether its client is connected or away.
    #[inline]
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// The number of clients.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether nobody wants the topic: no client, and nobody who is away.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.targets.is_empty() && !self.is_lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(index: usize) -> WorkerId {
        WorkerId::new(index).expect("a worker")
    }

    fn plain(found: &[(WorkerId, Target)]) -> RouteSet {
        RouteSet::from_sorted(found, false)
    }

    #[test]
    fn every_worker_finds_its_own() {
        let found: Vec<_> = [(2, 1), (2, 9), (5, 0), (63, 4), (63, 5), (63, 6)]
            .map(|(at, slot)| (worker(at), Target::new(ClientKey::new(slot, 3), Qos::AtLeastOnce, false)))
            .into();
        let set = plain(&found);
        let slots = |at| set.of(worker(at)).iter().map(|target| target.client().slot()).collect::<Vec<_>>();
        assert_eq!((slots(2), slots(5), slots(63)), (vec![1, 9], vec![0], vec![4, 5, 6]));
        assert_eq!((slots(0), slots(62)), (vec![], vec![]));
        assert_eq!(set.workers(), 1 << 2 | 1 << 5 | 1 << 63);
        assert_eq!(set.iter().count(), set.len());
    }

    #[test]
    fn one_worker_needs_no_ranges() {
        let target = Target::new(ClientKey::new(7, 1), Qos::ExactlyOnce, true);
        let set = plain(&[(worker(3), target)]);
        assert_eq!((set.of(worker(3)), set.of(worker(4))), (&[target][..], &[][..]));
        assert_eq!(set.ends, None);
        assert_eq!((target.qos(), target.is_special()), (Qos::ExactlyOnce, true));
    }

    #[test]
    fn a_target_keeps_its_parts_and_merges_with_another_of_its_client() {
        let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        let all = qos.into_iter().flat_map(|qos| [(qos, false), (qos, true)]);
        for client in [ClientKey::new(0, 0), ClientKey::new(u32::MAX, ClientKey::GENERATION_MAX)] {
            for (one, is_special) in all.clone() {
                let target = Target::new(client, one, is_special);
                assert_eq!((target.client(), target.qos(), target.is_special()), (client, one, is_special));
                for (other, other_is) in all.clone() {
                    let merged = target.merged(Target::new(client, other, other_is));
                    assert_eq!(merged, Target::new(client, one.max(other), is_special || other_is));
                }
            }
        }
    }

    #[test]
    fn nobody_is_nobody() {
        let set = RouteSet::default();
        assert!(set.is_empty() && set.of(worker(0)).is_empty() && set.workers() == 0);
        assert_eq!(set, plain(&[]));
    }

    #[test]
    fn whoever_is_away_is_somebody() {
        let away = RouteSet::from_sorted(&[], true);
        assert!(away.is_lasting() && !away.is_empty() && away.iter().count() == 0 && away.workers() == 0);
        assert!(!RouteSet::default().is_lasting());
    }

    #[test]
    fn a_target_takes_eight_bytes_and_a_set_forty() {
        println!("Target {} RouteSet {}", size_of::<Target>(), size_of::<RouteSet>());
        assert_eq!(size_of::<Target>(), 8);
        assert!(size_of::<RouteSet>() <= 40);
    }
}
