//! A session that outlives its connection: everything of it that does, attached to one or not, and how it is written
//! down. What it says on a wire is not here.

mod ascending;
mod changes;
pub(crate) mod document;
mod due;
mod sending;
mod subscriptions;

use std::collections::BTreeMap;

use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::PacketId;

pub use changes::{ChangeId, Part};
pub(crate) use changes::{Changes, Stamp};
pub use document::RestoreError;
pub use due::Due;
pub(crate) use sending::{Flight, Sending, Step};
pub(crate) use subscriptions::{Grant, Subscriptions, is_shared, is_wild};

use crate::Will;
use crate::granted::{Granted, Special};
use crate::rules::Rules;

/// Acknowledgements after which progress is written down.
pub(crate) const CHECKPOINT_ACKNOWLEDGEMENTS: u16 = 50;

/// The bytes of a session's documents, as they were last stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredParts<'a> {
    /// [`Part::Session`].
    pub session: &'a [u8],
    /// [`Part::Progress`]; it is first written together with the session.
    pub progress: Option<&'a [u8]>,
    /// [`Part::Received`]; written once a message of QoS 2 was received.
    pub received: Option<&'a [u8]>,
}

/// A lasting session. It is plain data of a few hundred bytes, more only while something is in flight.
///
/// # What is written when
/// Whatever changes is marked, and [`write_changes`](Self::write_changes) writes each marked [`Part`] whole. It is to be
/// called **before a batch is handed in, for every session that has given messages to that batch or has changed since,
/// and what it writes belongs into that batch**: so a message of QoS 2 and the note that it was received are stored
/// together or not at all. If only the message were, it would be handed on twice; if only the note were, never. Whoever
/// makes batches has to see, **before** the session is given such a message, that the batch which is being made has room
/// for it: the note is there as soon as the session has taken the message on.
///
/// One writing of session and progress is under way at a time; what changes meanwhile is gathered for the next. The
/// received identifiers are written at once all the same when a message of this batch depends on them, and so is the
/// session when its will is in this batch: writings of one part are whole, and the later one stands behind the earlier
/// one in the log, so that the last one that was stored is true whichever it is.
///
/// Batches of one session have to be stored in the order in which they were handed in, and none after one that failed
/// of those that were handed in before the failure was told.
#[derive(Debug)]
pub struct Lasting {
    owner: Box<str>,
    subscriptions: Subscriptions,
    will: Option<Box<Will>>,
    expiry_secs: u32,
    detached_at: Option<UnixMillis>,
    pub(crate) sending: Sending,
    /// Messages of QoS 2 that were received and are not released, each with the change that says so; without, if the
    /// message was only passed on.
    received: BTreeMap<PacketId, Option<Stamp>>,
    pub(crate) changes: Changes,
    /// Acknowledgements that no document knows of.
    acknowledged: u16,
    /// The cursor that was last written.
    recorded: Pos,
    #[cfg(any(test, feature = "rules"))]
    rules: Rules,
}

impl Lasting {
    /// A new session of somebody, which wants nothing from before `cursor`: the watermark of its worker. All of it has
    /// to be written.
    #[must_use]
    pub fn new(owner: &str, cursor: Pos) -> Self {
        let mut new = Self::of(owner.into(), Subscriptions::default(), Sending::new(cursor));
        new.changes.make(Part::Session);
        new.changes.make(Part::Progress);
        new
    }

    /// The session that documents hold. Whatever is wrong with any of them, it is none: a session that began anew in
    /// silence would lose what was promised to its client.
    pub fn restore(parts: &StoredParts<'_>) -> Result<Self, RestoreError> {
        let written = document::session::read(parts.session)?;
        let sending = document::progress::read(parts.progress.ok_or(RestoreError::Missing)?)?;
        let mut restored = Self::of(written.owner, written.subscriptions, sending);
        restored.will = written.will;
        restored.expiry_secs = written.expiry_secs;
        restored.detached_at = written.detached_at;
        if let Some(received) = parts.received {
            let received = document::received::read(received)?.into_iter();
            restored.received = received.map(|packet_id| (packet_id, Some(Stamp::default()))).collect();
        }
        Ok(restored)
    }

    fn of(owner: Box<str>, subscriptions: Subscriptions, sending: Sending) -> Self {
        Self {
            owner,
            subscriptions,
            will: None,
            expiry_secs: 0,
            detached_at: None,
            recorded: sending.cursor(),
            sending,
            received: BTreeMap::new(),
            changes: Changes::default(),
            acknowledged: 0,
            #[cfg(any(test, feature = "rules"))]
            rules: Rules::ALL,
        }
    }

    /// Breaks rules, to see that a test notices.
    #[cfg(any(test, feature = "rules"))]
    pub const fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    #[cfg(any(test, feature = "rules"))]
    pub(crate) const fn rules(&self) -> Rules {
        self.rules
    }

