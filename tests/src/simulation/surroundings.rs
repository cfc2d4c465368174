//! What a session finds around it: where its effects go within a round.

use std::collections::{BTreeMap, BTreeSet};

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Batch, Envelope, Pos, RetentionClass};
use mqtt::{PacketId, Publish, Version};
use router::{ClientKey, RouteSet, Scratch, Subscriber, WorkerId};
use session::{
    Accepted, Asked, ChangeId, ClientSide, Close, Granted, PassedOver, SHARED_QOS_MAX, Sink, Will,
};

use super::account::Number;
use super::groups::{Membership, Text, shared};
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
    /// What it speaks.
    pub version: Version,
    /// What it said of itself.
    pub client: ClientSide,
    /// Whether it asks for a clean session; in 5.0 for a clean start of one that ends with the connection.
    pub clean: bool,
    /// What is to be published when it goes.
    pub will: Option<Box<Will>>,
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
    /// Sessions whose documents are deleted, each with the number of the deletion.
    pub deleted: Vec<(Name, u64)>,
    /// Topics on which messages of clients are under way.
    pub topics: Vec<(Name, String)>,
    /// Wills.
    pub wills: Vec<Number>,
    /// Groups whose documents are written.
    pub groups: Vec<ClientKey>,
    /// Groups whose documents are deleted.
    pub ended: Vec<Text>,
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

impl Making {
    /// Whether a client's message goes into the log.
    pub fn is_logged(&self, site: &Site, name: &Name, publish: &Publish<'_>, route: &RouteSet) -> bool {
        let fading = (name.clone(), publish.topic.to_owned());
        let is_kept = site.plan.always[name.0] || route.is_lasting();
        publish.retain
            || (publish.qos != Qos::AtMostOnce && is_kept)
            // It would overtake one that is on its way [MQTT-4.6.0-6].
            || self.fading.contains_key(&fading)
    }

    /// Adds a client's message to the batch.
    pub fn append(&mut self, site: &Site, name: &Name, publish: &Publish<'_>) {
        let now = site.time_of_day();
        let expiry = site.plan.expiry_of(publish.topic);
        let envelope = Envelope {
            instance: instance_id(name.0),
            qos: publish.qos,
            retain: publish.retain,
            history: false,
            retention: Some(RetentionClass::Day),
            stored_at: now,
            expires_at: expiry.map(|millis| UnixMillis(now.0 + millis)),
            workers: 0,
            content: &[],
            topic: publish.topic,
            publisher: &name.1,
            payload: publish.payload,
        };
        self.batch.append(&envelope).expect("a short message");
        let topic = (name.clone(), publish.topic.to_owned());
        *self.fading.entry(topic.clone()).or_default() += 1;
        self.debts.topics.push(topic);
    }

    /// A message of this topic is on its way no more.
    pub fn settle_topic(&mut self, topic: &(Name, String)) {
        let Some(count) = self.fading.get_mut(topic) else { return };
        *count -= 1;
        if *count == 0 {
            self.fading.remove(topic);
        }
    }
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
    pub subscribed: Vec<(TopicFilter, Granted)>,
    /// Messages of pages that the session has taken on.
    pub took: Vec<Pos>,
    /// Messages of pages that it will not have.
    pub passed_over: Vec<(Pos, PassedOver)>,
    /// Messages of groups that the client has acknowledged.
    pub shared_done: Vec<(u64, Pos)>,
    /// Groups that the client has left.
    pub left: Vec<ClientKey>,
    /// The session is over.
    pub closed: Option<Close>,
}

impl Sink for Surroundings<'_> {
    fn output(&mut self) -> &mut Vec<u8> {
        self.output
    }

    fn since(&self, filter: &TopicFilter) -> Pos {
        let groups = self.site.groups.borrow();
        groups.find(&(self.name.0, filter.clone())).map_or(self.watermark, |group| group.start)
    }

    fn shared_done(&mut self, group: u64, pos: Pos) {
        self.effects.shared_done.push((group, pos));
    }

    fn took(&mut self, pos: Pos, _bytes: u32) {
        self.effects.took.push(pos);
    }

    fn passed_over(&mut self, pos: Pos, why: PassedOver) {
        self.effects.passed_over.push((pos, why));
    }

    fn unix_now(&self) -> UnixMillis {
        self.site.time_of_day()
    }

    fn is_own(&self, publisher: &str) -> bool {
        publisher == self.name.1
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        let route = self.site.routes[self.name.0].borrow().matches(publish.topic, self.scratch);
        if self.making.is_logged(self.site, self.name, publish, &route) {
            self.making.append(self.site, self.name, publish);
            if let Some(packet_id) = publish.packet_id {
                self.making.debts.owed.push((self.key, packet_id));
            }
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

    fn subscribe(&mut self, filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        let (qos, is_special) = (asked.options.qos, asked.is_special());
        if shared(filter).is_some() {
            let granted = qos.min(SHARED_QOS_MAX);
            let connection = Some((self.worker.index(), self.key));
            let membership = Membership { connection, granted, lasting: self.kept.is_some() };
            self.site.join(&(self.name.0, filter.clone()), self.name, membership, None);
            return Ok(granted);
        }
        let subscriber = Subscriber { worker: self.worker, client: self.key, qos, is_special };
        let mut routes = self.site.routes[self.name.0].borrow_mut();
        routes.insert(filter, subscriber, SUBSCRIPTIONS_MAX)?;
        if let Some(kept) = &mut self.kept
            && qos != Qos::AtMostOnce
            && kept.insert(filter.clone())
        {
            routes.insert_lasting(filter)?;
        }
        self.effects.subscribed.push((filter.clone(), asked.granted(qos)));
        Ok(qos)
    }

    fn unsubscribe(&mut self, filter: &TopicFilter) {
        let text = (self.name.0, filter.clone());
        let group = self.site.groups.borrow().find(&text).map(|group| group.key);
        if let Some(group) = group {
            self.effects.left.push(group);
            return self.site.leave(&text, self.name);
        }
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
