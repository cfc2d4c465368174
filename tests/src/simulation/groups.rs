//! Shared subscriptions, as all workers know them: which groups there are, who is a member, and what is said between a
//! group's home and its members.

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::subscription::SubscriptionFilter;
use contract::topic::TopicFilter;
use engine::Pos;
use router::{ClientKey, Subscriber, WorkerId};

use super::site::Site;
use super::surroundings::{Name, SUBSCRIPTIONS_MAX};

/// A shared subscription: its instance, and its filter as clients say it.
pub type Text = (usize, TopicFilter);

/// A member's connection: its worker and its place there.
pub type MemberKey = (usize, ClientKey);

/// The bit of a slot that says that it is a group's and no client's.
const GROUP_SLOT: u32 = 1 << 31;

/// One member.
#[derive(Debug)]
pub struct Membership {
    /// Its connection, if it has one.
    pub connection: Option<MemberKey>,
    /// What it was granted.
    pub granted: Qos,
    /// Its membership outlives its connection.
    pub lasting: bool,
}

/// One group, from its first member to its last.
#[derive(Debug)]
pub struct SharedGroup {
    /// Its name among the clients of its home.
    pub key: ClientKey,
    /// The worker that hands its messages out.
    pub home: usize,
    /// What it wants.
    pub filter: TopicFilter,
    /// It wants nothing from before.
    pub start: Pos,
    /// Changes with its members.
    pub version: u64,
    /// Who is a member.
    pub members: BTreeMap<Name, Membership>,
}

/// All groups of a node.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<Text, SharedGroup>,
    keys: u32,
    /// Documents of groups whose home has not been opened.
    pub stored: BTreeMap<Text, Vec<u8>>,
}

impl Groups {
    /// A group by its text.
    #[must_use]
    pub fn find(&self, text: &Text) -> Option<&SharedGroup> {
        self.groups.get(text)
    }

    /// A group by its key.
    #[must_use]
    pub fn find_key(&self, key: ClientKey) -> Option<&SharedGroup> {
        self.groups.values().find(|group| group.key == key)
    }

    /// Those that are at home with a worker.
    pub fn at_home(&self, worker: usize) -> impl Iterator<Item = (&Text, &SharedGroup)> {
        self.groups.iter().filter(move |(_, group)| group.home == worker)
    }

    fn change(&mut self, text: &Text, name: &Name, change: impl FnOnce(&mut Membership)) {
        let Some(group) = self.groups.get_mut(text) else { return };
        let Some(membership) = group.members.get_mut(name) else { return };
        change(membership);
        group.version += 1;
    }
}

/// What is said between workers about a group.
#[derive(Debug)]
pub enum Mail {
    /// To a member: a message.
    Deliver(Handed),
    /// To the home: a member has acknowledged it.
    Done(ClientKey, MemberKey, Pos),
    /// To the home: a member has not taken it, or has gone; and whether that was for want of room.
    Back(ClientKey, MemberKey, Pos, bool),
    /// To the home: a member has room again.
    Ready(ClientKey, MemberKey),
}

/// A message for a member.
#[derive(Debug)]
pub struct Handed {
    /// Of this group.
    pub group: ClientKey,
    /// For this client.
    pub client: ClientKey,
    /// Where it stands, unless it is in no log.
    pub pos: Option<Pos>,
    /// What the member was granted.
    pub granted: Qos,
    /// The QoS of the publication.
    pub qos: Qos,
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
}

/// What a shared subscription is for; `None`: it is not shared.
#[must_use]
pub fn shared(filter: &TopicFilter) -> Option<TopicFilter> {
    match SubscriptionFilter::of(filter.clone()) {
        Ok(SubscriptionFilter::Shared { filter, .. }) => Some(filter),
        Ok(SubscriptionFilter::Plain(_) | SubscriptionFilter::Replay { .. }) | Err(_) => None,
    }
}

/// What a subscription wants, shared or not.
#[must_use]
pub fn wants(filter: &TopicFilter, topic: &str) -> bool {
    shared(filter).as_ref().unwrap_or(filter).matches(topic)
}

