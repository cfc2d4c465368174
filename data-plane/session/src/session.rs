//! The session: which packet may come when, what answers it, and what waits for whom.

mod acknowledge;
mod attached;
mod delivering;
mod gates;
mod lasting;
mod replaying;
mod shared;
mod subscribing;

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::{Disconnect, Packet, PacketId, Publish, ReasonCode, Version, encode, kind};

use crate::aliases::{Alias, Ours, Theirs};
use crate::bounds::Bounds;
use crate::exchanges::Exchanges;
use crate::granted::Granted;
use crate::in_flight::InFlight;
use crate::lasting::Lasting;
use crate::outbox::{DropReason, Outbox};
use crate::sink::{Close, Sink};
use crate::time::Millis;
use crate::v5::{ClientSide, V5};
use crate::will::Will;
use attached::Attached;
use shared::Shared;

pub use shared::SHARED_QOS_MAX;

/// What a CONNECT and the instance's limits say about a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// That of the connection; a kept session may have had another before.
    pub version: Version,
    /// As the client asked; 0 turns it off, which is then held to the longest that the instance allows.
    pub keep_alive_secs: u16,
    /// See [`Will::accept`].
    pub will: Option<Box<Will>>,
    /// See [`Bounds::from`].
    pub bounds: Bounds,
    /// What the client said of itself; of 3.1.1 the default.
    pub client: ClientSide,
    /// Seconds that the session outlives its connection, held to the instance's limit. 0: it ends with it, see
    /// [`Session::attach`]. Of a [new](Session::new) one it is of no meaning.
    pub expiry_secs: u32,
    /// What the client may change that to when it says DISCONNECT, at most.
    pub expiry_secs_max: u32,
    /// The highest topic alias that the client was told it may use; 0: none.
    pub server_alias_max: u16,
    /// Messages of QoS 1 and 2 that the client was told it may have unacknowledged; never 0, and of no meaning in 3.1.1.
    pub receive_max: u16,
}

impl Settings {
    /// Without a will and with what is announced when nothing is: no alias, any number of messages.
    #[must_use]
    pub fn new(version: Version, bounds: Bounds) -> Self {
        Self {
            version,
            keep_alive_secs: 0,
            will: None,
            bounds,
            client: ClientSide::default(),
            expiry_secs: 0,
            expiry_secs_max: u32::MAX,
            server_alias_max: 0,
            receive_max: u16::MAX,
        }
    }
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

/// One connected client of MQTT 3.1, 3.1.1 or 5.0.
#[derive(Debug)]
pub struct Session {
    heard_at: Millis,
    keep_alive_millis: u32,
    closed: Option<Close>,
    version: Version,
    /// The client may be sent topic aliases.
    has_aliases: bool,
    /// The largest packet that the client takes.
    packet_bytes_max: u32,
    /// Messages of QoS 2 of the client that may be unreleased.
    received_max: u16,
    bounds: Bounds,
    in_flight: InFlight,
    /// There only while something waits, and then as many messages are in flight as may be.
    outbox: Option<Box<Outbox>>,
    /// There once QoS 2 was used, or an acknowledgement had to wait.
    exchanges: Option<Box<Exchanges>>,
    /// Those that end with the connection: of a clean session all, of a lasting one its replays. Ordered, so that what
    /// is done for each of them is done in the same order everywhere.
    subscriptions: BTreeMap<TopicFilter, Granted>,
    /// How many of them are no plain topics.
    wild: u32,
    will: Option<Box<Will>>,
    /// There while the client has messages of groups unacknowledged.
    shared: Option<Box<Shared>>,
    /// There for a session that outlives its connection: then subscriptions, will and what is in flight are in it.
    attached: Option<Box<Attached>>,
    /// There in 5.0.
    v5: Option<Box<V5>>,
}

impl Session {
    /// The clean session of a client whose CONNECT was accepted at `now`.
    #[must_use]
    pub fn new(now: Millis, settings: Settings) -> Self {
        let Settings { version, keep_alive_secs, will, mut bounds, client, .. } = settings;
        let longest = bounds.keep_alive_secs_max;
        let keep_alive_secs = if keep_alive_secs == 0 { longest } else { keep_alive_secs.min(longest) };
        let received_max = bounds.in_flight_max;
        // [MQTT-3.3.4-9]
        bounds.in_flight_max = bounds.in_flight_max.min(client.receive_max).max(1);
        let v5 = version.is_v5().then(|| {
            Box::new(V5 {
                client,
                receive_max: settings.receive_max,
                expiry_secs_max: settings.expiry_secs_max,
                ends_with_connection: true,
                theirs: Theirs::new(settings.server_alias_max, bounds.topic_bytes_max),
                ours: Ours::new(client.topic_alias_max),
            })
        });
        Self {
            heard_at: now,
            keep_alive_millis: u32::from(keep_alive_secs) * 1500,
            closed: None,
            version,
            has_aliases: v5.as_ref().is_some_and(|v5| v5.ours.is_some()),
            packet_bytes_max: client.packet_bytes_max.unwrap_or(u32::MAX),
            received_max,
            bounds,
            in_flight: InFlight::new(bounds.in_flight_max),
            outbox: None,
            exchanges: None,
            subscriptions: BTreeMap::new(),
            wild: 0,
            will,
            shared: None,
            attached: None,
            v5,
        }
    }

