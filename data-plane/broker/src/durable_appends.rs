//! A worker's messages on their way into the log. Those of a round go there in one batch; who published them is
//! answered when it is safe there. They are delivered from the log, and not from here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use contract::grant::PublishRights;
use contract::p2p;
use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::{
    BATCH_MESSAGES_MAX, Batch, Change, Envelope, EnvelopeError, RECORD_HEADER_BYTES, Refused, RefusedWhy,
};
use mqtt::Publish;
use router::ClientKey;
use tokio::sync::Notify;

use crate::buckets::Micros;
use crate::client::{Client, Pause};
use crate::clock::unix_now;
use crate::durable::Mark;
use crate::groups::WrittenGroup;
use crate::lasting::{LastingClient, WrittenPart};
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::owed::{Debts, Owing};
use crate::policy::{Logged, Verdict};
use crate::publish::Taken;
use crate::schedule::Timer;
use crate::to_one;
use crate::worker::Worker;

/// A batch that would come to more bytes is handed in within the round.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Memory that a batch begins with at most: what those before it had.
const BATCH_MEMORY_MAX: usize = 256 * 1024;

/// Batches that the log has had no room for and that wait for some; beyond, they are declined.
const UNSENT_MAX: usize = 64;

/// How often it is looked whether the disk is nearly full.
const DISK_LOOK: Micros = 1_000_000;

/// After how many milliseconds a batch is handed in again, if nothing is settled before.
const RETRY_MILLIS: u64 = 16;

/// Bytes of a record for an expiry and for the length of properties.
const RECORD_PROPERTIES_BYTES: usize = 8 + 2;

/// Bytes in front of a batch's first record.
const BATCH_HEADER_BYTES: usize = 4;

/// What one worker has on its way into the log.
pub(crate) struct Appends {
    /// Of this round.
    batch: RefCell<Batch>,
    making: RefCell<Making>,
    /// The number of the batch that is being made; the first is 1.
    number: Cell<u64>,
    /// What is owed for batches handed in and not yet settled, the oldest first.
    pub(crate) pending: RefCell<VecDeque<Debts>>,
    /// What the log had no room for, behind all that is pending.
    unsent: RefCell<VecDeque<Unsent>>,
    /// Bytes that the log has room for, at least; the batch that is being made takes of them.
    room: Cell<usize>,
    /// How often routes had changed when this round began.
    changes: Cell<u32>,
    /// Memory that the batches before had.
    memory: Cell<usize>,
    /// Clients that are not read until there is room, or until what was stored before has been delivered.
    waiting: RefCell<VecDeque<ClientKey>>,
    /// A timer is set for what there was no room for.
    is_retrying: Cell<bool>,
    pub(crate) settled: Notify,
}

/// What is known of the batch that is being made; without use while it is empty.
struct Making {
    mark: Mark,
    stored_at: UnixMillis,
    debts: Debts,
    /// The message before has no properties and does not expire.
    is_plain: bool,
}

/// A batch that is yet to be handed in.
struct Unsent {
    batch: Batch,
    mark: Mark,
    debts: Debts,
}

impl Appends {
    pub(crate) fn new() -> Self {
        Self {
            batch: RefCell::default(),
            making: RefCell::new(Making {
                mark: Mark::NONE,
                stored_at: UnixMillis(0),
                debts: Debts::default(),
                is_plain: true,
            }),
            number: Cell::new(1),
            pending: RefCell::default(),
            unsent: RefCell::default(),
            room: Cell::new(0),
            changes: Cell::new(0),
            memory: Cell::new(0),
            waiting: RefCell::default(),
            is_retrying: Cell::new(false),
            settled: Notify::new(),
        }
    }

    /// The number of the last batch of which it is known what became of it.
    fn settled(&self) -> u64 {
        let oldest = self.pending.borrow().front().map(|oldest| oldest.number);
        let oldest = oldest.or_else(|| self.unsent.borrow().front().map(|unsent| unsent.debts.number));
        oldest.unwrap_or(self.number.get()) - 1
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.borrow().is_empty() && self.unsent.borrow().is_empty() && self.batch.borrow().is_empty()
    }
}

