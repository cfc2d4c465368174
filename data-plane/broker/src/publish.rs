//! A message comes in: may it, and where does it go?

use std::rc::Rc;

use contract::refusal::Refusal;
use mqtt::Publish;

use crate::client::Client;
use crate::local_instance::LocalInstance;
use crate::policy::Verdict;
use crate::routes::Route;
use crate::topics::{Known, Topics};
use crate::worker::Worker;

impl Worker {
    /// Accepts a message of a client, or says why not. The client pays for it in any case; accepted, it is counted,
    /// and its instance pays too. It is delivered by whoever called. Of what is refused nothing is remembered.
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

        let mut topics = client.topics.borrow_mut();
        let route = if topics.recall(publish.topic, instance.epoch.get()) {
            let known = topics.first().ok_or(Refusal::InternalError)?;
            known.verdict.check(publish.qos, publish.retain, publish.payload)?;
            if !known.route.is_current(&self.epochs) {
                known.route = self.route(instance, publish.topic);
            }
            Rc::clone(&known.route)
        } else {
            self.learn(client, &mut topics, publish)?
        };
        instance.inbound.take(now, &paces.inbound, 1, bytes);
        instance.counts.came_in(bytes);
        Ok(route)
    }

    /// Where a message goes to whose topic the client has not published lately, and remembers that.
    #[cold]
    fn learn(
        &self,
        client: &Client,
        topics: &mut Topics,
        publish: &Publish<'_>,
    ) -> Result<Rc<Route>, Refusal> {
        let instance = &client.instance;
        let rules = instance.rules();
        let verdict = Verdict::of(&rules, client.proof.borrow().grants(), publish.topic);
        verdict.check(publish.qos, publish.retain, publish.payload)?;
        let route = self.route(instance, publish.topic);
        if !route.is_large() {
            topics.insert(Known::new(publish.topic, rules.epoch, verdict, Rc::clone(&route)));
        }
        Ok(route)
    }

    /// Who wants a topic now.
    pub(crate) fn route(&self, instance: &LocalInstance, topic: &str) -> Rc<Route> {
        let scratch = &mut self.scratch.borrow_mut();
        let remembered_max = self.node.config.worker.routes_remembered_max;
        instance.routes.get(&instance.shared, topic, self.id, &self.epochs, scratch, remembered_max)
    }
}
