//! What is owed to groups: what any lasting member is owed, some member has acknowledged.

use std::collections::BTreeSet;
use std::ops::Range;

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::PacketId;

use super::{Account, ClientAt, Number, Wrong};
use crate::simulation::groups::{Text, shared};

impl Account {
    /// A client has a message of QoS 1 under this identifier.
    pub fn has_under(&mut self, client: ClientAt, packet_id: PacketId, number: Number) {
        self.clients[client].under.insert(packet_id, number);
    }

    /// A client says PUBACK.
    pub fn answers(&mut self, client: ClientAt, packet_id: PacketId) {
        let had = &mut self.clients[client];
        if let Some(number) = had.under.remove(&packet_id) {
            had.answered.insert(number);
        }
    }

    /// A group will not have a message.
    pub fn share_void(&mut self, text: &Text, number: Option<Number>) {
        self.passed_over += 1;
        self.share_voids.entry(text.clone()).or_default().extend(number);
    }

    /// Part of the log is said to be lost for a group.
    pub fn share_lost(&mut self, text: &Text, filters: &[(TopicFilter, Pos)], range: &Range<Pos>) {
        let numbers: Vec<_> =
            self.selected_entries(text.0, filters, range).filter_map(|entry| entry.number).collect();
        self.share_voids.entry(text.clone()).or_default().extend(numbers);
    }

    /// At the quiet end: what lasting members are owed together, one of the members has acknowledged.
    pub(super) fn shares_settled(&mut self) -> Result<(), Wrong> {
        let none = BTreeSet::new();
        let mut checked = 0;
        for (at, had) in self.clients.iter().enumerate().filter(|(_, had)| had.lasting) {
            for (text, held) in &had.held {
                let Some(filter) = shared(text) else { continue };
                let group = (had.name.0, text.clone());
                let void = self.share_voids.get(&group).unwrap_or(&none);
                for (number, sent) in (1..).zip(&self.sent) {
                    let is_owed = sent.acknowledged
                        && sent.qos != Qos::AtMostOnce
                        && sent.instance == group.0
                        && sent.at > held.since
                        && filter.matches(sent.topic);
                    let mut members =
                        self.clients.iter().filter(|it| it.name.0 == group.0 && it.asked.contains(text));
                    let is_done =
                        |it: &super::Had| it.answered.contains(&number) || held.qos == Qos::AtMostOnce;
                    checked += u64::from(is_owed);
                    if is_owed && !void.contains(&number) && !members.any(is_done) {
                        return Err(format!(
                            "no member of `{text}` has acknowledged {number} (`{}`, QoS {}, logged {} times), which \
                             client {at} was promised",
                            sent.topic,
                            sent.qos.bits(),
                            sent.logged
                        ));
                    }
                }
            }
        }
        self.shared += checked;
        Ok(())
    }
}
