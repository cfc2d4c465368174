//! `$SYS`: what an instance is told about itself, by each node for what it serves of it. The names are those that people
//! know from other brokers. It is said at QoS 0 to those who subscribe, now and then and when they do so; it is in no
//! log, and shows nothing of other instances but the node's version and how long it has run.

use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use contract::qos::Qos;
use contract::topic::TopicFilter;
use router::WorkerId;

use crate::client::Client;
use crate::delivery::{Passing, Wanted, retained_message};
use crate::local_instance::LocalInstance;
use crate::lookups::RetainedWanted;
use crate::metrics::Traffic;
use crate::schedule::Timer;
use crate::worker::Worker;

/// What is said of an instance, in this order.
const TOPICS: [&str; 9] = [
    "$SYS/broker/version",
    "$SYS/broker/uptime",
    "$SYS/broker/clients/connected",
    "$SYS/broker/messages/received",
    "$SYS/broker/messages/sent",
    "$SYS/broker/bytes/received",
    "$SYS/broker/bytes/sent",
    "$SYS/broker/subscriptions/count",
    "$SYS/broker/retained messages/count",
];

const VERSION: &str = concat!("IoT MQ ", env!("CARGO_PKG_VERSION"));

/// What the workers of an instance have counted, each as it last said. Without use while it lives on one.
#[derive(Debug, Default)]
pub(crate) struct SharedTraffic(Mutex<Vec<(WorkerId, Traffic)>>);

impl SharedTraffic {
    fn put(&self, worker: WorkerId, traffic: Traffic) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(of, _)| *of == worker) {
            Some((_, known)) => *known = traffic,
            None => all.push((worker, traffic)),
        }
    }

    /// That of all but one.
    fn without(&self, worker: WorkerId) -> Traffic {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(of, _)| *of != worker).fold(Traffic::default(), |sum, (_, it)| sum.plus(*it))
    }
}

impl Worker {
    /// The time has come: each instance is told, as far as its clients here want it.
    pub(crate) fn tell_all(&self) {
        let instances: Vec<_> = self.instances.borrow().values().cloned().collect();
        for instance in instances {
            if instance.shared.workers().len() > 1 {
                instance.shared.traffic.put(self.id, instance.counts.traffic());
            }
            if instance.watches_sys.get() {
                self.guard(|| self.tell(&instance));
            }
        }
        self.schedule_telling();
    }

    pub(crate) fn schedule_telling(&self) {
        let every_millis = self.node.config.metrics.slot_secs * 1_000;
        self.schedule(self.node.clock.micros() / 1_000 + every_millis, Timer::Tell);
    }

    fn tell(&self, instance: &Rc<LocalInstance>) {
        let mut has_any = false;
        for (topic, figure) in TOPICS.into_iter().zip(self.figures(instance)) {
            let route = self.route(instance, topic);
            let here = route.on(self.id);
            if !here.is_empty() {
                has_any = true;
                self.deliver(instance, here, &said(topic, &figure), None);
            }
        }
        instance.watches_sys.set(has_any);
    }

    /// Tells a client that has just subscribed; the answer is what it has no room for now.
    pub(crate) fn tell_subscriber(
        &self,
        client: &Rc<Client>,
        wanted: RetainedWanted,
    ) -> Option<RetainedWanted> {
        let paces = client.instance.paces();
        let mut rendering = self.rendering.borrow_mut();
        let figures = TOPICS.into_iter().zip(self.figures(&client.instance));
        let begin = wanted.after.as_deref().and_then(|after| TOPICS.iter().position(|topic| *topic == after));
        let mut after = wanted.after.clone();
        for (topic, figure) in figures.skip(begin.map_or(0, |at| at + 1)) {
            if wanted.filter.matches(topic) {
                let said = said(topic, &figure);
                let mut message = retained_message(&mut rendering, &said);
                let granted = Wanted::Retained(wanted.granted);
                if !self.give(client, &mut message, granted, Qos::AtMostOnce, &paces) {
                    return Some(RetainedWanted { after, ..wanted });
                }
            }
            after = Some(topic.into());
        }
        None
    }

    fn figures(&self, instance: &LocalInstance) -> [String; TOPICS.len()] {
        let shared = &instance.shared;
        let traffic = shared.traffic.without(self.id).plus(instance.counts.traffic());
        let subscriptions = shared.routes.read().unwrap_or_else(PoisonError::into_inner).subscriptions();
        let retained = self.node.durable.retained(shared.id).0;
        [
            VERSION.to_owned(),
            format!("{} seconds", self.now() / 1_000_000),
            shared.connections().to_string(),
            traffic.messages_in.to_string(),
            traffic.messages_out.to_string(),
            traffic.bytes_in.to_string(),
            traffic.bytes_out.to_string(),
            subscriptions.to_string(),
            retained.to_string(),
        ]
    }
}

/// What is said about one topic.
fn said<'a>(topic: &'a str, figure: &'a str) -> Passing<'a> {
    Passing { topic, payload: figure.as_bytes(), ..Passing::default() }
}

/// Whether a filter wants something that is said.
pub(crate) fn is_said(filter: &TopicFilter) -> bool {
    TOPICS.iter().any(|topic| filter.matches(topic))
}
