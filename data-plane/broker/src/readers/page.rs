//! Pages of replays: asked for when the client has room, and given to it as far as it has.

use std::rc::Rc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use engine::{Envelope, QueryError};
use session::{Delivered, Message};

use super::past::{self, Beginning, Past, PastPage, PastWanted};
use super::{Reader, Replays};
use crate::client::{Client, Ending};
use crate::delivery::{Passing, ROUND_OUTPUT_BYTES_MAX, Wanted, deliver, message};
use crate::local_instance::Paces;
use crate::lookups::{PAGE_MESSAGES_MAX, Wanted as Lookup};
use crate::metrics::DropReason;
use crate::replaying::BUSY_WAIT;
use crate::worker::Worker;

impl Worker {
    /// Has the next page looked up for one of a client's replays, if one is behind and there is room. They take turns.
    pub(crate) fn ask_past(&self, client: &Client) {
        let Some(stored) = client.stored() else { return };
        let wants = {
            let replays = stored.replays.borrow();
            !replays.is_looking && replays.is_any_behind()
        };
        if !wants || !self.may_look_up(client) || !self.instance_has_paid(client) {
            return;
        }
        let mut replays = stored.replays.borrow_mut();
        if let Some(wanted) = self.next_wanted(client, &mut replays) {
            replays.is_looking = true;
            self.look_up(client, Lookup::Past(wanted));
        }
    }

    /// Whether the instance may send more. If not, the client is called when it may: what was stored long ago must not
    /// take all the room of what comes.
    fn instance_has_paid(&self, client: &Client) -> bool {
        let wait = client.instance.outbound.wait(self.now(), &client.instance.paces().outbound);
        if wait > 0 {
            self.look_later(client, wait);
        }
        wait == 0
    }

    /// What is to be looked up next: of the first that is behind and for which there is room.
    fn next_wanted(&self, client: &Client, replays: &mut Replays) -> Option<PastWanted> {
        let (window, open, waiting) = {
            let session = client.session.borrow();
            let session = session.as_ref()?;
            (usize::from(session.window()), usize::from(session.in_flight()), session.waiting())
        };
        let room = window.saturating_sub(open);
        // Half a window at a time: a page for each acknowledgement would cost more than what it brings.
        let has_window = waiting == 0 && room >= window.div_ceil(2);
        for _ in 0..replays.readers.len() {
            replays.readers.rotate_left(1);
            let Some(reader) = replays.readers.back() else { break };
            let room = match reader.granted.qos() {
                Qos::AtMostOnce => PAGE_MESSAGES_MAX,
                Qos::AtLeastOnce | Qos::ExactlyOnce if has_window => room,
                Qos::AtLeastOnce | Qos::ExactlyOnce => continue,
            };
            // Where there is nothing, it is live from here on.
            if let Some(wanted) = self.wanted_of(client, reader, room) {
                return Some(wanted);
            }
        }
        None
    }

    fn wanted_of(&self, client: &Client, reader: &Reader, room: usize) -> Option<PastWanted> {
        let committed = self.node.crossing.committed(self.id);
        let range = reader.reading.borrow_mut().ask(committed)?;
        let is_past = range.start < reader.since;
        let mut wanted = PastWanted {
            reader: reader.key,
            filter: reader.filter.clone(),
            beginning: None,
            from: range.start,
            to: range.end,
            messages_max: room.min(PAGE_MESSAGES_MAX),
            stored_since: UnixMillis(0),
        };
        if is_past {
            let rules = client.instance.rules();
            wanted.to = range.end.min(reader.since);
            wanted.stored_since = reader.from.max(past::shown_since(&rules, &reader.filter));
            wanted.beginning = (!reader.has_begun.get()).then(|| Beginning::of(&rules, &reader.filter));
        }
        Some(wanted)
    }

