//! The lasting sessions of a worker, those of connected clients and those whose clients are away: where each of them is,
//! and how what changes of it comes into the log, in the batch of the round that changed it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::PoisonError;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::subscription::SHARED_PREFIX;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{CHANGE_HEADER_BYTES, Change};
use router::ClientKey;
use session::{ChangeId, Lasting, Part};

use crate::client::Client;
use crate::durable_appends::BATCH_BYTES_MAX;
use crate::local_instance::LocalInstance;
use crate::queue::Queue;
use crate::retained::note_written;
use crate::schedule::Timer;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// After how many milliseconds a session that could not be written is tried again, while its client is away.
const REWRITE_MILLIS: u64 = 10_000;

/// Names a lasting session on its worker; never used for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SessionKey(pub(crate) ClientKey);

/// Where a lasting session is.
pub(crate) enum Place {
    /// Its client is away.
    Away(Box<Lasting>),
    /// In the hands of its client.
    Here(ClientKey),
    /// What was stored of it cannot be read. Its client is refused until it asks for a clean start.
    Damaged,
    /// It has ended, and its documents are being deleted.
    Gone,
}

/// One lasting session.
pub(crate) struct LastingClient {
    pub(crate) key: SessionKey,
    pub(crate) client_id: Rc<str>,
    pub(crate) instance: Rc<LocalInstance>,
    pub(crate) place: RefCell<Place>,
    /// It is in the list of those that are written with the next batch.
    is_dirty: Cell<bool>,
    /// There may be a document of a session before it, of messages received, which goes before its first own one.
    pub(crate) follows: Cell<bool>,
    /// The deletion of that is under way.
    is_clearing: Cell<bool>,
    /// A part of what is being written was not stored.
    has_failed: Cell<bool>,
    /// When its timer is set to, in milliseconds on the clock of the node; 0: it is not.
    pub(crate) timer: Cell<u64>,
    /// Its will waits until then at least: its client is given time to come back after a start.
    pub(crate) will_not_before: Cell<UnixMillis>,
    /// Too much has waited for it: it ends with the connection.
    pub(crate) is_doomed: Cell<bool>,
    /// What waits for it, and its bounds.
    pub(crate) queue: Queue,
}

/// What was written of a session into one batch.
pub(crate) struct WrittenPart {
    session: Rc<LastingClient>,
    id: ChangeId,
    /// Nothing more of the same writing is in a later batch.
    is_last: bool,
}

/// A document that goes into a later batch than the others of its session, since it is long.
struct LaterPart {
    session: Rc<LastingClient>,
    id: ChangeId,
    part: Part,
    body: Vec<u8>,
    is_last: bool,
}

impl LastingClient {
    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Gone)
    }

    /// Whether something of it is to be written, as long as its client is away.
    pub(crate) fn has_changes(&self) -> bool {
        match &*self.place.borrow() {
            Place::Away(lasting) => lasting.has_changes(),
            Place::Here(_) | Place::Damaged | Place::Gone => false,
        }
    }

    fn document_key(&self, part: Part) -> Vec<u8> {
        [part.prefix(), &self.client_id].concat().into_bytes()
    }
}

/// The filters of a session for which messages are logged. For what it shares they are logged for the group.
pub(crate) fn kept_filters(lasting: &Lasting) -> impl Iterator<Item = &TopicFilter> {
    let kept = lasting.subscriptions().filter(|(_, granted, _)| granted.qos() != Qos::AtMostOnce);
    kept.map(|(filter, ..)| filter).filter(|filter| !is_shared(filter))
}

/// Whether a subscription is one of a group.
pub(crate) fn is_shared(text: &TopicFilter) -> bool {
    text.as_str().starts_with(SHARED_PREFIX)
}

// --- coming and going ---
impl Worker {
    /// Adds a session to those of its instance, which has room for it.
    pub(crate) fn add_session(
        &self,
        instance: &Rc<LocalInstance>,
        client_id: Rc<str>,
        place: Place,
    ) -> Rc<LastingClient> {
        let mut sessions = self.sessions.borrow_mut();
        let slot = sessions.vacant_entry();
        self.generation.set(self.generation.get().wrapping_add(1));
        let index = u32::try_from(slot.key()).unwrap_or(u32::MAX);
        let session = Rc::new(LastingClient {
            key: SessionKey(ClientKey::new(index, self.generation.get())),
            client_id: Rc::clone(&client_id),
            instance: Rc::clone(instance),
            place: RefCell::new(place),
            is_dirty: Cell::new(false),
            follows: Cell::new(false),
            is_clearing: Cell::new(false),
            has_failed: Cell::new(false),
            timer: Cell::new(0),
            will_not_before: Cell::new(UnixMillis(0)),
            is_doomed: Cell::new(false),
            queue: Queue::default(),
        });
        slot.insert(Rc::clone(&session));
        instance.lasting.borrow_mut().insert(client_id, Rc::clone(&session));
        session
    }

