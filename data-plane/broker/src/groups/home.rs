//! A group at its home: what the log brings for it goes to a member, and what no member has room for is found in the log
//! again. It is looked at when a round ends in which something of it has changed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::qos::Qos;
use engine::Pos;
use router::ClientKey;
use session::{Group, GroupPage, Message};

use super::mail::{Handed, Mail};
use super::member::Outcome;
use super::registry::{Member, MemberKey, SharedGroup};
use crate::instances::Instance;
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::queue::Queue;
use crate::schedule::Timer;
use crate::worker::Worker;

/// After how many milliseconds a message is read again that is too large for those who have room.
const TOO_LARGE_MILLIS: u64 = 50;

/// The members for which one message is too large, passed over for as long as it is handed out.
struct TooSmall<'a> {
    home: &'a Home,
    members: Vec<MemberKey>,
}

impl<'a> TooSmall<'a> {
    const fn of(home: &'a Home) -> Self {
        Self { home, members: Vec::new() }
    }

    /// Whether it is too large for this one, which is not chosen again for it.
    fn pass_by(&mut self, member: MemberKey, message: &Message<'_>) -> bool {
        if !self.home.is_limited.get() || self.home.fits(member, message) {
            return false;
        }
        self.home.core.borrow_mut().set_full(member);
        self.members.push(member);
        true
    }
}

impl Drop for TooSmall<'_> {
    fn drop(&mut self) {
        let mut core = self.home.core.borrow_mut();
        for member in &self.members {
            // They were chosen, and so have room.
            core.has_room(*member);
        }
    }
}

/// One group at its home.
pub(crate) struct Home {
    pub(crate) group: Arc<SharedGroup>,
    pub(crate) instance: Rc<LocalInstance>,
    pub(super) core: RefCell<Group<MemberKey>>,
    /// The connected members, as they were when `seen` was the group's version.
    members: RefCell<BTreeMap<MemberKey, Member>>,
    /// There are messages that are too large for some of them.
    is_limited: Cell<bool>,
    seen: Cell<Option<u64>>,
    /// The epoch of the rules that say whose turn it is, and how many messages each may have.
    epoch: Cell<Option<u64>>,
    /// A member has a lasting session: then how far the group has come is stored.
    pub(super) is_lasting: Cell<bool>,
    /// Members that were passed over since there was no room on the way to their workers.
    unreachable: RefCell<Vec<MemberKey>>,
    /// The page that is being looked up.
    pub(super) asked: RefCell<Option<GroupPage>>,
    /// What waits for it, and its bounds.
    pub(super) queue: Queue,
    /// Before this, in milliseconds on the clock of the node, no page is asked for: one could not be read.
    pub(super) rests_until: Cell<u64>,
    /// When its timer is set to, in milliseconds on the clock of the node; 0: it is not.
    pub(super) timer: Cell<u64>,
    /// It is looked at when the round ends.
    is_noted: Cell<bool>,
    /// It is in the list of those that wait until something may be looked up for them.
    pub(super) waits_for_look: Cell<bool>,
    /// Its document is written, or deleted, with the batch of this round.
    pub(super) is_unwritten: Cell<bool>,
    /// There may be a document of it.
    pub(super) has_document: Cell<bool>,
    /// It has ended.
    pub(super) is_over: Cell<bool>,
}

impl Home {
    pub(super) fn done(&self, by: MemberKey, positions: &[Pos]) {
        let mut core = self.core.borrow_mut();
        for &pos in positions {
            core.done(pos, by);
        }
    }

    pub(super) fn back(&self, by: MemberKey, positions: &[Pos], is_full: bool) {
        let mut core = self.core.borrow_mut();
        for &pos in positions {
            core.back(pos, by, is_full);
        }
    }

    pub(super) fn has_room(&self, member: MemberKey) {
        self.core.borrow_mut().has_room(member);
    }

    /// Connected members, as far as is known here.
    fn connected(&self) -> usize {
        self.members.borrow().len()
    }

    fn granted_to(&self, member: MemberKey) -> Qos {
        self.members.borrow().get(&member).map_or(Qos::AtMostOnce, |member| member.granted.qos())
    }

