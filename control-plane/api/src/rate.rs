//! How often a caller may ask. Every answer says how much is left (`RateLimit`), a refusal when to come again.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use contract::ids::{MemberId, NodeId};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::problem::{Problem, ProblemCode};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Who is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RateKey {
    /// Somebody who has not proven who they are, by address; a /64 of IPv6 is one.
    Address(IpAddr),
    /// A person.
    Member(MemberId),
    /// A node.
    Node(NodeId),
}

impl RateKey {
    /// The key of an address.
    #[must_use]
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// How much one caller may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateOptions {
    /// Requests per second in the long run.
    pub requests_per_sec: NonZeroU32,
    /// Requests at once; at least the most elements of a batch, since each costs one.
    pub burst: NonZeroU32,
}

type Limiter =
    RateLimiter<RateKey, DefaultKeyedStateStore<RateKey>, DefaultClock, StateInformationMiddleware>;

/// The counters of all callers.
pub(crate) struct Rates {
    limiter: Limiter,
    clock: DefaultClock,
    options: RateOptions,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Rates {
    /// Nobody has asked yet.
    #[must_use]
    pub(crate) fn new(options: RateOptions) -> Self {
        let quota = Quota::per_second(options.requests_per_sec).allow_burst(options.burst);
        let limiter = RateLimiter::dashmap(quota).with_middleware();
        Self { limiter, clock: DefaultClock::default(), options }
    }

    /// Takes `cost` from what `key` may still ask; answers what is left.
    pub(crate) fn take(&self, key: RateKey, cost: NonZeroU32) -> Result<u32, Problem> {
        match self.limiter.check_key_n(&key, cost) {
            Ok(Ok(state)) => Ok(state.remaining_burst_capacity()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(Problem::new(ProblemCode::RateLimited, "the caller has used up what it may ask for now")
                    .with_retry_after_secs(secs.max(1)))
            }
            Err(_) => Err(Problem::new(
                ProblemCode::RateLimited,
                format!("`{cost}` at once is more than the `{}` that are ever allowed", self.options.burst),
            )
            .with_retry_after_secs(1)),
        }
    }

    /// Forgets callers whose counters are full again. To be called now and then.
    pub(crate) fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Callers that are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.limiter.len()
    }

    /// Writes what is left into the headers of an answer.
    pub(crate) fn write(&self, left: u32, headers: &mut HeaderMap) {
        let RateOptions { requests_per_sec, burst } = self.options;
        let window = burst.get().div_ceil(requests_per_sec.get());
        let refill = burst.get().saturating_sub(left).div_ceil(requests_per_sec.get());
        headers.insert(RATE_LIMIT_POLICY.clone(), ascii(format!("\"key\";q={burst};w={window}")));
        headers.insert(RATE_LIMIT.clone(), ascii(format!("\"key\";r={left};t={refill}")));
    }
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("letters and digits are a header value")
}

/// One request's account: a handler whose request costs more than one takes the rest from it.
#[derive(Clone, Debug)]
pub(crate) struct RateTicket {
    rates: Arc<Rates>,
    key: RateKey,
    left: Arc<AtomicU32>,
}

impl RateTicket {
    /// Takes one for the request itself.
    pub(crate) fn take(rates: &Arc<Rates>, key: RateKey) -> Result<Self, Problem> {
        let left = rates.take(key, NonZeroU32::MIN)?;
        Ok(Self { rates: Arc::clone(rates), key, left: Arc::new(AtomicU32::new(left)) })
    }

    /// Takes what a batch of `elements` costs beyond the one that is taken.
    pub(crate) fn take_batch(&self, elements: usize) -> Result<(), Problem> {
        let more = u32::try_from(elements.saturating_sub(1)).unwrap_or(u32::MAX);
        if let Some(more) = NonZeroU32::new(more) {
            self.left.store(self.rates.take(self.key, more)?, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes what is left into the headers of the answer.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.rates.write(self.left.load(Ordering::Relaxed), headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests_per_sec: u32, burst: u32) -> Arc<Rates> {
        let nonzero = |n| NonZeroU32::new(n).expect("not zero");
        Arc::new(Rates::new(RateOptions {
            requests_per_sec: nonzero(requests_per_sec),
            burst: nonzero(burst),
        }))
    }

    fn address(text: &str) -> RateKey {
        RateKey::of_address(text.parse().expect("an address"))
    }

    #[test]
    fn a_caller_may_ask_a_burst_and_is_then_told_to_wait() {
        let rates = rates(1, 3);
        let left: Vec<u32> = (0..3)
            .map(|_| rates.take(address("192.0.2.1"), NonZeroU32::MIN).expect("within the burst"))
            .collect();
        assert_eq!(left, [2, 1, 0]);
        let problem = rates.take(address("192.0.2.1"), NonZeroU32::MIN).expect_err("used up");
        assert_eq!((problem.code(), problem.retry_after_secs()), (ProblemCode::RateLimited, Some(1)));
        assert!(rates.take(address("192.0.2.2"), NonZeroU32::MIN).is_ok(), "another caller has its own");
    }

    #[test]
    fn a_batch_costs_its_elements() {
        let rates = rates(1, 10);
        let ticket = RateTicket::take(&rates, address("192.0.2.1")).expect("the first");
        ticket.take_batch(1).expect("one element is the request itself");
        ticket.take_batch(6).expect("five more");
        let mut headers = HeaderMap::new();
        ticket.write(&mut headers);
        assert_eq!(headers["ratelimit"], "\"key\";r=4;t=6");
        assert_eq!(headers["ratelimit-policy"], "\"key\";q=10;w=10");
        assert_eq!(ticket.take_batch(6).expect_err("used up").code(), ProblemCode::RateLimited);
        assert_eq!(ticket.take_batch(500).expect_err("never").code(), ProblemCode::RateLimited);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn idle_callers_are_forgotten() {
        let rates = rates(1_000_000, 1);
        for last in 0..50 {
            rates.take(address(&format!("192.0.2.{last}")), NonZeroU32::MIN).expect("the first");
        }
        assert!(rates.remembered() > 0);
        // A counter is full again after a microsecond, so this ends as soon as the clock has moved.
        while rates.remembered() > 0 {
            rates.forget_idle();
        }
    }
}