impl Site {
    /// The worker that a group is at home with.
    #[must_use]
    pub fn home_of(&self, text: &Text) -> usize {
        let sum: usize = text.1.as_str().bytes().map(usize::from).sum();
        (sum + text.0) % self.plan.workers
    }

    /// Somebody becomes a member. The first one makes the group: it wants what comes from now on, or from `since`.
    pub fn join(&self, text: &Text, name: &Name, membership: Membership, since: Option<Pos>) {
        let Some(filter) = shared(&text.1) else { return };
        let groups = &mut *self.groups.borrow_mut();
        let group = groups.groups.entry(text.clone()).or_insert_with(|| {
            let home = self.home_of(text);
            groups.keys += 1;
            let key = ClientKey::new(GROUP_SLOT | groups.keys, 0);
            let worker = WorkerId::new(home).expect("few workers");
            let subscriber = Subscriber { worker, client: key, qos: Qos::AtLeastOnce, is_special: false };
            let mut routes = self.routes[text.0].borrow_mut();
            routes.insert(&filter, subscriber, SUBSCRIPTIONS_MAX).expect("few subscriptions");
            if self.conditions.glue.share_is_logged {
                routes.insert_lasting(&filter).expect("few subscriptions");
            }
            // Whatever stands there or beyond is shown to the home: its route is there.
            let start = since.unwrap_or_else(|| self.doors.watermark(home));
            SharedGroup { key, home, filter, start, version: 0, members: BTreeMap::new() }
        });
        group.version += 1;
        group.start = since.map_or(group.start, |since| since.min(group.start));
        group.members.insert(name.clone(), membership);
    }

    /// Somebody is a member no more. The last one ends the group.
    pub fn leave(&self, text: &Text, name: &Name) {
        let mut groups = self.groups.borrow_mut();
        let Some(group) = groups.groups.get_mut(text) else { return };
        group.members.remove(name);
        group.version += 1;
        if group.members.is_empty()
            && let Some(group) = groups.groups.remove(text)
        {
            let mut routes = self.routes[text.0].borrow_mut();
            routes.remove(&group.filter, WorkerId::new(group.home).expect("few workers"), group.key);
            if self.conditions.glue.share_is_logged {
                routes.remove_lasting(&group.filter);
            }
        }
    }

    /// A member's session is over.
    pub fn leave_all(&self, name: &Name) {
        let groups = self.groups.borrow();
        let texts: Vec<_> =
            groups.groups.iter().filter(|(_, group)| group.members.contains_key(name)).collect();
        let texts: Vec<Text> = texts.into_iter().map(|(text, _)| text.clone()).collect();
        drop(groups);
        for text in texts {
            self.leave(&text, name);
        }
    }

    /// A lasting member has a connection, or has lost it.
    pub fn set_connection(&self, text: &Text, name: &Name, connection: Option<MemberKey>) {
        self.groups.borrow_mut().change(text, name, |membership| membership.connection = connection);
    }

    /// Says something to the home of a group, if there is one.
    pub fn tell_home(&self, group: ClientKey, mail: Mail) {
        let home = self.groups.borrow().find_key(group).map(|group| group.home);
        if let Some(home) = home {
            self.doors.say(home, mail);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::simulation::{Conditions, GlueRules, run};

    /// Seeds in which a broken rule has to be noticed.
    const SEEDS_TO_NOTICE: u64 = 200;

    #[test]
    fn each_rule_of_groups_is_needed() {
        let all = GlueRules::ALL;
        for (glue, name) in [
            (GlueRules { share_is_logged: false, ..all }, "share_is_logged"),
            (GlueRules { share_begins_at_since: false, ..all }, "share_begins_at_since"),
            (GlueRules { share_waits: false, ..all }, "share_waits"),
            (GlueRules { share_goes_back: false, ..all }, "share_goes_back"),
        ] {
            let conditions = Conditions { glue, ..Conditions::ORDINARY };
            let found = (0..SEEDS_TO_NOTICE).find_map(|seed| Some((seed, run(seed, conditions).wrong?.0)));
            println!("without {name}: {found:?}");
            assert!(found.is_some(), "no seed has noticed that `{name}` is broken");
        }
    }
}