    /// Whether a message is not too large for a member.
    fn fits(&self, member: MemberKey, message: &Message<'_>) -> bool {
        let members = self.members.borrow();
        let member = members.get(&member).filter(|member| member.is_limited());
        member.is_none_or(|member| message.fits_share(member.granted, member.packet_bytes_max))
    }

    /// Whether a message is not too large for every one of them.
    fn fits_somebody(&self, message: &Message<'_>) -> bool {
        let members = self.members.borrow();
        let mut members = members.values();
        members.any(|it| !it.is_limited() || message.fits_share(it.granted, it.packet_bytes_max))
    }

    /// Takes over who its members are, if that has changed. The answer is whether they have a lasting session now and had
    /// none before.
    fn refresh(&self) -> bool {
        let epoch = self.instance.epoch.get();
        let has_rules = self.epoch.replace(Some(epoch)) == Some(epoch);
        if !has_rules {
            let strategy = self.instance.rules().document.shared_strategy;
            self.core.borrow_mut().set_strategy(strategy);
        }
        if has_rules && self.seen.get() == Some(self.group.version()) {
            return false;
        }
        let members = self.group.members();
        self.seen.set(Some(members.version));
        let window_max = u16::try_from(self.instance.paces().in_flight_max).unwrap_or(u16::MAX);
        let window = |member: &Member| window_max.min(member.receive_max);
        let connected = &members.connected;
        self.is_limited.set(connected.iter().any(|(_, it)| it.is_limited()));
        self.core.borrow_mut().set_members(connected.iter().map(|(key, it)| (*key, window(it))));
        self.unreachable.borrow_mut().retain(|key| members.connected.iter().any(|(it, _)| it == key));
        self.is_over.set(members.is_none());
        let connected = members.connected.into_iter().collect();
        if self.members.replace(connected).is_empty() {
            // What has come while nobody was there is held to the bounds of a queue.
            self.queue.check_next();
        }
        let was_lasting = self.is_lasting.replace(members.has_lasting);
        members.has_lasting && !was_lasting
    }
}

// --- coming and going ---
impl Worker {
    /// The group of a key, if it has its home here and was met before.
    pub(super) fn find_home(&self, key: ClientKey) -> Option<Rc<Home>> {
        self.groups.homes.borrow().get(&key).cloned()
    }

    /// The same, also when it is met for the first time.
    fn home(&self, instance: InstanceId, key: ClientKey) -> Option<Rc<Home>> {
        self.find_home(key).or_else(|| {
            let instance = self.instances.borrow().get(&instance).cloned()?;
            let group = instance.shared.find_group(key)?;
            Some(self.open_home(&instance, &group))
        })
    }

    /// Makes the home of a group, or finds it.
    pub(crate) fn open_home(&self, instance: &Rc<LocalInstance>, group: &Arc<SharedGroup>) -> Rc<Home> {
        if let Some(home) = self.find_home(group.key) {
            return home;
        }
        let restored = group.take_restored();
        let has_document = restored.is_some();
        let core = restored.map_or_else(|| Group::new(group.start, self.millis()), |core| *core);
        let home = Rc::new(Home {
            group: Arc::clone(group),
            instance: Rc::clone(instance),
            core: RefCell::new(core),
            members: RefCell::default(),
            is_limited: Cell::new(false),
            seen: Cell::new(None),
            epoch: Cell::new(None),
            is_lasting: Cell::new(false),
            unreachable: RefCell::default(),
            asked: RefCell::default(),
            queue: Queue::default(),
            rests_until: Cell::new(0),
            timer: Cell::new(0),
            is_noted: Cell::new(false),
            waits_for_look: Cell::new(false),
            is_unwritten: Cell::new(false),
            has_document: Cell::new(has_document),
            is_over: Cell::new(false),
        });
        instance.homes.set(instance.homes.get() + 1);
        self.groups.homes.borrow_mut().insert(group.key, Rc::clone(&home));
        self.note_home(&home);
        home
    }

