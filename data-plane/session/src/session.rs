//! The session: which packet may come when, what answers it, and what waits for whom.

mod acknowledge;
mod attached;
mod gates;
mod lasting;
mod replaying;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::subscription::REPLAY_PREFIX;
use contract::topic::{self, TopicFilter};
use engine::Pos;
use mqtt::{Packet, PacketId, Subscribe, Unsubscribe, encode};

use crate::bounds::Bounds;
use crate::exchanges::Exchanges;
use crate::in_flight::InFlight;
use crate::lasting::{Lasting, Part, Stamp};
use crate::message::Message;
use crate::outbox::{DropReason, Outbox};
use crate::rules::Rules;
use crate::sink::{Close, Sink};
use crate::time::Millis;
use crate::will::Will;
use attached::{Attached, Launch};
use gates::Effect;
use shared::Shared;

pub use shared::SHARED_QOS_MAX;

/// What a CONNECT and the instance's limits say about a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// As the client asked; 0 turns it off, which is then held to the longest that the instance allows.
    pub keep_alive_secs: u16,
    /// See [`Will::accept`].
    pub will: Option<Box<Will>>,
    /// See [`Bounds::from`].
    pub bounds: Bounds,
}

/// How the connection of a session ended, as its surroundings saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// In any way that is not named below: after DISCONNECT, by a refusal, a takeover or a broken network.
    Closed,
    /// The node is stopping: the client will come back elsewhere, so its will is withheld.
    NodeStopping,
}

/// What became of one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Delivered {
    /// So many bytes are in the output buffer.
    Sent(u32),
    /// So many bytes will be, once the client has acknowledged earlier messages, or once the packet identifier is safe.
    Waiting(u32),
    /// Nothing will be.
    Dropped(DropReason),
    /// It is in the log, and the session comes to it there, or has had it from there: nothing was sent, nothing is
    /// lost.
    Replaying,
}

/// What is left of a session whose connection has gone.
#[derive(Debug)]
pub struct EndedSession {
    /// The will, if it is to be published now.
    pub will: Option<Box<Will>>,
    /// What outlives the connection, if anything does. A will that is to wait, or to be withheld, is still in it.
    pub lasting: Option<Box<Lasting>>,
    /// Messages of groups that the client has not acknowledged: they go back, each to the group with this number.
    pub shared: Vec<(u64, Pos)>,
}

/// One connected client of MQTT 3.1.1.
#[derive(Debug)]
pub struct Session {
    heard_at: Millis,
    keep_alive_millis: u32,
    closed: Option<Close>,
    bounds: Bounds,
    in_flight: InFlight,
    /// There only while something waits, and then as many messages are in flight as may be.
    outbox: Option<Box<Outbox>>,
    /// There once QoS 2 was used, or an acknowledgement had to wait.
    exchanges: Option<Box<Exchanges>>,
    /// Those that end with the connection: of a clean session all, of a lasting one its replays. Ordered, so that what
    /// is done for each of them is done in the same order everywhere.
    subscriptions: BTreeMap<TopicFilter, Qos>,
    will: Option<Box<Will>>,
    /// There while the client has messages of groups unacknowledged.
    shared: Option<Box<Shared>>,
    /// There for a session that outlives its connection: then subscriptions, will and what is in flight are in it.
    attached: Option<Box<Attached>>,
}

impl Session {
    /// The clean session of a client whose CONNECT was accepted at `now`.
    #[must_use]
    pub fn new(now: Millis, settings: Settings) -> Self {
        let Settings { keep_alive_secs, will, bounds } = settings;
        let longest = bounds.keep_alive_secs_max;
        let keep_alive_secs = if keep_alive_secs == 0 { longest } else { keep_alive_secs.min(longest) };
        Self {
            heard_at: now,
            keep_alive_millis: u32::from(keep_alive_secs) * 1500,
            closed: None,
            bounds,
            in_flight: InFlight::new(bounds.in_flight_max),
            outbox: None,
            exchanges: None,
            subscriptions: BTreeMap::new(),
            will,
            shared: None,
            attached: None,
        }
    }

