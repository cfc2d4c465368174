//! A message comes in: may it, where does it go, and does it go by way of the log?

use std::rc::Rc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use mqtt::Publish;

use crate::client::Client;
use crate::clock::unix_now;
use crate::delivery::Passing;
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::owed::Owing;
use crate::policy::{self, Logged, Verdict};
use crate::retained::retained_bytes;
use crate::routes::Route;
use crate::to_one;
use crate::topics::{Known, Topics};
use crate::worker::Worker;

/// A message that was accepted and is yet to go its way.
pub(crate) struct Taken {
    /// Who wants it.
    pub(crate) route: Rc<Route>,
    /// It goes by way of the log.
    pub(crate) logged: Option<Logged>,
    /// From when on nobody is to get it any more.
    pub(crate) expires_at: Option<UnixMillis>,
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
        if !publish.content.is_empty() {
            policy::check_content(&instance.rules().document.limits, publish.content, publish.payload)?;
        }

        let mut topics = client.topics.borrow_mut();
        let mut taken = if topics.recall(publish.topic, instance.epoch.get()) {
            let known = topics.first().ok_or(Refusal::InternalError)?;
            known.verdict.check(publish.qos, publish.retain, publish.payload)?;
            if !known.route.is_current(&self.epochs) {
                known.route = self.route(instance, publish.topic);
            }
            let route = &known.route;
            let logged = known.verdict.logged(publish.qos, publish.retain, route.is_lasting());
            let logged = if logged.is_some() || known.appends != [0; 2] {
                self.settle_logged(client, known, publish, logged)?
            } else {
                None
            };
            Taken { route: Rc::clone(&known.route), logged, expires_at: None }
        } else {
            self.learn(client, &mut topics, publish)?
        };
        if let Some(secs) = publish.expiry_secs {
            taken.expires_at = Some(expiry(secs));
        }
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
        let mut known = Known::new(publish.topic, rules.epoch, verdict, Rc::clone(&route));
        known.appends = topics.appends_of(publish.topic);
        let logged = verdict.logged(publish.qos, publish.retain, route.is_lasting());
        let logged = self.settle_logged(client, &mut known, publish, logged)?;
        if route.is_large() {
            topics.forget(known.appends[0].max(known.appends[1]));
        } else {
            topics.insert(known);
        }
        Ok(Taken { route, logged, expires_at: None })
    }

    /// Whether a message is logged in the end, and keeps in mind that it is. It must not overtake one before it that
    /// was and is still under way [MQTT-4.6.0-6]; and it must be possible.
    fn settle_logged(
        &self,
        client: &Client,
        known: &mut Known,
        publish: &Publish<'_>,
        logged: Option<Logged>,
    ) -> Result<Option<Logged>, Refusal> {
        let logged = if known.route.to_one().is_some() && logged.is_some() {
            to_one::logged_by(&client.instance, &known.verdict, &known.route, publish.qos, publish.retain)
        } else {
            logged
        };
        let before = &mut known.appends[usize::from(publish.qos != Qos::AtMostOnce)];
        let logged = match self.hold_to_disk(&client.instance, logged) {
            Some(logged) => logged,
            None if *before > self.last_settled() => Logged::BEHIND,
            None => {
                *before = 0;
                return Ok(None);
            }
        };
        self.may_log(&client.instance, &known.verdict, publish, known.retained_bytes)?;
        if publish.retain {
            known.retained_bytes = retained_bytes(publish);
        }
        *before = self.next_append();
        Ok(Some(logged))
    }

    /// What is left of it when the disk is nearly full: then what is stored for the history alone no longer is.
    #[inline]
    pub(crate) fn hold_to_disk(&self, instance: &LocalInstance, logged: Option<Logged>) -> Option<Logged> {
        let logged = logged?;
        if logged.history_alone && self.history_stops.get() {
            instance.counts.dropped(DropReason::HistoryStopped, 1);
            return None;
        }
        Some(logged)
    }

    /// Whether a message may go by way of the log, as far as it is known before it is handed in. See
    /// [`may_retain`](Self::may_retain) for `replaced`.
    #[inline]
    pub(crate) fn may_log(
        &self,
        instance: &LocalInstance,
        verdict: &Verdict,
        publish: &Publish<'_>,
        replaced: u32,
    ) -> Result<(), Refusal> {
        if policy::is_too_long_to_store(publish.payload) {
            return Err(Refusal::PayloadBytesMax);
        }
        if verdict.needs_synced(publish.qos) && !self.node.durable.is_synced() {
            return Err(Refusal::StorageUnavailable);
        }
        if publish.retain && !publish.payload.is_empty() {
            self.may_retain(instance, publish, replaced)?;
        }
        Ok(())
    }

    /// Hands an accepted message of a client on: to its receivers, or to the log.
    #[inline]
    pub(crate) fn pass_on(&self, client: &Client, taken: &Taken, publish: &Publish<'_>) {
        match taken.logged {
            None => {
                let passing = Passing::accepted(publish, taken.expires_at, &client.client_id);
                self.hand_over(&client.instance, &taken.route, &passing);
            }
            Some(logged) => {
                let owing = Owing::Client(client.key, publish.packet_id);
                self.append(&client.instance, taken, logged, publish, &client.client_id, owing);
            }
        }
    }

    /// As [`pass_on`](Self::pass_on), with properties as they are kept: where others stand between them they are copied.
    #[inline(never)]
    pub(crate) fn pass_on_content(&self, client: &Client, taken: &Taken, publish: &Publish<'_>) {
        let mut scratch = self.content.take();
        self.pass_on(client, taken, &Publish { content: publish.content.plain(&mut scratch), ..*publish });
        self.content.replace(scratch);
    }

    /// Who wants a topic now.
    pub(crate) fn route(&self, instance: &LocalInstance, topic: &str) -> Rc<Route> {
        let scratch = &mut self.scratch.borrow_mut();
        let remembered_max = self.node.config.worker.routes_remembered_max;
        instance.routes.get(&instance.shared, topic, self.id, &self.epochs, scratch, remembered_max)
    }
}

/// When a message is void that was accepted now.
#[cold]
pub(crate) fn expiry(secs: u32) -> UnixMillis {
    UnixMillis(unix_now().0.saturating_add(u64::from(secs) * 1_000))
}
