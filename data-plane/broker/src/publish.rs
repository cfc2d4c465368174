//! A message comes in: may it, and where does it go?

use std::rc::Rc;

use contract::refusal::Refusal;
use mqtt::Publish;

use crate::client::Client;
use crate::local_instance::LocalInstance;
use crate::policy::Verdict;
use crate::routes::Route;
use crate::topics::Known;
use crate::worker::Worker;

impl Worker {
    /// Accepts a message of a client, or says why not. Accepted, it is counted and paid for; it is delivered by
    /// whoever called.
    #[inline]
    pub(crate) fn accept(
        &self,
        client: &Client,
        publish: &Publish<'_>,
        bytes: usize,
    ) -> Result<Rc<Route>, Refusal> {
        let instance = &*client.instance;
        let (now, paces) = (self.now(), instance.paces());
        client.inbound.take(now, &paces.client_in, 1, bytes);
        instance.inbound.take(now, &paces.inbound, 1, bytes);

        let mut topics = client.topics.borrow_mut();
        if !topics.recall(publish.topic, instance.epoch.get()) {
            let known = self.learn(client, publish.topic);
            if known.route.is_large() {
                known.verdict.check(publish.qos, publish.retain, publish.payload)?;
                instance.counts.came_in(bytes);
                return Ok(known.route);
            }
            topics.insert(known);
        }
        let known = topics.first().ok_or(Refusal::InternalError)?;
        if !known.route.is_current(&self.epochs) {
            known.route = self.route(instance, publish.topic);
        }
        known.verdict.check(publish.qos, publish.retain, publish.payload)?;
        let route = Rc::clone(&known.route);
        instance.counts.came_in(bytes);
        Ok(route)
    }

    /// Everything about a topic that the client has not published to lately.
    #[cold]
    fn learn(&self, client: &Client, topic: &str) -> Known {
        let instance = &client.instance;
        let rules = instance.rules();
        let verdict = Verdict::of(&rules, client.proof.borrow().grants(), topic);
        Known::new(topic, rules.epoch, verdict, self.route(instance, topic))
    }

    /// Who wants a topic now.
    pub(crate) fn route(&self, instance: &LocalInstance, topic: &str) -> Rc<Route> {
        let scratch = &mut self.scratch.borrow_mut();
        let remembered_max = self.node.config.worker.routes_remembered_max;
        instance.routes.get(&instance.shared, topic, self.id, &self.epochs, scratch, remembered_max)
    }
}