    /// One packet of the client. After a close every further packet is ignored.
    #[inline]
    pub fn handle(&mut self, now: Millis, packet: Packet<'_>, sink: &mut impl Sink) {
        if self.closed.is_some() {
            return;
        }
        self.heard_at = now;
        match packet {
            Packet::Publish(publish) => self.on_publish(&publish, sink),
            Packet::PubAck(packet_id) => self.on_puback(packet_id, sink),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, sink),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(&unsubscribe, sink),
            Packet::PingReq => encode::pingresp(sink.output()),
            Packet::Disconnect => self.close(Close::Disconnected, sink),
            Packet::PubRec(packet_id) => self.on_pubrec(packet_id, sink),
            Packet::PubRel(packet_id) => self.on_pubrel(packet_id, sink),
            Packet::PubComp(packet_id) => self.on_pubcomp(packet_id, sink),
        }
    }

    /// A message for this client, on a subscription that was granted `granted`.
    ///
    /// At QoS 0 it is copied into `output`. At QoS 1 and 2 it gets a packet identifier; when as many messages are in flight
    /// as may be, it waits. Where either would be more than the client's bounds, it is dropped. A message is counted
    /// here, once, whether it is sent at once or later.
    #[inline]
    pub fn deliver(&mut self, message: &mut Message<'_>, granted: Qos, output: &mut Vec<u8>) -> Delivered {
        let qos = message.qos_for(granted);
        let form = message.form(qos);
        let size = form.size_bytes();
        let waiting = self.waiting_bytes();
        if size == 0 {
            return Delivered::Dropped(DropReason::TooLong);
        }
        if output.len() + waiting + size > self.bounds.outbox_bytes_max as usize {
            return Delivered::Dropped(DropReason::OutboxBytes);
        }
        if qos == Qos::AtMostOnce {
            form.append_to(output, None);
        } else if self.attached.is_some() {
            return self.deliver_relayed(message, qos, size, output);
        } else if let Some(packet_id) = self.in_flight.take() {
            debug_assert!(self.outbox.is_none(), "what waits goes first");
            if qos == Qos::ExactlyOnce {
                self.note_exactly_once(packet_id);
            }
            form.append_to(output, Some(packet_id));
        } else {
            return self.wait(message, qos, size);
        }
        Delivered::Sent(bytes(size))
    }

    /// A message that was kept for its topic, made by [`Rendering::retained`](crate::Rendering::retained), to a new
    /// subscription. To a lasting session it goes like a message that is in no log: what is lost with the connection
    /// comes again with the next SUBSCRIBE.
    pub fn deliver_retained(
        &mut self,
        message: &mut Message<'_>,
        granted: Qos,
        output: &mut Vec<u8>,
    ) -> Delivered {
        debug_assert!(message.is_retained(), "made as one");
        self.deliver(message, granted, output)
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called if no packet comes before: one and a half times the keep
    /// alive after the last one [MQTT-3.1.2-24]. It only ever moves on.
    #[inline]
    #[must_use]
    pub const fn deadline(&self) -> Millis {
        self.heard_at.after(self.keep_alive_millis)
    }

    /// Closes a client that was silent until its deadline. Called too early it does nothing: ask for the
    /// [`deadline`](Self::deadline) again.
    pub fn on_deadline(&mut self, now: Millis, sink: &mut impl Sink) {
        if self.closed.is_none() && now >= self.deadline() {
            self.refuse(Refusal::KeepAliveTimeout, sink);
        }
    }

    /// The connection is gone. The will is to be published unless DISCONNECT came [MQTT-3.1.2-8], [MQTT-3.1.2-10]; that
    /// of a lasting session may have to wait, see [`Lasting::due`].
    #[must_use]
    pub fn end(self, ended: Ended) -> EndedSession {
        let is_due = match (ended, self.closed) {
            (Ended::NodeStopping, _) | (Ended::Closed, Some(Close::Disconnected)) => false,
            (Ended::Closed, Some(Close::Refused(_)) | None) => true,
        };
        let shared = self.shared.map_or_else(Vec::new, |shared| shared.into_flights().collect());
        let Some(attached) = self.attached else {
            return EndedSession { will: self.will.filter(|_| is_due), lasting: None, shared };
        };
        let mut lasting = attached.detach();
        let is_due = is_due && lasting.will().is_some_and(|will| will.delay_secs == 0);
        let will = if is_due { lasting.take_will() } else { None };
        EndedSession { will, lasting: Some(lasting), shared }
    }

    /// Whether the session is over, so that only [`end`](Self::end) remains.
    #[inline]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// What the client is subscribed to, each with the QoS granted, in the order of the filters.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&TopicFilter, Qos)> {
        let lasting = self.lasting().into_iter().flat_map(Lasting::subscriptions);
        let clean = self.subscriptions.iter().map(|(filter, &qos)| (filter, qos));
        clean.chain(lasting.map(|(filter, qos, _)| (filter, qos)))
    }

    /// The will, as long as it stands.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        self.lasting().map_or(self.will.as_deref(), Lasting::will)
    }

    /// Messages sent at QoS 1 or 2 and not yet acknowledged to the end.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> u16 {
        match &self.attached {
            None => self.in_flight.count(),
            Some(attached) => u16::try_from(attached.lasting.sending.open()).unwrap_or(u16::MAX),
        }
    }

    /// Messages that wait for acknowledgements of earlier ones. Those that wait for their identifier to be safe are in
    /// flight, and those in the log are not counted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }

    /// Bytes of the messages that wait for anything. Those shared with other clients are counted for each.
    #[inline]
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        let gated = self.attached.as_ref().map_or(0, |attached| attached.gated_bytes);
        self.outbox.as_ref().map_or(gated, |outbox| outbox.bytes() + gated)
    }
}

