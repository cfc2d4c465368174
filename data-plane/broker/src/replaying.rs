//! What waits in the log for lasting sessions is sent page by page, as far as each client takes it: asked for here, and
//! taken in here when it has come. A session that has caught up takes what the log shows from there on.

use std::rc::Rc;

use contract::p2p;
use contract::refusal::Refusal;
use engine::{Envelope, Pos, QueryError};
use session::{Lasting, Session};

use crate::buckets::Micros;
use crate::client::{Client, Ending, Pause};
use crate::clock::unix_now;
use crate::keys::{self, Named};
use crate::lasting::LastingClient;
use crate::lookups::{Found, LOOKUPS_PER_WORKER_MAX, Looked, Lookup, Page, Wanted};
use crate::queue::count_passed;
use crate::retained::note_newer;
use crate::schedule::Timer;
use crate::worker::Worker;

/// Output of a client beyond which it gets no further page yet.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// After how long something is looked up again, when too many were looking.
pub(crate) const BUSY_WAIT: Micros = 50_000;

impl Worker {
    /// Sees what follows when something has been done with a lasting session: what of it is to be written, and whether
    /// it wants to go on with what waits for it.
    pub(crate) fn tend(&self, client: &Rc<Client>) {
        if let Some(lasting) = client.lasting() {
            self.tend_session(client, lasting);
            self.ask_page(client, lasting);
        }
        self.ask_retained(client);
        self.ask_past(client);
        self.tend_shared(client);
    }

