//! A worker's messages on their way into the log. Those of a round go there in one batch; who published them is
//! answered when it is safe there. They are delivered from the log, and not from here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use contract::refusal::Refusal;
use contract::time::UnixMillis;
use engine::{
    BATCH_MESSAGES_MAX, Batch, Committed, CommittedBatch, Envelope, Pos, RECORD_HEADER_BYTES, RetentionClass,
};
use mqtt::{Packet, PacketId, Publish};
use router::ClientKey;
use tokio::sync::Notify;

use crate::api_publish::{Answer, PublishError, Published};
use crate::client::{Client, Pause};
use crate::clock::unix_now;
use crate::durable::{Mark, SHARD, Settled};
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::publish::Taken;
use crate::routes::Route;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// A batch that would come to more bytes is handed in within the round.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Memory that a batch begins with at most: what the one before it had.
const BATCH_MEMORY_MAX: usize = 256 * 1024;

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
    pending: RefCell<VecDeque<Debts>>,
    /// Bytes that the log has room for, at least; the batch that is being made takes of them.
    room: Cell<usize>,
    /// How often routes had changed when this round began.
    changes: Cell<u32>,
    /// Memory that the batch before had.
    memory: Cell<usize>,
    /// Clients that are not read until there is room, or until what was stored before has been delivered.
    waiting: RefCell<VecDeque<ClientKey>>,
    settled: Notify,
}

/// What is known of the batch that is being made; without use while it is empty.
struct Making {
    mark: Mark,
    stored_at: UnixMillis,
    debts: Debts,
}

/// Who is to be told about one batch.
#[derive(Default)]
struct Debts {
    /// The number of the batch.
    number: u64,
    /// Where each message goes, as was found when it came; used again as far as that still holds.
    routes: Vec<Rc<Route>>,
    /// In the order of the messages.
    owed: Vec<(ClientKey, PacketId)>,
    answers: Vec<OwedAnswer>,
    /// Neighbouring messages of one instance are one entry.
    stored: Vec<Stored>,
}

struct OwedAnswer {
    /// The message within the batch.
    index: u32,
    matched: u32,
    answer: Answer,
}

struct Stored {
    instance: Rc<LocalInstance>,
    messages: u64,
    /// Those of them that nobody is told about.
    unacknowledged: u64,
}

/// Whom to tell that a message is safe.
pub(crate) enum Owing {
    Nobody,
    /// A client, about one of its packets.
    Client(ClientKey, PacketId),
    /// An application, and how many clients its message is for.
    Application(u32, Answer),
}

impl Appends {
    pub(crate) fn new() -> Self {
        Self {
            batch: RefCell::default(),
            making: RefCell::new(Making {
                mark: Mark::NONE,
                stored_at: UnixMillis(0),
                debts: Debts::default(),
            }),
            number: Cell::new(1),
            pending: RefCell::default(),
            room: Cell::new(0),
            changes: Cell::new(0),
            memory: Cell::new(0),
            waiting: RefCell::default(),
            settled: Notify::new(),
        }
    }

    /// The number of the last batch of which it is known what became of it.
    fn settled(&self) -> u64 {
        self.pending.borrow().front().map_or(self.number.get(), |oldest| oldest.number) - 1
    }

    fn is_idle(&self) -> bool {
        self.pending.borrow().is_empty() && self.batch.borrow().is_empty()
    }
}

impl Debts {
    fn note(&mut self, instance: &Rc<LocalInstance>, index: u32, owing: Owing) {
        let unacknowledged = u64::from(matches!(owing, Owing::Nobody));
        match owing {
            Owing::Nobody => {}
            Owing::Client(client, packet_id) => self.owed.push((client, packet_id)),
            Owing::Application(matched, answer) => self.answers.push(OwedAnswer { index, matched, answer }),
        }
        if let Some(last) = self.stored.last_mut().filter(|last| Rc::ptr_eq(&last.instance, instance)) {
            last.messages += 1;
            last.unacknowledged += unacknowledged;
        } else {
            self.stored.push(Stored { instance: Rc::clone(instance), messages: 1, unacknowledged });
        }
    }
}

