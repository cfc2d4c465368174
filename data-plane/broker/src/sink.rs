//! Where the effects of a session go on a worker: bytes into the client's output, messages to their route, the rest to
//! policy and counters.

use std::cell::RefMut;
use std::rc::Rc;
use std::sync::PoisonError;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use mqtt::{PacketId, Publish, PublishForm};
use router::Subscriber;
use session::{Accepted, Close, Sink};

use crate::client::{Client, Ending};
use crate::policy;
use crate::publish::Taken;
use crate::worker::Worker;

/// The sink for one packet of one client.
pub(crate) struct ClientSink<'a> {
    worker: &'a Worker,
    client: &'a Rc<Client>,
    output: RefMut<'a, Vec<u8>>,
    /// The bytes of the packet.
    bytes: usize,
    wrote: bool,
    /// Where an accepted message goes, once the session has let go of itself: its client may be a receiver.
    taken: Option<Taken>,
}

impl<'a> ClientSink<'a> {
    #[inline]
    pub(crate) fn new(worker: &'a Worker, client: &'a Rc<Client>, bytes: usize) -> Self {
        Self { worker, client, output: client.output.borrow_mut(), bytes, wrote: false, taken: None }
    }

    /// The message that was accepted, and whether there is output.
    #[inline]
    pub(crate) fn done(self) -> (Option<Taken>, bool) {
        (self.taken, self.wrote)
    }
}

impl Sink for ClientSink<'_> {
    #[inline]
    fn output(&mut self) -> &mut Vec<u8> {
        self.wrote = true;
        if self.output.capacity() == 0 {
            *self.output = self.worker.take_buffer();
        }
        &mut self.output
    }

    fn release(&mut self, form: &PublishForm, packet_id: Option<PacketId>) {
        let mut held = self.client.held.borrow_mut();
        if let Some(held) = held.as_mut() {
            // It was paid for when it began to wait, and will be again when it is let go.
            self.client.outbound.give_back(1, form.size_bytes());
            form.append_to(&mut held.bytes, packet_id);
        } else {
            drop(held);
            form.append_to(self.output(), packet_id);
        }
    }

    #[inline]
    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        let taken = self.worker.accept(self.client, publish, self.bytes)?;
        let accepted = if taken.history.is_none() { Accepted::Now } else { Accepted::Later };
        self.taken = Some(taken);
        Ok(accepted)
    }

    fn repeated(&mut self, _publish: &Publish<'_>) {
        let paces = self.client.instance.paces();
        self.client.inbound.take(self.worker.now(), &paces.client_in, 1, self.bytes);
    }

    fn subscribe(&mut self, filter: &TopicFilter, asked: Qos) -> Result<Qos, Refusal> {
        let instance = &self.client.instance;
        let rules = instance.rules();
        let qos = policy::subscribe_qos(&rules, self.client.proof.borrow().grants(), filter, asked)?;
        let subscriber = Subscriber { worker: self.worker.id, client: self.client.key, qos };
        let subscriptions_max = rules.document.limits.subscriptions_max;
        let mut routes = instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(filter, subscriber, subscriptions_max)?;
        Ok(qos)
    }

    fn unsubscribe(&mut self, filter: &TopicFilter) {
        let mut routes = self.client.instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(filter, self.worker.id, self.client.key);
    }

    fn refused(&mut self, refusal: Refusal) {
        self.client.instance.counts.refused.add(refusal);
    }

    fn close(&mut self, close: Close) {
        let ending = match close {
            Close::Disconnected => Ending::Disconnected,
            Close::Refused(refusal) => Ending::Refused(refusal),
        };
        self.worker.close(self.client, ending);
    }
}