// --- packets ---
impl Session {
    fn on_subscribe(&mut self, subscribe: Subscribe, sink: &mut impl Sink) {
        let Subscribe { packet_id, filters } = subscribe;
        if filters.len() > usize::from(self.bounds.filters_per_packet_max) {
            return self.refuse(Refusal::FiltersPerPacketMax, sink);
        }
        let mut granted = Vec::with_capacity(filters.len());
        for (filter, asked) in filters {
            granted.push(match self.subscribe(filter, asked, sink) {
                Ok(qos) => Some(qos),
                Err(refusal) => {
                    sink.refused(refusal);
                    None
                }
            });
        }
        match self.gated(Part::Session, |rules| rules.subscribe_before_suback) {
            Some((attached, stamp)) => attached.gate(stamp, Effect::SubAck(packet_id, granted.into())),
            None => encode::suback(sink.output(), packet_id, granted.into_iter()),
        }
    }

    fn subscribe(&mut self, filter: TopicFilter, asked: Qos, sink: &mut impl Sink) -> Result<Qos, Refusal> {
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
        let granted = sink.subscribe(&filter, asked)?.min(asked);
        let is_stored = !ends_with_connection(&filter);
        match self.lasting_mut().filter(|_| is_stored) {
            None => drop(self.subscriptions.insert(filter, granted)),
            Some(lasting) => {
                let since = sink.since(&filter);
                lasting.subscribe(filter, granted, since);
            }
        }
        Ok(granted)
    }

    fn on_unsubscribe(&mut self, unsubscribe: &Unsubscribe, sink: &mut impl Sink) {
        if unsubscribe.filters.len() > usize::from(self.bounds.filters_per_packet_max) {
            return self.refuse(Refusal::FiltersPerPacketMax, sink);
        }
        for filter in &unsubscribe.filters {
            if self.withdraw(filter) {
                sink.unsubscribe(filter);
            }
        }
        // Also when there was nothing to end [MQTT-3.10.4-5].
        let packet_id = unsubscribe.packet_id;
        match self.gated(Part::Session, |rules| rules.subscribe_before_suback) {
            Some((attached, stamp)) => attached.gate(stamp, Effect::UnsubAck(packet_id)),
            None => encode::unsuback(sink.output(), packet_id),
        }
    }

