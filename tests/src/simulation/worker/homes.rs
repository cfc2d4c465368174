//! The groups that are at home with a worker: what the log brings for them goes to members, and what nobody has room for
//! is found in the log again.

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::{Change, Envelope, Pos, QueryError};
use router::ClientKey;
use session::{GROUP_PREFIX, Group};

use super::Worker;
use crate::simulation::account::{Wrong, number_of};
use crate::simulation::groups::{Groups, Handed, Mail, MemberKey, SharedGroup, Text};
use crate::simulation::paging::{Page, PageWanted};
use crate::simulation::scene::Scene;
use crate::simulation::site::{EPOCH_MILLIS, Lookup, Site, Wanted, instance_id};

/// In so many of a thousand rounds the document of a group is written before it is due.
const EARLY_PERMILLE: usize = 30;

/// What the document of a group is found under.
#[must_use]
pub fn group_key(filter: &TopicFilter) -> Vec<u8> {
    let name = filter.as_str().split_once('/').map_or("", |(_, name)| name);
    [GROUP_PREFIX, name].concat().into_bytes()
}

/// One group at its home.
pub(super) struct Home {
    text: Text,
    filter: TopicFilter,
    start: Pos,
    pub(super) core: Group<MemberKey>,
    granted: BTreeMap<MemberKey, Qos>,
    /// As which its members were seen.
    version: u64,
    is_lasting: bool,
    has_document: bool,
}

impl Home {
    fn new(text: &Text, group: &SharedGroup, groups_stored: Option<Vec<u8>>, site: &Site) -> Self {
        let start = if site.conditions.glue.share_begins_at_since {
            group.start
        } else {
            site.doors.watermark(group.home)
        };
        let restored = groups_stored
            .as_ref()
            .map(|document| Group::restore(document, start, site.millis()).expect("as it was written"));
        Self {
            text: text.clone(),
            filter: group.filter.clone(),
            start: group.start,
            core: restored.unwrap_or_else(|| Group::new(start, site.millis())),
            granted: BTreeMap::new(),
            version: 0,
            is_lasting: false,
            has_document: groups_stored.is_some(),
        }
    }

    fn renew(&mut self, group: &SharedGroup, site: &Site) {
        if self.version == group.version {
            return;
        }
        self.version = group.version;
        self.is_lasting = group.members.values().any(|member| member.lasting);
        let connected = group.members.values().filter_map(|it| Some((it.connection?, it.granted)));
        if site.conditions.glue.share_goes_back {
            self.granted = connected.collect();
        } else {
            self.granted.extend(connected);
        }
        let window = site.bounds.in_flight_max;
        self.core.set_members(self.granted.keys().map(|&member| (member, window)));
    }

    /// Whether nothing is left to be handed out.
    pub(super) fn is_done(&self) -> bool {
        self.core.in_flight() == 0 && self.core.returned() == 0 && !self.core.is_behind()
    }
}

/// A message on its way to a group.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: Qos,
    pub(super) pos: Option<Pos>,
}

fn hand(home: &Home, key: ClientKey, member: MemberKey, shared: Shared<'_>, site: &Site) {
    let Shared { topic, payload, qos, pos } = shared;
    let handed = Handed {
        group: key,
        client: member.1,
        pos,
        granted: home.granted.get(&member).copied().unwrap_or(Qos::AtMostOnce),
        qos,
        topic: topic.to_owned(),
        payload: payload.to_vec(),
    };
    site.doors.say(member.0, Mail::Deliver(handed));
}

/// False: nobody has room.
fn hand_out(home: &mut Home, key: ClientKey, pos: Pos, shared: Shared<'_>, site: &Site) -> bool {
    let Some(member) = home.core.choose(pos) else {
        if site.conditions.glue.share_waits {
            home.core.leave(pos);
        } else {
            home.core.pass_over(pos);
        }
        return !site.conditions.glue.share_waits;
    };
    home.core.sent(pos, member);
    hand(home, key, member, shared, site);
    true
}

impl Worker {
    /// Sees which groups are at home here, and who their members are.
    pub(super) fn renew_homes(&mut self, site: &Site) {
        let mut groups = site.groups.borrow_mut();
        let Groups { stored, .. } = &mut *groups;
        let mut stored = std::mem::take(stored);
        let ended: Vec<_> =
            self.homes.keys().copied().filter(|key| groups.find_key(*key).is_none()).collect();
        for home in ended.into_iter().filter_map(|key| self.homes.remove(&key)) {
            if home.has_document {
                self.ending.insert(home.text, false);
            }
        }
        for (text, group) in groups.at_home(self.at) {
            let home = self.homes.entry(group.key).or_insert_with(|| {
                let mut home = Home::new(text, group, stored.remove(text), site);
                // What is left of one of the same name goes with its own document.
                home.has_document |= self.ending.remove(text).is_some();
                home
            });
            home.renew(group, site);
        }
        // Those that have ended before they were opened.
        let orphans =
            stored.extract_if(.., |text, _| groups.find(text).is_none() && site.home_of(text) == self.at);
        self.ending.extend(orphans.map(|(text, _)| (text, false)));
        groups.stored = stored;
    }

    /// A message that a group wants has come.
    pub(super) fn share(&mut self, key: ClientKey, shared: Shared<'_>, site: &Site) {
        self.renew_homes(site);
        let Some(home) = self.homes.get_mut(&key) else { return };
        let Some(pos) = shared.pos.filter(|_| shared.qos != Qos::AtMostOnce) else {
            if let Some(member) = home.core.choose_unlogged() {
                hand(home, key, member, Shared { pos: None, ..shared }, site);
            }
            return;
        };
        if home.core.shows(pos) {
            hand_out(home, key, pos, shared, site);
        }
    }

