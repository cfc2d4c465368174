//! Nonces that were used: what keeps a call from being made twice. Bounded in number; when it is full, calls are refused
//! rather than nonces forgotten while they could still be used. In memory only: calls signed before the process began
//! are refused elsewhere.

use std::collections::{HashSet, VecDeque};

use contract::node_call::CLOCK_SKEW_SECS_MAX;

/// The most nonces that are remembered: more than a hundred calls a second, for as long as a nonce can be used.
const NONCES_MAX: usize = 65_536;
/// How long a nonce can be used: a call may be signed that far ahead of us and come again until it is that far behind.
const REMEMBERED_SECS: u64 = 2 * CLOCK_SKEW_SECS_MAX + 1;

/// The nonces of proven calls.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    known: HashSet<Box<str>>,
    /// The same in the order of their coming, with the time.
    by_time: VecDeque<(u64, Box<str>)>,
}

impl Nonces {
    /// Whether this nonce is new; from now on it is not.
    pub(super) fn take(&mut self, nonce: &str, now_secs: u64) -> bool {
        while let Some((at, _)) = self.by_time.front() {
            if now_secs < at.saturating_add(REMEMBERED_SECS) {
                break;
            }
            if let Some((_, nonce)) = self.by_time.pop_front() {
                self.known.remove(&nonce);
            }
        }
        if self.known.len() >= NONCES_MAX || self.known.contains(nonce) {
            return false;
        }
        self.known.insert(nonce.into());
        self.by_time.push_back((now_secs, nonce.into()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_as_long_as_it_could_be_used() {
        let mut nonces = Nonces::default();
        assert!(nonces.take("a", 1_000));
        assert!(!nonces.take("a", 1_000));
        assert!(!nonces.take("a", 1_000 + 2 * CLOCK_SKEW_SECS_MAX));
        assert!(nonces.take("a", 1_000 + REMEMBERED_SECS), "its call is too old by now");
        assert_eq!((nonces.known.len(), nonces.by_time.len()), (1, 1));
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let mut nonces = Nonces::default();
        for number in 0..NONCES_MAX {
            assert!(nonces.take(&number.to_string(), 1_000));
        }
        assert!(!nonces.take("another", 1_000));
        assert!(!nonces.take("0", 1_000));
        assert!(nonces.take("another", 1_000 + REMEMBERED_SECS));
    }
}