    #[cfg(not(any(test, feature = "rules")))]
    pub(crate) const fn rules(&self) -> Rules {
        let _ = self;
        Rules::ALL
    }

    /// Whose it is; another identity does not get it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Each filter with what was granted and the position from which on it holds, in the order of the filters.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = (&TopicFilter, Granted, Pos)> {
        self.subscriptions.iter().map(|(filter, held)| (filter, held.granted, held.since))
    }

    /// The filters that a replay has to look for, each with the position before which nothing counts for it: those with
    /// QoS 1 or 2, and, as long as something that is in flight has to be found again, those that have ended. The same
    /// filter may come twice. Shared ones are not among them: their group looks for what they want.
    pub fn replay_filters(&self) -> impl Iterator<Item = (&TopicFilter, Pos)> {
        let held = self.subscriptions.iter();
        let held = held.filter(|(filter, held)| held.granted.qos() != Qos::AtMostOnce && !is_shared(filter));
        let ended = self.subscriptions.ended().iter().filter(|_| self.sending.unsent() > 0);
        held.map(|(filter, held)| (filter, held.since)).chain(ended.map(|(filter, _)| (filter, Pos::START)))
    }

    /// Ends a subscription from outside, because the right to it has gone. False when it is not held.
    pub fn unsubscribe(&mut self, filter: &TopicFilter) -> bool {
        let until = self.sending.in_log().next().map(|_| self.sending.next());
        let was_held = self.subscriptions.remove(filter, until);
        if was_held {
            self.changes.make(Part::Session);
        }
        was_held
    }

    /// The first position that is not finished: from here on a replay begins, and messages from here on are in its
    /// queue.
    #[must_use]
    pub fn cursor(&self) -> Pos {
        if self.rules().contiguous_cursor { self.sending.cursor() } else { self.sending.next() }
    }

    /// Everything before it in the log was looked at.
    #[must_use]
    pub const fn next(&self) -> Pos {
        self.sending.next()
    }

    /// The bounds of its queue are exceeded: everything before `pos` that is not in flight on the present connection is
    /// passed over. Messages of QoS 2 whose identifiers the client may know are brought to their end without content.
    pub fn skip_to(&mut self, pos: Pos) {
        if pos <= self.cursor() {
            return;
        }
        // The session that is attached next releases those that have to be.
        let _ = self.abandon_between(self.cursor(), pos);
        self.sending.move_to(pos);
        self.changes.make(Part::Progress);
    }

    /// Whether [`write_changes`](Self::write_changes) would write something now. To be asked again after each
    /// [`changes_committed`](Self::changes_committed): what was held back then may be due.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.is_any_due()
    }

    /// Hands the documents that are to be written to `put`. `None`: there are none, or they have to wait for a writing
    /// that is under way. Else the answer is to be given back, to [`changes_committed`](Self::changes_committed) or
    /// [`changes_failed`](Self::changes_failed), in the order of the writings.
    pub fn write_changes(&mut self, mut put: impl FnMut(Part, &[u8])) -> Option<ChangeId> {
        if !self.has_changes() {
            return None;
        }
        let cursor = self.cursor();
        self.subscriptions.forget_ended(cursor);
        let mut changes = std::mem::take(&mut self.changes);
        let mut bytes = Vec::new();
        let id = changes.write(|part| {
            match part {
                Part::Session => self.write_session(&mut bytes),
                Part::Progress => {
                    document::progress::write(&mut bytes, cursor, &self.sending);
                    self.recorded = cursor;
                    self.acknowledged = 0;
                }
                Part::Received => {
                    let kept = self.received.iter().filter(|(_, stamp)| stamp.is_some());
                    document::received::write(&mut bytes, kept.map(|(&packet_id, _)| packet_id));
                }
            }
            put(part, &bytes);
        });
        self.changes = changes;
        id
    }

    fn write_session(&self, out: &mut Vec<u8>) {
        let (will, subscriptions) = (self.will.as_deref(), &self.subscriptions);
        document::session::write(out, &self.owner, self.expiry_secs, self.detached_at, will, subscriptions);
    }

    /// What was written under this id is stored.
    pub fn changes_committed(&mut self, id: ChangeId) {
        self.changes.commit(id);
        let changes = &self.changes;
        self.sending.wake(|stamp| changes.is_safe(Part::Progress, stamp));
    }

    /// What was written under this id is not stored, nor are the messages of its batch: they count as never received,
    /// so that the client's next attempt is taken on.
    pub fn changes_failed(&mut self, id: ChangeId) {
        let (before, failed) = self.changes.fail(id);
        let count = self.received.len();
        self.received.retain(|_, stamp| stamp.is_none_or(|stamp| stamp <= before || stamp > failed));
        if self.received.len() != count {
            self.changes.make(Part::Received);
        }
    }
}