    /// One packet of the client. After a close every further packet is ignored.
    pub fn handle(&mut self, now: Millis, packet: Packet<'_>, sink: &mut impl Sink) {
        if self.closed.is_some() {
            return;
        }
        self.heard_at = now;
        match packet {
            Packet::Publish(publish) => self.handle_publish(now, &publish, sink),
            Packet::PubAck(packet_id, reason) => {
                self.handle_acknowledgement(now, kind::PUBACK, packet_id, reason, sink);
            }
            Packet::PubRec(packet_id, reason) => {
                self.handle_acknowledgement(now, kind::PUBREC, packet_id, reason, sink);
            }
            Packet::PubRel(packet_id, reason) => {
                self.handle_acknowledgement(now, kind::PUBREL, packet_id, reason, sink);
            }
            Packet::PubComp(packet_id, reason) => {
                self.handle_acknowledgement(now, kind::PUBCOMP, packet_id, reason, sink);
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, sink),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(&unsubscribe, sink),
            Packet::PingReq => encode::pingresp(sink.output()),
            Packet::Disconnect(disconnect) => self.on_disconnect(&disconnect, sink),
            Packet::Auth(auth) => {
                if let Err(refusal) = sink.auth(&auth) {
                    self.refuse(refusal, sink);
                }
            }
        }
    }

    /// A PUBLISH of the client: [`handle`](Self::handle) without moving the message.
    #[inline]
    pub fn handle_publish(&mut self, now: Millis, publish: &Publish<'_>, sink: &mut impl Sink) {
        if self.closed.is_none() {
            self.heard_at = now;
            self.on_publish(publish, sink);
        }
    }