/// Bytes that a message has in a batch, at most.
#[inline]
pub(crate) fn record_bytes(publish: &Publish<'_>, publisher: &str) -> usize {
    // A message for one client has a longer name in the log.
    let texts = p2p::STORED_PREFIX.len() + publish.topic.len() + publisher.len();
    let bytes = RECORD_HEADER_BYTES + texts + publish.payload.len();
    let is_plain = publish.content.is_empty() && publish.expiry_secs.is_none();
    if is_plain { bytes } else { bytes + properties_bytes(publish) }
}

#[cold]
fn properties_bytes(publish: &Publish<'_>) -> usize {
    RECORD_PROPERTIES_BYTES + publish.content.size_bytes()
}

// --- room ---
impl Worker {
    /// What of the log a round has to know before its first message.
    #[inline]
    pub(crate) fn begin_appends(&self) {
        self.appends.changes.set(self.epochs.changes());
        self.look_at_disk();
    }

    /// Sees now and then whether there is room for what is stored for the history alone.
    fn look_at_disk(&self) {
        let now = self.now();
        if now.saturating_sub(self.disk_seen_at.get()) < DISK_LOOK {
            return;
        }
        self.disk_seen_at.set(now);
        let stops = self.node.durable.history_stops();
        if stops && !self.history_stops.replace(stops) {
            for instance in self.instances.borrow().values() {
                instance.stop_history(self.last_append());
            }
        }
        self.history_stops.set(stops);
    }

    /// The number of the append that the next message will be in.
    pub(crate) fn next_append(&self) -> u64 {
        self.appends.number.get()
    }

    /// The number of the last append, made or in the making.
    pub(crate) fn last_append(&self) -> u64 {
        self.appends.number.get() - u64::from(self.appends.batch.borrow().is_empty())
    }

    /// Whether the log takes so many bytes more. That stays so until this worker hands something in.
    #[inline]
    fn log_has_room(&self, bytes: usize) -> bool {
        let wanted = self.appends.batch.borrow().as_bytes().len() + bytes + BATCH_HEADER_BYTES;
        if wanted > self.appends.room.get() {
            self.look_for_room();
        }
        wanted <= self.appends.room.get()
            && !self.node.crossing.is_crowded()
            && self.appends.unsent.borrow().is_empty()
    }

    #[cold]
    fn look_for_room(&self) {
        self.appends.room.set(self.node.durable.room_bytes(self.id));
    }

    /// The number of the last append of which it is known what became of it.
    pub(crate) fn last_settled(&self) -> u64 {
        self.appends.settled()
    }

    /// Whether a message of this topic, which is not stored, would overtake one that was.
    #[inline]
    pub(crate) fn is_fading(&self, instance: &LocalInstance, topic: &str) -> bool {
        !instance.fading.is_empty() && instance.fading.class_of(topic, self.last_settled()).is_some()
    }

    /// Whether a message that cannot be left unread may be handed to the log now.
    pub(crate) fn can_append(&self, publish: &Publish<'_>, publisher: &str) -> bool {
        // If nothing is under way the log is not full: it takes it, or says why not.
        self.log_has_room(record_bytes(publish, publisher)) || self.appends.is_idle()
    }

    /// Whether a message must stay unread: it is to be stored and there is no room for it, or it would overtake one
    /// that was stored before. If so, the client is called when it may go on.
    #[inline]
    pub(crate) fn awaits_log(&self, client: &Client, publish: &Publish<'_>) -> bool {
        let may_be_logged =
            publish.qos != Qos::AtMostOnce || publish.retain || client.instance.uses_log.get();
        if !may_be_logged {
            return false;
        }
        let is_fading = self.is_fading(&client.instance, publish.topic);
        let has_room = !is_fading && self.log_has_room(record_bytes(publish, &client.client_id));
        !has_room && self.must_wait(client, publish, is_fading)
    }

    #[cold]
    fn must_wait(&self, client: &Client, publish: &Publish<'_>, is_fading: bool) -> bool {
        let appends = &self.appends;
        // If nothing is under way the log is not full: it takes nothing at all, and the client is to be told.
        let is_called = !appends.is_idle() || self.node.crossing.is_crowded();
        if !is_called || (!is_fading && !self.would_log(client, publish)) {
            return false;
        }
        client.pause.set(Some(Pause::Log));
        appends.waiting.borrow_mut().push_back(client.key);
        true
    }