/// Bytes that a message has in a batch.
#[inline]
fn record_bytes(publish: &Publish<'_>, publisher: &str) -> usize {
    RECORD_HEADER_BYTES + publish.topic.len() + publisher.len() + publish.payload.len()
}

// --- room ---
impl Worker {
    /// What of the log a round has to know before its first message.
    #[inline]
    pub(crate) fn begin_appends(&self) {
        self.appends.changes.set(self.epochs.changes());
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
            self.appends.room.set(self.node.durable.room_bytes(self.id));
        }
        wanted <= self.appends.room.get() && !self.node.crossing.is_crowded()
    }

    /// The number of the last append of which it is known what became of it.
    pub(crate) fn last_settled(&self) -> u64 {
        self.appends.settled()
    }

    /// Whether a message of this topic, which is not stored, would overtake one that was.
    pub(crate) fn is_fading(&self, instance: &LocalInstance, topic: &str) -> bool {
        instance.fading.class_of(topic, self.last_settled()).is_some()
    }

    /// Whether a message that cannot be left unread may be handed to the log now.
    pub(crate) fn can_append(&self, publish: &Publish<'_>, publisher: &str) -> bool {
        // If nothing is under way the log is not full: it takes it, or says why not.
        self.log_has_room(record_bytes(publish, publisher)) || self.appends.is_idle()
    }

    /// Whether a packet must stay unread: it is to be stored and there is no room for it, or it would overtake one
    /// that was stored before. If so, the client is called when it may go on.
    #[inline]
    pub(crate) fn awaits_log(&self, client: &Client, packet: &Packet<'_>) -> bool {
        let Packet::Publish(publish) = packet else { return false };
        client.instance.uses_log.get() && self.must_wait(client, publish)
    }

    fn must_wait(&self, client: &Client, publish: &Publish<'_>) -> bool {
        let (appends, instance) = (&self.appends, &client.instance);
        let has_room = self.log_has_room(record_bytes(publish, &client.client_id));
        if has_room && !self.is_fading(instance, publish.topic) {
            return false;
        }
        // If nothing is under way the log is not full: it takes nothing at all, and the client is to be told.
        let is_called = !appends.is_idle() || self.node.crossing.is_crowded();
        if !is_called || (!instance.stores(publish.topic) && !self.is_fading(instance, publish.topic)) {
            return false;
        }
        client.pause.set(Some(Pause::Log));
        appends.waiting.borrow_mut().push_back(client.key);
        true
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
        retention: RetentionClass,
        publish: &Publish<'_>,
        publisher: &str,
        owing: Owing,
    ) {
        let appends = &self.appends;
        self.make_room_in_batch(record_bytes(publish, publisher));
        let mut batch = appends.batch.borrow_mut();
        let mut making = appends.making.borrow_mut();
        if batch.is_empty() {
            *batch = Batch::with_memory(Vec::with_capacity(appends.memory.get()));
            // Routes are asked after the round began: they may be newer than this says, never older.
            making.mark = Mark { changes: appends.changes.get(), ..Mark::NONE };
            making.stored_at = unix_now();
        }
        // What nobody wants is counted by the worker that it came to.
        let workers = Some(taken.route.workers()).filter(|&workers| workers != 0).unwrap_or(self.id.bit());
        let envelope = Envelope {
            instance: instance.shared.id,
            qos: publish.qos,
            retain: false,
            retention: Some(retention),
            stored_at: making.stored_at,
            workers,
            topic: publish.topic,
            publisher,
            payload: publish.payload,
        };
        let index = batch.len();
        if let Err(error) = batch.append(&envelope) {
            // No packet is so long that it could not be said here.
            tracing::error!(%error, "a message has no form in the log");
            instance.counts.dropped(DropReason::TooLong, 1);
            return;
        }
        making.mark.wanted |= workers;
        making.mark.reach |= instance.shared.workers_mask();
        making.debts.routes.push(Rc::clone(&taken.route));
        making.debts.note(instance, index, owing);
    }

    /// Hands in the batch if it has no room for one more record.
    fn make_room_in_batch(&self, record_bytes: usize) {
        let batch = self.appends.batch.borrow();
        let is_full =
            batch.len() == BATCH_MESSAGES_MAX || batch.as_bytes().len() + record_bytes > BATCH_BYTES_MAX;
        if is_full && !batch.is_empty() {
            drop(batch);
            // What was said before the first of these messages is on its way before them.
            self.send_crossing();
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
        appends.memory.set(bytes.min(BATCH_MEMORY_MAX));
        appends.room.set(appends.room.get().saturating_sub(bytes));
        let number = appends.number.get();
        appends.number.set(number + 1);
        let (mark, mut debts) = {
            let mut making = appends.making.borrow_mut();
            (making.mark, std::mem::take(&mut making.debts))
        };
        debts.number = number;
        if self.node.durable.submit(self.id, number, batch, mark).is_ok() {
            // What the log's thread may have said already lies before this worker's door.
            appends.pending.borrow_mut().push_back(debts);
        } else {
            self.guard(|| self.decline(&mut debts));
            self.resume_appending();
            appends.settled.notify_one();
        }
    }
}

