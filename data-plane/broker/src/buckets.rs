//! Token buckets on the round's clock: how fast a client and its instance may send and receive.
//!
//! They are paid afterwards: what has been read is always accepted, and a bucket that fell below nothing says how
//! long reading must rest. So a rate never loses a message that was acknowledged, and a packet larger than a second's
//! worth of bytes still passes. No lock and no float: a level counts millionths of a token, so that the tokens of one
//! microsecond are the rate itself.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use crate::instances::Instance;

/// Microseconds on the clock of the process; what rounds are counted in.
pub(crate) type Micros = u64;

/// Millionths in a token, and microseconds in a second.
const MILLION: i64 = 1_000_000;

/// What passes in one second, and at most at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rates {
    pub(crate) messages: i64,
    pub(crate) bytes: i64,
}

impl Rates {
    /// The rates of one direction, as a plan gives them. The limits' own bounds keep a second's worth of millionths
    /// within 64 bits.
    pub(crate) fn new(messages_per_sec: u64, bytes_per_sec: u64) -> Self {
        let rate = |value: u64| i64::try_from(value).unwrap_or(i64::MAX).clamp(1, i64::MAX / MILLION / 2);
        Self { messages: rate(messages_per_sec), bytes: rate(bytes_per_sec) }
    }
}

/// The messages and bytes of one direction.
#[derive(Debug)]
pub(crate) struct Bucket {
    filled_at: Cell<Micros>,
    messages: Cell<i64>,
    bytes: Cell<i64>,
}

impl Bucket {
    /// A bucket that holds a second's worth.
    pub(crate) fn full(now: Micros, rates: &Rates) -> Self {
        Self {
            filled_at: Cell::new(now),
            messages: Cell::new(rates.messages * MILLION),
            bytes: Cell::new(rates.bytes * MILLION),
        }
    }

    /// Takes what has passed; the answer is whether something is left.
    #[inline]
    pub(crate) fn take(&self, now: Micros, rates: &Rates, messages: usize, bytes: usize) -> bool {
        self.fill(now, rates);
        let messages = self.messages.get() - millionths(messages);
        let bytes = self.bytes.get() - millionths(bytes);
        self.messages.set(messages);
        self.bytes.set(bytes);
        messages > 0 && bytes > 0
    }

    /// Takes back a payment for what is to be paid for later.
    pub(crate) fn give_back(&self, messages: usize, bytes: usize) {
        self.messages.set(self.messages.get() + millionths(messages));
        self.bytes.set(self.bytes.get() + millionths(bytes));
    }

    /// Whether something is left.
    #[inline]
    pub(crate) fn has_some(&self, now: Micros, rates: &Rates) -> bool {
        self.fill(now, rates);
        self.messages.get() > 0 && self.bytes.get() > 0
    }

    /// How long until something is left again, if nothing passes; 0: it is now.
    pub(crate) fn wait(&self, now: Micros, rates: &Rates) -> Micros {
        self.fill(now, rates);
        let of = |level: i64, rate: i64| if level > 0 { 0 } else { -level / rate + 1 };
        let longest = of(self.messages.get(), rates.messages).max(of(self.bytes.get(), rates.bytes));
        longest.unsigned_abs()
    }

    #[inline]
    fn fill(&self, now: Micros, rates: &Rates) {
        if now > self.filled_at.get() {
            self.fill_after(now, rates);
        }
    }

    fn fill_after(&self, now: Micros, rates: &Rates) {
        let passed = i64::try_from(now - self.filled_at.replace(now)).unwrap_or(i64::MAX);
        let level = |level: i64, rate: i64| {
            level.saturating_add(rate.saturating_mul(passed)).min(rate.saturating_mul(MILLION))
        };
        self.messages.set(level(self.messages.get(), rates.messages));
        self.bytes.set(level(self.bytes.get(), rates.bytes));
    }
}

/// How long a worker keeps what it has taken of the shared bucket of an instance that is spread over several.
const LEASE: Micros = 10_000;

/// What of an instance's rate no worker has taken: for instances that are spread over several.
#[derive(Debug, Default)]
pub(crate) struct SharedBucket(Mutex<Option<Levels>>);

#[derive(Clone, Copy, Debug)]
struct Levels {
    filled_at: Micros,
    messages: i64,
    bytes: i64,
}

impl SharedBucket {
    /// Takes back what a worker has left or owes, and gives it what may pass in the time of one lease, as far as it is
    /// there. What is owed is then owed here, and every worker waits for it.
    fn exchange(&self, now: Micros, rates: &Rates, bucket: &Bucket) -> Micros {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = Bucket::full(now, rates);
        if let Some(levels) = *shared {
            pool.filled_at.set(levels.filled_at);
            pool.messages.set(levels.messages.saturating_add(bucket.messages.get()));
            pool.bytes.set(levels.bytes.saturating_add(bucket.bytes.get()));
            pool.fill(now, rates);
        }
        let wait = pool.wait(now, rates);
        let lease = i64::try_from(LEASE).unwrap_or(i64::MAX);
        let part = |pool: &Cell<i64>, rate: i64| {
            let part = if wait > 0 { 0 } else { pool.get().min((rate * lease).max(MILLION)) };
            pool.set(pool.get() - part);
            part
        };
        bucket.messages.set(part(&pool.messages, rates.messages));
        bucket.bytes.set(part(&pool.bytes, rates.bytes));
        *shared = Some(Levels { filled_at: now, messages: pool.messages.get(), bytes: pool.bytes.get() });
        wait
    }
}

