//! What comes to a worker from other threads: messages from another worker, for instances that are spread over several,
//! and from the log, whatever has become safe there.
//!
//! Each worker has one queue, so that what happened before something else also arrives before it. Its lock is held for
//! the move of a few pointers. The bounds are kept by not reading sockets: between each ordered pair of workers only
//! so many bytes may be under way, and of the log's messages only so many may lie before any one worker; who is to
//! read asks for room first, so a message that was acknowledged always has somewhere to go. A worker empties its queue
//! whatever its own ways are like, so two full workers cannot lock each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Pos;
use router::WorkerId;
use tokio::sync::Notify;

use crate::durable::{Feed, Settled};
use crate::groups::Mail;
use crate::lookups::Looked;

/// Emptied batches whose memory is kept for the next ones, for each way.
const SPARES_MAX: usize = 4;

/// The largest batch whose memory is kept.
const SPARE_BYTES_MAX: usize = 256 * 1024;

/// The largest batch of the log whose memory is kept: what a worker hands in at once.
const APPENDED_BYTES_MAX: usize = 1024 * 1024;

/// What is kept of the log's batches for one worker: what it hands in during a slow sync. Fresh memory is given page by
/// page, which costs more than filling it.
const APPENDED_SPARES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// All ways between the workers of a node, and for each worker the door at which it is called.
#[derive(Debug)]
pub(crate) struct Crossing {
    workers: usize,
    bytes_max: usize,
    ways: Box<[Way]>,
    doors: Box<[Door]>,
    /// Doors before which more of the log's messages lie than should. A door is counted, and counted out, under its
    /// own lock.
    crowded: AtomicUsize,
}

/// Something that has come to a worker.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Messages of another worker: the bytes of a batch.
    Crossed(WorkerId, Vec<u8>),
    /// Messages that are safely in the log, in its order.
    Committed(Arc<Feed>),
    /// What became of the append that this worker has waited for longest.
    Settled(Settled),
    /// What another worker says about shared subscriptions, and how many bytes it is on its way.
    Mail(WorkerId, Vec<Mail>, usize),
    /// What was looked up for one of its clients, and how far the log had come when it was put here: everything before
    /// has been taken in when this is.
    Looked(Box<Looked>, Pos),
}

/// From one worker to another.
#[derive(Debug, Default)]
struct Way {
    bytes: AtomicUsize,
    /// The worker that fills it has found no room and waits for some.
    starved: AtomicBool,
    spares: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Door {
    arrivals: Mutex<Arrivals>,
    knocked: AtomicBool,
    bell: Notify,
}

/// What lies before a door.
#[derive(Debug)]
struct Arrivals {
    queue: VecDeque<Arrival>,
    /// Bytes of the log's messages that have come and are not yet taken in.
    committed_bytes: usize,
    /// How far the log has come: whatever of it concerns this worker lies before the door, or did.
    committed: Pos,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { queue: VecDeque::new(), committed_bytes: 0, committed: Pos::START }
    }
}

impl Crossing {
    pub(crate) fn new(workers: usize, bytes_max: usize) -> Self {
        Self {
            workers,
            bytes_max,
            ways: (0..workers * workers).map(|_| Way::default()).collect(),
            doors: (0..workers).map(|_| Door::default()).collect(),
            crowded: AtomicUsize::new(0),
        }
    }

    /// Whether so many bytes, not yet handed over, still leave room. If not, `from` is knocked for once there is.
    pub(crate) fn has_room(&self, from: WorkerId, to: WorkerId, unsent: usize) -> bool {
        let way = self.way(from, to);
        let fits = |ordering| way.bytes.load(ordering) + unsent < self.bytes_max;
        if fits(Ordering::Acquire) {
            return true;
        }
        way.starved.store(true, Ordering::SeqCst);
        // It may have been emptied just before it was called starved, and then nobody would knock. One order over
        // all of it: either this load sees the way emptied, or who empties it sees it starved.
        fits(Ordering::SeqCst)
    }

    /// Whether twice as much is under way as should be: only what no read announces, like wills, comes so far.
    pub(crate) fn is_overfull(&self, from: WorkerId, to: WorkerId, unsent: usize) -> bool {
        self.way(from, to).bytes.load(Ordering::Acquire) + unsent >= 2 * self.bytes_max
    }

