//! What of a lasting session has changed since it was last written down, and which of that is safe. Only counted here:
//! what waits for it is held by whoever waits.

use std::collections::VecDeque;

/// One of the documents of a lasting session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// Owner, subscriptions, will and expiry.
    Session,
    /// How far the client has come: the cursor, what is finished beyond it, and the identifiers in use at QoS 2.
    Progress,
    /// Identifiers of the client's messages of QoS 2 that were received and are not released.
    Received,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Session, Self::Progress, Self::Received];

    /// What the key of such a document begins with; the client identifier follows.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "s/",
            Self::Progress => "p/",
            Self::Received => "q/",
        }
    }

    const fn at(self) -> usize {
        match self {
            Self::Session => 0,
            Self::Progress => 1,
            Self::Received => 2,
        }
    }
}

/// Names one writing of a session's changes; the later, the larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChangeId(u64);

/// The number of a change of one part; all up to one are safe, or not yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Stamp(u64);

#[derive(Clone, Copy, Default, Debug)]
struct Stamps {
    made: Stamp,
    /// Those are under way, or safe.
    written: Stamp,
    safe: Stamp,
}

impl Stamps {
    fn is_dirty(self) -> bool {
        self.made > self.written
    }

    fn is_under_way(self) -> bool {
        self.written > self.safe
    }
}

/// The stamps that one writing contained, by part; 0 for a part that was not in it.
#[derive(Debug)]
struct Write {
    id: ChangeId,
    stamps: [Stamp; 3],
}

/// The changes of one session.
#[derive(Default, Debug)]
pub(crate) struct Changes {
    parts: [Stamps; 3],
    last: u64,
    under_way: VecDeque<Write>,
    /// By part: a message of this round depends on one of its changes.
    urgent: [bool; 3],
}

impl Changes {
    /// A part has changed; the answer says which change it was.
    pub(crate) fn make(&mut self, part: Part) -> Stamp {
        let stamps = &mut self.parts[part.at()];
        stamps.made = Stamp(stamps.made.0 + 1);
        stamps.made
    }

    /// A change that has to be in the same batch as a message.
    pub(crate) fn make_urgent(&mut self, part: Part) -> Stamp {
        self.urgent[part.at()] = true;
        self.make(part)
    }

    /// The last change of a part, if that is not safe yet.
    pub(crate) fn unsafe_stamp(&self, part: Part) -> Option<Stamp> {
        let stamps = self.parts[part.at()];
        (stamps.made > stamps.safe).then_some(stamps.made)
    }

    pub(crate) fn is_safe(&self, part: Part, stamp: Stamp) -> bool {
        self.parts[part.at()].safe >= stamp
    }

    /// Whether a part is to be written now. One writing of session and progress is under way at a time; what a message
    /// depends on does not wait for it.
    fn is_due(&self, part: Part) -> bool {
        let stamps = self.parts[part.at()];
        let waits = match part {
            Part::Session | Part::Progress => {
                self.parts[Part::Session.at()].is_under_way()
                    || self.parts[Part::Progress.at()].is_under_way()
            }
            Part::Received => stamps.is_under_way(),
        };
        stamps.is_dirty() && (self.urgent[part.at()] || !waits)
    }

    pub(crate) fn is_any_due(&self) -> bool {
        Part::ALL.into_iter().any(|part| self.is_due(part))
    }

    /// Writes the parts that are due with `write`. `None`: there were none.
    pub(crate) fn write(&mut self, mut write: impl FnMut(Part)) -> Option<ChangeId> {
        let due = Part::ALL.map(|part| self.is_due(part));
        if !due.contains(&true) {
            return None;
        }
        let mut stamps = [Stamp::default(); 3];
        for part in Part::ALL.into_iter().filter(|part| due[part.at()]) {
            write(part);
            let made = self.parts[part.at()].made;
            self.parts[part.at()].written = made;
            stamps[part.at()] = made;
            self.urgent[part.at()] = false;
        }
        self.last += 1;
        let id = ChangeId(self.last);
        self.under_way.push_back(Write { id, stamps });
        Some(id)
    }

    /// A writing is safe, and with it those before.
    pub(crate) fn commit(&mut self, id: ChangeId) {
        while let Some(write) = self.under_way.pop_front_if(|write| write.id <= id) {
            for (part, stamp) in self.parts.iter_mut().zip(write.stamps) {
                part.safe = part.safe.max(stamp);
            }
        }
    }

    /// A writing will not be safe: what it contained is to be written again. The answer is the range of changes of
    /// [`Part::Received`] that it was the first to contain: behind the one, up to the other.
    pub(crate) fn fail(&mut self, id: ChangeId) -> (Stamp, Stamp) {
        let Some(at) = self.under_way.iter().position(|write| write.id == id) else {
            return Default::default();
        };
        let received = Part::Received.at();
        let before = self.under_way.range(..at).map(|write| write.stamps[received]);
        let before = before.fold(self.parts[received].safe, Stamp::max);
        let failed = self.under_way.remove(at).map_or(before, |write| write.stamps[received]);
        for (part, stamps) in self.parts.iter_mut().enumerate() {
            let written = self.under_way.iter().map(|write| write.stamps[part]);
            stamps.written = written.fold(stamps.safe, Stamp::max);
        }
        (before, failed)
    }
}
