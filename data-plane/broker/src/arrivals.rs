//! What has come to a worker from other threads is delivered: messages of other workers, and those of the log.

use std::cell::RefCell;
use std::rc::Rc;

use engine::{CommittedBatch, Envelope, EnvelopeError, Envelopes, Pos};

use crate::crossing::Arrival;
use crate::delivery::{InLog, Passing};
use crate::durable::{Feed, Mark};
use crate::local_instance::LocalInstance;
use crate::owed::Run;
use crate::routes::Route;
use crate::worker::Worker;

impl Worker {
    /// Takes in everything that has come, in the order in which it came.
    pub(crate) fn take_arrivals(&self) {
        let watermark = self.node.crossing.drain(self.id, |arrival| match arrival {
            Arrival::Crossed(_, batch) => self.deliver_crossed(batch),
            Arrival::Committed(feed) => {
                self.deliver_committed(feed);
                self.watermark.set(feed.next);
            }
            Arrival::Mail(from, mail, _) => {
                for mail in mail.drain(..) {
                    self.guard(|| self.hear(*from, mail));
                }
            }
            // Nothing in it is lost by a failure: it guards itself.
            Arrival::Settled(settled) => self.settle(*settled),
            Arrival::Looked(looked, watermark) => {
                self.watermark.set(*watermark);
                self.guard(|| self.take_looked(looked));
            }
        });
        self.watermark.set(watermark);
    }

    fn deliver_crossed(&self, batch: &[u8]) {
        let Ok(envelopes) = Envelopes::read(batch) else {
            tracing::error!("a batch of another worker has an unknown form");
            return;
        };
        let last = LastInstance::default();
        self.deliver_each(envelopes, |_, envelope| {
            let Some(instance) = last.get(self, envelope) else { return };
            let route = self.route(&instance, envelope.topic);
            self.deliver_envelope(&instance, &route, envelope, None);
        });
    }

    /// Delivers what is safely in the log, in its order: every subscriber gets the messages of a topic in one order,
    /// whichever worker it is on.
    fn deliver_committed(&self, feed: &Feed) {
        let last = LastInstance::default();
        for (batch, mark) in feed.batches.iter().zip(&feed.marks) {
            let changes = self.epochs.changes();
            if mark.workers(changes) & self.id.bit() == 0 {
                continue;
            }
            // A route that has changed since may lead here although it did not.
            let is_exact = mark.changes == changes && *mark != Mark::ALL;
            if let Some(runs) = self.runs_of(batch) {
                self.deliver_own(batch, &runs, &last);
                continue;
            }
            let is_own = usize::from(batch.origin) == self.id.index();
            self.deliver_each(batch.batch.iter(), |at, envelope| {
                if is_exact && envelope.workers & self.id.bit() == 0 {
                    return;
                }
                let Some(instance) = last.get(self, envelope) else { return };
                let route = self.route(&instance, envelope.topic);
                if is_own && route.workers() == 0 && !route.is_lasting() {
                    instance.counts.matched_nobody();
                }
                let index = u16::try_from(at).unwrap_or(u16::MAX);
                let pos = Pos { record: batch.record, index };
                self.deliver_envelope(&instance, &route, envelope, Some(pos));
            });
        }
    }

    /// Delivers this worker's own messages, of which it knows where they go, as far as that still holds.
    fn deliver_own(&self, batch: &CommittedBatch, runs: &[Run], last: &LastInstance) {
        let mut envelopes = batch.batch.iter();
        let mut at = 0;
        for run in runs {
            let end = at + run.messages;
            // A failure costs the message that it came with.
            while at < end
                && self.guard(|| self.deliver_run(batch, run, &mut envelopes, (&mut at, end), last)).is_none()
            {
            }
            at = end;
        }
    }

    /// Delivers the messages of a run from the `at`th of the batch on.
    fn deliver_run(
        &self,
        batch: &CommittedBatch,
        run: &Run,
        envelopes: &mut Envelopes<'_>,
        (at, end): (&mut u32, u32),
        last: &LastInstance,
    ) {
        let mut known = None;
        while *at < end {
            let index = u16::try_from(*at).unwrap_or(u16::MAX);
            *at += 1;
            let envelope = match envelopes.next() {
                Some(Ok(envelope)) => envelope,
                Some(Err(error)) => {
                    return tracing::error!(?error, "a message of this thread cannot be read");
                }
                None => return,
            };
            // Neither of them changes before all of the run are delivered: that is for this thread to do.
            let (instance, route) = if let Some(known) = &known {
                known
            } else {
                let Some(instance) = last.get(self, &envelope) else { continue };
                let is_current = run.route.is_current(&self.epochs);
                let route =
                    if is_current { Rc::clone(&run.route) } else { self.route(&instance, envelope.topic) };
                known.insert((instance, route))
            };
            if route.workers() == 0 && !route.is_lasting() {
                instance.counts.matched_nobody();
            }
            let pos = Pos { record: batch.record, index };
            self.deliver_envelope(instance, route, &envelope, Some(pos));
        }
    }

    /// Delivers messages, told with each its place among them. A failure costs the message that it came with; those
    /// behind it are delivered.
    fn deliver_each(&self, envelopes: Envelopes<'_>, deliver: impl Fn(usize, &Envelope<'_>)) {
        let mut envelopes = envelopes.enumerate();
        let deliver = |(at, envelope): (usize, Result<Envelope<'_>, EnvelopeError>)| match envelope {
            Ok(envelope) => deliver(at, &envelope),
            Err(error) => tracing::error!(?error, "a message of another thread cannot be read"),
        };
        while self.guard(|| envelopes.by_ref().for_each(deliver)).is_none() {}
    }

    /// Delivers a message to its receivers on this worker.
    #[inline]
    fn deliver_envelope(
        &self,
        instance: &LocalInstance,
        route: &Route,
        envelope: &Envelope<'_>,
        pos: Option<Pos>,
    ) {
        #[cfg(test)]
        assert!(envelope.topic != crate::turn::FAILS_CROSSED, "on purpose");
        let at = pos.map(|pos| InLog { pos, history: envelope.history });
        let passing = Passing::of(envelope);
        if let Some(to_one) = route.to_one() {
            // The log shows it to others too, who do not know whether its receiver is there.
            if route.workers() & self.id.bit() != 0 {
                self.deliver_to_one(instance, to_one, &passing, at);
            }
            return;
        }
        self.deliver(instance, route.on(self.id), &passing, at);
        if pos.is_some() && envelope.retain {
            self.note_retained(route.on(self.id), envelope.topic);
        }
    }
}

/// The instance of the message before, which mostly is that of the next one too.
#[derive(Default)]
struct LastInstance(RefCell<Option<Rc<LocalInstance>>>);

impl LastInstance {
    /// The instance of a message; none, if it has nobody on this worker.
    fn get(&self, worker: &Worker, envelope: &Envelope<'_>) -> Option<Rc<LocalInstance>> {
        let mut last = self.0.borrow_mut();
        if last.as_ref().is_none_or(|last| last.shared.id != envelope.instance) {
            *last = worker.instances.borrow().get(&envelope.instance).cloned();
        }
        last.clone()
    }
}