// --- the client's messages of QoS 2 ---
impl Lasting {
    pub(crate) fn unreleased(&self) -> usize {
        self.received.len()
    }

    /// Whether a message was received under this identifier, and if so, whether it is safe.
    pub(crate) fn has_received(&self, packet_id: PacketId) -> Option<bool> {
        let stamp = self.received.get(&packet_id)?;
        Some(stamp.is_none_or(|stamp| self.changes.is_safe(Part::Received, stamp)))
    }

    /// A message was received; `is_logged`: it is in this round's batch, and so has to be what is noted here. One that
    /// is only passed on needs no note: after a crash nobody knows of it either.
    pub(crate) fn receive(&mut self, packet_id: PacketId, is_logged: bool) {
        let is_noted = is_logged && self.rules().receive_with_message;
        let stamp = is_noted.then(|| self.changes.make_urgent(Part::Received));
        self.received.insert(packet_id, stamp);
    }

    /// The client releases a message. The answer is whether one was received, and the change that has to be safe before
    /// it is told so; `None`: none has.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> (bool, Option<Stamp>) {
        let (was_received, stamp) = match self.received.remove(&packet_id) {
            Some(None) => (true, None),
            Some(Some(_)) => (true, Some(self.changes.make(Part::Received))),
            // It may have been released a moment ago, on the connection before.
            None => (false, self.changes.unsafe_stamp(Part::Received)),
        };
        (was_received, stamp.filter(|_| self.rules().release_before_complete))
    }
}

// --- what is for the client ---
impl Lasting {
    /// The QoS granted for messages of the log from a position on.
    pub(crate) fn granted(&self, topic: &str, pos: Pos) -> Grant {
        self.subscriptions.grant_for(topic, pos)
    }

    /// What all subscriptions that match ask for together; to be asked only if [any](Self::has_special) has options or
    /// an identifier.
    pub(crate) fn special(&self, topic: &str, pos: Option<Pos>, is_own: bool) -> Option<Special> {
        self.subscriptions.special_for(topic, pos, is_own)
    }

    pub(crate) const fn has_special(&self) -> bool {
        self.subscriptions.has_special()
    }

    pub(crate) fn find_granted(&self, filter: &TopicFilter) -> Option<Granted> {
        self.subscriptions.find(filter)
    }

    pub(crate) fn holds(&self, filter: &TopicFilter) -> bool {
        self.subscriptions.contains(filter)
    }

    /// Whether one more subscription can be written down.
    pub(crate) fn has_room_for(&self, filter: &TopicFilter) -> bool {
        self.subscriptions.has_room(filter)
    }

    pub(crate) fn subscribe(&mut self, filter: TopicFilter, granted: Granted, since: Pos) {
        self.subscriptions.insert(filter, granted, since);
        self.changes.make(Part::Session);
    }

    /// What is in flight between two positions and was not sent on this connection cannot be found again. The answer
    /// names those that are now to be released, each with the change that has to be safe before.
    pub(crate) fn abandon_between(&mut self, from: Pos, to: Pos) -> Vec<(PacketId, Stamp)> {
        if self.sending.unsent() == 0 {
            return Vec::new();
        }
        let lost = self.sending.in_log_between(from, to).filter(|it| !it.2.is_open);
        let lost: Vec<_> = lost.map(|(_, packet_id, flight)| (packet_id, flight.step)).collect();
        let abandoned = lost.into_iter().map(|(packet_id, step)| (packet_id, self.abandon(packet_id, step)));
        abandoned.filter_map(|(packet_id, stamp)| Some((packet_id, stamp?))).collect()
    }

    /// A message will not be sent again. If the client may know its identifier at QoS 2, it is told to forget it, as if
    /// it had said PUBREC: under that identifier it would take the next message for a repetition of this one.
    pub(crate) fn abandon(&mut self, packet_id: PacketId, step: Step) -> Option<Stamp> {
        match step {
            Step::Once => {
                self.sending.finish(packet_id);
                None
            }
            Step::Assigned => {
                let stamp = self.changes.make(Part::Progress);
                self.sending.complete(packet_id, stamp);
                None
            }
            Step::Sent => {
                let stamp = self.changes.make(Part::Progress);
                self.sending.step(packet_id, Step::Received, stamp);
                Some(stamp)
            }
            Step::Received | Step::Released | Step::Completed => None,
        }
    }

    /// An acknowledgement that no gate waits for.
    pub(crate) fn note_acknowledged(&mut self) {
        self.acknowledged += 1;
        if self.acknowledged >= CHECKPOINT_ACKNOWLEDGEMENTS {
            self.checkpoint();
        }
    }

    pub(crate) const fn has_acknowledged(&self) -> bool {
        self.acknowledged > 0
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.cursor() != self.recorded
    }

    /// Progress is to be written.
    pub(crate) fn checkpoint(&mut self) {
        self.acknowledged = 0;
        self.changes.make(Part::Progress);
    }
}
