//! What a worker does when a time comes: one wheel for all its clients, and one timer of the runtime for the wheel.

use std::rc::Rc;
use std::time::Duration;

use contract::ids::InstanceId;
use contract::refusal::Refusal;
use router::ClientKey;

use crate::buckets::Micros;
use crate::client::{Client, Ending, Pause};
use crate::clock::unix_now;
use crate::lasting::SessionKey;
use crate::local_instance::LocalInstance;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// How often a worker looks for instances that it can forget, in milliseconds.
const SWEEP_MILLIS: u64 = 10_000;

/// How long a client that is not read may be silent beyond its keep alive before it is looked at again.
const PAUSED_MILLIS: u64 = 1_000;

/// The longest that a client's timer is set ahead: of clients that have gone no older ones are left in the wheel.
pub(crate) const DEADLINE_MILLIS_MAX: u64 = 300_000;

/// Whoever waits for tokens is looked at after this long at the latest: its rates may have been raised meanwhile.
const WAIT_MAX: Micros = 1_000_000;

/// Instances that wait for tokens are looked at no more often than this.
const WAIT_MIN: Micros = 1_000;

/// What is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    /// A client's keep alive or its token may have run out.
    Deadline(ClientKey),
    /// The token that a client has brought lately may have run out, earlier than the one before.
    Expiry(ClientKey),
    /// A client may be read again.
    Resume(ClientKey),
    /// A client may receive again.
    Release(ClientKey),
    /// An instance may receive again.
    Instance(InstanceId),
    /// Time to forget what nobody uses.
    Sweep,
    /// Time to tell instances about themselves.
    Tell,
    /// Time to hand in again what the log had no room for.
    Submit,
    /// A client may have something looked up again.
    Look(ClientKey),
    /// What a client has acknowledged is to be written.
    Checkpoint(ClientKey),
    /// Something of a shared subscription is due: its document, or another try at reading.
    Group(ClientKey),
    /// Something of a lasting session may be due: its will, its end, or another try at writing it.
    Session(SessionKey),
}

impl Worker {
    /// Sets a timer, in milliseconds on the clock of the node.
    pub(crate) fn schedule(&self, at_millis: u64, timer: Timer) {
        self.wheel.borrow_mut().insert(at_millis, timer);
        if at_millis < self.timer_set_to.get() {
            self.timer_is_sooner.notify_one();
        }
    }

    /// Sets a timer for the end of a wait for tokens, or for the next look at it.
    pub(crate) fn schedule_wait(&self, wait: Micros, timer: Timer) {
        self.schedule((self.now() + wait.min(WAIT_MAX)).div_ceil(1000), timer);
    }

