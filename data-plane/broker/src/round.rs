//! The beginning and the end of a worker's round.

use std::io::ErrorKind;
use std::rc::Rc;

use engine::Batch;

use crate::client::{Client, Ending, Pause};
use crate::command::Command;
use crate::worker::Worker;

/// Turns that the clients of one instance get in a round while other instances have work too.
const ROUND_TURNS_MAX: u32 = 64;

/// Commands that are obeyed before the first turn of a round.
const ROUND_COMMANDS_MAX: usize = 256;

/// Clients that are ended in one round.
const ROUND_ENDS_MAX: usize = 256;

impl Worker {
    /// Opens a round unless one is open: the clock is read, and commands are served before any data.
    #[inline]
    pub(crate) fn open_round(&self) {
        if !self.round_is_open.get() {
            self.begin_round(None);
        }
    }

    /// Opens a round. `first` is a command that was taken from the queue already.
    pub(crate) fn begin_round(&self, first: Option<Command>) {
        self.round_is_open.set(true);
        self.read_clock();
        self.begin_appends();
        self.round_opened.notify_one();
        if let Some(first) = first {
            self.execute(first);
        }
        // What is left in the queue is obeyed within the round, in turn with the clients.
        for _ in 0..ROUND_COMMANDS_MAX {
            let next = self.commands.borrow_mut().try_recv();
            match next {
                Ok(command) => self.execute(command),
                Err(_) => return,
            }
        }
    }

    /// Ends each round behind the turns of all who were ready when it was opened.
    pub(crate) async fn end_rounds(self: Rc<Self>) {
        loop {
            self.round_opened.notified().await;
            self.end_round();
            // More clients are to end: between, the others have their turns.
            if self.round_is_open.get() {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(crate) fn end_round(&self) {
        self.end_clients();
        self.tend_groups();
        self.send_crossing();
        self.send_mail();
        self.write_sessions();
        self.write_groups();
        self.submit_appends();
        self.write_output();
        self.next_turns();
        self.round_is_open.set(false);
        let is_left = !self.ending.borrow().is_empty() || !self.dirty.borrow().is_empty();
        if is_left || self.groups.have_work() {
            self.open_round();
        }
    }

    /// Ends the clients whose end was decided, those of a whole instance in many rounds.
    fn end_clients(&self) {
        for _ in 0..ROUND_ENDS_MAX {
            let Some(client) = self.ending.borrow_mut().pop_front() else { return };
            self.guard(|| self.finish(&client));
        }
    }

    /// Counts a turn of an instance; false, and the client waits for the next round, when its instance has had as many
    /// as it gets while others wait too. So an instance of a thousand busy clients delays one with a single client by
    /// its turns of one round, not by a thousand.
    pub(crate) fn take_turn(&self, client: &Client) -> bool {
        let instance = &client.instance;
        if !instance.is_working.replace(true) {
            self.working.borrow_mut().push(Rc::clone(instance));
        }
        let turns = instance.turns.get();
        if turns >= ROUND_TURNS_MAX && self.is_contended.get() {
            client.pause.set(Some(Pause::Turn));
            instance.deferred.borrow_mut().push_back(client.key);
            return false;
        }
        instance.turns.set(turns + 1);
        true
    }

    /// Gives each instance its turns of the next round.
    fn next_turns(&self) {
        let working = std::mem::take(&mut *self.working.borrow_mut());
        self.is_contended.set(working.len() > 1);
        for instance in working {
            instance.turns.set(0);
            let mut turns = 0;
            while turns < ROUND_TURNS_MAX {
                let Some(key) = instance.deferred.borrow_mut().pop_front() else { break };
                if let Some(client) = self.client(key)
                    && client.pause.get() == Some(Pause::Turn)
                {
                    client.resume();
                    turns += 1;
                }
            }
            // As long as somebody waits it is looked at again: whoever was called opens the next round.
            instance.is_working.set(turns > 0);
            if turns > 0 {
                self.working.borrow_mut().push(instance);
            }
        }
    }

    /// Hands each other worker what is for it.
    pub(crate) fn send_crossing(&self) {
        let mut batches = self.crossing.borrow_mut();
        for (to, batch) in batches.iter_mut().enumerate() {
            if batch.is_empty() {
                continue;
            }
            let Some(to) = router::WorkerId::new(to) else { continue };
            let memory = self.node.crossing.spare(self.id, to);
            let full = std::mem::replace(batch, Batch::with_memory(memory));
            self.node.crossing.push(self.id, to, full.into_bytes());
        }
    }

    /// One write for each client with output.
    fn write_output(&self) {
        let mut with_output = std::mem::take(&mut *self.with_output.borrow_mut());
        for client in with_output.drain(..) {
            client.has_output.set(false);
            self.guard(|| self.write(&client));
            if client.stored().is_some() {
                // It may take more now of what waits for it.
                self.guard(|| self.tend(&client));
            }
        }
        let mut next = self.with_output.borrow_mut();
        if next.is_empty() {
            *next = with_output; // its memory is used again
        }
    }

    /// Has the client written to at the end of the round.
    #[inline]
    pub(crate) fn note_output(&self, client: &Rc<Client>) {
        if !client.has_output.replace(true) {
            self.with_output.borrow_mut().push(Rc::clone(client));
        }
    }

    /// Writes what there is, as far as the socket takes it.
    pub(crate) fn write(&self, client: &Rc<Client>) {
        if client.is_blocked.get() {
            return;
        }
        let mut output = client.output.borrow_mut();
        let mut transport = client.transport.borrow_mut();
        let Some(transport) = transport.as_mut() else { return };
        let (taken, result) = transport.write(&output);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                output.drain(..taken);
                // What waits for a slow peer takes what it needs and no more.
                if output.capacity() > 2 * output.len() {
                    output.shrink_to_fit();
                }
                client.is_blocked.set(true);
                // Its next turn waits for the socket.
                client.wake();
                return;
            }
            // What the client said last may lie unread, and be DISCONNECT, which takes back its will
            // [MQTT-3.1.2-10]. So it is read to the end of the connection, and closed there.
            Err(_) => client.wake(),
        }
        self.return_buffer(std::mem::take(&mut *output));
        if client.pause.get() == Some(Pause::Output) {
            client.resume();
        }
    }

    /// Decides the end of a client: it gets no further turn, and is ended with the round.
    pub(crate) fn close(&self, client: &Rc<Client>, ending: Ending) {
        if client.is_ending() {
            return;
        }
        client.ending.set(Some(ending));
        if let Ending::Refused(refusal) = ending {
            client.instance.counts.refused.add(refusal);
            tracing::debug!(
                instance.id = %client.instance.shared.id, client.id = &*client.client_id,
                reason = refusal.name(), "client sent away"
            );
        }
        self.ending.borrow_mut().push_back(Rc::clone(client));
        self.open_round();
    }
}
