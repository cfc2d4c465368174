//! SUBSCRIBE and UNSUBSCRIBE: what is answered for each filter, and what is kept of it.

use contract::refusal::Refusal;
use contract::subscription::REPLAY_PREFIX;
use contract::topic::{self, TopicFilter};
use mqtt::{PacketId, ReasonCode, Subscribe, Unsubscribe, encode};

use super::Session;
use super::attached::Attached;
use super::gates::Effect;
use crate::granted::{Asked, Granted};
use crate::lasting::{Part, Stamp, is_wild};
use crate::rules::Rules;
use crate::sink::Sink;

/// Bytes of SUBACK and UNSUBACK of 5.0 besides their codes and a text, at most: type, three of length, identifier, length
/// of the properties.
const ANSWER_BYTES: usize = 7;

impl Session {
    pub(super) fn on_subscribe(&mut self, subscribe: Subscribe, sink: &mut impl Sink) {
        let Subscribe { packet_id, filters, subscription_id } = subscribe;
        if filters.len() > usize::from(self.bounds.filters_per_packet_max) {
            return self.refuse(Refusal::FiltersPerPacketMax, sink);
        }
        if !self.takes_answer_of(filters.len()) {
            return self.refuse(Refusal::PacketBytesMax, sink);
        }
        let (mut codes, mut why) = (Vec::with_capacity(filters.len()), None);
        for (filter, options) in filters {
            let asked = Asked { options, subscription_id, is_new: true };
            codes.push(match self.subscribe(filter, asked, sink) {
                Ok(granted) => ReasonCode::granted(granted.qos()),
                Err(refusal) => {
                    sink.refused(refusal);
                    why = why.or(Some(refusal));
                    ReasonCode::of_subscribe(refusal)
                }
            });
        }
        match self.gated(Part::Session, |rules| rules.subscribe_before_suback) {
            Some((attached, stamp)) => attached.gate(stamp, Effect::SubAck(packet_id, codes.into(), why)),
            None => self.write_suback(packet_id, &codes, why, sink.output()),
        }
    }

    /// Whether the client of 5.0 takes an answer with so many codes [MQTT-3.1.2-24]: one that it does not take would
    /// leave it waiting.
    const fn takes_answer_of(&self, codes: usize) -> bool {
        !self.version.is_v5() || ANSWER_BYTES + codes <= self.packet_bytes_max as usize
    }

    /// A code for each filter, in their order [MQTT-3.8.4-6]; in 5.0 the first refusal in words too.
    pub(super) fn write_suback(
        &self,
        packet_id: PacketId,
        codes: &[ReasonCode],
        why: Option<Refusal>,
        output: &mut Vec<u8>,
    ) {
        let codes = codes.iter().copied();
        match why.map(Refusal::name).filter(|why| self.wants_words(ANSWER_BYTES + codes.len(), why)) {
            None => encode::suback(output, self.version, packet_id, codes),
            Some(why) => encode::suback_because(output, packet_id, codes, why),
        }
    }

    fn subscribe(
        &mut self,
        filter: TopicFilter,
        asked: Asked,
        sink: &mut impl Sink,
    ) -> Result<Granted, Refusal> {
        if filter.as_str().len() > usize::from(self.bounds.topic_bytes_max) {
            return Err(Refusal::TopicBytesMax);
        }
        if topic::levels(filter.as_str()) > usize::from(self.bounds.topic_levels_max) {
            return Err(Refusal::TopicLevelsMax);
        }
        let stored = self.lasting().map_or(0, |lasting| lasting.subscriptions().len());
        let is_stored = self.lasting().is_some_and(|lasting| lasting.holds(&filter));
        let is_held = is_stored || self.subscriptions.contains_key(&filter);
        let held = stored + self.subscriptions.len();
        if held >= self.bounds.subscriptions_max as usize && !is_held {
            return Err(Refusal::ClientSubscriptionsMax);
        }
        if self.lasting().is_some_and(|lasting| !lasting.has_room_for(&filter)) {
            return Err(Refusal::ClientSubscriptionsMax);
        }
        let asked = Asked { is_new: !is_held, ..asked };
        let granted = asked.granted(sink.subscribe(&filter, &asked)?.min(asked.options.qos));
        let is_stored = !ends_with_connection(&filter);
        match self.lasting_mut().filter(|_| is_stored) {
            None => {
                let is_wild = is_wild(&filter);
                let before = self.subscriptions.insert(filter, granted);
                self.wild += u32::from(is_wild && before.is_none());
            }
            Some(lasting) => {
                let since = sink.since(&filter);
                lasting.subscribe(filter, granted, since);
            }
        }
        Ok(granted)
    }

    pub(super) fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe, sink: &mut impl Sink) {
        if unsubscribe.filters.len() > usize::from(self.bounds.filters_per_packet_max) {
            return self.refuse(Refusal::FiltersPerPacketMax, sink);
        }
        if !self.takes_answer_of(unsubscribe.filters.len()) {
            return self.refuse(Refusal::PacketBytesMax, sink);
        }
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            codes.push(if self.withdraw(filter) {
                sink.unsubscribe(filter);
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscriptionExisted
            });
        }
        // Also when there was nothing to end [MQTT-3.10.4-5].
        let packet_id = unsubscribe.packet_id;
        let version = self.version;
        match self.gated(Part::Session, |rules| rules.subscribe_before_suback) {
            Some((attached, stamp)) => attached.gate(stamp, Effect::UnsubAck(packet_id, codes.into())),
            None => encode::unsuback(sink.output(), version, packet_id, codes.into_iter()),
        }
    }

    /// Ends a subscription without a word to the client, because the right to it has gone or its source has. False when
    /// it is not held.
    pub fn withdraw(&mut self, filter: &TopicFilter) -> bool {
        let was_volatile = self.subscriptions.remove(filter).is_some();
        self.wild -= u32::from(was_volatile && is_wild(filter));
        was_volatile || self.lasting_mut().is_some_and(|lasting| lasting.unsubscribe(filter))
    }

    /// The change of a part that an answer has to wait for, unless a test has broken that rule; `None`: it need not
    /// wait.
    pub(super) fn gated(
        &mut self,
        part: Part,
        rule: impl Fn(Rules) -> bool,
    ) -> Option<(&mut Attached, Stamp)> {
        let attached = self.attached.as_deref_mut()?;
        let stamp = attached.lasting.changes.unsafe_stamp(part)?;
        rule(attached.lasting.rules()).then_some((attached, stamp))
    }
}

/// Whether a subscription is never stored: a replay begins at a time, and again at that time only if it is asked for
/// again.
fn ends_with_connection(filter: &TopicFilter) -> bool {
    filter.as_str().starts_with(REPLAY_PREFIX)
}
