//! Where the effects of a session go on a worker: bytes into the client's output, messages to their route, the rest to
//! policy and counters.

use std::cell::RefMut;
use std::rc::Rc;
use std::sync::PoisonError;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::subscription::SubscriptionFilter;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::{Auth, PacketId, Publish, PublishForm, RetainHandling};
use router::{Inserted, Subscriber};
use session::{Accepted, Asked, Close, PassedOver, Sink, left_secs};

use crate::client::{Client, Ending};
use crate::clock::unix_now;
use crate::groups::GroupText;
use crate::metrics::DropReason;
use crate::policy;
use crate::publish::Taken;
use crate::to_one;
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

    fn release(&mut self, form: &PublishForm, packet_id: Option<PacketId>, expires_at: Option<UnixMillis>) {
        let mut held = self.client.held.borrow_mut();
        if let Some(held) = held.as_mut() {
            // It was paid for when it began to wait, and will be again when it is let go.
            self.client.outbound.give_back(1, form.size_bytes());
            if let Some(at) = expires_at {
                held.expires_next(at);
            }
            return form.append_to(&mut held.bytes, packet_id);
        }
        drop(held);
        match expires_at {
            None => form.append_to(self.output(), packet_id),
            Some(at) => form.append_expiring(self.output(), packet_id, left_secs(at, unix_now())),
        }
    }

    #[inline]
    fn publish(&mut self, publish: &Publish<'_>) -> Result<Accepted, Refusal> {
        let taken = self.worker.accept(self.client, publish, self.bytes)?;
        let accepted = if taken.logged.is_some() {
            Accepted::Later
        } else if self.client.version.is_v5()
            && publish.qos != Qos::AtMostOnce
            && to_one::reaches_nobody(&self.client.instance, &taken.route)
        {
            // Only an acknowledgement of 5.0 says so.
            Accepted::Unmatched
        } else {
            Accepted::Now
        };
        self.taken = Some(taken);
        Ok(accepted)
    }

    fn repeated(&mut self, _publish: &Publish<'_>) {
        let paces = self.client.instance.paces();
        self.client.inbound.take(self.worker.now(), &paces.client_in, 1, self.bytes);
    }

    fn subscribe(&mut self, filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        match SubscriptionFilter::of(filter.clone()).map_err(|_| Refusal::FilterInvalid)? {
            SubscriptionFilter::Plain(filter) => self.subscribe_plainly(&filter, asked),
            SubscriptionFilter::Shared { group, filter: wanted } => {
                let wanted = GroupText { text: filter, name: &group, filter: &wanted };
                self.worker.join_group(self.client, wanted, asked)
            }
            SubscriptionFilter::Replay { from, filter: wanted } => {
                self.worker.begin_replay(self.client, filter, from, &wanted, asked)
            }
        }
    }

    fn took(&mut self, _pos: Pos, bytes: u32) {
        let (client, now) = (self.client, self.worker.now());
        let (instance, paces) = (&client.instance, client.instance.paces());
        instance.counts.went_out(bytes);
        client.outbound.take(now, &paces.client_out, 1, bytes as usize);
        instance.outbound.take(now, &paces.outbound, 1, bytes as usize);
    }

    fn passed_over(&mut self, _pos: Pos, why: PassedOver) {
        let reason = match why {
            PassedOver::MessageExpired => DropReason::MessageExpired,
            PassedOver::TooLong => DropReason::TooLong,
            PassedOver::ClientPacketBytes => DropReason::ClientPacketBytes,
        };
        self.client.instance.counts.dropped(reason, 1);
    }

    fn unix_now(&self) -> UnixMillis {
        unix_now()
    }

    fn dropped_waiting(&mut self, why: session::DropReason, _bytes: u32) {
        self.client.instance.counts.dropped(why.into(), 1);
    }

    fn is_own(&self, publisher: &str) -> bool {
        *self.client.client_id == *publisher
    }

    fn auth(&mut self, auth: &Auth<'_>) -> Result<(), Refusal> {
        let (worker, client) = (self.worker, self.client);
        worker.take_auth(client, auth, self.output())
    }

    fn since(&self, filter: &TopicFilter) -> Pos {
        let of_group = self.client.stored().and_then(|stored| stored.joined.start_of(filter));
        of_group.unwrap_or_else(|| self.worker.since())
    }

    fn unsubscribe(&mut self, filter: &TopicFilter) {
        match SubscriptionFilter::of(filter.clone()) {
            Ok(SubscriptionFilter::Plain(filter)) => self.unsubscribe_plainly(&filter),
            Ok(SubscriptionFilter::Shared { .. }) => self.worker.leave_group(self.client, filter),
            Ok(SubscriptionFilter::Replay { .. }) => self.worker.end_replay(self.client, filter),
            // It was never let in.
            Err(_) => {}
        }
    }

    fn shared_done(&mut self, group: u64, pos: Pos) {
        self.worker.acknowledge_shared(self.client, group, pos);
    }

    fn refused(&mut self, refusal: Refusal) {
        self.client.instance.counts.refused.add(refusal);
    }

    fn close(&mut self, close: Close) {
        let ending = match close {
            Close::Disconnected { .. } => Ending::Disconnected,
            Close::Refused(refusal) => Ending::Refused(refusal),
        };
        self.worker.close(self.client, ending);
    }
}

impl ClientSink<'_> {
    fn subscribe_plainly(&self, filter: &TopicFilter, asked: &Asked) -> Result<Qos, Refusal> {
        let instance = &self.client.instance;
        let rules = instance.rules();
        let (proof, asked_qos) = (self.client.proof.borrow(), asked.options.qos);
        let qos = policy::subscribe_qos(&rules, proof.grants(), filter, asked_qos)?;
        let (worker, client) = (self.worker.id, self.client.key);
        let subscriber = Subscriber { worker, client, qos, is_special: asked.is_special() };
        let subscriptions_max = rules.document.limits.subscriptions_max;
        let mut routes = instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        let inserted = routes.insert(filter, subscriber, subscriptions_max)?;
        if self.client.lasting().is_some() {
            let was_kept = matches!(inserted, Inserted::Replaced(before) if before != Qos::AtMostOnce);
            match (was_kept, qos != Qos::AtMostOnce) {
                (false, true) => routes.insert_lasting(filter)?,
                (true, false) => {
                    routes.remove_lasting(filter);
                }
                (false, false) | (true, true) => {}
            }
        }
        drop(routes);
        if policy::is_sys(filter) {
            instance.watches_sys.set(true);
        }
        let wants_retained = match asked.options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => asked.is_new,
            RetainHandling::DoNotSend => false,
        };
        if wants_retained {
            self.worker.want_retained(self.client, filter, asked.granted(qos));
        }
        Ok(qos)
    }

    fn unsubscribe_plainly(&self, filter: &TopicFilter) {
        if let Some(stored) = self.client.stored() {
            stored.retained.borrow_mut().forget(filter);
        }
        let mut routes = self.client.instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        let (worker, client) = (self.worker.id, self.client.key);
        if self.client.lasting().is_none() {
            routes.remove(filter, worker, client);
            return;
        }
        // Which QoS it had is said by what replaces it.
        let place = Subscriber { worker, client, qos: Qos::AtMostOnce, is_special: false };
        let before = routes.insert(filter, place, u64::MAX);
        routes.remove(filter, worker, client);
        if matches!(before, Ok(Inserted::Replaced(before)) if before != Qos::AtMostOnce) {
            routes.remove_lasting(filter);
        }
    }
}
