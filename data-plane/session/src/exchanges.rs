//! The unfinished business of a client: acknowledgements that are owed to it, and the steps of QoS 2 in both directions.
//! Only identifiers are kept, never messages. Nothing is decided here about what is sent.

use std::collections::{BTreeSet, VecDeque};

use contract::refusal::Refusal;
use mqtt::PacketId;

/// Acknowledgements that may be owed at one time: one for each packet identifier.
pub(crate) const OWED_MAX: usize = 65_535;

/// Which packet acknowledges a message of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acknowledgement {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBREC of a message that was sent again.
    RecAgain,
}

/// What an acknowledgement says of the message. 3.1.1 can only say that it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Taken,
    /// Nobody is subscribed to its topic.
    Unmatched,
    Refused(Refusal),
}

/// An acknowledgement that cannot be sent yet.
#[derive(Clone, Copy, Debug)]
struct Owed {
    packet_id: PacketId,
    acknowledgement: Acknowledgement,
    answer: Answer,
    /// It only waits for those before it.
    is_due: bool,
}

impl Owed {
    /// Whether the message counts for the quota by this: one of QoS 2 that was taken counts until it is released, one that
    /// is refused until the client is told [MQTT-4.9.0-2].
    const fn is_counted(self) -> bool {
        match self.acknowledgement {
            Acknowledgement::Ack => true,
            Acknowledgement::Rec => matches!(self.answer, Answer::Refused(_)),
            Acknowledgement::RecAgain => false,
        }
    }
}

/// There once a client has used QoS 2, or an acknowledgement had to wait.
#[derive(Default, Debug)]
pub(crate) struct Exchanges {
    /// In the order of the messages.
    owed: VecDeque<Owed>,
    /// How many of them count for the quota.
    owed_counted: usize,
    /// Messages of QoS 2 that have come on this connection and are not released. Of a lasting session it is kept beside
    /// the identifiers themselves, and in 5.0 alone: what came on an earlier connection counts for no quota.
    received: BTreeSet<PacketId>,
    /// Messages sent at QoS 2 and not yet received by the client.
    pub(crate) sent: Bitmap,
    /// Messages that the client has received and not yet forgotten: PUBREL was sent.
    pub(crate) released: Bitmap,
}

impl Exchanges {
    pub(crate) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Messages of QoS 1 and 2 that have come on this connection and are not acknowledged to the end
    /// [MQTT-3.3.4-7].
    pub(crate) fn quota_used(&self) -> usize {
        self.owed_counted + self.received.len()
    }

    pub(crate) fn owe(
        &mut self,
        packet_id: PacketId,
        acknowledgement: Acknowledgement,
        answer: Answer,
        is_due: bool,
    ) {
        let owed = Owed { packet_id, acknowledgement, answer, is_due };
        self.owed_counted += usize::from(owed.is_counted());
        self.owed.push_back(owed);
    }

    /// The acknowledgement of a message may be sent, once those before it were. With the same identifier twice it is
    /// the older one, for messages are committed in their order.
    pub(crate) fn make_due(&mut self, packet_id: PacketId) {
        let waiting = self.owed.iter_mut().find(|owed| owed.packet_id == packet_id && !owed.is_due);
        if let Some(owed) = waiting {
            owed.is_due = true;
        }
    }

    /// The message that the oldest acknowledgement waits for under this identifier will not be safe: it is refused, in
    /// its place. The answer is its kind; `None`: none waits.
    pub(crate) fn make_refused(&mut self, packet_id: PacketId, refusal: Refusal) -> Option<Acknowledgement> {
        let waiting = self.owed.iter_mut().find(|owed| owed.packet_id == packet_id && !owed.is_due)?;
        waiting.is_due = true;
        self.owed_counted -= usize::from(waiting.is_counted());
        waiting.answer = Answer::Refused(refusal);
        self.owed_counted += usize::from(waiting.is_counted());
        Some(waiting.acknowledgement)
    }

    /// Takes the acknowledgement of a message that has just become safe, if it is the next one: mostly it is.
    #[inline]
    pub(crate) fn settle_next(&mut self, packet_id: PacketId) -> Option<(Acknowledgement, Answer)> {
        let next = self.owed.front().filter(|owed| owed.packet_id == packet_id && !owed.is_due)?;
        let settled = (next.acknowledgement, next.answer);
        self.pop();
        Some(settled)
    }

    /// Takes the next acknowledgement that is to be sent now.
    #[inline]
    pub(crate) fn next_due(&mut self) -> Option<(PacketId, Acknowledgement, Answer)> {
        let next = self.owed.front().filter(|owed| owed.is_due)?;
        let due = (next.packet_id, next.acknowledgement, next.answer);
        self.pop();
        Some(due)
    }

    #[inline]
    fn pop(&mut self) {
        if let Some(owed) = self.owed.pop_front() {
            self.owed_counted -= usize::from(owed.is_counted());
        }
    }

    /// Whether an acknowledgement of this kind is owed.
    pub(crate) fn owes(&self, packet_id: PacketId, acknowledgement: Acknowledgement) -> bool {
        let is_it = |owed: &Owed| owed.packet_id == packet_id && owed.acknowledgement == acknowledgement;
        !self.owed.is_empty() && self.owed.iter().any(is_it)
    }

    pub(crate) fn unreleased(&self) -> usize {
        self.received.len()
    }

    pub(crate) fn has_received(&self, packet_id: PacketId) -> bool {
        self.received.contains(&packet_id)
    }

    pub(crate) fn receive(&mut self, packet_id: PacketId) {
        self.received.insert(packet_id);
    }

    /// Forgets a message, and with it what was still to be said of its repetitions: the identifier may stand for
    /// another message next. False when none was received under it.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> bool {
        let was_received = self.received.remove(&packet_id);
        if !self.owed.is_empty() {
            self.owed.retain(|owed| {
                owed.packet_id != packet_id || owed.acknowledgement != Acknowledgement::RecAgain
            });
        }
        was_received
    }
}

/// A set of packet identifiers, as wide as the largest that was in it. Identifiers go round in a small window, so it
/// nearly always is one word.
#[derive(Default, Debug)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    #[inline]
    const fn place(packet_id: PacketId) -> (usize, u64) {
        let bit = packet_id.get() - 1;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    pub(crate) fn insert(&mut self, packet_id: PacketId) {
        let (word, mask) = Self::place(packet_id);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= mask;
    }

    /// False when it was not in the set.
    pub(crate) fn remove(&mut self, packet_id: PacketId) -> bool {
        let was_in = self.contains(packet_id);
        let (word, mask) = Self::place(packet_id);
        if was_in {
            self.words[word] &= !mask;
        }
        was_in
    }

    pub(crate) fn contains(&self, packet_id: PacketId) -> bool {
        let (word, mask) = Self::place(packet_id);
        self.words.get(word).is_some_and(|bits| bits & mask != 0)
    }
}