/// The bucket of an instance as one worker sees it: its own, or a lease of the shared one.
#[derive(Debug)]
pub(crate) struct InstanceBucket {
    bucket: Bucket,
    /// Where a lease comes from; none for an instance that lives whole on this worker.
    lessor: Option<Lessor>,
    until: Cell<Micros>,
}

/// An instance and which of its two directions.
#[derive(Clone)]
pub(crate) struct Lessor {
    pub(crate) instance: Arc<Instance>,
    pub(crate) shared: fn(&Instance) -> &SharedBucket,
}

impl std::fmt::Debug for Lessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lessor").field("instance", &self.instance.id).finish_non_exhaustive()
    }
}

impl InstanceBucket {
    pub(crate) fn new(now: Micros, rates: &Rates, lessor: Option<Lessor>) -> Self {
        let bucket = Bucket::full(now, rates);
        if lessor.is_some() {
            bucket.messages.set(0);
            bucket.bytes.set(0);
        }
        Self { bucket, lessor, until: Cell::new(0) }
    }

    /// Takes what has passed; the answer is whether something is left.
    #[inline]
    pub(crate) fn take(&self, now: Micros, rates: &Rates, messages: usize, bytes: usize) -> bool {
        if self.lessor.is_none() {
            return self.bucket.take(now, rates, messages, bytes);
        }
        self.bucket.messages.set(self.bucket.messages.get() - millionths(messages));
        self.bucket.bytes.set(self.bucket.bytes.get() - millionths(bytes));
        self.wait(now, rates) == 0
    }

    /// How long until something is left again; 0: it is now.
    #[inline]
    pub(crate) fn wait(&self, now: Micros, rates: &Rates) -> Micros {
        let Some(lessor) = &self.lessor else { return self.bucket.wait(now, rates) };
        let some = self.bucket.messages.get() > 0 && self.bucket.bytes.get() > 0;
        if some && now < self.until.get() {
            return 0;
        }
        self.until.set(now + LEASE);
        (lessor.shared)(&lessor.instance).exchange(now, rates, &self.bucket)
    }

    /// How many more messages may pass now, roughly.
    pub(crate) fn messages(&self, now: Micros, rates: &Rates) -> usize {
        if self.wait(now, rates) > 0 {
            return 0;
        }
        usize::try_from(self.bucket.messages.get() / MILLION).unwrap_or(0).max(1)
    }
}

#[inline]
fn millionths(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / MILLION / 4) * MILLION
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn a_second_passes_at_once_and_then_the_rate() {
        let rates = Rates::new(10, 1_000_000);
        let bucket = Bucket::full(0, &rates);
        let passed = (0..100).take_while(|_| bucket.take(0, &rates, 1, 1)).count();
        assert_eq!(passed, 9, "the tenth empties it");
        assert_eq!(bucket.wait(0, &rates), 1);
        assert!(bucket.has_some(1, &rates));
        assert!(!bucket.take(1, &rates, 1, 1));
        assert_eq!(bucket.wait(1, &rates), SECOND / 10);
    }

    #[test]
    fn a_packet_larger_than_a_second_passes_and_is_paid_for() {
        let rates = Rates::new(1_000, 1_000);
        let bucket = Bucket::full(0, &rates);
        assert!(!bucket.take(0, &rates, 1, 5_000));
        assert_eq!(bucket.wait(0, &rates), 4 * SECOND + 1);
        assert_eq!(bucket.wait(3 * SECOND, &rates), SECOND + 1);
        assert!(bucket.has_some(4 * SECOND + 1, &rates));
    }

    #[test]
    fn it_never_holds_more_than_a_second() {
        let rates = Rates::new(5, 100);
        let bucket = Bucket::full(0, &rates);
        assert!(bucket.has_some(3_600 * SECOND, &rates));
        let passed = (0..100).take_while(|_| bucket.take(3_600 * SECOND, &rates, 1, 1)).count();
        assert_eq!(passed, 4);
    }

    #[test]
    fn the_largest_rates_do_not_overflow() {
        let rates = Rates::new(u64::MAX, 1_000_000_000_000);
        let bucket = Bucket::full(0, &rates);
        assert!(bucket.take(u64::MAX / 2, &rates, 1, 268_435_460));
        assert!(bucket.has_some(u64::MAX, &rates));
    }

    #[test]
    fn a_changed_rate_counts_from_now() {
        let (slow, fast) = (Rates::new(1, 1_000), Rates::new(100, 1_000));
        let bucket = Bucket::full(0, &slow);
        assert!(!bucket.take(0, &slow, 11, 1));
        assert_eq!(bucket.wait(0, &slow), 10 * SECOND + 1);
        assert_eq!(bucket.wait(0, &fast), SECOND / 10 + 1);
    }
}
