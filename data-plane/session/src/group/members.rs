//! The connected members of a group: who has room, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

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
}

/// Members by name. They take turns in the order of their names.
#[derive(Debug)]
pub(super) struct Members<M> {
    members: BTreeMap<M, Member>,
    /// Those that have credit.
    ready: BTreeSet<M>,
    /// The sum of what they have.
    credit: usize,
    /// Whose turn was last.
    last: Option<M>,
}

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), ready: BTreeSet::new(), credit: 0, last: None }
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
        let ready = self.members.iter().filter(|(_, member)| member.credit() > 0);
        self.ready = ready.map(|(&name, _)| name).collect();
        self.credit = self.members.values().map(|member| member.credit()).sum();
    }

    pub(super) fn contains(&self, name: M) -> bool {
        self.members.contains_key(&name)
    }

    /// The next one that has credit.
    pub(super) fn next(&mut self) -> Option<M> {
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.ready.range((behind, Bound::Unbounded)).next().or_else(|| self.ready.first());
        let next = *next?;
        self.last = Some(next);
        Some(next)
    }

    pub(super) const fn credit(&self) -> usize {
        self.credit
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
        let before = member.credit();
        change(member);
        let after = member.credit();
        self.credit = self.credit + after - before;
        if after > 0 {
            self.ready.insert(name);
        } else {
            self.ready.remove(&name);
        }
    }
}
