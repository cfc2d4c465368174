//! What homes and members of groups say to one another, across workers or on one. Between a pair of workers it arrives in
//! the order in which it was said.
//!
//! It is bounded: messages by what members have room for, and by the room on the way to their worker; the rest is one
//! answer for each message, one `Ready` for each refusal, and a `Changed` for each time a client comes, goes or subscribes.

use std::sync::Arc;

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::Pos;
use mqtt::Content;
use router::{ClientKey, WorkerId};

use super::SharedGroup;
use crate::delivery::Passing;
use crate::instances::Instance;
use crate::worker::Worker;

/// What anything said takes besides what it carries.
const MAIL_BYTES: usize = 64;

/// One thing said.
pub(crate) enum Mail {
    /// To a member's worker: a message for it.
    Deliver(Box<Handed>),
    /// To the home: a member has acknowledged these.
    Done { group: ClientKey, client: ClientKey, positions: Vec<Pos> },
    /// To the home: a member has not taken these, or has gone with them.
    Back { group: ClientKey, client: ClientKey, positions: Vec<Pos>, is_full: bool },
    /// To the home: a member has room.
    Ready { group: ClientKey, client: ClientKey },
    /// To the home: its members have changed.
    Changed(Arc<Instance>, Arc<SharedGroup>),
}

/// A message for one member of a group.
pub(crate) struct Handed {
    pub(crate) group: ClientKey,
    pub(crate) home: WorkerId,
    pub(crate) instance: InstanceId,
    pub(crate) client: ClientKey,
    /// None: it is in no log, and comes once or not at all.
    pub(crate) pos: Option<Pos>,
    pub(crate) granted: Qos,
    pub(crate) qos: Qos,
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
    pub(crate) retain: bool,
    pub(crate) content: Box<[u8]>,
    pub(crate) expires_at: Option<UnixMillis>,
}

impl Handed {
    /// The message that it is about.
    pub(super) fn passing(&self) -> Passing<'_> {
        Passing {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            content: Content::from_stored(&self.content),
            expires_at: self.expires_at,
            publisher: "",
        }
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Deliver(_) => "Deliver",
            Self::Done { .. } => "Done",
            Self::Back { .. } => "Back",
            Self::Ready { .. } => "Ready",
            Self::Changed(..) => "Changed",
        };
        formatter.debug_struct(name).finish_non_exhaustive()
    }
}

impl Mail {
    fn bytes(&self) -> usize {
        MAIL_BYTES
            + match self {
                Self::Deliver(handed) => {
                    handed.topic.len() + handed.payload.len() + handed.content.len() + MAIL_BYTES
                }
                Self::Done { positions, .. } | Self::Back { positions, .. } => size_of_val(&**positions),
                Self::Ready { .. } | Self::Changed(..) => 0,
            }
    }

    /// Adds one more message that a member has acknowledged, if it is about that member already.
    fn add_done(&mut self, of_group: ClientKey, by: ClientKey, pos: Pos) -> bool {
        match self {
            Self::Done { group, client, positions } if (*group, *client) == (of_group, by) => {
                positions.push(pos);
                true
            }
            Self::Deliver(_)
            | Self::Done { .. }
            | Self::Back { .. }
            | Self::Ready { .. }
            | Self::Changed(..) => false,
        }
    }
}

/// What is for one other worker.
#[derive(Default)]
pub(super) struct Outbox {
    mail: Vec<Mail>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.mail.is_empty()
    }

    fn push(&mut self, mail: Mail) {
        self.bytes += mail.bytes();
        self.mail.push(mail);
    }
}

impl Worker {
    /// Says something to a worker, this one or another. It is heard when the round ends, or later.
    pub(super) fn say(&self, to: WorkerId, mail: Mail) {
        if to == self.id {
            self.groups.said.borrow_mut().push_back(mail);
        } else {
            self.groups.outboxes.borrow_mut()[to.index()].push(mail);
        }
        self.open_round();
    }

    /// Says to a home that a member has acknowledged a message.
    pub(super) fn say_done(&self, home: WorkerId, group: ClientKey, client: ClientKey, pos: Pos) {
        if home == self.id {
            let mut said = self.groups.said.borrow_mut();
            if !said.back_mut().is_some_and(|last| last.add_done(group, client, pos)) {
                said.push_back(Mail::Done { group, client, positions: vec![pos] });
            }
            drop(said);
        } else {
            let mut outboxes = self.groups.outboxes.borrow_mut();
            let outbox = &mut outboxes[home.index()];
            if outbox.mail.last_mut().is_some_and(|last| last.add_done(group, client, pos)) {
                outbox.bytes += size_of::<Pos>();
            } else {
                outbox.push(Mail::Done { group, client, positions: vec![pos] });
            }
        }
        self.open_round();
    }

    /// Whether there is room on the way to another worker for a message. If not, this one is called when there is.
    pub(super) fn has_room_for_mail(&self, to: WorkerId) -> bool {
        let unsent = self.groups.outboxes.borrow()[to.index()].bytes;
        self.node.crossing.has_room(self.id, to, unsent)
    }

    /// Sends what has been said to a worker.
    pub(super) fn send_mail_to(&self, to: WorkerId) {
        let Outbox { mail, bytes } = std::mem::take(&mut self.groups.outboxes.borrow_mut()[to.index()]);
        if !mail.is_empty() {
            self.node.crossing.push_mail(self.id, to, mail, bytes);
        }
    }

    /// Sends what the round has brought.
    pub(crate) fn send_mail(&self) {
        let workers = self.groups.outboxes.borrow().len();
        for to in 0..workers {
            if let Some(to) = WorkerId::new(to) {
                self.send_mail_to(to);
            }
        }
    }

    /// Hears what members here have said to groups here.
    pub(super) fn hear_said(&self) {
        loop {
            let Some(mail) = self.groups.said.borrow_mut().pop_front() else { return };
            // A failure costs what was said, and not the round.
            self.guard(|| self.hear(self.id, mail));
        }
    }

    /// Hears what a worker has said.
    pub(crate) fn hear(&self, from: WorkerId, mail: Mail) {
        match mail {
            Mail::Deliver(handed) => self.take_handed(&handed),
            Mail::Done { group, client, positions } => {
                if let Some(home) = self.find_home(group) {
                    home.done((from, client), &positions);
                    self.note_home(&home);
                }
            }
            Mail::Back { group, client, positions, is_full } => {
                if let Some(home) = self.find_home(group) {
                    home.back((from, client), &positions, is_full);
                    self.note_home(&home);
                }
            }
            Mail::Ready { group, client } => {
                if let Some(home) = self.find_home(group) {
                    home.has_room((from, client));
                    self.note_home(&home);
                }
            }
            Mail::Changed(instance, group) => self.hear_changed(&instance, &group),
        }
    }
}
