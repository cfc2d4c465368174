//! Messages on their way from one worker to another, for instances that are spread over several.
//!
//! One bounded ring for each ordered pair of workers, filled once a round with one batch and emptied whole: its lock
//! is held for the move of a few pointers. The bound is kept by not reading sockets: who is to read asks for room
//! first, so a message that was acknowledged always has somewhere to go. A worker empties its rings whatever its own
//! are like, so two full workers cannot lock each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use router::WorkerId;
use tokio::sync::Notify;

/// Emptied batches whose memory a ring keeps for the next ones.
const SPARES_MAX: usize = 4;

/// The largest batch whose memory is kept.
const SPARE_BYTES_MAX: usize = 256 * 1024;

/// All rings of a node, and a door for each worker at which the others knock.
#[derive(Debug)]
pub(crate) struct Crossing {
    workers: usize,
    bytes_max: usize,
    rings: Box<[Ring]>,
    doors: Box<[Door]>,
}

#[derive(Debug, Default)]
struct Ring {
    queue: Mutex<Queue>,
    bytes: AtomicUsize,
    /// The worker that fills it has found no room and waits for some.
    starved: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Vec<u8>>,
    spares: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Door {
    knocked: AtomicBool,
    bell: Notify,
}

impl Crossing {
    pub(crate) fn new(workers: usize, bytes_max: usize) -> Self {
        Self {
            workers,
            bytes_max,
            rings: (0..workers * workers).map(|_| Ring::default()).collect(),
            doors: (0..workers).map(|_| Door::default()).collect(),
        }
    }

    /// Whether so many bytes, not yet handed over, still leave room. If not, `from` is knocked for once there is.
    pub(crate) fn has_room(&self, from: WorkerId, to: WorkerId, unsent: usize) -> bool {
        let ring = self.ring(from, to);
        let fits = |ordering| ring.bytes.load(ordering) + unsent < self.bytes_max;
        if fits(Ordering::Acquire) {
            return true;
        }
        ring.starved.store(true, Ordering::SeqCst);
        // It may have been emptied just before it was called starved, and then nobody would knock. One order over
        // all of it: either this load sees the ring emptied, or who empties it sees it starved.
        fits(Ordering::SeqCst)
    }

    /// Whether the ring holds twice what it should: only what no read announces, like wills, comes so far.
    pub(crate) fn is_overfull(&self, from: WorkerId, to: WorkerId, unsent: usize) -> bool {
        self.ring(from, to).bytes.load(Ordering::Acquire) + unsent >= 2 * self.bytes_max
    }

    /// Hands a batch over and wakes its worker, once until it looks.
    pub(crate) fn push(&self, from: WorkerId, to: WorkerId, batch: Vec<u8>) {
        let ring = self.ring(from, to);
        ring.bytes.fetch_add(batch.len(), Ordering::AcqRel);
        ring.lock().batches.push_back(batch);
        self.knock(to);
    }

    /// Memory for a batch, of one that has been read if there is any.
    pub(crate) fn spare(&self, from: WorkerId, to: WorkerId) -> Vec<u8> {
        self.ring(from, to).lock().spares.pop().unwrap_or_default()
    }

    /// Everything that has come for a worker, batch by batch, each ring in its order. `read` must not panic: what it
    /// has not read would be lost and its room with it.
    pub(crate) fn drain(&self, to: WorkerId, mut read: impl FnMut(&[u8])) {
        for from in (0..self.workers).filter_map(WorkerId::new) {
            let ring = self.ring(from, to);
            let batches = std::mem::take(&mut ring.lock().batches);
            for batch in batches {
                read(&batch);
                ring.bytes.fetch_sub(batch.len(), Ordering::SeqCst);
                let mut queue = ring.lock();
                if queue.spares.len() < SPARES_MAX && batch.capacity() <= SPARE_BYTES_MAX {
                    queue.spares.push(batch);
                }
            }
            if ring.starved.swap(false, Ordering::SeqCst) {
                self.knock(from);
            }
        }
    }

    /// Waits until somebody has knocked since the last time.
    pub(crate) async fn knocked(&self, worker: WorkerId) {
        let door = &self.doors[worker.index()];
        door.bell.notified().await;
        door.knocked.store(false, Ordering::SeqCst);
    }

    fn knock(&self, worker: WorkerId) {
        let door = &self.doors[worker.index()];
        if !door.knocked.swap(true, Ordering::SeqCst) {
            door.bell.notify_one();
        }
    }

    fn ring(&self, from: WorkerId, to: WorkerId) -> &Ring {
        &self.rings[from.index() * self.workers + to.index()]
    }
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn worker(index: usize) -> WorkerId {
        WorkerId::new(index).expect("a worker")
    }

    fn drained(crossing: &Crossing, to: usize) -> Vec<Vec<u8>> {
        let mut batches = Vec::new();
        crossing.drain(worker(to), |batch| batches.push(batch.to_vec()));
        batches
    }

    fn is_knocked(crossing: &Crossing, at: usize) -> bool {
        let knocked = pin!(crossing.knocked(worker(at)));
        knocked.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn batches_arrive_in_order_and_only_where_they_go() {
        let crossing = Crossing::new(3, 100);
        crossing.push(worker(0), worker(2), b"one".to_vec());
        crossing.push(worker(0), worker(2), b"two".to_vec());
        crossing.push(worker(1), worker(2), b"three".to_vec());
        assert_eq!(drained(&crossing, 1), [b""; 0]);
        assert_eq!(drained(&crossing, 2), [&b"one"[..], b"two", b"three"]);
        assert_eq!(drained(&crossing, 2), [b""; 0]);
    }

    #[test]
    fn many_batches_wake_once() {
        let crossing = Crossing::new(2, 100);
        assert!(!is_knocked(&crossing, 1));
        crossing.push(worker(0), worker(1), vec![1]);
        crossing.push(worker(0), worker(1), vec![2]);
        assert!(is_knocked(&crossing, 1));
        assert!(!is_knocked(&crossing, 1));
    }

    #[test]
    fn a_full_ring_says_so_and_knocks_when_it_is_empty_again() {
        let crossing = Crossing::new(2, 10);
        assert!(crossing.has_room(worker(0), worker(1), 9));
        assert!(!crossing.has_room(worker(0), worker(1), 10));
        crossing.push(worker(0), worker(1), vec![0; 10]);
        assert!(!crossing.has_room(worker(0), worker(1), 0));
        assert!(crossing.has_room(worker(1), worker(0), 0), "the way back is another ring");
        assert!(
            !crossing.is_overfull(worker(0), worker(1), 9) && crossing.is_overfull(worker(0), worker(1), 10)
        );
        drained(&crossing, 1);
        assert!(is_knocked(&crossing, 0));
        assert!(crossing.has_room(worker(0), worker(1), 0));
    }

    #[test]
    fn memory_is_used_again() {
        let crossing = Crossing::new(2, 100);
        crossing.push(worker(0), worker(1), Vec::with_capacity(64));
        drained(&crossing, 1);
        assert_eq!(crossing.spare(worker(0), worker(1)).capacity(), 64);
        assert_eq!(crossing.spare(worker(0), worker(1)).capacity(), 0);
    }
}
