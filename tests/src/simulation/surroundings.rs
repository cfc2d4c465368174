//! What a session finds around it: where its effects go within a round.

use std::collections::{BTreeMap, BTreeSet};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::{Batch, Envelope, Pos, RetentionClass};
use mqtt::{PacketId, Publish};
use router::{ClientKey, RouteSet, Scratch, Subscriber, WorkerId};
use session::{Accepted, ChangeId, Close, Sink};

use super::site::{Site, instance_id};
use super::wire::WireId;

/// A client of the node: its instance and its identifier.
pub type Name = (usize, String);

/// Subscriptions of one instance.
pub const SUBSCRIPTIONS_MAX: u64 = 1_000;

/// A client that has asked for a connection.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// Its name.
    pub name: Name,
    /// Its connection.
    pub wire: WireId,
    /// Whether it asks for a clean session.
    pub clean: bool,
}

/// Who is told what when a batch is settled.
#[derive(Debug, Default)]
pub struct Debts {
    /// Packets of clients, in the order of the messages.
    pub owed: Vec<(ClientKey, PacketId)>,
    /// What was written of sessions, with the incarnation of each.
    pub written: Vec<(Name, u64, ChangeId)>,
    /// Clients whose old session was discarded.
    pub connacks: Vec<Connecting>,
    /// Topics on which messages of clients are under way.
    pub topics: Vec<(Name, String)>,
}

/// A batch that is being made, and what hangs on it.
#[derive(Debug, Default)]
pub struct Making {
    /// Messages and changes.
    pub batch: Batch,
    /// Who waits for it.
    pub debts: Debts,
    /// Topics on which a client's messages are on their way into the log, and how many.
    pub fading: BTreeMap<(Name, String), usize>,
}

/// A message that is in no log.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// Who gets it.
    pub route: RouteSet,
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The QoS.
    pub qos: Qos,
}

/// The sink of one call of a session.
pub struct Surroundings<'a> {
    pub(super) site: &'a Site,
    pub(super) name: &'a Name,
    pub(super) key: ClientKey,
    pub(super) worker: WorkerId,
    pub(super) watermark: Pos,
    pub(super) output: &'a mut Vec<u8>,
    pub(super) making: &'a mut Making,
    pub(super) scratch: &'a mut Scratch,
    /// Of a lasting session: its filters for which messages are logged.
    pub(super) kept: Option<&'a mut BTreeSet<TopicFilter>>,
    /// What is to be done when the call is over.
    pub(super) effects: Effects,
}

/// What is left to be done when a call is over.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages to pass on.
    pub relayed: Vec<Relayed>,
    /// New subscriptions, whose retained messages are wanted.
    pub subscribed: Vec<(TopicFilter, Qos)>,
    /// The session is over.
    pub closed: Option<Close>,
}

impl Surroundings<'_> {
    fn is_logged(&self, publish: &Publish<'_>, route: &RouteSet) -> bool {
        let fading = (self.name.clone(), publish.topic.to_owned());
        let is_kept = self.site.always[self.name.0] || route.is_lasting();
        publish.retain
            || (publish.qos != Qos::AtMostOnce && is_kept)
            // It would overtake one that is on its way [MQTT-4.6.0-6].
            || self.making.fading.contains_key(&fading)
    }

    fn log(&mut self, publish: &Publish<'_>) {
        let envelope = Envelope {
            instance: instance_id(self.name.0),
            qos: publish.qos,
            retain: publish.retain,
            history: false,
            retention: Some(RetentionClass::Day),
            stored_at: self.site.time_of_day(),
            expires_at: None,
            workers: 0,
            topic: publish.topic,
            publisher: &self.name.1,
            payload: publish.payload,
        };
        self.making.batch.append(&envelope).expect("a short message");
        let topic = (self.name.clone(), publish.topic.to_owned());
        *self.making.fading.entry(topic.clone()).or_default() += 1;
        self.making.debts.topics.push(topic);
        if let Some(packet_id) = publish.packet_id {
            self.making.debts.owed.push((self.key, packet_id));
        }
    }
}

impl Sink for Surroundings<'_> {
    fn output(&mut self) -> &mut Vec<u8> {
        self.output
    }

    fn watermark(&self) -> Pos {
        self.watermark
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        let route = self.site.routes[self.name.0].borrow().matches(publish.topic, self.scratch);
        if self.is_logged(publish, &route) {
            self.log(publish);
            return Ok(Accepted::Later);
        }
        self.effects.relayed.push(Relayed {
            route,
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
        });
        Ok(Accepted::Now)
    }

    fn subscribe(&mut self, filter: &TopicFilter, asked: Qos) -> Result<Qos, Refusal> {
        let subscriber = Subscriber { worker: self.worker, client: self.key, qos: asked };
        let mut routes = self.site.routes[self.name.0].borrow_mut();
        routes.insert(filter, subscriber, SUBSCRIPTIONS_MAX)?;
        if let Some(kept) = &mut self.kept
            && asked != Qos::AtMostOnce
            && kept.insert(filter.clone())
        {
            routes.insert_lasting(filter)?;
        }
        self.effects.subscribed.push((filter.clone(), asked));
        Ok(asked)
    }

    fn unsubscribe(&mut self, filter: &TopicFilter) {
        let mut routes = self.site.routes[self.name.0].borrow_mut();
        routes.remove(filter, self.worker, self.key);
        if self.kept.as_mut().is_some_and(|kept| kept.remove(filter)) {
            routes.remove_lasting(filter);
        }
    }

    fn refused(&mut self, _refusal: Refusal) {}

    fn close(&mut self, close: Close) {
        self.effects.closed = Some(close);
    }
}
