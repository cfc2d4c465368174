//! The connected members of a group: who has room, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use contract::shared_group::SharedStrategy;

#[derive(Clone, Copy, Debug)]
struct Member {
    window: u16,
    /// Messages that it has, as far as the group knows.
    in_flight: u16,
    /// It said that it has no room.
    is_full: bool,
}

impl Member {
    fn credit(self) -> usize {
        if self.is_full { 0 } else { usize::from(self.window.saturating_sub(self.in_flight)) }
    }

    /// Whether half of its window is free.
    fn is_roomy(self) -> bool {
        self.credit() >= usize::from(self.window.div_ceil(2))
    }

    const fn rank(self, strategy: SharedStrategy) -> u16 {
        match strategy {
            SharedStrategy::RoundRobin | SharedStrategy::Sticky => 0,
            SharedStrategy::LeastInFlight => self.in_flight,
        }
    }
}

/// Members by name. They take turns in the order of their names.
#[derive(Debug)]
pub(super) struct Members<M> {
    members: BTreeMap<M, Member>,
    strategy: SharedStrategy,
    /// Those that have credit, each behind what counts against it: what it has in flight, where that decides; else 0.
    ready: BTreeSet<(u16, M)>,
    /// The sum of what they have.
    credit: usize,
    /// Those of whose window half is free.
    roomy: usize,
    /// Whose turn was last.
    last: Option<M>,
}

impl<M> Default for Members<M> {
    fn default() -> Self {
        let strategy = SharedStrategy::default();
        Self { members: BTreeMap::new(), strategy, ready: BTreeSet::new(), credit: 0, roomy: 0, last: None }
    }
}

impl<M: Copy + Ord> Members<M> {
    /// Those that stay keep what is known of them. A window is 1 at least.
    pub(super) fn set(&mut self, members: impl IntoIterator<Item = (M, u16)>) {
        let before = std::mem::take(&mut self.members);
        for (name, window) in members {
            let window = window.max(1);
            let new = Member { window, in_flight: 0, is_full: false };
            let member = before.get(&name).map_or(new, |known| Member { window, ..*known });
            self.members.insert(name, member);
        }
        self.credit = self.members.values().map(|member| member.credit()).sum();
        self.roomy = self.members.values().filter(|member| member.is_roomy()).count();
        self.rank_all();
    }

    pub(super) fn set_strategy(&mut self, strategy: SharedStrategy) {
        if self.strategy != strategy {
            self.strategy = strategy;
            self.rank_all();
        }
    }

    fn rank_all(&mut self) {
        let ready = self.members.iter().filter(|(_, member)| member.credit() > 0);
        let strategy = self.strategy;
        self.ready = ready.map(|(&name, member)| (member.rank(strategy), name)).collect();
    }

    pub(super) fn contains(&self, name: M) -> bool {
        self.members.contains_key(&name)
    }

    /// The next one that has credit.
    pub(super) fn next(&mut self) -> Option<M> {
        let &(least, first) = self.ready.first()?;
        let next = match self.last {
            Some(last) if self.strategy == SharedStrategy::Sticky && self.ready.contains(&(least, last)) => {
                last
            }
            Some(last) => {
                let mut behind = self.ready.range((Bound::Excluded((least, last)), Bound::Unbounded));
                behind.next().filter(|(rank, _)| *rank == least).map_or(first, |&(_, next)| next)
            }
            None => first,
        };
        self.last = Some(next);
        Some(next)
    }

    pub(super) const fn credit(&self) -> usize {
        self.credit
    }

    /// Whether half of somebody's window is free.
    pub(super) const fn is_roomy(&self) -> bool {
        self.roomy > 0
    }

    /// One more message is at a member.
    pub(super) fn charge(&mut self, name: M) {
        self.change(name, |member| member.in_flight = member.in_flight.saturating_add(1));
    }

    /// One fewer is.
    pub(super) fn free(&mut self, name: M) {
        self.change(name, |member| member.in_flight = member.in_flight.saturating_sub(1));
    }

    pub(super) fn set_full(&mut self, name: M, is_full: bool) {
        self.change(name, |member| member.is_full = is_full);
    }

    /// One that is no member is passed over.
    fn change(&mut self, name: M, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get_mut(&name) else { return };
        let (before, was, was_roomy) = (member.credit(), member.rank(self.strategy), member.is_roomy());
        change(member);
        let (after, is) = (member.credit(), member.rank(self.strategy));
        self.credit = self.credit + after - before;
        self.roomy = self.roomy + usize::from(member.is_roomy()) - usize::from(was_roomy);
        if before > 0 && (after == 0 || was != is) {
            self.ready.remove(&(was, name));
        }
        if after > 0 && (before == 0 || was != is) {
            self.ready.insert((is, name));
        }
    }
}