    /// Takes in what was looked up for one of a client's replays.
    pub(crate) fn take_past(&self, client: &Rc<Client>, past: &mut Past) {
        client.stored_or_new().replays.borrow_mut().is_looking = false;
        if client.is_ending() {
            return;
        }
        if let Some(reader) = self.reader(past.reader) {
            match &mut past.found {
                Ok(page) => self.take_past_page(client, &reader, page),
                Err(QueryError::Busy) => {
                    // Others are looking: it is asked for again, behind them.
                    reader.reading.borrow_mut().give_up();
                    return self.look_later(client, BUSY_WAIT);
                }
                Err(error) => {
                    tracing::error!(%error, client.id = &*client.client_id, "a replay cannot be read");
                    return self.close(client, Ending::Refused(Refusal::StorageUnavailable));
                }
            }
        }
        self.ask_past(client);
    }

    fn take_past_page(&self, client: &Rc<Client>, reader: &Reader, found: &mut PastPage) {
        let PastPage { page, floors } = found;
        let instance = &client.instance;
        if let Some(floors) = floors.take() {
            reader.has_begun.set(true);
            *reader.floors.borrow_mut() = floors;
        }
        if page.lost {
            instance.counts.dropped(DropReason::QueueLost, 1);
            tracing::warn!(
                instance.id = %instance.shared.id, client.id = &*client.client_id,
                "part of what was to be replayed is gone from the log"
            );
        }
        let (rules, floors, paces) = (instance.rules(), reader.floors.borrow(), instance.paces());
        let mut reading = reader.reading.borrow_mut();
        let mut rendering = self.rendering.borrow_mut();
        for found in &page.messages {
            let pos = found.pos;
            match Envelope::from_record(&found.record) {
                Err(error) => tracing::error!(%error, "a logged message cannot be read"),
                // What has come since then is for the client whatever history shows now.
                Ok(envelope) if pos < reader.since && !past::is_shown(&rules, &floors, &envelope, pos) => {}
                // It does not want the client's own.
                Ok(envelope) if reader.is_no_local(client, envelope.publisher) => {}
                Ok(envelope) => {
                    let qos = envelope.qos;
                    let mut message = message(&mut rendering, &Passing::of(&envelope));
                    if !self.give(client, &mut message, reader.wanted(), qos, &paces) {
                        reading.leave(pos);
                        return self.note_output(client);
                    }
                }
            }
            reading.took(pos);
        }
        reading.turn(page.next, self.watermark.get());
    }

    /// Gives a client a message of what is stored; false: it has no room for it now.
    pub(crate) fn give(
        &self,
        client: &Rc<Client>,
        message: &mut Message<'_>,
        wanted: Wanted<'_>,
        qos: Qos,
        paces: &Paces,
    ) -> bool {
        let (instance, now) = (&*client.instance, self.now());
        if client.output.borrow().len() >= ROUND_OUTPUT_BYTES_MAX {
            self.write(client);
        }
        let takes_more = !client.is_blocked.get()
            && client.held.borrow().is_none()
            && client.outbound.has_some(now, &paces.client_out);
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut().filter(|_| takes_more) else { return false };
        let is_full = session.waiting() > 0 || session.in_flight() >= session.window();
        if is_full && qos.min(wanted.qos()) != Qos::AtMostOnce {
            return false;
        }
        let mut output = client.output.borrow_mut();
        if output.capacity() == 0 {
            *output = self.take_buffer();
        }
        let is_quiet = output.is_empty() && session.waiting_bytes() == 0;
        let delivered = deliver(session, None, message, wanted, &mut output);
        if output.is_empty() {
            self.return_buffer(std::mem::take(&mut *output));
        }
        drop(output);
        match delivered {
            Delivered::Sent(bytes) | Delivered::Waiting(bytes) => {
                instance.counts.went_out(bytes);
                client.outbound.take(now, &paces.client_out, 1, bytes as usize);
                instance.outbound.take(now, &paces.outbound, 1, bytes as usize);
                self.note_output(client);
            }
            Delivered::Dropped(session::DropReason::OutboxBytes) if !is_quiet => return false,
            // There will never be room for it.
            Delivered::Dropped(reason) => instance.counts.dropped(reason.into(), 1),
            Delivered::Replaying => {}
        }
        true
    }
}
