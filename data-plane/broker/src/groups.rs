//! Shared subscriptions: each message for one member of a group. A group is a subscriber of its own, with a place in the
//! log like a lasting session and a home on one worker of its instance. There it is decided who gets what; members are
//! clients of any worker of the instance, and say what they have acknowledged.
//!
//! Of a group's backlog nothing is in memory. Who its members are is shared by all workers ([`registry`]); how far it has
//! come is known at its home alone ([`home`]).

mod documents;
mod home;
mod listing;
mod mail;
mod member;
mod pages;
mod registry;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use router::ClientKey;

pub(crate) use self::documents::{StoredGroups, WrittenGroup};
pub(crate) use self::home::Home;
pub(crate) use self::listing::GroupFigures;
pub(crate) use self::mail::Mail;
use self::mail::Outbox;
pub(crate) use self::member::Joined;
pub(crate) use self::registry::{GroupText, Registry, SharedGroup};

/// What one worker has to do with shared subscriptions.
pub(crate) struct GroupsHere {
    /// The groups that have their home here.
    homes: RefCell<HashMap<ClientKey, Rc<Home>, RandomState>>,
    /// Those of them that are looked at when the round ends.
    noted: RefCell<Vec<Rc<Home>>>,
    /// Those whose documents are written, or deleted, with the batch of this round.
    unwritten: RefCell<Vec<Rc<Home>>>,
    /// What members here have said to groups here in this round.
    said: RefCell<VecDeque<Mail>>,
    /// This round's mail for each other worker.
    outboxes: RefCell<Box<[Outbox]>>,
    /// Some group waits for room on the way to another worker.
    has_unreachable: Cell<bool>,
}

impl GroupsHere {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            homes: RefCell::default(),
            noted: RefCell::default(),
            unwritten: RefCell::default(),
            said: RefCell::default(),
            has_unreachable: Cell::new(false),
            outboxes: RefCell::new((0..workers).map(|_| Outbox::default()).collect()),
        }
    }

    /// Whether something is left for another round.
    pub(crate) fn have_work(&self) -> bool {
        !self.noted.borrow().is_empty()
            || !self.unwritten.borrow().is_empty()
            || !self.said.borrow().is_empty()
            || self.outboxes.borrow().iter().any(|outbox| !outbox.is_empty())
    }
}