    /// Whether some worker is behind with the log's messages. Every worker is knocked for once none is.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::SeqCst) > 0
    }

    /// Hands a batch over and wakes its worker, once until it looks.
    pub(crate) fn push(&self, from: WorkerId, to: WorkerId, batch: Vec<u8>) {
        self.way(from, to).bytes.fetch_add(batch.len(), Ordering::AcqRel);
        self.doors[to.index()].lock().queue.push_back(Arrival::Crossed(from, batch));
        self.knock(to);
    }

    /// Hands over what is said about shared subscriptions. Its bytes are on the same way as those of messages.
    pub(crate) fn push_mail(&self, from: WorkerId, to: WorkerId, mail: Vec<Mail>, bytes: usize) {
        self.way(from, to).bytes.fetch_add(bytes, Ordering::AcqRel);
        self.doors[to.index()].lock().queue.push_back(Arrival::Mail(from, mail, bytes));
        self.knock(to);
    }

    /// Where the log stood when it began to be followed.
    pub(crate) fn begin_at(&self, committed: Pos) {
        for door in &self.doors {
            let mut arrivals = door.lock();
            arrivals.committed = arrivals.committed.max(committed);
        }
    }

    /// Shows workers what has come into the log. `workers` says which, a bit for each; it is asked under each door's
    /// lock. So whoever changes a route and then asks how far the log has come, finds there whatever is not shown to it.
    /// The others only learn how far the log has come, and are not woken.
    pub(crate) fn show(&self, feed: &Arc<Feed>, workers: impl Fn() -> u64) {
        for to in self.workers() {
            let mut arrivals = self.doors[to.index()].lock();
            arrivals.committed = feed.next;
            if workers() & to.bit() == 0 {
                continue;
            }
            let before = arrivals.committed_bytes;
            arrivals.committed_bytes += feed.bytes;
            if before < self.bytes_max && arrivals.committed_bytes >= self.bytes_max {
                self.crowded.fetch_add(1, Ordering::SeqCst);
            }
            arrivals.queue.push_back(Arrival::Committed(Arc::clone(feed)));
            drop(arrivals);
            self.knock(to);
        }
    }

    /// Puts what was looked up before a worker's door.
    pub(crate) fn bring(&self, to: WorkerId, looked: Box<Looked>) {
        let mut arrivals = self.doors[to.index()].lock();
        let committed = arrivals.committed;
        arrivals.queue.push_back(Arrival::Looked(looked, committed));
        drop(arrivals);
        self.knock(to);
    }

    /// How far the log has come: whatever of it concerns a worker, from there on and by the routes as they are now, will
    /// come to its door.
    pub(crate) fn committed(&self, worker: WorkerId) -> Pos {
        self.doors[worker.index()].lock().committed
    }

    /// Tells a worker what became of an append of its own.
    pub(crate) fn settle(&self, to: WorkerId, settled: Settled) {
        self.doors[to.index()].lock().queue.push_back(Arrival::Settled(settled));
        self.knock(to);
    }

    /// Memory for a batch, of one that has been read if there is any; for the log, from a worker to itself.
    pub(crate) fn spare(&self, from: WorkerId, to: WorkerId) -> Vec<u8> {
        self.way(from, to).lock().pop().unwrap_or_default()
    }

    /// Everything that has come for a worker, in the order in which it came. `take` must not panic: what it has not
    /// looked at would be lost and its room with it. The answer is how far the log had come: all of it that concerns
    /// the worker has then been taken in.
    pub(crate) fn drain(&self, to: WorkerId, mut take: impl FnMut(&mut Arrival)) -> Pos {
        let (arrivals, committed) = {
            let mut arrivals = self.doors[to.index()].lock();
            (std::mem::take(&mut arrivals.queue), arrivals.committed)
        };
        for mut arrival in arrivals {
            take(&mut arrival);
            match arrival {
                Arrival::Crossed(from, batch) => self.way(from, to).give_back(batch),
                Arrival::Committed(feed) => {
                    self.uncrowd(to, feed.bytes);
                    self.keep_memory(to, feed);
                }
                Arrival::Mail(from, _, bytes) => {
                    self.way(from, to).bytes.fetch_sub(bytes, Ordering::SeqCst);
                }
                Arrival::Settled(_) | Arrival::Looked(..) => {}
            }
        }
        for from in self.workers() {
            if self.way(from, to).starved.swap(false, Ordering::SeqCst) {
                self.knock(from);
            }
        }
        committed
    }

    /// Keeps the memory of what the log has shown, if this worker is the last that looked at it, for its own batches.
    fn keep_memory(&self, worker: WorkerId, feed: Arc<Feed>) {
        let Some(mut feed) = Arc::into_inner(feed) else { return };
        let Some(batches) = Arc::get_mut(&mut feed.batches) else { return };
        let mut spares = self.way(worker, worker).lock();
        for batch in batches {
            let memory = std::mem::take(&mut batch.batch).into_bytes();
            let kept: usize = spares.iter().map(Vec::capacity).sum();
            let fits = kept + memory.capacity() <= APPENDED_SPARES_BYTES_MAX;
            if memory.capacity() > 0 && memory.capacity() <= APPENDED_BYTES_MAX && fits {
                spares.push(memory);
            }
        }
    }

    fn uncrowd(&self, worker: WorkerId, bytes: usize) {
        let mut arrivals = self.doors[worker.index()].lock();
        let before = arrivals.committed_bytes;
        arrivals.committed_bytes -= bytes;
        let was_crowded = before >= self.bytes_max && arrivals.committed_bytes < self.bytes_max;
        let was_last = was_crowded && self.crowded.fetch_sub(1, Ordering::SeqCst) == 1;
        drop(arrivals);
        if was_last {
            self.workers().for_each(|worker| self.knock(worker));
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

    fn workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.workers).filter_map(WorkerId::new)
    }

    fn way(&self, from: WorkerId, to: WorkerId) -> &Way {
        &self.ways[from.index() * self.workers + to.index()]
    }
}