    /// The session of a key, unless it has ended.
    pub(crate) fn find_session(&self, key: SessionKey) -> Option<Rc<LastingClient>> {
        self.sessions.borrow().get(key.0.slot() as usize).filter(|session| session.key == key).cloned()
    }

    /// Ends a session whose client is away: nothing is logged for it any more, and its documents are deleted with the
    /// batch of this round. Until they are it is kept in mind, or it could come back.
    pub(crate) fn discard_session(&self, session: &Rc<LastingClient>) {
        let instance = &session.instance;
        let place = session.place.replace(Place::Gone);
        match &place {
            Place::Away(lasting) => {
                let mut routes = instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
                for filter in kept_filters(lasting) {
                    routes.remove_lasting(filter);
                }
                drop(routes);
                for (text, ..) in lasting.subscriptions().filter(|(text, ..)| is_shared(text)) {
                    self.discard_membership(instance, &session.client_id, text);
                }
            }
            Place::Here(_) => self.discard_memberships(instance, &session.client_id),
            Place::Damaged | Place::Gone => {}
        }
        if !matches!(place, Place::Gone) {
            instance.shared.return_session();
        }
        self.delete_session(session);
    }

    /// Deletes the documents of a session that has ended, with the batch of this round.
    pub(crate) fn delete_session(&self, session: &Rc<LastingClient>) {
        // All of them are in one batch, and many sessions may end in one round.
        let bytes = Part::ALL.map(|part| CHANGE_HEADER_BYTES + session.document_key(part).len());
        self.make_room_in_batch(bytes.iter().sum());
        for part in Part::ALL {
            self.delete_part(session, part);
        }
        self.owe_deletion(Rc::clone(session));
        self.open_round();
    }

    fn delete_part(&self, session: &LastingClient, part: Part) {
        let key = session.document_key(part);
        let change = Change { instance: session.instance.shared.id, key: &key, body: None };
        if let Err(error) = self.append_change(&change) {
            tracing::error!(%error, client.id = &*session.client_id, "a session cannot be deleted");
        }
    }

    /// The documents of a session that has ended are deleted, or are not: then it is tried again.
    pub(crate) fn settle_deletion(&self, session: &Rc<LastingClient>, is_stored: bool) {
        if !is_stored {
            self.set_session_timer(session, self.millis().0 + REWRITE_MILLIS);
            return;
        }
        let mut of_instance = session.instance.lasting.borrow_mut();
        if of_instance.get(&session.client_id).is_some_and(|held| Rc::ptr_eq(held, session)) {
            of_instance.remove(&session.client_id);
        }
        if of_instance.is_empty() {
            session.instance.unused_since.set(self.now());
        }
        let mut sessions = self.sessions.borrow_mut();
        let slot = session.key.0.slot() as usize;
        if sessions.get(slot).is_some_and(|held| Rc::ptr_eq(held, session)) {
            sessions.remove(slot);
        }
    }

    /// Whether a session that has ended is still the newest of its client.
    pub(crate) fn is_last(session: &Rc<LastingClient>) -> bool {
        let sessions = session.instance.lasting.borrow();
        sessions.get(&session.client_id).is_some_and(|held| Rc::ptr_eq(held, session))
    }
}

// --- into the log ---
impl Worker {
    /// Has what a session has changed written with the batch of this round.
    pub(crate) fn note_changes(&self, session: &Rc<LastingClient>) {
        if !session.is_dirty.replace(true) {
            self.dirty.borrow_mut().push(Rc::clone(session));
            self.open_round();
        }
    }

    /// Writes what sessions have changed into the batch that is being made. What belongs together with a message of it
    /// is in it; documents that are long may go into batches behind it.
    pub(crate) fn write_sessions(&self) {
        if self.dirty.borrow().is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        let mut later = Vec::new();
        for session in dirty {
            session.is_dirty.set(false);
            self.write_session(&session, &mut later);
        }
        for LaterPart { session, id, part, body, is_last } in later {
            if self.batch_bytes() + body.len() > BATCH_BYTES_MAX {
                self.submit_appends();
            }
            let written = WrittenPart { session, id, is_last };
            if self.append_part(&written.session, part, &body) {
                self.owe_change(written);
            } else {
                self.settle_part(&written, false);
            }
        }
    }