    /// Whether a message would be logged, or may have to be, as it seems now.
    fn would_log(&self, client: &Client, publish: &Publish<'_>) -> bool {
        let instance = &client.instance;
        let behind = client.topics.borrow().appends_of(publish.topic);
        let is_behind = behind[usize::from(publish.qos != Qos::AtMostOnce)] > self.last_settled();
        is_behind || publish.retain || instance.stores(publish.topic) || {
            let verdict = Verdict::with_rights(&instance.rules(), PublishRights::ALL, publish.topic);
            let route = self.route(instance, publish.topic);
            to_one::logged_by(instance, &verdict, &route, publish.qos, publish.retain).is_some()
        }
    }

    /// Has those look again who wait for the log.
    pub(crate) fn resume_appending(&self) {
        let waiting = std::mem::take(&mut *self.appends.waiting.borrow_mut());
        for client in waiting.into_iter().filter_map(|key| self.client(key)) {
            if client.pause.get() == Some(Pause::Log) {
                client.resume();
            }
        }
    }
}

// --- into the log ---
impl Worker {
    /// Adds a message to this round's batch. It has been accepted and counted.
    pub(crate) fn append(
        &self,
        instance: &Rc<LocalInstance>,
        taken: &Taken,
        logged: Logged,
        publish: &Publish<'_>,
        publisher: &str,
        owing: Owing,
    ) {
        let appends = &self.appends;
        self.make_room_in_batch(record_bytes(publish, publisher));
        self.begin_batch();
        let mut batch = appends.batch.borrow_mut();
        let mut making = appends.making.borrow_mut();
        let is_plain = publish.content.is_empty() && taken.expires_at.is_none();
        let follows_plain = std::mem::replace(&mut making.is_plain, is_plain);
        if let Owing::Client(client, packet_id) = owing
            && is_plain
            && follows_plain
            && making.debts.goes_on(client, &taken.route, logged, publish.qos)
        {
            if batch.append_alike(publish.qos, publish.retain, publish.payload).is_err() {
                return no_form(instance);
            }
            return making.debts.go_on(packet_id);
        }
        // What nobody wants is counted by the worker that it came to.
        let workers = Some(taken.route.workers()).filter(|&workers| workers != 0).unwrap_or(self.id.bit());
        let envelope = Envelope {
            instance: instance.shared.id,
            qos: publish.qos,
            retain: publish.retain,
            retention: Some(logged.retention),
            history: logged.history,
            expires_at: taken.expires_at,
            stored_at: making.stored_at,
            workers,
            content: publish.content.as_bytes(),
            topic: taken.route.stored_topic(publish.topic),
            publisher,
            payload: publish.payload,
        };
        let index = batch.len();
        if batch.append(&envelope).is_err() {
            return no_form(instance);
        }
        making.mark.wanted |= workers;
        making.mark.reach |= instance.shared.workers_mask();
        making.debts.note(instance, &taken.route, logged, index, owing);
    }

    /// Begins a batch, if none is begun.
    #[inline]
    fn begin_batch(&self) {
        let appends = &self.appends;
        let mut batch = appends.batch.borrow_mut();
        if batch.is_empty() {
            let mut memory = self.node.crossing.spare(self.id, self.id);
            memory.reserve(appends.memory.get());
            *batch = Batch::with_memory(memory);
            let mut making = appends.making.borrow_mut();
            // Routes are asked after the round began: they may be newer than this says, never older.
            making.mark = Mark { changes: appends.changes.get(), ..Mark::NONE };
            making.stored_at = unix_now();
        }
    }

    /// Adds a change of a document to this round's batch.
    pub(crate) fn append_change(&self, change: &Change<'_>) -> Result<(), EnvelopeError> {
        self.begin_batch();
        self.appends.batch.borrow_mut().change(change)
    }