impl Way {
    fn give_back(&self, batch: Vec<u8>) {
        self.bytes.fetch_sub(batch.len(), Ordering::SeqCst);
        let mut spares = self.lock();
        if spares.len() < SPARES_MAX && batch.capacity() <= SPARE_BYTES_MAX {
            spares.push(batch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use engine::{Batch, BatchId, CommittedBatch};

    use super::*;

    fn worker(index: usize) -> WorkerId {
        WorkerId::new(index).expect("a worker")
    }

    fn drained(crossing: &Crossing, to: usize) -> Vec<Vec<u8>> {
        let mut batches = Vec::new();
        crossing.drain(worker(to), |arrival| match arrival {
            Arrival::Crossed(_, batch) => batches.push(batch.clone()),
            Arrival::Committed(_) | Arrival::Settled(_) | Arrival::Looked(..) | Arrival::Mail(..) => {
                panic!("no messages of a worker")
            }
        });
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

    /// The log shows while the worker takes in: at no moment does a door count that is not crowded, or not count that
    /// is. A count that went below none would be crowded for ever.
    #[test]
    fn the_crowded_are_counted_right_at_every_moment() {
        let crossing = Crossing::new(1, 100);
        let feed =
            Arc::new(Feed { batches: Vec::new().into(), marks: Box::default(), bytes: 60, next: Pos::START });
        let check = || {
            let arrivals = crossing.doors[0].lock();
            assert_eq!(crossing.is_crowded(), arrivals.committed_bytes >= 100, "{arrivals:?}");
        };
        std::thread::scope(|scope| {
            let showing = scope.spawn(|| {
                for _ in 0..20_000 {
                    crossing.show(&feed, || 1);
                    check();
                }
            });
            while !showing.is_finished() {
                crossing.drain(worker(0), |_| check());
            }
        });
        crossing.drain(worker(0), |_| check());
        assert!(!crossing.is_crowded());
    }

    #[test]
    fn memory_of_the_log_s_batches_goes_to_the_last_worker_that_looked_at_them() {
        let crossing = Crossing::new(2, 1_000);
        let batch = |bytes| CommittedBatch {
            record: 1,
            id: BatchId([0; 16]),
            origin: 0,
            batch: Batch::with_memory(Vec::with_capacity(bytes)),
        };
        let batches = vec![batch(64), batch(2 * APPENDED_BYTES_MAX)].into();
        let feed = Feed { batches, marks: Box::default(), bytes: 0, next: Pos::START };
        crossing.show(&Arc::new(feed), || 0b11);
        let spare = |at| crossing.spare(worker(at), worker(at)).capacity();
        crossing.drain(worker(0), |_| {});
        assert_eq!((spare(0), spare(1)), (0, 0), "the other one has yet to look");
        crossing.drain(worker(1), |_| {});
        assert_eq!((spare(0), spare(1), spare(1)), (0, 64, 0), "but for what is too large");
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