    fn write_session(&self, session: &Rc<LastingClient>, later: &mut Vec<LaterPart>) {
        if session.follows.get() && !session.is_clearing.replace(true) {
            self.delete_part(session, Part::Received);
        }
        let mut kept = Vec::new();
        let (mut is_in_this, mut is_whole) = (false, true);
        let put = |part: Part, body: &[u8]| {
            // Session and progress go together: of a new one neither may be there alone.
            let is_over = !is_in_this && self.batch_bytes() + body.len() > BATCH_BYTES_MAX;
            if part != Part::Received && (is_over || !kept.is_empty()) {
                kept.push((part, body.to_vec()));
            } else {
                is_whole &= self.append_part(session, part, body);
                is_in_this = true;
            }
        };
        let id = match &mut *session.place.borrow_mut() {
            Place::Away(lasting) => lasting.write_changes(put),
            Place::Here(key) => {
                let Some(client) = self.client(*key) else { return };
                let Ok(mut held) = client.session.try_borrow_mut() else {
                    // It is in the middle of something: it is written with the next batch.
                    self.note_changes(session);
                    return;
                };
                held.as_mut().and_then(|held| held.write_changes(put))
            }
            Place::Damaged | Place::Gone => None,
        };
        let Some(id) = id else { return };
        if !is_whole {
            self.settle_part(&WrittenPart { session: Rc::clone(session), id, is_last: true }, false);
            return;
        }
        if is_in_this {
            self.owe_change(WrittenPart { session: Rc::clone(session), id, is_last: kept.is_empty() });
        }
        let last = kept.len().saturating_sub(1);
        for (at, (part, body)) in kept.into_iter().enumerate() {
            later.push(LaterPart { session: Rc::clone(session), id, part, body, is_last: at == last });
        }
    }

    /// Adds a document to the batch; false: it is too long.
    fn append_part(&self, session: &LastingClient, part: Part, body: &[u8]) -> bool {
        let key = session.document_key(part);
        let change = Change { instance: session.instance.shared.id, key: &key, body: Some(body) };
        let appended = self.append_change(&change);
        if let Err(error) = appended {
            tracing::error!(%error, client.id = &*session.client_id, "a session is too long to be stored");
        }
        appended.is_ok()
    }

    /// What was written of a session is stored, or is not.
    pub(crate) fn settle_part(&self, written: &WrittenPart, is_stored: bool) {
        let WrittenPart { session, id, is_last } = written;
        if !is_stored {
            session.has_failed.set(true);
        }
        if !is_last {
            return;
        }
        let is_stored = !session.has_failed.take();
        if session.is_clearing.take() {
            session.follows.set(!is_stored);
        }
        let key = match &mut *session.place.borrow_mut() {
            Place::Away(lasting) => {
                if is_stored {
                    lasting.changes_committed(*id);
                } else {
                    lasting.changes_failed(*id);
                }
                None
            }
            Place::Here(key) => Some(*key),
            Place::Damaged | Place::Gone => return,
        };
        if let Some(client) = key.and_then(|key| self.client(key)) {
            self.with_session(&client, |session, sink| {
                if is_stored {
                    session.changes_committed(*id, sink);
                    note_written(&client, !session.has_changes());
                } else {
                    session.changes_failed(*id, Refusal::StorageUnavailable, sink);
                }
            });
        } else if !is_stored {
            self.set_session_timer(session, self.millis().0 + REWRITE_MILLIS);
        } else if session.has_changes() {
            self.note_changes(session);
        }
    }

    /// Sets the timer of a session, unless it is set to an earlier time.
    pub(crate) fn set_session_timer(&self, session: &LastingClient, at_millis: u64) {
        let set_to = session.timer.get();
        if set_to == 0 || at_millis < set_to {
            session.timer.set(at_millis);
            self.schedule(at_millis, Timer::Session(session.key));
        }
    }

    /// Does something with the session of a client, and then what follows from it.
    pub(crate) fn with_session(
        &self,
        client: &Rc<Client>,
        work: impl FnOnce(&mut session::Session, &mut ClientSink<'_>),
    ) {
        let mut sink = ClientSink::new(self, client, 0);
        if let Some(session) = client.session.borrow_mut().as_mut() {
            work(session, &mut sink);
        }
        let (_, wrote) = sink.done();
        if wrote {
            self.note_output(client);
        }
        if client.lasting().is_some() {
            self.tend(client);
        }
    }
}
