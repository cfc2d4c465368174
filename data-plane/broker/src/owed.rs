//! What is owed for batches on their way into the log: who is to be told that they are safe, or that they are not.

use std::rc::Rc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use engine::{Committed, CommittedBatch, Pos};
use mqtt::PacketId;
use router::ClientKey;

use crate::api_publish::{Answer, PublishError, Published};
use crate::client::Client;
use crate::durable::{SHARD, Settled};
use crate::groups::WrittenGroup;
use crate::lasting::{LastingClient, WrittenPart};
use crate::local_instance::LocalInstance;
use crate::metrics::DropReason;
use crate::policy::Logged;
use crate::routes::Route;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// Who is to be told about one batch.
#[derive(Default)]
pub(crate) struct Debts {
    /// The number of the batch.
    pub(crate) number: u64,
    /// The messages in their order. Shared with who delivers them.
    runs: Rc<Vec<Run>>,
    /// Of the messages that a client is told about, in their order.
    packet_ids: Vec<PacketId>,
    answers: Vec<OwedAnswer>,
    /// Changes of lasting sessions.
    pub(crate) changes: Vec<WrittenPart>,
    /// Sessions that have ended and whose documents are deleted.
    pub(crate) deletions: Vec<Rc<LastingClient>>,
    /// Documents of shared subscriptions.
    pub(crate) groups: Vec<WrittenGroup>,
    /// Clients that are told that they are connected once what there was of them is deleted.
    pub(crate) welcomes: Vec<ClientKey>,
}

/// Neighbouring messages of one publisher and topic: it mostly has many at a time.
pub(crate) struct Run {
    instance: Rc<LocalInstance>,
    /// Where they go, as was found when they came; used again as far as that still holds.
    pub(crate) route: Rc<Route>,
    logged: Logged,
    /// None, where it is no client that is connected.
    publisher: Option<ClientKey>,
    told: Told,
    pub(crate) messages: u32,
}

/// Who is told about the messages of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nobody,
    Publisher,
    Application,
}

struct OwedAnswer {
    /// The message within the batch.
    index: u32,
    matched: u32,
    answer: Answer,
}

/// Whom to tell that a message is safe.
pub(crate) enum Owing {
    Nobody,
    /// A client, about one of its packets; about a message of QoS 0 it is not told.
    Client(ClientKey, Option<PacketId>),
    /// An application, and how many clients its message is for.
    Application(u32, Answer),
}

impl Debts {
    /// Whether a message of a client is one more of the last run.
    #[inline]
    pub(crate) fn goes_on(&self, client: ClientKey, route: &Rc<Route>, logged: Logged, qos: Qos) -> bool {
        self.runs.last().is_some_and(|run| {
            run.publisher == Some(client)
                && Rc::ptr_eq(&run.route, route)
                && run.logged == logged
                && (run.told == Told::Publisher) == (qos != Qos::AtMostOnce)
        })
    }

    /// Notes one more message of the last run.
    #[inline]
    pub(crate) fn go_on(&mut self, packet_id: Option<PacketId>) {
        if let Some(run) = self.runs_mut().last_mut() {
            run.messages += 1;
        }
        self.packet_ids.extend(packet_id);
    }

    /// Notes a message and whom to tell about it.
    pub(crate) fn note(
        &mut self,
        instance: &Rc<LocalInstance>,
        route: &Rc<Route>,
        logged: Logged,
        index: u32,
        owing: Owing,
    ) {
        let (publisher, told) = match owing {
            Owing::Nobody => (None, Told::Nobody),
            Owing::Client(client, None) => (Some(client), Told::Nobody),
            Owing::Client(client, Some(packet_id)) => {
                self.packet_ids.push(packet_id);
                (Some(client), Told::Publisher)
            }
            Owing::Application(matched, answer) => {
                self.answers.push(OwedAnswer { index, matched, answer });
                (None, Told::Application)
            }
        };
        let (instance, route) = (Rc::clone(instance), Rc::clone(route));
        self.runs_mut().push(Run { instance, route, logged, publisher, told, messages: 1 });
    }

    fn runs_mut(&mut self) -> &mut Vec<Run> {
        Rc::get_mut(&mut self.runs).expect("they are shared once they are handed in")
    }

    /// The messages that clients are told about.
    fn owed(&self) -> impl Iterator<Item = (ClientKey, &[PacketId])> {
        let mut rest = &*self.packet_ids;
        self.runs.iter().filter_map(move |run| {
            let client = run.publisher.filter(|_| run.told == Told::Publisher)?;
            let (of_run, others) = rest.split_at_checked(run.messages as usize)?;
            rest = others;
            Some((client, of_run))
        })
    }
}

impl Worker {
    /// What is remembered of the messages of a batch, in their order; nothing, if it is not this worker's.
    pub(crate) fn runs_of(&self, batch: &CommittedBatch) -> Option<Rc<Vec<Run>>> {
        let number = self.node.durable.number_of(self.id, batch)?;
        let pending = self.appends.pending.borrow();
        pending.iter().find(|debts| debts.number == number).map(|debts| Rc::clone(&debts.runs))
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
        for run in &*debts.runs {
            run.instance.counts.stored(u64::from(run.messages));
        }
        for OwedAnswer { index, matched, answer } in debts.answers.drain(..) {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let id = Pos { record: committed.record, index }.message_id(SHARD);
            // Whoever asked may have gone.
            let _ = answer.send(Ok(Published { id: Some(id), stored: true, matched }));
        }
        for (key, packet_ids) in debts.owed() {
            if let Some(client) = self.client(key) {
                self.acknowledge_to(&client, packet_ids);
            }
        }
        for written in debts.changes.drain(..) {
            self.settle_part(&written, true);
        }
        for session in debts.deletions.drain(..) {
            self.settle_deletion(&session, true);
        }
        for written in debts.groups.drain(..) {
            self.settle_group(&written, true);
        }
        for key in debts.welcomes.drain(..) {
            self.welcome(key);
        }
    }

    fn acknowledge_to(&self, client: &Rc<Client>, packet_ids: &[PacketId]) {
        let mut session = client.session.borrow_mut();
        let Some(session) = session.as_mut() else { return };
        let mut output = client.output.borrow_mut();
        if output.capacity() == 0 {
            *output = self.take_buffer();
        }
        let mut wrote = false;
        for &packet_id in packet_ids {
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
        for run in debts.runs.iter().filter(|run| run.told == Told::Nobody) {
            run.instance.counts.dropped(DropReason::StorageUnavailable, u64::from(run.messages));
        }
        for OwedAnswer { answer, .. } in debts.answers.drain(..) {
            let _ = answer.send(Err(PublishError::StorageUnavailable));
        }
        let owed = debts.owed().flat_map(|(key, ids)| ids.iter().map(move |packet_id| (key, *packet_id)));
        for (key, packet_id) in owed {
            let Some(client) = self.client(key) else { continue };
            let mut sink = ClientSink::new(self, &client, 0);
            if let Some(session) = client.session.borrow_mut().as_mut() {
                session.not_committed(packet_id, Refusal::StorageUnavailable, &mut sink);
            }
            let (_, wrote) = sink.done();
            if wrote {
                self.note_output(&client);
            }
        }
        for written in debts.changes.drain(..) {
            self.settle_part(&written, false);
        }
        for session in debts.deletions.drain(..) {
            self.settle_deletion(&session, false);
        }
        for written in debts.groups.drain(..) {
            self.settle_group(&written, false);
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