    /// Calls the timers as they come due.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        self.schedule(self.node.clock.micros() / 1000 + SWEEP_MILLIS, Timer::Sweep);
        self.schedule_telling();
        let mut due = Vec::new();
        loop {
            let next = self.wheel.borrow().next_millis().unwrap_or(u64::MAX);
            self.timer_set_to.set(next);
            let wait =
                Duration::from_micros(next.saturating_mul(1000).saturating_sub(self.node.clock.micros()));
            let _ = tokio::time::timeout(wait, self.timer_is_sooner.notified()).await;
            let now = self.node.clock.micros() / 1000;
            self.wheel.borrow_mut().advance(now, |timer| due.push(timer));
            if due.is_empty() {
                continue;
            }
            self.open_round();
            for timer in due.drain(..) {
                self.guard(|| self.call(timer));
            }
        }
    }

    fn call(&self, timer: Timer) {
        match timer {
            Timer::Deadline(key) => {
                if let Some(client) = self.client(key) {
                    self.check_deadline(&client);
                }
            }
            Timer::Expiry(key) => self.check_expiry(key),
            Timer::Resume(key) => {
                if let Some(client) = self.client(key) {
                    self.resume_paid(&client);
                }
            }
            Timer::Release(key) => {
                if let Some(client) = self.client(key) {
                    self.release(&client);
                }
            }
            Timer::Instance(id) => {
                let instance = self.instances.borrow().get(&id).cloned();
                if let Some(instance) = instance {
                    self.resume_waiting(&instance);
                }
            }
            Timer::Submit => self.retry_unsent(),
            Timer::Look(key) => {
                if let Some(client) = self.client(key) {
                    client.stored_or_new().looks_later.set(false);
                    self.tend(&client);
                }
            }
            Timer::Checkpoint(key) => {
                if let Some(client) = self.client(key) {
                    client.stored_or_new().has_checkpoint.set(false);
                    self.tend(&client);
                }
            }
            Timer::Group(key) => self.look_at_group(key),
            Timer::Session(key) => self.look_at_session(key),
            Timer::Tell => self.tell_all(),
            Timer::Sweep => {
                self.sweep();
                self.schedule(self.millis().0 + SWEEP_MILLIS, Timer::Sweep);
            }
        }
    }

    /// Sets the timer of a client to when it may first have run out of time, or to the next look at that.
    pub(crate) fn schedule_deadline(&self, client: &Client) {
        let session = client.session.borrow();
        let Some(session) = session.as_ref() else { return };
        let expires_in = client.expires_at_millis.get().saturating_sub(unix_now().0);
        let in_millis = expires_in.min(DEADLINE_MILLIS_MAX);
        let at = session.deadline().0.min(self.millis().0 + in_millis);
        self.schedule(at, Timer::Deadline(client.key));
    }

    fn check_deadline(&self, client: &Rc<Client>) {
        if unix_now().0 >= client.expires_at_millis.get() {
            self.close(client, Ending::Refused(Refusal::TokenExpired));
            return;
        }
        client.topics.borrow_mut().age();
        if client.stored().is_some() {
            self.tend(client);
        }
        // What it may have said lies unread, and that is not its fault.
        let is_paused = matches!(
            client.pause.get(),
            Some(Pause::Rate | Pause::Instance | Pause::Turn | Pause::Log | Pause::Welcome)
        );
        if is_paused || client.is_resumed.get() {
            self.schedule(self.millis().0 + PAUSED_MILLIS, Timer::Deadline(client.key));
            return;
        }
        {
            let mut sink = ClientSink::new(self, client, 0);
            if let Some(session) = client.session.borrow_mut().as_mut() {
                session.on_deadline(self.millis(), &mut sink);
            }
        }
        if !client.is_ending() {
            self.schedule_deadline(client);
        }
    }

    /// Lets those who wait for their instance have their turns, as many as may publish something each.
    fn resume_waiting(&self, instance: &Rc<LocalInstance>) {
        let (now, paces) = (self.now(), instance.paces());
        instance.is_timed.set(false);
        let inbound = instance.inbound.messages(now, &paces.inbound);
        let outbound = instance.outbound.messages(now, &paces.outbound);
        for _ in 0..inbound.min(outbound) {
            let Some(key) = instance.waiting.borrow_mut().pop_front() else { return };
            if let Some(client) = self.client(key)
                && client.pause.get() == Some(Pause::Instance)
            {
                client.resume();
            }
        }
        if !instance.waiting.borrow().is_empty() {
            instance.is_timed.set(true);
            let wait = instance.wait(now).max(WAIT_MIN);
            self.schedule_wait(wait, Timer::Instance(instance.shared.id));
        }
    }

    /// Another worker has emptied a ring: who waited for room looks again.
    pub(crate) fn resume_spread(&self) {
        let waiting: Vec<_> = self
            .instances
            .borrow()
            .values()
            .filter(|instance| instance.shared.workers().len() > 1 && !instance.is_timed.get())
            .cloned()
            .collect();
        for instance in waiting {
            let keys = std::mem::take(&mut *instance.waiting.borrow_mut());
            for client in keys.into_iter().filter_map(|key| self.client(key)) {
                client.resume();
            }
        }
    }

    /// Forgets instances without clients, and keeps what was counted of them.
    fn sweep(&self) {
        let now = self.now();
        let mut instances = self.instances.borrow_mut();
        instances.retain(|_, instance| {
            let has_sessions = !instance.clients.borrow().is_empty() || !instance.lasting.borrow().is_empty();
            let used = has_sessions || instance.homes.get() > 0;
            let keep = used || now.saturating_sub(instance.unused_since.get()) < SWEEP_MILLIS * 1000;
            if !keep {
                self.keep_counts(instance);
            }
            keep
        });
        drop(instances);
        if self.id.index() == 0 {
            self.node.instances.sweep(now);
        }
    }
}
