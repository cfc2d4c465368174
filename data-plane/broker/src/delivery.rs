//! An accepted message goes out: to the receivers on this worker at once, to each other worker once.

use std::rc::Rc;

use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::{Envelope, Pos};
use mqtt::{Content, Publish};
use router::{ClientKey, Target, WorkerId};
use session::{Delivered, Granted, Message, Rendering, Session, Special};

use crate::client::{Client, Held, Released};
use crate::clock::unix_now;
use crate::keys::{self, Named};
use crate::local_instance::{LocalInstance, Paces};
use crate::metrics::DropReason;
use crate::routes::Route;
use crate::schedule::Timer;
use crate::worker::Worker;

/// Output of one client that is written before the round is over.
pub(crate) const ROUND_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A message on its way to receivers on this worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// As it was published, here and below.
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// In its plain form.
    pub(crate) content: Content<'a>,
    pub(crate) expires_at: Option<UnixMillis>,
    /// The client identifier of who published it.
    pub(crate) publisher: &'a str,
}

impl Default for Passing<'_> {
    fn default() -> Self {
        Self {
            topic: "",
            payload: &[],
            qos: Qos::AtMostOnce,
            retain: false,
            content: Content::EMPTY,
            expires_at: None,
            publisher: "",
        }
    }
}

impl<'a> Passing<'a> {
    /// A message that was accepted.
    #[inline]
    pub(crate) fn accepted(
        publish: &Publish<'a>,
        expires_at: Option<UnixMillis>,
        publisher: &'a str,
    ) -> Self {
        let &Publish { topic, payload, qos, retain, content, .. } = publish;
        Self { topic, payload, qos, retain, content, expires_at, publisher }
    }

    /// A message of another worker, or of the log.
    #[inline]
    pub(crate) const fn of(envelope: &Envelope<'a>) -> Self {
        let &Envelope { topic, payload, qos, retain, content, expires_at, publisher, .. } = envelope;
        Self { topic, payload, qos, retain, content: Content::from_stored(content), expires_at, publisher }
    }
}

/// What a receiver of a message is granted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// A QoS, and nothing else is to be seen to.
    Plain(Qos),
    /// What its subscriptions that match ask for together.
    Special(&'a Special),
    /// What one subscription was granted, of a message that was kept for its topic.
    Retained(Granted),
}

impl Wanted<'_> {
    pub(crate) fn qos(self) -> Qos {
        match self {
            Self::Plain(qos) => qos,
            Self::Special(special) => special.qos(),
            Self::Retained(granted) => granted.qos(),
        }
    }
}

/// Where a message stands that comes from the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InLog {
    pub(crate) pos: Pos,
    /// Its topic's history has it.
    pub(crate) history: bool,
}

impl Worker {
    /// Delivers a message here and hands it to the workers that have receivers too.
    #[inline]
    pub(crate) fn hand_over(&self, instance: &LocalInstance, route: &Route, passing: &Passing<'_>) {
        let here = route.on(self.id);
        if !here.is_empty() {
            self.deliver(instance, here, passing, None);
        } else if route.elsewhere == 0 {
            match route.to_one() {
                None => instance.counts.matched_nobody(),
                Some(to_one) => self.deliver_to_one(instance, to_one, passing, None),
            }
        }
        if route.elsewhere != 0 {
            self.cross(instance, route, passing);
        }
    }

    /// Delivers a message to receivers on this worker. It is rendered once for each form. `at`: it comes from the log.
    #[inline]
    pub(crate) fn deliver(
        &self,
        instance: &LocalInstance,
        targets: &[Target],
        passing: &Passing<'_>,
        at: Option<InLog>,
    ) {
        let qos = passing.qos;
        let mut rendering = self.rendering.borrow_mut();
        let mut message = message(&mut rendering, passing);
        let clients = self.clients.borrow();
        let paces = instance.paces();
        let pos = at.map(|at| at.pos);
        for target in targets {
            let key = target.client();
            match clients.get(key.slot() as usize) {
                Some(client) if client.key == key => {
                    if target.is_special() {
                        self.deliver_special(client, &mut message, passing, pos, &paces);
                    } else {
                        let wanted = Wanted::Plain(target.qos());
                        self.deliver_to(client, &mut message, wanted, qos, pos, &paces);
                    }
                }
                Some(_) | None => self.deliver_aside(instance, key, &mut message, passing, at, &paces),
            }
        }
    }