// --- out of the log ---
impl Worker {
    /// What is remembered of where the messages of a batch go, in their order; nothing, if it is not this worker's.
    pub(crate) fn take_routes(&self, batch: &CommittedBatch) -> Vec<Rc<Route>> {
        let Some(number) = self.node.durable.number_of(self.id, batch) else { return Vec::new() };
        let mut pending = self.appends.pending.borrow_mut();
        let debts = pending.iter_mut().find(|debts| debts.number == number);
        debts.map(|debts| std::mem::take(&mut debts.routes)).unwrap_or_default()
    }

    /// Hears what became of the oldest batch that it has handed in.
    pub(crate) fn settle(&self, settled: Settled) {
        let Some(mut debts) = self.appends.pending.borrow_mut().pop_front() else { return };
        match settled {
            Ok(committed) => self.guard(|| self.acknowledge(&mut debts, committed)),
            Err(_) => self.guard(|| self.decline(&mut debts)),
        };
        self.resume_appending();
        self.appends.settled.notify_one();
    }

    fn acknowledge(&self, debts: &mut Debts, committed: Committed) {
        for stored in &debts.stored {
            stored.instance.counts.stored(stored.messages);
        }
        for OwedAnswer { index, matched, answer } in debts.answers.drain(..) {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let id = Pos { record: committed.record, index }.message_id(SHARD);
            // Whoever asked may have gone.
            let _ = answer.send(Ok(Published { id: Some(id), stored: true, matched }));
        }
        for of_client in debts.owed.chunk_by(|a, b| a.0 == b.0) {
            if let Some(client) = of_client.first().and_then(|&(key, _)| self.client(key)) {
                self.acknowledge_to(&client, of_client);
            }
        }
    }

    fn acknowledge_to(&self, client: &Rc<Client>, owed: &[(ClientKey, PacketId)]) {
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return };
        let mut output = client.output.borrow_mut();
        if output.capacity() == 0 {
            *output = self.take_buffer();
        }
        let mut wrote = false;
        for &(_, packet_id) in owed {
            wrote |= session.committed(packet_id, &mut output);
        }
        if output.is_empty() {
            self.return_buffer(std::mem::take(&mut *output));
        }
        drop(output);
        if wrote {
            self.note_output(client);
        }
    }

    /// Nothing of a batch is stored, as far as is known: nobody is told that it is.
    fn decline(&self, debts: &mut Debts) {
        for stored in &debts.stored {
            stored.instance.counts.dropped(DropReason::StorageUnavailable, stored.unacknowledged);
        }
        for OwedAnswer { answer, .. } in debts.answers.drain(..) {
            let _ = answer.send(Err(PublishError::StorageUnavailable));
        }
        for &(key, packet_id) in &debts.owed {
            let Some(client) = self.client(key) else { continue };
            let mut sink = ClientSink::new(self, &client, 0);
            if let Some(session) = client.session.borrow_mut().as_mut() {
                session.not_committed(packet_id, Refusal::StorageUnavailable, &mut sink);
            }
        }
    }

    /// Waits until it is known of everything what became of it.
    pub(crate) async fn settle_all(&self) {
        while !self.appends.is_idle() {
            self.appends.settled.notified().await;
        }
    }
}
