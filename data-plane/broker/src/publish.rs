//! A message comes in: may it, and where does it go?

use std::rc::Rc;

use contract::refusal::Refusal;
use engine::RetentionClass;
use mqtt::Publish;

use crate::client::Client;
use crate::durable_appends::Owing;
use crate::local_instance::LocalInstance;
use crate::policy::Verdict;
use crate::routes::Route;
use crate::topics::{Known, Topics};
use crate::worker::Worker;

/// A message that was accepted and is yet to go its way.
pub(crate) struct Taken {
    /// Who wants it.
    pub(crate) route: Rc<Route>,
    /// It goes by way of the log, and is kept there so long.
    pub(crate) history: Option<RetentionClass>,
}

impl Worker {
    /// Accepts a message of a client, or says why not. The client pays for it in any case; accepted, it is counted,
    /// and its instance pays too. It is delivered by whoever called. Of what is refused nothing is remembered.
    #[inline]
    pub(crate) fn accept(
        &self,
        client: &Client,
        publish: &Publish<'_>,
        bytes: usize,
    ) -> Result<Taken, Refusal> {
        let instance = &*client.instance;
        let (now, paces) = (self.now(), instance.paces());
        client.inbound.take(now, &paces.client_in, 1, bytes);

        let mut topics = client.topics.borrow_mut();
        let taken = if topics.recall(publish.topic, instance.epoch.get()) {
            let known = topics.first().ok_or(Refusal::InternalError)?;
            known.verdict.check(publish.qos, publish.retain, publish.payload)?;
            if !known.route.is_current(&self.epochs) {
                known.route = self.route(instance, publish.topic);
            }
            Taken { route: Rc::clone(&known.route), history: known.verdict.history }
        } else {
            self.learn(client, &mut topics, publish)?
        };
        instance.inbound.take(now, &paces.inbound, 1, bytes);
        instance.counts.came_in(bytes);
        Ok(taken)
    }

    /// Where a message goes to whose topic the client has not published lately, and remembers that.
    #[cold]
    fn learn(&self, client: &Client, topics: &mut Topics, publish: &Publish<'_>) -> Result<Taken, Refusal> {
        let instance = &client.instance;
        let rules = instance.rules();
        let verdict = Verdict::of(&rules, client.proof.borrow().grants(), publish.topic);
        verdict.check(publish.qos, publish.retain, publish.payload)?;
        let route = self.route(instance, publish.topic);
        if !route.is_large() {
            topics.insert(Known::new(publish.topic, rules.epoch, verdict, Rc::clone(&route)));
        }
        Ok(Taken { route, history: verdict.history })
    }

    /// Hands an accepted message of a client on: to its receivers, or to the log.
    #[inline]
    pub(crate) fn pass_on(&self, client: &Client, taken: &Taken, publish: &Publish<'_>) {
        match taken.history {
            None => self.hand_over(&client.instance, &taken.route, publish, &client.client_id),
            Some(retention) => {
                let nobody = Owing::Nobody;
                let owing =
                    publish.packet_id.map_or(nobody, |packet_id| Owing::Client(client.key, packet_id));
                self.append(&client.instance, taken, retention, publish, &client.client_id, owing);
            }
        }
    }

    /// Who wants a topic now.
    pub(crate) fn route(&self, instance: &LocalInstance, topic: &str) -> Rc<Route> {
        let scratch = &mut self.scratch.borrow_mut();
        let remembered_max = self.node.config.worker.routes_remembered_max;
        instance.routes.get(&instance.shared, topic, self.id, &self.epochs, scratch, remembered_max)
    }
}