    /// Delivers a message to who is no client of the worker's table; nothing, if it is a client that has gone.
    #[cold]
    fn deliver_aside(
        &self,
        instance: &LocalInstance,
        key: ClientKey,
        message: &mut Message<'_>,
        passing: &Passing<'_>,
        at: Option<InLog>,
        paces: &Paces,
    ) {
        match keys::named(key) {
            Named::Reader => {
                self.deliver_to_reader(key, message, passing.publisher, passing.qos, at, paces);
            }
            Named::Group => {
                self.deliver_to_group(instance.shared.id, key, message, passing.qos, at.map(|at| at.pos));
            }
            Named::Client => {}
        }
    }

    /// Delivers a message to a client with subscriptions of which one has options or an identifier.
    #[cold]
    fn deliver_special(
        &self,
        client: &Rc<Client>,
        message: &mut Message<'_>,
        passing: &Passing<'_>,
        pos: Option<Pos>,
        paces: &Paces,
    ) {
        let is_own = *client.client_id == *passing.publisher;
        let special = {
            let session = client.session.borrow();
            session.as_ref().and_then(|session| session.special(passing.topic, is_own))
        };
        if let Some(special) = special {
            self.deliver_to(client, message, Wanted::Special(&special), passing.qos, pos, paces);
        }
    }

    #[inline]
    pub(crate) fn deliver_to(
        &self,
        client: &Rc<Client>,
        message: &mut Message<'_>,
        wanted: Wanted<'_>,
        qos: Qos,
        pos: Option<Pos>,
        paces: &Paces,
    ) {
        let (instance, now) = (&*client.instance, self.now());
        if client.is_ending() {
            return;
        }
        if !client.outbound.has_some(now, &paces.client_out) || client.held.borrow().is_some() {
            return self.deliver_over_rate(client, message, wanted, qos, pos);
        }
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return };
        let mut output = client.output.borrow_mut();
        if output.capacity() == 0 {
            *output = self.take_buffer();
        }
        let mut delivered = deliver(session, pos, message, wanted, &mut output);
        if delivered == Delivered::Dropped(session::DropReason::OutboxBytes) && !client.is_blocked.get() {
            // It may only be that the round has brought so much, and not that the client takes too little.
            drop(output);
            self.write(client);
            output = client.output.borrow_mut();
            if output.capacity() == 0 {
                *output = self.take_buffer();
            }
            delivered = deliver(session, pos, message, wanted, &mut output);
        }
        match delivered {
            Delivered::Sent(bytes) | Delivered::Waiting(bytes) => {
                instance.counts.went_out(bytes);
                client.outbound.take(now, &paces.client_out, 1, bytes as usize);
                instance.outbound.take(now, &paces.outbound, 1, bytes as usize);
                let is_much = output.len() >= ROUND_OUTPUT_BYTES_MAX;
                drop(output);
                self.note_output(client);
                if is_much {
                    self.write(client);
                }
            }
            Delivered::Dropped(reason) => instance.counts.dropped(reason.into(), 1),
            // It is tended at the end of the round.
            Delivered::Replaying => {
                if output.is_empty() {
                    self.return_buffer(std::mem::take(&mut *output));
                }
                drop(output);
                self.note_output(client);
            }
        }
    }

    /// A message for a client that has received as much as it may: at QoS 0 it is dropped, at QoS 1 it waits.
    #[cold]
    fn deliver_over_rate(
        &self,
        client: &Rc<Client>,
        message: &mut Message<'_>,
        wanted: Wanted<'_>,
        qos: Qos,
        pos: Option<Pos>,
    ) {
        let instance = &*client.instance;
        if qos.min(wanted.qos()) == Qos::AtMostOnce {
            instance.counts.dropped(DropReason::ClientRate, 1);
            return;
        }
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return };
        let mut held = client.held.borrow_mut();
        let held = held.get_or_insert_with(|| Box::new(self.hold(client)));
        if let Some(at) = message.expires_at() {
            held.expires_next(at);
        }
        session.allow_aliases(false);
        let delivered = deliver(session, pos, message, wanted, &mut held.bytes);
        session.allow_aliases(true);
        held.expires_not();
        match delivered {
            delivered @ (Delivered::Sent(bytes) | Delivered::Waiting(bytes)) => {
                instance.counts.went_out(bytes);
                instance.outbound.take(self.now(), &instance.paces().outbound, 1, bytes as usize);
                // What waits for acknowledgements does not come by here again.
                if delivered == Delivered::Waiting(bytes) {
                    client.outbound.take(self.now(), &instance.paces().client_out, 1, bytes as usize);
                }
            }
            Delivered::Dropped(reason) => instance.counts.dropped(reason.into(), 1),
            Delivered::Replaying => {}
        }
    }

    /// Begins to hold messages back until what the client has received is paid for.
    fn hold(&self, client: &Client) -> Held {
        self.schedule_release(client);
        Held::default()
    }

    fn schedule_release(&self, client: &Client) {
        let wait = client.outbound.wait(self.now(), &client.instance.paces().client_out);
        self.schedule_wait(wait, Timer::Release(client.key));
    }

    /// Lets go of as much of what was held back as the client may receive now.
    pub(crate) fn release(&self, client: &Rc<Client>) {
        if client.is_ending() {
            return;
        }
        let mut slot = client.held.borrow_mut();
        let Some(held) = slot.as_mut() else { return };
        let rates = client.instance.paces().client_out;
        let mut output = client.output.borrow_mut();
        let mut over = Vec::new();
        while client.outbound.has_some(self.now(), &rates) {
            match held.release(client.version, unix_now, &mut output) {
                Released::Nothing => break,
                Released::Sent(bytes) => {
                    client.outbound.take(self.now(), &rates, 1, bytes);
                }
                Released::Over(packet_id, qos) => over.push((packet_id, qos)),
            }
        }
        held.compact();
        if held.is_empty() {
            *slot = None;
        } else {
            self.schedule_release(client);
        }
        drop((output, slot));
        self.note_output(client);
        client.instance.counts.dropped(DropReason::MessageExpired, over.len() as u64);
        for (packet_id, qos) in over {
            self.with_session(client, |session, sink| session.retract(packet_id, qos, sink));
        }
    }

    /// Adds a message to this round's batch for each of the workers that have receivers.
    fn cross(&self, instance: &LocalInstance, route: &Route, passing: &Passing<'_>) {
        let &Passing { topic, payload, qos, retain, content, expires_at, publisher } = passing;
        let envelope = Envelope {
            instance: instance.shared.id,
            qos,
            retain,
            retention: None,
            history: false,
            expires_at,
            stored_at: UnixMillis(0),
            workers: 0,
            content: content.as_bytes(),
            topic: route.stored_topic(topic),
            publisher,
            payload,
        };
        let mut batches = self.crossing.borrow_mut();
        for (index, batch) in batches.iter_mut().enumerate() {
            let Some(worker) = WorkerId::new(index).filter(|worker| route.elsewhere & worker.bit() != 0)
            else {
                continue;
            };
            if self.node.crossing.is_overfull(self.id, worker, batch.as_bytes().len()) {
                instance.counts.dropped(DropReason::CrossingFull, 1);
            } else if batch.append(&envelope).is_err() {
                instance.counts.dropped(DropReason::TooLong, 1);
            }
        }
    }

    /// Whether there is room on the way to the other workers of an instance for what one read may bring.
    #[inline]
    pub(crate) fn has_room(&self, instance: &LocalInstance) -> bool {
        let workers = instance.shared.workers();
        if workers.len() == 1 {
            return true;
        }
        let batches = self.crossing.borrow();
        workers.iter().filter(|&&worker| worker != self.id).all(|&worker| {
            self.node.crossing.has_room(self.id, worker, batches[worker.index()].as_bytes().len())
        })
    }
}

