//! One shared subscription at its home: which messages of the log its members have, which are to be handed out again,
//! and whose turn it is. Which clients the members are, and how a message gets to them, is not known here.
//!
//! Everything before [`read_to`](Group::read_to) was handed out or is for nobody. Of that, only what is *open* is
//! remembered: *pending* at a member, or *returned*, because a member has gone or had no room. So it costs a group
//! nothing how much was finished behind a message that is slow, and a slow member stalls nobody
//! as long as fewer than [`GROUP_OPEN_MAX`] are open.
//!
//! A returned message is found in the log again, in a page of its own kind, before anything new is handed out in pages.

mod document;
mod members;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use contract::shared_group::SharedStrategy;
use engine::Pos;

use crate::reading::Reading;
use crate::time::Millis;
pub use document::GROUP_PREFIX;
use members::Members;
pub use pages::GroupPage;

/// Messages that may be open at one time: beyond, nothing new is handed out. It bounds memory and document.
pub const GROUP_OPEN_MAX: usize = 16_384;

/// After so many acknowledgements progress is to be written.
const CHECKPOINT_ACKNOWLEDGEMENTS: u32 = 500;

/// After so long, if there were fewer.
const CHECKPOINT_MILLIS: u32 = 10_000;

/// A cursor that only has moved is written after so long.
const IDLE_CHECKPOINT_MILLIS: u32 = 600_000;

/// One shared subscription at its home. `M` names a member by its connection.
#[derive(Debug)]
pub struct Group<M> {
    /// Where it is in the log, but for what was returned.
    reading: Reading,
    /// Asked for: where returned messages stand.
    again: Option<Range<Pos>>,
    pending: BTreeMap<Pos, M>,
    returned: BTreeSet<Pos>,
    members: Members<M>,
    /// Acknowledgements that no document knows of.
    acknowledged: u32,
    /// The cursor that was last written, and when that was.
    recorded: Pos,
    recorded_at: Millis,
}

impl<M: Copy + Ord> Group<M> {
    /// A new group, or one without a document: it wants nothing from before `cursor`, which is the smallest `since` of
    /// its members' subscriptions. It begins behind.
    #[must_use]
    pub fn new(cursor: Pos, now: Millis) -> Self {
        Self {
            reading: Reading::behind(cursor),
            again: None,
            pending: BTreeMap::new(),
            returned: BTreeSet::new(),
            members: Members::default(),
            acknowledged: 0,
            recorded: cursor,
            recorded_at: now,
        }
    }

    /// Everything before it is finished.
    #[must_use]
    pub fn cursor(&self) -> Pos {
        let pending = self.pending.first_key_value().map(|(&pos, _)| pos);
        let returned = self.returned.first().copied();
        let open = pending.into_iter().chain(returned).min();
        open.map_or(self.read_to(), |open| open.min(self.read_to()))
    }

    /// Nothing from here on was handed out: what waits is what the group wants from here on, and what was
    /// [returned](Self::returned).
    #[must_use]
    pub const fn read_to(&self) -> Pos {
        self.reading.next()
    }

    /// Messages at members.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Messages before [`read_to`](Self::read_to) that wait to be handed out once more.
    #[must_use]
    pub fn returned(&self) -> usize {
        self.returned.len()
    }

    /// The oldest of them.
    #[must_use]
    pub fn first_returned(&self) -> Option<Pos> {
        self.returned.first().copied()
    }
}

// --- members ---
impl<M: Copy + Ord> Group<M> {
    /// Who the connected members are, each with how many messages it may have at a time; one that was a member before
    /// keeps its credit. What those that have gone had is returned.
    pub fn set_members(&mut self, members: impl IntoIterator<Item = (M, u16)>) {
        self.members.set(members);
        let of_gone: Vec<Pos> =
            self.pending.iter().filter(|(_, by)| !self.members.contains(**by)).map(|(&pos, _)| pos).collect();
        for pos in of_gone {
            self.pending.remove(&pos);
            self.give_back(pos);
        }
    }

    /// How it is decided whose turn it is; to begin with they take turns.
    pub fn set_strategy(&mut self, strategy: SharedStrategy) {
        self.members.set_strategy(strategy);
    }

    /// Whose turn it is to get the message at `pos`; `None`: nobody has room, or too much is open. Then the message is
    /// [left](Self::leave) to the log.
    pub fn choose(&mut self, pos: Pos) -> Option<M> {
        if self.is_at_rest() && !self.returned.contains(&pos) { None } else { self.members.next() }
    }

    /// Whose turn it is to get a message that is in no log: it is not remembered. `None`: nobody has room.
    pub fn choose_unlogged(&mut self) -> Option<M> {
        self.members.next()
    }

    /// Messages that can be handed out at once.
    #[must_use]
    pub fn credit(&self) -> usize {
        let open_max = GROUP_OPEN_MAX.saturating_sub(self.open()).max(self.returned.len());
        self.members.credit().min(open_max)
    }

    /// Whether a page is worth asking for: half of some member's own window is free, however small that is and however
    /// little the others take, or everything that may be open would be used.
    #[must_use]
    pub fn is_worth_a_page(&self) -> bool {
        let open_max = GROUP_OPEN_MAX.saturating_sub(self.in_flight() + self.returned()).max(1);
        self.members.is_roomy() || self.members.credit() >= open_max
    }

    /// A member has no room for a message that was not [sent](Self::sent) to it; it will say when it has.
    pub fn set_full(&mut self, member: M) {
        self.members.set_full(member, true);
    }

    /// A member that had none has room again.
    pub fn has_room(&mut self, member: M) {
        self.members.set_full(member, false);
    }

    /// A member has acknowledged the message, or has had it at QoS 0. Also when it was given to another since, or waits
    /// to be: one acknowledgement is enough.
    pub fn done(&mut self, pos: Pos, _by: M) {
        let was_open = match self.pending.remove(&pos) {
            Some(holder) => {
                self.members.free(holder);
                true
            }
            None => self.returned.remove(&pos),
        };
        if was_open {
            self.acknowledged = self.acknowledged.saturating_add(1);
        }
    }

    /// A member has not taken the message, or has gone with it; `is_full`: it had no room, and will say when it has.
    pub fn back(&mut self, pos: Pos, by: M, is_full: bool) {
        if is_full {
            self.members.set_full(by, true);
        }
        if self.pending.get(&pos) == Some(&by) {
            self.pending.remove(&pos);
            self.members.free(by);
            self.give_back(pos);
        }
    }

    fn give_back(&mut self, pos: Pos) {
        self.returned.insert(pos);
        if !self.reading.is_behind() {
            self.reading.leave(self.reading.next());
        }
    }

    fn open(&self) -> usize {
        self.pending.len() + self.returned.len()
    }

    fn is_at_rest(&self) -> bool {
        self.open() >= GROUP_OPEN_MAX
    }
}
