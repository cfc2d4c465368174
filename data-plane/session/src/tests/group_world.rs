//! A world around one group: a log, a feed and pages that come through one door, members that come, go, fill up and
//! acknowledge in any order, mail between them and the home, and a disk that keeps what was stored through crashes.
//!
//! Each step is a number and an argument; whatever they are, the world's laws hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contract::shared_group::SharedStrategy;
use engine::Pos;

use crate::{Group, GroupPage, Millis};

/// Kinds of steps.
pub(super) const STEPS: u8 = 20;

/// Messages of one page at most.
const PAGE_MAX: usize = 4;

/// What a group may have at one member.
const WINDOW: u16 = 3;

type Name = u16;

/// What comes to the home from the log, in one order.
enum Arrival {
    Feed(u64),
    Page { from: Pos, next: Pos, messages: Vec<u64> },
}

/// From a member to the home.
enum Mail {
    Done(u64),
    Back(u64, bool),
    Ready,
}

#[derive(Default)]
struct Member {
    /// From the home, not yet taken.
    inbox: VecDeque<u64>,
    /// To the home, not yet taken.
    outbox: VecDeque<Mail>,
    in_flight: Vec<u64>,
    /// Room for messages, whatever the home believes.
    room: usize,
    /// It said that it has no room, and has not said that it has some again.
    is_full: bool,
    is_gone: bool,
}

pub(super) struct World {
    group: Group<Name>,
    /// What the group wants, with whether it can be handed out: some is too old.
    wanted: BTreeMap<u64, bool>,
    /// Records, counted from 1.
    records: u64,
    door: VecDeque<Arrival>,
    /// Asked for and not yet looked up.
    asked: Option<GroupPage>,
    members: BTreeMap<Name, Member>,
    names: Name,
    is_changed: bool,
    now: u64,
    /// Finished as far as the home knows.
    finished: BTreeSet<u64>,
    /// Acknowledged by a member.
    acknowledged: BTreeSet<u64>,
    /// How often each may be handed out in this process: once, and once for each time that it went back.
    may_be_sent: BTreeMap<u64, u32>,
    /// Who got each last.
    holders: BTreeMap<u64, Name>,
    stored: Option<Vec<u8>>,
    strategy: SharedStrategy,
    /// What the stored document says is finished.
    stored_finished: BTreeSet<u64>,
}

fn pos(record: u64) -> Pos {
    Pos::of_record(record)
}

impl World {
    pub(super) fn new(strategy: SharedStrategy) -> Self {
        let mut group = Group::new(Pos::START, Millis(0));
        group.set_strategy(strategy);
        Self {
            strategy,
            group,
            wanted: BTreeMap::new(),
            records: 0,
            door: VecDeque::new(),
            asked: None,
            members: BTreeMap::new(),
            names: 0,
            is_changed: false,
            now: 0,
            finished: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            may_be_sent: BTreeMap::new(),
            holders: BTreeMap::new(),
            stored: None,
            stored_finished: BTreeSet::new(),
        }
    }

    /// Takes the steps, then lets everything come to rest with members that do what they should.
    pub(super) fn run(mut self, steps: &[(u8, u8)]) -> Result<(), String> {
        for &(step, argument) in steps {
            self.step(step, usize::from(argument))?;
            self.check()?;
        }
        self.settle()
    }

    fn step(&mut self, step: u8, argument: usize) -> Result<(), String> {
        match step {
            0..=4 => self.append(argument),
            5..=8 => self.take_arrival()?,
            9 | 10 => self.look_up(argument),
            11 | 12 => self.member(argument).map_or((), take_delivery),
            13 | 14 => self.member(argument / 8).map_or((), |member| acknowledge(member, argument % 8)),
            15 => self.take_mail(argument)?,
            16 => self.join(argument),
            17 => self.change_member(argument),
            18 => self.write(argument),
            _ if argument < 24 => self.crash(),
            _ => self.take_mail(argument)?,
        }
        self.ask();
        Ok(())
    }

    fn committed(&self) -> Pos {
        pos(self.records + 1)
    }

    fn append(&mut self, argument: usize) {
        self.records += 1;
        if !argument.is_multiple_of(4) {
            self.wanted.insert(self.records, argument % 16 != 1);
            self.door.push_back(Arrival::Feed(self.records));
        }
    }

    fn member(&mut self, argument: usize) -> Option<&mut Member> {
        let count = self.members.len().max(1);
        self.members.values_mut().nth(argument % count)
    }

