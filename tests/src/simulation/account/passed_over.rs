//! What a session need not have: what had expired, and what was too much. Each of them is said, and nothing else is
//! missing.

use std::ops::Range;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::{Envelope, Pos};

use super::{Account, Number};
use crate::simulation::surroundings::Name;

/// A message in the log.
#[derive(Debug)]
pub(super) struct Entry {
    instance: usize,
    pos: Pos,
    topic: String,
    qos: Qos,
    expires_at: Option<u64>,
    /// Of its record.
    bytes: u64,
    pub(super) number: Option<Number>,
}

/// What a look at the log selects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selected {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Entry {
    pub(super) fn new(instance: usize, pos: Pos, envelope: &Envelope<'_>, number: Option<Number>) -> Self {
        Self {
            instance,
            pos,
            topic: envelope.topic.to_owned(),
            qos: envelope.qos,
            expires_at: envelope.expires_at.map(|at| at.0),
            bytes: envelope.size_bytes() as u64,
            number,
        }
    }
}

impl Account {
    fn entries(&self, range: &Range<Pos>) -> &[Entry] {
        let from = self.log.partition_point(|entry| entry.pos < range.start);
        let to = self.log.partition_point(|entry| entry.pos < range.end);
        self.log.get(from..to).unwrap_or_default()
    }

    pub(super) fn selected_entries<'a>(
        &'a self,
        instance: usize,
        filters: &'a [(TopicFilter, Pos)],
        range: &Range<Pos>,
    ) -> impl Iterator<Item = &'a Entry> {
        let is_wanted = move |entry: &&Entry| {
            let matches =
                |(filter, since): &(TopicFilter, Pos)| entry.pos >= *since && filter.matches(&entry.topic);
            entry.instance == instance && entry.qos != Qos::AtMostOnce && filters.iter().any(matches)
        };
        self.entries(range).iter().filter(is_wanted)
    }

    /// How much of a part of the log any of the filters is for.
    #[must_use]
    pub fn selected(&self, instance: usize, filters: &[(TopicFilter, Pos)], range: &Range<Pos>) -> Selected {
        let sum = |sum: Selected, entry: &Entry| Selected {
            messages: sum.messages + 1,
            bytes: sum.bytes + entry.bytes,
        };
        self.selected_entries(instance, filters, range).fold(Selected::default(), sum)
    }

    /// A part of the log is passed over for a client, and so many messages are said to be in it.
    pub fn dropped(&mut self, name: &Name, filters: &[(TopicFilter, Pos)], range: &Range<Pos>, said: u64) {
        let numbers: Vec<_> =
            self.selected_entries(name.0, filters, range).map(|entry| entry.number).collect();
        if numbers.len() as u64 != said {
            let (all, range) = (numbers.len(), format!("{}..{}", range.start, range.end));
            self.complain(format!(
                "{said} messages of {name:?} are counted as dropped in {range}, not {all}"
            ));
        }
        self.void(name, numbers.into_iter().flatten());
        self.passed_over += said;
    }

    /// Part of the log is said to be lost for a client.
    pub fn lost(&mut self, name: &Name, filters: &[(TopicFilter, Pos)], range: &Range<Pos>) {
        let numbers: Vec<_> =
            self.selected_entries(name.0, filters, range).filter_map(|entry| entry.number).collect();
        self.void(name, numbers);
    }

    fn void(&mut self, name: &Name, numbers: impl IntoIterator<Item = Number>) {
        if let Some(client) = self.find(name) {
            self.clients[client].void.extend(numbers);
        }
    }

    fn entry(&self, pos: Pos) -> Option<&Entry> {
        self.log.get(self.log.partition_point(|entry| entry.pos < pos)).filter(|entry| entry.pos == pos)
    }

    /// A client gets a message from the log, not for the first time perhaps.
    pub fn took(&mut self, name: &Name, pos: Pos, now: u64) {
        let Some(client) = self.find(name) else { return };
        let is_new = self.clients[client].taken.insert(pos);
        let expires_at = self.entry(pos).and_then(|entry| entry.expires_at);
        if is_new && expires_at.is_some_and(|at| at <= now) {
            self.complain(format!("client {client} gets what stands at {pos} after its time"));
        }
    }

    /// A client gets a message from the feed.
    pub fn took_live(&mut self, name: &Name, pos: Pos) {
        if let Some(client) = self.find(name) {
            self.clients[client].taken.insert(pos);
        }
    }

    /// A client does not get a message of the log, because its time is over.
    pub fn expired(&mut self, name: &Name, pos: Pos, now: u64) {
        let Some(entry) = self.entry(pos) else {
            return self.complain(format!("nothing stands at {pos}, and it is passed over"));
        };
        let number = entry.number;
        if entry.expires_at.is_none_or(|at| at > now) {
            self.complain(format!("what stands at {pos} is passed over before its time"));
        }
        self.passed_over += 1;
        self.void(name, number);
    }
}