    /// Asks for the pages that groups want.
    pub(super) fn ask_for_groups(&mut self, site: &Site) {
        self.renew_homes(site);
        for (key, home) in &mut self.homes {
            home.core.advance(self.watermark);
            let Some(page) = home.core.ask(site.doors.watermark(self.at)) else { continue };
            let filters = vec![(home.filter.clone(), home.start)];
            let wanted = Wanted::Page(PageWanted { filters, range: page.range, bounds: None, skip: None });
            let lookup = Lookup { worker: self.at, client: *key, instance: home.text.0, wanted };
            site.lookups.borrow_mut().push_back(lookup);
        }
    }

    /// Whether it is a group's key; one that has ended since counts.
    pub(in super::super) const fn is_group(key: ClientKey) -> bool {
        key.slot() >> 31 == 1
    }

    /// A page that was looked up for a group.
    pub(in super::super) fn take_group_page(
        &mut self,
        key: ClientKey,
        wanted: &PageWanted,
        page: Result<Page, QueryError>,
        site: &Site,
        scene: &mut Scene,
    ) -> Result<(), Wrong> {
        self.renew_homes(site);
        let Some(home) = self.homes.get_mut(&key) else { return Ok(()) };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                scene.trace.note(format_args!("no page for {:?}: {error}", home.text));
                home.core.give_up();
                return Ok(());
            }
        };
        scene.trace.note(format_args!(
            "{:?} has a page of {} up to {}",
            home.text,
            page.messages.len(),
            page.next
        ));
        if !home.core.page_holds(wanted.range.start) {
            return Ok(());
        }
        if page.lost {
            scene.account.share_lost(&home.text, &wanted.filters, &wanted.range);
        }
        for replayed in &page.messages {
            let pos = replayed.pos;
            if !home.core.wants(pos) {
                continue;
            }
            let envelope = Envelope::from_record(&replayed.record).map_err(|error| error.to_string())?;
            if envelope.expires_at.is_some_and(|at| at.0 <= EPOCH_MILLIS + site.now.get()) {
                scene.account.share_void(&home.text, number_of(envelope.payload));
                home.core.pass_over(pos);
                continue;
            }
            let Envelope { topic, payload, qos, .. } = envelope;
            if !hand_out(home, key, pos, Shared { topic, payload, qos, pos: Some(pos) }, site) {
                return Ok(());
            }
        }
        let missing = home.core.turn(page.next, self.watermark);
        if missing > 0 && !page.lost {
            return Err(format!("{missing} messages of {:?} were not found again", home.text));
        }
        Ok(())
    }

    /// What a member has said.
    pub(super) fn hear_member(&mut self, mail: &Mail) {
        let (Mail::Done(key, ..) | Mail::Back(key, ..) | Mail::Ready(key, _)) = mail else { return };
        let Some(home) = self.homes.get_mut(key) else { return };
        match *mail {
            Mail::Done(_, by, pos) => home.core.done(pos, by),
            Mail::Back(_, by, pos, is_full) => home.core.back(pos, by, is_full),
            Mail::Ready(_, member) => home.core.has_room(member),
            Mail::Deliver(_) => {}
        }
    }

    /// Writes how far groups have come, and deletes what is left of those that have ended.
    pub(super) fn write_groups(&mut self, site: &Site, scene: &mut Scene) {
        for (key, home) in self.homes.iter_mut().filter(|(_, home)| home.is_lasting) {
            let is_due = home.core.checkpoint_due(site.millis());
            if is_due || home.core.has_unwritten() && scene.chance.permille(EARLY_PERMILLE) {
                let mut body = Vec::new();
                home.core.write(&mut body, site.millis());
                home.has_document = true;
                self.making.debts.groups.push(*key);
                let change = Change {
                    instance: instance_id(home.text.0),
                    key: &group_key(&home.text.1),
                    body: Some(&body),
                };
                self.making.batch.change(&change).expect("a short document");
            }
        }
        for (text, is_under_way) in self.ending.iter_mut().filter(|(_, is_under_way)| !**is_under_way) {
            *is_under_way = true;
            self.making.debts.ended.push(text.clone());
            let change = Change { instance: instance_id(text.0), key: &group_key(&text.1), body: None };
            self.making.batch.change(&change).expect("a short document");
        }
    }

    /// What was written of groups is stored, or is not.
    pub(super) fn settle_groups(&mut self, written: &[ClientKey], ended: &[Text], is_stored: bool) {
        for home in written.iter().filter(|_| !is_stored) {
            if let Some(home) = self.homes.get_mut(home) {
                home.core.write_failed();
            }
        }
        for text in ended {
            if is_stored {
                self.ending.remove(text);
            } else if let Some(is_under_way) = self.ending.get_mut(text) {
                *is_under_way = false;
            }
        }
    }

    /// There may be a document of a group that nobody is a member of.
    pub fn delete_group(&mut self, text: Text) {
        self.ending.insert(text, false);
    }

    /// The groups at home here that have something left to hand out, though somebody is there.
    pub fn unfinished_groups(&self) -> impl Iterator<Item = &Text> {
        self.homes.values().filter(|home| !home.granted.is_empty() && !home.is_done()).map(|home| &home.text)
    }
}
