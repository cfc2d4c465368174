//! What is owed for batches on their way into the log: who is to be told that they are safe, or that they are not.

use std::rc::Rc;

use contract::refusal::Refusal;
use engine::{Committed, CommittedBatch, Pos};
use mqtt::PacketId;
use router::ClientKey;

use crate::api_publish::{Answer, PublishError, Published};
use crate::client::Client;
use crate::durable::{SHARD, Settled};
use crate::lasting::{LastingClient, WrittenPart};
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::routes::Route;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// Who is to be told about one batch.
#[derive(Default)]
pub(crate) struct Debts {
    /// The number of the batch.
    pub(crate) number: u64,
    /// Where each message goes, as was found when it came; used again as far as that still holds.
    pub(crate) routes: Vec<Rc<Route>>,
    /// In the order of the messages.
    owed: Vec<(ClientKey, PacketId)>,
    answers: Vec<OwedAnswer>,
    /// Changes of lasting sessions.
    pub(crate) changes: Vec<WrittenPart>,
    /// Sessions that have ended and whose documents are deleted.
    pub(crate) deletions: Vec<Rc<LastingClient>>,
    /// Clients that are told that they are connected once what there was of them is deleted.
    pub(crate) welcomes: Vec<ClientKey>,
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

impl Debts {
    /// Notes whom to tell about a message.
    pub(crate) fn note(&mut self, instance: &Rc<LocalInstance>, index: u32, owing: Owing) {
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
        self.submit_unsent();
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
        for written in debts.changes.drain(..) {
            self.settle_part(&written, true);
        }
        for session in debts.deletions.drain(..) {
            self.settle_deletion(&session, true);
        }
        for key in debts.welcomes.drain(..) {
            self.welcome(key);
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
    pub(crate) fn decline(&self, debts: &mut Debts) {
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
        for written in debts.changes.drain(..) {
            self.settle_part(&written, false);
        }
        for session in debts.deletions.drain(..) {
            self.settle_deletion(&session, false);
        }
        for key in debts.welcomes.drain(..) {
            self.unwelcome(key);
        }
    }

    /// Waits until it is known of everything what became of it, also of what sessions have yet to write.
    pub(crate) async fn settle_all(&self) {
        loop {
            if !self.appends.is_idle() {
                self.appends.settled.notified().await;
            } else if !self.dirty.borrow().is_empty() {
                self.open_round();
                tokio::task::yield_now().await;
            } else {
                return;
            }
        }
    }
}