    fn tend_session(&self, client: &Client, lasting: &Rc<LastingClient>) {
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return };
        // Of one that is ending nothing is passed over: it is not shown any more what the log brings.
        if !client.is_ending() {
            session.advance(self.watermark.get(), self.millis());
        }
        if session.has_changes() {
            self.note_changes(lasting);
        }
        if let Some(at) = session.checkpoint_at()
            && !client.stored_or_new().has_checkpoint.replace(true)
        {
            self.schedule(at.0, Timer::Checkpoint(client.key));
        }
    }

    /// Whether something may be looked up for a client now: its output goes out, and not too much is under way. If it
    /// is for that that it may not, it is called when it may.
    pub(crate) fn may_look_up(&self, client: &Client) -> bool {
        let takes_more = !client.is_ending()
            && !client.is_blocked.get()
            && client.held.borrow().is_none()
            && client.output.borrow().len() < OUTPUT_BYTES_MAX;
        if takes_more && self.looking.get() >= LOOKUPS_PER_WORKER_MAX {
            if !client.stored_or_new().waits_for_look.replace(true) {
                self.waiting_to_look.borrow_mut().push_back(client.key);
            }
            return false;
        }
        takes_more && self.has_paid(client)
    }

    /// Whether a client has not received more than it may. If it has, it is called when that is paid for.
    pub(crate) fn has_paid(&self, client: &Client) -> bool {
        let (now, rates) = (self.now(), client.instance.paces().client_out);
        let has_some = client.outbound.has_some(now, &rates);
        if !has_some {
            // What a page brings then is worth looking it up.
            self.look_later(client, client.outbound.wait(now, &rates).max(BUSY_WAIT));
        }
        has_some
    }

    /// Has it tried again after a while to look something up for a client.
    pub(crate) fn look_later(&self, client: &Client, wait: Micros) {
        if !client.stored_or_new().looks_later.replace(true) {
            self.schedule_wait(wait, Timer::Look(client.key));
        }
    }

    /// Has something looked up.
    pub(crate) fn look_up(&self, client: &Client, wanted: Wanted) {
        self.looking.set(self.looking.get() + 1);
        let instance = client.instance.shared.id;
        self.node.lookups.ask(Lookup { worker: self.id, client: client.key, instance, wanted });
    }

    fn ask_page(&self, client: &Rc<Client>, lasting: &Rc<LastingClient>) {
        // Nothing comes before its CONNACK [MQTT-3.2.0-1]: neither a page, nor, to a session that has none to read, what
        // the log shows.
        if client.pause.get() == Some(Pause::Welcome) {
            return;
        }
        let wants_page = client.session.borrow().as_ref().is_some_and(Session::wants_page);
        if !wants_page || !self.may_look_up(client) {
            return;
        }
        let wanted = {
            let mut session = client.session.borrow_mut();
            let Some(session) = session.as_mut() else { return };
            // Half a window at a time: a page for each acknowledgement would cost more than what it brings.
            let window = usize::from(session.window());
            let room = window.saturating_sub(usize::from(session.in_flight()));
            if room == 0 {
                return;
            }
            let now = self.millis().0;
            if room < window.div_ceil(2)
                && let Some(at) = lasting.queue.waits_until(now)
            {
                return self.look_later(client, (at - now) * 1_000);
            }
            // Up to where the log is now, and not where this worker is with it: by a route that was put in since, only
            // what comes from here on is shown.
            let committed = self.node.crossing.committed(self.id);
            let Some(range) = session.wanted_page(committed, client.output.borrow().len()) else { return };
            lasting.queue.asks();
            let filters = session.lasting().into_iter().flat_map(Lasting::replay_filters);
            let filters = filters.map(|(filter, since)| (filter.clone(), since));
            // What is for this client alone is found without a subscription.
            let of_its_own = p2p::stored_filter(&client.client_id).map(|filter| (filter, Pos::START));
            let filters = filters.chain(of_its_own).collect();
            let rules = lasting.instance.rules();
            lasting.queue.wanted(&rules, rules.document.queue_overflow, filters, range, room)
        };
        self.look_up(client, Wanted::Page(wanted));
    }

    /// Takes in what was looked up.
    pub(crate) fn take_looked(&self, looked: &mut Looked) {
        self.looking.set(self.looking.get().saturating_sub(1));
        match keys::named(looked.client) {
            Named::Client => self.take_looked_of_client(looked),
            Named::Group => {
                if let Found::Page(page) = &looked.found {
                    self.take_group_page(looked.client, page);
                }
            }
            // The page of a replay is asked for by its client.
            Named::Reader => {}
        }
        self.call_waiting();
    }

    fn take_looked_of_client(&self, looked: &mut Looked) {
        if let Some(client) = self.client(looked.client) {
            match &mut looked.found {
                Found::Page(page) => self.take_page(&client, page),
                Found::Retained(wanted, page) => self.take_retained(&client, wanted, page),
                Found::Past(past) => self.take_past(&client, past),
            }
        }
    }

    /// Lets others look something up.
    fn call_waiting(&self) {
        while self.looking.get() < LOOKUPS_PER_WORKER_MAX {
            let Some(key) = self.waiting_to_look.borrow_mut().pop_front() else { return };
            if keys::named(key) == Named::Group {
                self.call_group(key);
            } else if let Some(client) = self.client(key) {
                client.stored_or_new().waits_for_look.set(false);
                self.tend(&client);
            }
        }
    }

    fn take_page(&self, client: &Rc<Client>, page: &Page) {
        let Some(lasting) = client.lasting() else { return };
        if client.is_ending() {
            // Whatever has come since it was asked for was not shown to it: all of that is for its next connection.
            return;
        }
        if page.failed.is_some() {
            lasting.queue.check_next();
        }
        if page.failed == Some(QueryError::Busy) {
            // Others are looking: it is asked for again, behind them.
            if let Some(session) = client.session.borrow_mut().as_mut() {
                session.give_up_page();
            }
            self.look_later(client, BUSY_WAIT);
            return;
        }
        if let Some(error) = page.failed {
            tracing::error!(%error, client.id = &*client.client_id, "what waits for a session cannot be read");
            self.close(client, Ending::Refused(Refusal::StorageUnavailable));
            return;
        }
        count_passed(&client.instance, &client.client_id, page);
        if page.overflows {
            lasting.is_doomed.set(true);
            self.close(client, Ending::Refused(Refusal::QueueOverflow));
            return;
        }
        let watermark = self.watermark.get();
        let messages = page.messages.iter().filter_map(|message| {
            let envelope = Envelope::from_record(&message.record);
            let read =
                envelope.inspect_err(|error| tracing::error!(%error, "a logged message cannot be read"));
            let stored = read.ok()?;
            let envelope = Envelope { topic: p2p::named(stored.topic), ..stored };
            if envelope.retain {
                note_newer(client, envelope.topic);
            }
            Some((message.pos, envelope))
        });
        let mut rendering = self.rendering.borrow_mut();
        self.with_session(client, |session, sink| {
            if let Some(begins) = page.begins {
                session.skip_to(begins);
            }
            session.take_page(messages, page.next, watermark, unix_now(), &mut rendering, sink);
            drop(rendering);
            // What is passed over is behind it only when all before that was taken on.
            let next = session.lasting().map_or(Pos::START, Lasting::next);
            lasting.queue.come_to(page, next);
        });
    }
}