    /// Bytes of this round's batch.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.appends.batch.borrow().as_bytes().len()
    }

    /// Has it told to a session what becomes of the batch that is being made.
    pub(crate) fn owe_change(&self, written: WrittenPart) {
        self.appends.making.borrow_mut().debts.changes.push(written);
    }

    /// Has it told what becomes of the deletion of a session with the batch that is being made.
    pub(crate) fn owe_deletion(&self, session: Rc<LastingClient>) {
        self.appends.making.borrow_mut().debts.deletions.push(session);
    }

    /// Has it told what becomes of the document of a shared subscription with the batch that is being made.
    pub(crate) fn owe_group(&self, written: WrittenGroup) {
        self.appends.making.borrow_mut().debts.groups.push(written);
    }

    /// Has a client told that it is connected once the batch that is being made is safe.
    pub(crate) fn owe_welcome(&self, client: ClientKey) {
        self.appends.making.borrow_mut().debts.welcomes.push(client);
    }

    /// Hands in the batch if it has no room for one more record.
    pub(crate) fn make_room_in_batch(&self, record_bytes: usize) {
        let batch = self.appends.batch.borrow();
        let is_full =
            batch.len() == BATCH_MESSAGES_MAX || batch.as_bytes().len() + record_bytes > BATCH_BYTES_MAX;
        if is_full && !batch.is_empty() {
            drop(batch);
            // What was said before the first of these messages is on its way before them.
            self.send_crossing();
            self.write_sessions();
            self.submit_appends();
        }
    }

    /// Hands in what the round has brought.
    #[inline]
    pub(crate) fn submit_appends(&self) {
        if !self.appends.batch.borrow().is_empty() {
            self.submit_batch();
        }
    }

    fn submit_batch(&self) {
        let appends = &self.appends;
        let batch = appends.batch.take();
        let bytes = batch.as_bytes().len();
        // A batch that grows beyond its memory is copied, so a small one does not make the next one's small at once.
        let memory = bytes.max(appends.memory.get() / 8 * 7);
        appends.memory.set(memory.min(BATCH_MEMORY_MAX));
        appends.room.set(appends.room.get().saturating_sub(bytes));
        let number = appends.number.get();
        appends.number.set(number + 1);
        let (mark, mut debts) = {
            let mut making = appends.making.borrow_mut();
            (making.mark, std::mem::take(&mut making.debts))
        };
        debts.number = number;
        self.hand_in(Unsent { batch, mark, debts });
    }

    /// Hands a batch to the log. What that has no room for waits, and everything behind it.
    fn hand_in(&self, unsent: Unsent) {
        let appends = &self.appends;
        if !appends.unsent.borrow().is_empty() {
            if appends.unsent.borrow().len() < UNSENT_MAX {
                appends.unsent.borrow_mut().push_back(unsent);
            } else {
                self.refuse_batch(unsent.debts);
            }
            return;
        }
        if let Some(unsent) = self.submit(unsent) {
            self.keep_unsent(unsent);
        }
    }

    fn keep_unsent(&self, unsent: Unsent) {
        self.appends.unsent.borrow_mut().push_front(unsent);
        if !self.appends.is_retrying.replace(true) {
            self.schedule(self.millis().0 + RETRY_MILLIS, Timer::Submit);
        }
    }

    /// Submits a batch; it comes back when there is no room for it.
    fn submit(&self, unsent: Unsent) -> Option<Unsent> {
        let Unsent { batch, mark, debts } = unsent;
        match self.node.durable.submit(self.id, debts.number, batch, mark) {
            // What the log's thread may have said already lies before this worker's door.
            Ok(()) => self.appends.pending.borrow_mut().push_back(debts),
            Err(Refused { why: RefusedWhy::NoRoom, append }) => {
                return Some(Unsent { batch: append.batch, mark, debts });
            }
            Err(_) => self.refuse_batch(debts),
        }
        None
    }

    fn refuse_batch(&self, mut debts: Debts) {
        self.guard(|| self.decline(&mut debts));
        self.resume_appending();
        self.appends.settled.notify_one();
    }

    /// The time has come to try again.
    pub(crate) fn retry_unsent(&self) {
        self.appends.is_retrying.set(false);
        self.submit_unsent();
    }

    /// Hands in again what there was no room for.
    pub(crate) fn submit_unsent(&self) {
        loop {
            let Some(unsent) = self.appends.unsent.borrow_mut().pop_front() else { return };
            if let Some(unsent) = self.submit(unsent) {
                self.keep_unsent(unsent);
                return;
            }
        }
    }
}

/// No packet is so long that it could not be said in the log.
#[cold]
fn no_form(instance: &LocalInstance) {
    tracing::error!("a message has no form in the log");
    instance.counts.dropped(DropReason::TooLong, 1);
}