    /// A PUBACK, PUBREC, PUBREL or PUBCOMP of the client, as `kind` says: [`handle`](Self::handle) without the packet
    /// around it. Any other kind is passed over.
    #[inline]
    pub fn handle_acknowledgement(
        &mut self,
        now: Millis,
        kind: u8,
        packet_id: PacketId,
        reason: ReasonCode,
        sink: &mut impl Sink,
    ) {
        if self.closed.is_some() {
            return;
        }
        self.heard_at = now;
        match kind {
            // A client may say that it did not take it; it is acknowledged all the same [MQTT-4.4.0-2].
            kind::PUBACK => self.on_puback(packet_id, sink),
            kind::PUBREC => self.on_pubrec(packet_id, reason.is_error(), sink),
            kind::PUBREL => self.on_pubrel(packet_id, sink),
            kind::PUBCOMP => self.on_pubcomp(packet_id, sink),
            _ => debug_assert!(false, "an acknowledgement"),
        }
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

    /// The connection is gone. The will is to be published unless a DISCONNECT has voided it [MQTT-3.1.2-8],
    /// [MQTT-3.1.2-10]; that of a lasting session may have to wait, see [`Lasting::due`]. What is lasting and has an
    /// expiry of 0 seconds is over, and is to be deleted at once.
    #[must_use]
    pub fn end(self, ended: Ended) -> EndedSession {
        let is_due = match (ended, self.closed) {
            (Ended::NodeStopping, _) | (Ended::Closed, Some(Close::Disconnected { with_will: false })) => {
                false
            }
            (Ended::Closed, Some(Close::Refused(_) | Close::Disconnected { with_will: true }) | None) => true,
        };
        let shared = self.shared.map_or_else(Vec::new, |shared| shared.into_flights().collect());
        let Some(attached) = self.attached else {
            return EndedSession { will: self.will.filter(|_| is_due), lasting: None, shared };
        };
        let mut lasting = attached.detach();
        let waits = |will: &Will| will.delay_secs > 0 && lasting.expiry_secs() > 0;
        let is_due = is_due && lasting.will().is_some_and(|will| !waits(will));
        let will = if is_due { lasting.take_will() } else { None };
        EndedSession { will, lasting: Some(lasting), shared }
    }

    /// Whether the session is over, so that only [`end`](Self::end) remains.
    #[inline]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// What the client is subscribed to, each with what was granted, in the order of the filters.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&TopicFilter, Granted)> {
        let lasting = self.lasting().into_iter().flat_map(Lasting::subscriptions);
        let clean = self.subscriptions.iter().map(|(filter, &granted)| (filter, granted));
        clean.chain(lasting.map(|(filter, granted, _)| (filter, granted)))
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

    /// So many of them may be there at one time: as many as the client's bounds and the client itself allow
    /// [MQTT-3.3.4-9]. 1 at least.
    #[inline]
    #[must_use]
    pub fn window(&self) -> u16 {
        match &self.attached {
            None => self.bounds.in_flight_max,
            Some(attached) => u16::try_from(attached.window).unwrap_or(u16::MAX),
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

// --- the connection ---
impl Session {
    /// The version of the connection.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What the client said of itself; of 3.1.1 what holds for everybody.
    #[must_use]
    pub fn client_side(&self) -> ClientSide {
        self.v5.as_ref().map_or_else(ClientSide::default, |v5| v5.client)
    }

    /// The topic that an alias of the client stands for. [`handle`](Self::handle) puts it into a message that has none,
    /// and takes one that has been put there as well.
    #[must_use]
    pub fn topic_of_alias(&self, alias: NonZeroU16) -> Option<&str> {
        self.v5.as_ref()?.theirs.find(alias)
    }

    /// Whether the client of 5.0 is to be told something in so many words, in a packet with so many bytes besides
    /// [MQTT-3.1.2-29].
    fn wants_words(&self, size: usize, words: &str) -> bool {
        let is_wanted = self.v5.as_ref().is_some_and(|v5| v5.client.wants_problem_info);
        // The identifier of the property and the length of the text.
        is_wanted && size + words.len() + 3 <= self.packet_bytes_max as usize
    }

    /// Whether messages may say their topics by aliases from now on, as far as the client takes any. One that may not be
    /// sent after all must not have told of an alias.
    pub fn allow_aliases(&mut self, is_allowed: bool) {
        self.has_aliases = is_allowed && self.v5.as_ref().is_some_and(|v5| v5.ours.is_some());
    }

    fn find_alias(&mut self, topic: &str) -> Option<Alias> {
        if !self.has_aliases {
            return None;
        }
        self.v5.as_mut()?.ours.as_mut()?.find(topic)
    }

    fn note_alias(&mut self, alias: Alias, topic: &str) {
        if let Some(ours) = self.v5.as_mut().and_then(|v5| v5.ours.as_mut()) {
            ours.note(alias, topic);
        }
    }

    /// Any reason but that the client goes in peace keeps its will [MQTT-3.14.4-3]. In 5.0 it may say anew how long its
    /// session lasts, unless CONNECT said that it ends with the connection [MQTT-3.14.2-2].
    fn on_disconnect(&mut self, disconnect: &Disconnect<'_>, sink: &mut impl Sink) {
        if let (Some(secs), Some(v5)) = (disconnect.session_expiry_secs, &self.v5) {
            if secs > 0 && v5.ends_with_connection {
                return self.refuse(Refusal::ProtocolError, sink);
            }
            let secs = secs.min(v5.expiry_secs_max);
            if let Some(lasting) = self.lasting_mut() {
                lasting.set_expiry_secs(secs);
            }
        }
        let with_will = disconnect.reason != ReasonCode::Success;
        self.close(Close::Disconnected { with_will }, sink);
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal, sink: &mut impl Sink) {
        self.close(Close::Refused(refusal), sink);
    }

    fn close(&mut self, close: Close, sink: &mut impl Sink) {
        debug_assert!(self.closed.is_none(), "closed once");
        self.closed = Some(close);
        if close == (Close::Disconnected { with_will: false }) {
            self.will = None;
            if let Some(lasting) = self.lasting_mut() {
                lasting.set_will(None);
            }
        }
        sink.close(close);
    }
}

/// A packet's size as it is counted: no packet has more bytes than 32 bits can say.
#[inline]
fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