    fn join(&mut self, room: usize) {
        if self.members.values().filter(|member| !member.is_gone).count() < 4 {
            self.names += 1;
            self.members.insert(self.names, Member { room: room % 5, ..Member::default() });
            self.is_changed = true;
        }
    }

    /// It goes, or has more room than before, or less.
    fn change_member(&mut self, argument: usize) {
        let Some(member) = self.member(argument / 8) else { return };
        if !argument.is_multiple_of(8) {
            member.room = argument % 5;
            return say_ready(member);
        }
        member.is_gone = true;
        for record in std::mem::take(&mut member.in_flight) {
            member.outbox.push_back(Mail::Back(record, false));
        }
        self.is_changed = true;
    }

    /// As the home does before whatever it does.
    fn renew_members(&mut self) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let connected: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_gone)
            .map(|(&name, _)| (name, WINDOW))
            .collect();
        let before = (self.group.in_flight(), self.group.returned());
        self.group.set_members(connected);
        let went_back = self.group.returned() - before.1;
        assert_eq!(before.0 - self.group.in_flight(), went_back, "what is open stays open");
        if went_back > 0 {
            self.allow_returned();
        }
    }

    /// What waits to be handed out once more may be.
    fn allow_returned(&mut self) {
        for &record in self.wanted.keys().filter(|&&record| self.group.wants(pos(record))) {
            self.may_be_sent.insert(record, 1);
        }
    }

    fn take_arrival(&mut self) -> Result<(), String> {
        self.renew_members();
        match self.door.pop_front() {
            Some(Arrival::Feed(record)) if self.group.shows(pos(record)) => self.hand_out(record).map(|_| ()),
            Some(Arrival::Feed(_)) | None => Ok(()),
            Some(Arrival::Page { from, next, messages }) => self.take_page(from, next, &messages),
        }
    }

    fn take_page(&mut self, from: Pos, next: Pos, messages: &[u64]) -> Result<(), String> {
        if !self.group.page_holds(from) {
            return Ok(());
        }
        for &record in messages {
            if self.group.wants(pos(record)) && !self.hand_out(record)? {
                return Ok(());
            }
        }
        // Whatever of the feed was put before the door before the page was, has been taken in.
        let feed = self.door.iter().find_map(|arrival| match arrival {
            Arrival::Feed(record) => Some(pos(*record)),
            Arrival::Page { .. } => None,
        });
        let lost = self.group.turn(next, feed.unwrap_or_else(|| self.committed()));
        if lost > 0 { Err(format!("{lost} messages were not found again")) } else { Ok(()) }
    }

    /// False: there is no room.
    fn hand_out(&mut self, record: u64) -> Result<bool, String> {
        if !self.wanted[&record] {
            self.group.pass_over(pos(record));
            self.finished.insert(record);
            return Ok(true);
        }
        let Some(name) = self.group.choose(pos(record)) else {
            self.group.leave(pos(record));
            return Ok(false);
        };
        if self.stored_finished.contains(&record) {
            return Err(format!("{record} is given again though its end was stored"));
        }
        let left = self.may_be_sent.entry(record).or_insert(1);
        *left = left.checked_sub(1).ok_or_else(|| format!("{record} is given again"))?;
        self.group.sent(pos(record), name);
        self.holders.insert(record, name);
        let member = self.members.get_mut(&name).ok_or("one that is no member was chosen")?;
        member.inbox.push_back(record);
        let at_it = self.group.in_flight();
        let may_be = usize::from(WINDOW) * self.members.values().filter(|member| !member.is_gone).count();
        if at_it > may_be { Err(format!("{at_it} messages are in flight")) } else { Ok(true) }
    }

    fn ask(&mut self) {
        self.renew_members();
        if let Some(page) = self.group.ask(self.committed()) {
            assert!(self.asked.is_none(), "one page at a time");
            self.asked = Some(page);
        }
    }

    /// What was asked for is read, and put before the door; now and then nothing can be.
    fn look_up(&mut self, argument: usize) {
        let Some(GroupPage { range, .. }) = self.asked.take() else { return };
        if argument == 0 {
            self.group.give_up();
            return;
        }
        let mut wanted = self.wanted.keys().copied().filter(|&record| range.contains(&pos(record)));
        let messages: Vec<_> = wanted.by_ref().take(1 + argument % PAGE_MAX).collect();
        let next = wanted.next().map_or(range.end, pos);
        self.door.push_back(Arrival::Page { from: range.start, next, messages });
    }

    fn take_mail(&mut self, argument: usize) -> Result<(), String> {
        self.renew_members();
        let count = self.members.len().max(1);
        let Some((&name, member)) = self.members.iter_mut().nth(argument % count) else { return Ok(()) };
        match member.outbox.pop_front() {
            None if member.is_gone && member.inbox.is_empty() => drop(self.members.remove(&name)),
            None => {}
            Some(Mail::Ready) => self.group.has_room(name),
            Some(Mail::Done(record)) => {
                self.finished.insert(record);
                self.acknowledged.insert(record);
                self.group.done(pos(record), name);
                if self.group.wants(pos(record)) {
                    return Err(format!("{record} waits though it is acknowledged"));
                }
            }
            Some(Mail::Back(record, is_full)) => {
                let before = self.group.returned();
                self.group.back(pos(record), name, is_full);
                if self.group.returned() > before {
                    if self.holders.get(&record) != Some(&name) {
                        return Err(format!("{record} is taken from another"));
                    }
                    self.may_be_sent.insert(record, 1);
                }
            }
        }
        Ok(())
    }

    /// The document is written when it is due, or at a stop, and may not get as far as the disk.
    fn write(&mut self, argument: usize) {
        self.now += 100 * argument as u64;
        if !self.group.checkpoint_due(Millis(self.now)) && !argument.is_multiple_of(4) {
            return;
        }
        let mut document = Vec::new();
        self.group.write(&mut document, Millis(self.now));
        assert!(!self.group.has_unwritten());
        if argument % 8 == 1 {
            self.group.write_failed();
            assert!(self.group.checkpoint_at().is_some(), "it is tried again");
        } else {
            self.stored = Some(document);
            self.stored_finished.clone_from(&self.finished);
        }
    }

    fn crash(&mut self) {
        self.group = match &self.stored {
            None => Group::new(Pos::START, Millis(self.now)),
            Some(document) => {
                Group::restore(document, Pos::START, Millis(self.now)).expect("as it was written")
            }
        };
        self.group.set_strategy(self.strategy);
        self.door.clear();
        self.asked = None;
        self.members.clear();
        self.finished.clone_from(&self.stored_finished);
        self.may_be_sent.clear();
    }

    fn check(&self) -> Result<(), String> {
        let cursor = self.group.cursor();
        match self.wanted.keys().copied().find(|record| !self.finished.contains(record)) {
            Some(record) if cursor > pos(record) => Err(format!("the cursor passes {record}: {cursor:?}")),
            Some(_) | None => Ok(()),
        }
    }

    /// Everybody does what they should until nothing happens any more: then nothing is left to do.
    fn settle(mut self) -> Result<(), String> {
        self.join(4);
        for _ in 0..20 * (self.records + 10) {
            self.ask();
            for member in self.members.values_mut() {
                member.room = 8;
                say_ready(member);
                take_delivery(member);
                acknowledge(member, 0);
            }
            for at in 0..self.members.len() {
                self.take_mail(at)?;
            }
            self.look_up(3);
            self.take_arrival()?;
            self.check()?;
        }
        let mut wanted = self.wanted.iter().filter(|(_, can)| **can).map(|(record, _)| record);
        if let Some(record) = wanted.find(|record| !self.acknowledged.contains(record)) {
            return Err(format!("{record} was never acknowledged"));
        }
        self.group.advance(self.committed());
        let (open, cursor) = (self.group.in_flight() + self.group.returned(), self.group.cursor());
        if open > 0 || self.group.is_behind() || cursor != self.committed() {
            return Err(format!("{open} are open at the end, the cursor is {cursor:?}"));
        }
        Ok(())
    }
}

/// A member takes the next message of its inbox.
fn take_delivery(member: &mut Member) {
    let Some(record) = member.inbox.pop_front() else { return };
    if member.is_gone {
        member.outbox.push_back(Mail::Back(record, false));
    } else if member.in_flight.len() < member.room {
        member.in_flight.push(record);
    } else {
        member.is_full = true;
        member.outbox.push_back(Mail::Back(record, true));
    }
}

fn acknowledge(member: &mut Member, at: usize) {
    if !member.in_flight.is_empty() {
        let at = at % member.in_flight.len();
        let record = member.in_flight.remove(at);
        member.outbox.push_back(Mail::Done(record));
        say_ready(member);
    }
}

fn say_ready(member: &mut Member) {
    if member.is_full && !member.is_gone && member.in_flight.len() < member.room {
        member.is_full = false;
        member.outbox.push_back(Mail::Ready);
    }
}