/// Delivers a message of the log, or one that is in none.
#[inline]
pub(crate) fn deliver(
    session: &mut Session,
    pos: Option<Pos>,
    message: &mut Message<'_>,
    wanted: Wanted<'_>,
    output: &mut Vec<u8>,
) -> Delivered {
    match wanted {
        Wanted::Plain(granted) => match pos {
            None => session.deliver(message, granted, output),
            Some(pos) => session.deliver_logged(pos, message, granted, output),
        },
        Wanted::Special(special) => session.deliver_special(pos, message, special, output),
        Wanted::Retained(granted) => session.deliver_retained(message, granted, output),
    }
}

/// The forms of a message that is news.
#[inline]
pub(crate) fn message<'a>(rendering: &'a mut Rendering, passing: &Passing<'a>) -> Message<'a> {
    dressed(rendering.message(passing.topic, passing.payload, passing.qos), passing)
}

/// The forms of a message that was kept for its topic.
pub(crate) fn retained_message<'a>(rendering: &'a mut Rendering, passing: &Passing<'a>) -> Message<'a> {
    dressed(rendering.retained(passing.topic, passing.payload, passing.qos), passing)
}

/// With what a message has besides topic and payload, which is mostly nothing.
#[inline]
fn dressed<'a>(message: Message<'a>, passing: &Passing<'a>) -> Message<'a> {
    let message = message.with_content(passing.content).with_retain(passing.retain);
    match passing.expires_at {
        None => message,
        expires_at => message.with_expiry(expires_at, unix_now()),
    }
}