    /// Ends a subscription without a word to the client, because the right to it has gone or its source has. False when
    /// it is not held.
    pub fn withdraw(&mut self, filter: &TopicFilter) -> bool {
        let was_volatile = self.subscriptions.remove(filter).is_some();
        was_volatile || self.lasting_mut().is_some_and(|lasting| lasting.unsubscribe(filter))
    }

    /// The change of a part that an answer has to wait for, unless a test has broken that rule; `None`: it need not
    /// wait.
    fn gated(&mut self, part: Part, rule: impl Fn(Rules) -> bool) -> Option<(&mut Attached, Stamp)> {
        let attached = self.attached.as_deref_mut()?;
        let stamp = attached.lasting.changes.unsafe_stamp(part)?;
        rule(attached.lasting.rules()).then_some((attached, stamp))
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal, sink: &mut impl Sink) {
        self.close(Close::Refused(refusal), sink);
    }

    fn close(&mut self, close: Close, sink: &mut impl Sink) {
        debug_assert!(self.closed.is_none(), "closed once");
        self.closed = Some(close);
        if close == Close::Disconnected {
            self.will = None;
            if let Some(lasting) = self.lasting_mut() {
                lasting.set_will(None);
            }
        }
        sink.close(close);
    }
}

// --- the outbox ---
impl Session {
    #[cold]
    fn wait(&mut self, message: &mut Message<'_>, qos: Qos, size: usize) -> Delivered {
        if self.waiting() >= self.bounds.outbox_messages_max as usize {
            return Delivered::Dropped(DropReason::OutboxMessages);
        }
        self.outbox.get_or_insert_default().push(message.keep(qos));
        Delivered::Waiting(bytes(size))
    }

    /// A message of QoS 1 or 2 that is in no log, for a lasting session: it is in flight without a position, and lost
    /// with the connection. At QoS 2 its identifier has to be safe before it is sent all the same, since the client
    /// remembers it.
    fn deliver_relayed(
        &mut self,
        message: &mut Message<'_>,
        qos: Qos,
        size: usize,
        output: &mut Vec<u8>,
    ) -> Delivered {
        let attached = self.attached.as_deref_mut().filter(|it| it.has_window() && self.outbox.is_none());
        match attached.and_then(|attached| attached.launch(None, qos, || message.keep(qos))) {
            None => self.wait(message, qos, size),
            Some(Launch::Gated) => Delivered::Waiting(bytes(size)),
            Some(Launch::Now(packet_id)) => {
                message.form(qos).append_to(output, Some(packet_id));
                Delivered::Sent(bytes(size))
            }
        }
    }

    #[cold]
    fn note_exactly_once(&mut self, packet_id: PacketId) {
        self.exchanges.get_or_insert_default().sent.insert(packet_id);
    }

    #[cold]
    fn send_waiting(&mut self, sink: &mut impl Sink) {
        let Some(outbox) = &mut self.outbox else { return };
        if let Some(attached) = self.attached.as_deref_mut() {
            while attached.has_window() {
                let Some(form) = outbox.pop() else { break };
                if let Some(Launch::Now(packet_id)) = attached.launch(None, form.qos(), || Arc::clone(&form))
                {
                    sink.release(&form, Some(packet_id));
                }
            }
        }
        while !self.in_flight.is_full() && self.attached.is_none() {
            let Some(form) = outbox.pop() else { break };
            let packet_id = self.in_flight.take();
            if form.qos() == Qos::ExactlyOnce
                && let Some(packet_id) = packet_id
            {
                self.exchanges.get_or_insert_default().sent.insert(packet_id);
            }
            sink.release(&form, packet_id);
        }
        if outbox.len() == 0 {
            self.outbox = None;
        }
    }
}

/// Whether a subscription is never stored: a replay begins at a time, and again at that time only if it is asked for
/// again.
fn ends_with_connection(filter: &TopicFilter) -> bool {
    filter.as_str().starts_with(REPLAY_PREFIX)
}

/// A packet's size as it is counted: no packet has more bytes than 32 bits can say.
#[inline]
fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
