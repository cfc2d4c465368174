//! The subscriptions of a lasting session: from where in the log on each of them holds.

use std::collections::BTreeMap;

use contract::p2p;
use contract::qos::Qos;
use contract::subscription::SHARED_PREFIX;
use contract::topic::TopicFilter;
use engine::Pos;

use crate::granted::{Granted, Special};

/// Subscriptions that have ended while messages were in flight, at most; beyond, those messages are given up.
const ENDED_MAX: usize = 64;

/// Bytes of the document that subscriptions may come to. With what else is in it, a document has to stay within
/// [`engine::DOCUMENT_BYTES_MAX`]: else the session could not be stored any more, and its client would be sent away with
/// every packet that changes it.
const HELD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The same of those that have ended.
const ENDED_BYTES_MAX: usize = 1024 * 1024;

/// What a subscription has in the document besides its filter, at most.
const ENTRY_BYTES: usize = 24;

/// One subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    pub(crate) granted: Granted,
    /// Messages before it do not count for it.
    pub(crate) since: Pos,
}

/// Subscriptions by their filters, and those that have ended as long as something of them may be in flight
/// [MQTT-3.10.4-3].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Subscriptions {
    held: BTreeMap<TopicFilter, Subscription>,
    /// Bytes of them in the document, at most.
    held_bytes: usize,
    /// How many of them are no plain topics.
    wild: usize,
    /// How many of them have options or an identifier.
    special: usize,
    /// With the position from which on nothing of it can be in flight.
    ended: Vec<(TopicFilter, Pos)>,
    ended_bytes: usize,
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn contains(&self, filter: &TopicFilter) -> bool {
        self.held.contains_key(filter)
    }

    /// Whether there is room for it in the document.
    pub(crate) fn has_room(&self, filter: &TopicFilter) -> bool {
        self.contains(filter) || self.held_bytes + entry_bytes(filter) <= HELD_BYTES_MAX
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&TopicFilter, Subscription)> {
        self.held.iter().map(|(filter, &subscription)| (filter, subscription))
    }

    pub(crate) fn ended(&self) -> &[(TopicFilter, Pos)] {
        &self.ended
    }

    /// What is held for a filter.
    pub(crate) fn find(&self, filter: &TopicFilter) -> Option<Granted> {
        self.held.get(filter).map(|held| held.granted)
    }

    /// Adds one, or replaces what it was granted. What waits for a filter that was held goes on waiting, unless that was
    /// granted QoS 0: then nothing waits.
    pub(crate) fn insert(&mut self, filter: TopicFilter, granted: Granted, since: Pos) {
        self.special += usize::from(granted.is_special());
        if let Some(held) = self.held.get_mut(&filter) {
            self.special -= usize::from(held.granted.is_special());
            if held.granted.qos() == Qos::AtMostOnce {
                held.since = since;
            }
            held.granted = granted;
        } else {
            self.wild += usize::from(is_wild(&filter));
            self.held_bytes += entry_bytes(&filter);
            self.held.insert(filter, Subscription { granted, since });
        }
    }

    /// Ends one; false when it is not held. `until` says up to where something of it may be in flight; `None`: nothing
    /// is.
    pub(crate) fn remove(&mut self, filter: &TopicFilter, until: Option<Pos>) -> bool {
        let Some((filter, held)) = self.held.remove_entry(filter) else { return false };
        self.wild -= usize::from(is_wild(&filter));
        self.held_bytes -= entry_bytes(&filter);
        self.special -= usize::from(held.granted.is_special());
        if let Some(until) = until.filter(|_| held.granted.qos() != Qos::AtMostOnce && !is_shared(&filter)) {
            self.end(filter, until);
        }
        true
    }

    pub(crate) fn end(&mut self, filter: TopicFilter, until: Pos) {
        self.ended_bytes += entry_bytes(&filter);
        self.ended.push((filter, until));
        while self.ended.len() > ENDED_MAX || self.ended_bytes > ENDED_BYTES_MAX {
            self.ended_bytes -= entry_bytes(&self.ended.remove(0).0);
        }
    }

    /// Forgets what has ended and is behind the cursor.
    pub(crate) fn forget_ended(&mut self, cursor: Pos) {
        self.ended.retain(|(_, until)| *until > cursor);
        self.ended_bytes = self.ended.iter().map(|(filter, _)| entry_bytes(filter)).sum();
    }

    /// The highest QoS granted for messages of the topic that stand at `pos`, and behind it as far as that is the same. A
    /// message to one client needs no subscription: no other client is ever shown it.
    pub(crate) fn grant_for(&self, topic: &str, pos: Pos) -> Grant {
        let mut grant = Grant { qos: None, from: pos, to: None };
        if p2p::receiver(topic).is_some() {
            grant.qos = Some(Qos::ExactlyOnce);
            return grant;
        }
        self.matching(topic).for_each(|held| grant.add(held));
        grant
    }

    /// Whether any of them has options or an identifier.
    pub(crate) const fn has_special(&self) -> bool {
        self.special > 0
    }

    /// What all that match a message which stands at `pos`, or is in no log, ask for together.
    pub(crate) fn special_for(&self, topic: &str, pos: Option<Pos>, is_own: bool) -> Option<Special> {
        if p2p::receiver(topic).is_some() {
            return Some(Special::plain(Qos::ExactlyOnce));
        }
        let mut special = None;
        let matching = self.matching(topic).filter(|held| pos.is_none_or(|pos| held.since <= pos));
        matching.for_each(|held| Special::add(&mut special, held.granted, is_own));
        special
    }

    fn matching(&self, topic: &str) -> impl Iterator<Item = Subscription> {
        let plain = self.held.get(topic).copied();
        let wild = (self.wild > 0).then(|| self.held.iter());
        let wild = wild.into_iter().flatten();
        let wild = wild.filter(move |(filter, _)| is_wild(filter) && filter.matches(topic));
        plain.into_iter().chain(wild.map(|(_, held)| *held))
    }
}

/// What the subscriptions grant for messages of one topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    /// `None`: the topic is for no subscription.
    pub(crate) qos: Option<Qos>,
    from: Pos,
    /// Where another subscription begins; `None`: none does.
    to: Option<Pos>,
}

impl Grant {
    /// Whether it is for messages at `pos` too, as long as no subscription changes.
    #[inline]
    pub(crate) fn holds_at(&self, pos: Pos) -> bool {
        pos >= self.from && self.to.is_none_or(|to| pos < to)
    }

    fn add(&mut self, held: Subscription) {
        if held.since <= self.from {
            self.qos = self.qos.max(Some(held.granted.qos()));
        } else {
            self.to = Some(self.to.map_or(held.since, |to| to.min(held.since)));
        }
    }
}

fn entry_bytes(filter: &TopicFilter) -> usize {
    filter.as_str().len() + ENTRY_BYTES
}

/// Whether topics have to be matched with it. A shared one matches none as it stands: no topic begins like it.
pub(crate) fn is_wild(filter: &TopicFilter) -> bool {
    filter.as_str().contains(['+', '#']) && !is_shared(filter)
}

/// Whether what it wants comes from a group and not from the session's place in the log.
pub(crate) fn is_shared(filter: &TopicFilter) -> bool {
    filter.as_str().starts_with(SHARED_PREFIX)
}
