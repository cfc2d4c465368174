//! Values by their positions in the log. Positions come and go mostly in the order of the log, so this is a queue: what
//! goes on at the end and goes away at the front costs next to nothing, and the rest is searched.

use std::collections::VecDeque;
use std::collections::vec_deque;

use engine::Pos;

/// So many are held without asking for memory again, when it was empty.
const KEPT: usize = 16;

/// At most one value at each position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ascending<T>(VecDeque<(Pos, T)>);

impl<T> Default for Ascending<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Copy> Ascending<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first position.
    pub(crate) fn first(&self) -> Option<Pos> {
        self.0.front().map(|(pos, _)| *pos)
    }

    #[inline]
    pub(crate) fn get(&self, pos: Pos) -> Option<T> {
        if self.0.back().is_none_or(|(last, _)| *last < pos) {
            return None;
        }
        self.find(pos).ok().map(|at| self.0[at].1)
    }

    pub(crate) fn insert(&mut self, pos: Pos, value: T) {
        if self.0.back().is_none_or(|(last, _)| *last < pos) {
            return self.0.push_back((pos, value));
        }
        match self.find(pos) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (pos, value)),
        }
    }

    pub(crate) fn remove(&mut self, pos: Pos) {
        if self.first() == Some(pos) {
            self.0.pop_front();
        } else if let Ok(at) = self.find(pos) {
            self.0.remove(at);
        }
        self.give_back();
    }

    /// Removes what stands before `pos`.
    pub(crate) fn forget_before(&mut self, pos: Pos) {
        while self.0.pop_front_if(|(first, _)| *first < pos).is_some() {}
        self.give_back();
    }

    /// All, in the order of the log.
    pub(crate) fn iter(&self) -> vec_deque::Iter<'_, (Pos, T)> {
        self.0.iter()
    }

    /// Those from `from` to before `to`, in the order of the log.
    pub(crate) fn between(&self, from: Pos, to: Pos) -> vec_deque::Iter<'_, (Pos, T)> {
        let end = self.0.partition_point(|(pos, _)| *pos < to);
        let begin = self.0.partition_point(|(pos, _)| *pos < from).min(end);
        self.0.range(begin..end)
    }

    fn find(&self, pos: Pos) -> Result<usize, usize> {
        self.0.binary_search_by_key(&pos, |(pos, _)| *pos)
    }

    /// A session that is idle is small.
    fn give_back(&mut self) {
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_the_log(steps in prop::collection::vec((0..5_u8, 0..40_u64, 0..40_u64), 0..200)) {
            let (mut map, mut queue) = (BTreeMap::new(), Ascending::default());
            for (number, (step, a, b)) in steps.into_iter().enumerate() {
                let (pos, other) = (Pos::of_record(a), Pos::of_record(b));
                match step {
                    0..=2 => {
                        map.insert(pos, number);
                        queue.insert(pos, number);
                    }
                    3 => {
                        map.remove(&pos);
                        queue.remove(pos);
                    }
                    _ if a < 10 => {
                        map.retain(|it, _| *it >= pos);
                        queue.forget_before(pos);
                    }
                    _ => {}
                }
                prop_assert!(map.iter().map(|(pos, value)| (*pos, *value)).eq(queue.iter().copied()));
                prop_assert_eq!((map.len(), map.keys().next().copied()), (queue.len(), queue.first()));
                prop_assert_eq!(map.get(&other).copied(), queue.get(other));
                let between: Vec<_> = queue.between(pos, other).map(|(pos, _)| *pos).collect();
                let expected: Vec<_> = map.keys().copied().filter(|it| (pos..other).contains(it)).collect();
                prop_assert_eq!(between, expected);
            }
        }
    }
}