    /// Forgets a group that has ended.
    pub(super) fn close_home(&self, home: &Home) {
        if self.groups.homes.borrow_mut().remove(&home.group.key).is_some() {
            let instance = &home.instance;
            instance.homes.set(instance.homes.get().saturating_sub(1));
            instance.unused_since.set(self.now());
        }
    }

    /// The members of a group have changed.
    pub(super) fn hear_changed(&self, instance: &Arc<Instance>, group: &Arc<SharedGroup>) {
        let known = self.find_home(group.key);
        let home = known.or_else(|| {
            // One that has ended before it was met here has left nothing.
            instance.find_group(group.key)?;
            let rules = self.node.replica.instance(instance.id)?;
            Some(self.open_home(&self.local_instance(instance, rules), group))
        });
        if let Some(home) = home {
            self.note_home(&home);
        }
    }

    /// Has a group looked at when the round ends.
    pub(crate) fn note_home(&self, home: &Rc<Home>) {
        if !home.is_noted.replace(true) {
            self.groups.noted.borrow_mut().push(Rc::clone(home));
            self.open_round();
        }
    }

    /// Another worker may have emptied its way: who could not be reached is, if there is room on it.
    pub(crate) fn resume_groups(&self) {
        if !self.groups.has_unreachable.take() {
            return;
        }
        let homes: Vec<_> = self.groups.homes.borrow().values().cloned().collect();
        for home in homes {
            let unreachable = home.unreachable.take().into_iter();
            let (reached, rest): (Vec<_>, Vec<_>) =
                unreachable.partition(|(worker, _)| self.has_room_for_mail(*worker));
            if !rest.is_empty() {
                self.groups.has_unreachable.set(true);
                *home.unreachable.borrow_mut() = rest;
            }
            for member in &reached {
                home.has_room(*member);
            }
            if !reached.is_empty() {
                self.note_home(&home);
            }
        }
    }

    /// The timer of a group has rung.
    pub(crate) fn look_at_group(&self, key: ClientKey) {
        if let Some(home) = self.find_home(key) {
            home.timer.set(0);
            self.note_home(&home);
        }
    }

    /// Sets the timer of a group, unless it is set to an earlier time.
    pub(super) fn set_group_timer(&self, home: &Home, at_millis: u64) {
        let set_to = home.timer.get();
        if set_to == 0 || at_millis < set_to {
            home.timer.set(at_millis);
            self.schedule(at_millis, Timer::Group(home.group.key));
        }
    }

    /// Does what is due of groups: hears what members have said, and sees who goes on.
    pub(crate) fn tend_groups(&self) {
        self.hear_said();
        for home in self.groups.noted.take() {
            home.is_noted.set(false);
            self.guard(|| self.tend_home(&home));
        }
    }

    fn tend_home(&self, home: &Rc<Home>) {
        self.refresh_home(home);
        if home.is_over.get() {
            return self.end_home(home);
        }
        home.core.borrow_mut().advance(self.watermark.get());
        if !self.is_stopping.get() {
            self.ask_group_page(home);
        }
        self.tend_document(home);
    }

    pub(super) fn refresh_home(&self, home: &Rc<Home>) {
        let begins_to_last = home.refresh();
        // What it has behind it must not come again to a member that was promised what comes from now on.
        if begins_to_last && home.core.borrow().has_unwritten() {
            self.note_unwritten(home);
        }
    }
}

// --- from the feed ---
impl Worker {
    /// A message that a group wants has come, from the log or from a publisher.
    pub(crate) fn deliver_to_group(
        &self,
        instance: InstanceId,
        key: ClientKey,
        message: &mut Message<'_>,
        qos: Qos,
        pos: Option<Pos>,
    ) {
        let Some(home) = self.home(instance, key) else { return };
        self.refresh_home(&home);
        // What is published at QoS 0 is not found in the log for a group.
        let Some(pos) = pos.filter(|_| qos != Qos::AtMostOnce) else {
            return self.relay_to_group(&home, message, qos);
        };
        let is_shown = home.core.borrow_mut().shows(pos);
        if !is_shown || self.is_stopping.get() || !self.hand_out(&home, pos, message, qos) {
            if is_shown {
                home.core.borrow_mut().leave(pos);
            }
            self.note_home(&home);
        }
    }

