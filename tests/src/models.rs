//! The rules of acknowledgement and recovery as models that are small enough to be walked whole, or drawn from seeds.
//! Nothing in here is the product's code: it shows that the rules suffice, and that each of them is needed.

pub mod cursors;
pub mod exactly_once_in;
pub mod exactly_once_out;

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// States after which a walk is given up: far more than any of these models has.
const STATES_MAX: usize = 1_000_000;

/// What a walk over everything that can happen has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// In no state anything is wrong.
    Holds {
        /// States that were looked at.
        states: usize,
    },
    /// A message that had to come once came twice.
    Doubled,
    /// A message that had to come did not, and never will.
    Lost,
}

impl Verdict {
    /// Whether nothing is wrong anywhere.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Holds { .. })
    }
}

/// One state of a model.
pub trait Model: Clone + Eq + Hash {
    /// What is wrong in it, if anything is.
    fn wrong(&self) -> Option<Verdict>;

    /// Every state that one step leads to.
    fn next(&self, into: &mut Vec<Self>);
}

/// Walks every state that can be reached from `start`, the near ones first.
///
/// # Panics
/// When there are more states than a model in here has.
pub fn walk<M: Model>(start: M) -> Verdict {
    let mut seen = HashSet::from([start.clone()]);
    let mut waiting = VecDeque::from([start]);
    let mut next = Vec::new();
    while let Some(state) = waiting.pop_front() {
        if let Some(wrong) = state.wrong() {
            return wrong;
        }
        state.next(&mut next);
        for state in next.drain(..) {
            if seen.insert(state.clone()) {
                waiting.push_back(state);
            }
        }
        assert!(seen.len() <= STATES_MAX, "the model is larger than it should be");
    }
    Verdict::Holds { states: seen.len() }
}
