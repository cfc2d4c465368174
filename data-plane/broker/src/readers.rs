//! Replays: subscriptions that begin with what history shows since some time, and go on with what comes. Each has a
//! reader, which belongs to a connection and ends with it: it is plain state beside its client, and written down nowhere.
//!
//! A reader goes through the log at the pace of its client. While it is *behind* it is given pages, and a page is asked
//! for only when the client has room; so nothing of a history waits in memory, or is dropped because there is too much
//! of it. What comes meanwhile for the history it finds in the log later; what is in no history is delivered at once, as to
//! any subscriber.

mod page;
mod past;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::PoisonError;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::Pos;
use router::{ClientKey, Subscriber};
use session::{Asked, Granted, Message, Reading, Special};

pub(crate) use self::past::{Floors, Past, PastWanted, find_past};
use crate::client::Client;
use crate::delivery::{InLog, Wanted};
use crate::keys;
use crate::local_instance::Paces;
use crate::policy;
use crate::worker::Worker;

/// One replay.
#[derive(Debug)]
pub(crate) struct Reader {
    key: ClientKey,
    client: ClientKey,
    /// The subscription as it was sent.
    text: TopicFilter,
    /// What it is for.
    filter: TopicFilter,
    granted: Granted,
    /// The same, where it has options or an identifier.
    special: Option<Box<Special>>,
    from: UnixMillis,
    /// How far the log had come when it was subscribed to. What stands there or beyond is the subscription's, as with
    /// any other; what stands before is subject to what history shows.
    since: Pos,
    reading: RefCell<Reading>,
    /// Its beginning was found in the log.
    has_begun: Cell<bool>,
    /// What of single topics is hidden for their bytes.
    floors: RefCell<Floors>,
}

impl Reader {
    fn wanted(&self) -> Wanted<'_> {
        match &self.special {
            None => Wanted::Plain(self.granted.qos()),
            Some(special) => Wanted::Special(special),
        }
    }

    /// Whether a message is the client's own, and it does not want those.
    fn is_no_local(&self, client: &Client, publisher: &str) -> bool {
        self.granted.is_no_local() && *client.client_id == *publisher
    }
}

/// The replays of one client.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    /// The one whose turn is next comes first.
    readers: VecDeque<Rc<Reader>>,
    /// A page is being looked up for one of them.
    is_looking: bool,
}

impl Replays {
    fn is_any_behind(&self) -> bool {
        self.readers.iter().any(|reader| reader.reading.borrow().is_behind())
    }
}

impl Worker {
    /// A client wants what history has of a filter since `from`, and then what comes. `text` is how it said so: said
    /// again it begins anew.
    pub(crate) fn begin_replay(
        &self,
        client: &Client,
        text: &TopicFilter,
        from: UnixMillis,
        filter: &TopicFilter,
        asked: &Asked,
    ) -> Result<Qos, Refusal> {
        let instance = &client.instance;
        let rules = instance.rules();
        let limits = &rules.document.limits;
        let granted = policy::replay_qos(&rules, client.proof.borrow().grants(), filter, asked.options.qos)?;
        let mut replays = client.stored_or_new().replays.borrow_mut();
        let before = replays.readers.iter().position(|reader| reader.text == *text);
        let others = replays.readers.len() - usize::from(before.is_some());
        if others as u64 >= limits.replays_max {
            return Err(Refusal::ReplaysMax);
        }
        let mut readers = self.readers.borrow_mut();
        let slot = readers.vacant_entry();
        let key = keys::reader(u32::try_from(slot.key()).unwrap_or(u32::MAX), self.next_generation());
        let subscriber = Subscriber { worker: self.id, client: key, qos: granted, is_special: false };
        // One that takes the place of another was let in once, and is not counted anew.
        let subscriptions_max = if before.is_some() { u64::MAX } else { limits.subscriptions_max };
        let mut routes = instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(filter, subscriber, subscriptions_max)?;
        drop(routes);
        // Behind the route: whatever is not in the log so far will be shown to it.
        let since = self.node.crossing.committed(self.id);
        let reader = Rc::new(Reader {
            key,
            client: client.key,
            text: text.clone(),
            filter: filter.clone(),
            granted: asked.granted(granted),
            special: asked.is_special().then(|| Box::new(asked.granted(granted).alone())),
            from,
            since,
            reading: RefCell::new(Reading::behind(Pos::START)),
            has_begun: Cell::new(false),
            floors: RefCell::default(),
        });
        slot.insert(Rc::clone(&reader));
        drop(readers);
        if let Some(before) = before.and_then(|at| replays.readers.remove(at)) {
            self.end_reader(client, &before);
        }
        replays.readers.push_back(reader);
        Ok(granted)
    }

    /// A client wants no more of a replay, which it names as it did when it began.
    pub(crate) fn end_replay(&self, client: &Client, text: &TopicFilter) {
        let Some(stored) = client.stored() else { return };
        let mut replays = stored.replays.borrow_mut();
        let at = replays.readers.iter().position(|reader| reader.text == *text);
        if let Some(reader) = at.and_then(|at| replays.readers.remove(at)) {
            self.end_reader(client, &reader);
        }
    }

    /// The connection has gone, and its replays with it.
    pub(crate) fn end_replays(&self, client: &Client) {
        let Some(stored) = client.stored() else { return };
        for reader in std::mem::take(&mut stored.replays.borrow_mut().readers) {
            self.end_reader(client, &reader);
        }
    }

    fn end_reader(&self, client: &Client, reader: &Reader) {
        let mut routes = client.instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(&reader.filter, self.id, reader.key);
        drop(routes);
        self.readers.borrow_mut().try_remove(keys::place(reader.key));
    }

    /// The reader of a key, unless it has ended.
    fn reader(&self, key: ClientKey) -> Option<Rc<Reader>> {
        self.readers.borrow().get(keys::place(key)).filter(|reader| reader.key == key).cloned()
    }

    /// A message that a reader's filter matches has come: from the log or, without a place in it, past it.
    pub(crate) fn deliver_to_reader(
        &self,
        key: ClientKey,
        message: &mut Message<'_>,
        publisher: &str,
        qos: Qos,
        at: Option<InLog>,
        paces: &Paces,
    ) {
        let Some(reader) = self.reader(key) else { return };
        let Some(client) = self.client(reader.client) else { return };
        if reader.is_no_local(&client, publisher) {
            return;
        }
        let Some(InLog { pos, .. }) = at.filter(|at| at.history) else {
            return self.deliver_to(&client, message, reader.wanted(), qos, None, paces);
        };
        let mut reading = reader.reading.borrow_mut();
        if client.is_ending() || !reading.shows(pos) {
            return;
        }
        if self.give(&client, message, reader.wanted(), qos, paces) {
            reading.took(pos);
        } else {
            reading.leave(pos);
            // It is tended at the end of the round.
            self.note_output(&client);
        }
    }
}