    /// A message that is in no log goes to one member at once, or to nobody.
    fn relay_to_group(&self, home: &Home, message: &mut Message<'_>, qos: Qos) {
        let members_max = home.connected();
        let mut too_small = TooSmall::of(home);
        for _ in 0..members_max {
            let Some(member) = home.core.borrow_mut().choose_unlogged() else { break };
            if too_small.pass_by(member, message) {
                continue;
            }
            match self.hand_to(home, member, None, message, qos) {
                Outcome::Taken | Outcome::Done | Outcome::Lost => return,
                missed @ (Outcome::NoRoom | Outcome::NoWay) => self.pass_by(home, member, missed),
            }
        }
        let is_too_large = !too_small.members.is_empty() && !home.fits_somebody(message);
        let why = if is_too_large { DropReason::ClientPacketBytes } else { DropReason::SharedNoMember };
        home.instance.counts.dropped(why, 1);
    }

    /// Hands a message of the log to a member; false: none has room. One that is too large for some is for the others,
    /// and waits for them; nobody's is what is too large for all.
    pub(super) fn hand_out(&self, home: &Home, pos: Pos, message: &mut Message<'_>, qos: Qos) -> bool {
        let mut too_small = TooSmall::of(home);
        loop {
            let Some(member) = home.core.borrow_mut().choose(pos) else {
                return self.leave_too_large(home, pos, message, &too_small);
            };
            if too_small.pass_by(member, message) {
                continue;
            }
            match self.hand_to(home, member, Some(pos), message, qos) {
                Outcome::Taken => {
                    home.core.borrow_mut().sent(pos, member);
                    return true;
                }
                Outcome::Done => {
                    let mut core = home.core.borrow_mut();
                    core.sent(pos, member);
                    core.done(pos, member);
                    return true;
                }
                Outcome::Lost => {
                    home.core.borrow_mut().pass_over(pos);
                    return true;
                }
                missed @ (Outcome::NoRoom | Outcome::NoWay) => self.pass_by(home, member, missed),
            }
        }
    }

    /// Nobody has room for a message of the log, or those who have do not take one so large; true: no member does, and it
    /// is passed over.
    fn leave_too_large(
        &self,
        home: &Home,
        pos: Pos,
        message: &mut Message<'_>,
        too_small: &TooSmall<'_>,
    ) -> bool {
        if too_small.members.is_empty() {
            return false;
        }
        if home.fits_somebody(message) {
            // There is room, only not for this one: it is not read over and over until there is.
            home.rests_until.set(self.millis().0 + TOO_LARGE_MILLIS);
            return false;
        }
        home.instance.counts.dropped(DropReason::ClientPacketBytes, 1);
        home.core.borrow_mut().pass_over(pos);
        true
    }

    /// A member cannot get a message: others are asked until it says that it can, or there is room on the way to it.
    fn pass_by(&self, home: &Home, member: MemberKey, why: Outcome) {
        if why == Outcome::NoWay {
            self.groups.has_unreachable.set(true);
            home.unreachable.borrow_mut().push(member);
        }
        home.core.borrow_mut().set_full(member);
    }

    fn hand_to(
        &self,
        home: &Home,
        member: MemberKey,
        pos: Option<Pos>,
        message: &mut Message<'_>,
        qos: Qos,
    ) -> Outcome {
        let (worker, client) = member;
        let granted = home.granted_to(member);
        if worker == self.id {
            let Some(client) = self.client(client) else { return Outcome::NoRoom };
            return self.give_share(&client, home.group.key, pos, message, granted, qos);
        }
        if !self.has_room_for_mail(worker) {
            return Outcome::NoWay;
        }
        let handed = Handed {
            group: home.group.key,
            home: self.id,
            instance: home.instance.shared.id,
            client,
            pos,
            granted,
            qos,
            topic: message.topic().into(),
            payload: message.payload().into(),
            retain: message.was_retain(),
            content: message.content().as_bytes().into(),
            expires_at: message.expires_at(),
        };
        self.say(worker, Mail::Deliver(Box::new(handed)));
        Outcome::Taken
    }
}
