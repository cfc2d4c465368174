//! Which worker owns a client. An instance lives whole on one worker as long as its plan allows no more connections
//! than one worker is meant to carry: no message of it then crosses from worker to worker. A larger one is spread
//! over as many as it needs. Either way one client identifier always meets on one worker.

use router::WorkerId;

/// The workers of an instance, of `workers` in all, given the hash of its id.
pub(crate) fn workers_of(
    instance_hash: u64,
    connections_max: u64,
    connections_per_worker_max: u64,
    workers: usize,
) -> Box<[WorkerId]> {
    let wanted = connections_max.div_ceil(connections_per_worker_max.max(1));
    let width = usize::try_from(wanted).unwrap_or(usize::MAX).clamp(1, workers.max(1));
    let first = index(instance_hash, workers);
    (0..width).filter_map(|at| WorkerId::new((first + at) % workers.max(1))).collect()
}

/// The worker of a client, given the hash of its identifier.
pub(crate) fn worker_of(client_hash: u64, workers: &[WorkerId]) -> Option<WorkerId> {
    workers.get(index(client_hash, workers.len())).copied()
}

fn index(hash: u64, count: usize) -> usize {
    let count = u64::try_from(count.max(1)).unwrap_or(1);
    usize::try_from(hash % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(hash: u64, connections_max: u64, workers: usize) -> Vec<usize> {
        workers_of(hash, connections_max, 10_000, workers).iter().map(|worker| worker.index()).collect()
    }

    #[test]
    fn an_instance_takes_a_worker_for_each_ten_thousand_connections() {
        assert_eq!(indexes(7, 1, 4), [3]);
        assert_eq!(indexes(7, 10_000, 4), [3]);
        assert_eq!(indexes(7, 10_001, 4), [3, 0]);
        assert_eq!(indexes(7, 25_000, 4), [3, 0, 1]);
        assert_eq!(indexes(7, 1_000_000, 4), [3, 0, 1, 2]);
        assert_eq!(indexes(7, 1_000_000, 1), [0]);
    }

    #[test]
    fn small_instances_are_spread_over_the_workers() {
        let mut seen: Vec<_> = (0..4).flat_map(|hash| indexes(hash, 1, 4)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn one_client_identifier_meets_on_one_of_its_instances_workers() {
        let workers = workers_of(5, 30_000, 10_000, 8);
        for hash in [0, 1, 2, 3, u64::MAX] {
            let worker = worker_of(hash, &workers).expect("a worker");
            assert!(workers.contains(&worker));
            assert_eq!(worker_of(hash, &workers), Some(worker));
        }
    }
}
