//! Which sessions may be over: those whose clients were away for long enough, and those that were ended because too
//! much waited for them.

use super::{Account, ClientAt};
use crate::simulation::surroundings::Name;

/// What is known of a session's presence at the node.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Presence {
    /// It is stored that the client is here: nothing from before counts.
    is_safe: bool,
    /// Since when it is away, at the earliest.
    away_since: Option<u64>,
    /// When the node's end of its connection was last closed.
    node_ended_at: Option<u64>,
    /// It was ended.
    is_ended: bool,
    /// The session that is found next may be another, also when the node says that there is one: the client may not have
    /// heard when that began.
    may_be_new: bool,
}

impl Account {
    /// The node has said something that it may say only when the session is stored. `is_here`: its end of the
    /// connection is still open.
    pub fn session_is_safe(&mut self, client: ClientAt, is_here: bool) {
        let presence = &mut self.clients[client].presence;
        let away_since = presence.node_ended_at.filter(|_| !is_here);
        // What was said before the session ended may be heard after.
        let is_ended = presence.is_ended && !is_here;
        let may_be_new = presence.may_be_new;
        *presence = Presence { is_safe: is_here, away_since, is_ended, may_be_new, ..Presence::default() };
        self.will_is_safe(client);
    }

    /// One end of a client's connection is closed.
    pub fn ended(&mut self, client: ClientAt, now: u64) {
        let presence = &mut self.clients[client].presence;
        if std::mem::take(&mut presence.is_safe) {
            presence.away_since = Some(now);
        }
    }

    /// The node's end of a client's connection is closed.
    pub fn ended_by_node(&mut self, name: &Name, now: u64) {
        if let Some(client) = self.find(name) {
            self.clients[client].presence.node_ended_at = Some(now);
            self.ended(client, now);
        }
    }

    /// The machine has stopped.
    pub fn crashed(&mut self, now: u64) {
        for client in 0..self.clients.len() {
            self.clients[client].presence.node_ended_at = Some(now);
            self.ended(client, now);
        }
        self.wills_after_crash();
    }

    /// Too much has waited for a session: it ends.
    pub fn overflowed(&mut self, name: &Name) {
        if let Some(client) = self.find(name) {
            self.clients[client].presence.is_ended = true;
        }
        self.session_is_over(name);
    }

    /// A session has ended, and its client may come to know that only late: nothing is owed on it, and what the client
    /// has sent and not seen acknowledged is new when it comes again.
    pub fn session_is_over(&mut self, name: &Name) {
        let Some(client) = self.find(name) else { return };
        let had = &mut self.clients[client];
        had.held.clear();
        had.exactly.clear();
        had.presence.may_be_new = true;
        for sent in self.sent.iter_mut().filter(|sent| sent.publisher == client && !sent.acknowledged) {
            sent.may_repeat = true;
        }
    }

    /// Whether the session that a client has found may be another than it had. Asked once.
    pub fn may_be_new(&mut self, client: ClientAt) -> bool {
        let had = &mut self.clients[client];
        let may_be_new = std::mem::take(&mut had.presence.may_be_new);
        if may_be_new {
            had.exactly.clear();
        }
        may_be_new
    }

    /// Whether a client's session may be gone.
    #[must_use]
    pub fn may_be_over(&self, client: ClientAt, now: u64) -> bool {
        let presence = &self.clients[client].presence;
        let expiry = self.session_expiry_millis;
        presence.is_ended || presence.away_since.is_some_and(|since| now >= since + expiry)
    }
}
