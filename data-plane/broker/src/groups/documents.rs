//! How far groups with lasting members have come, as it is stored: written now and then with the batch of a round, and
//! deleted when the group ends. It holds nothing up: after a crash what was acknowledged since comes again.

use std::collections::BTreeMap;
use std::rc::Rc;

use contract::subscription::SHARED_PREFIX;
use contract::topic::TopicFilter;
use engine::{CHANGE_HEADER_BYTES, Change};
use session::GROUP_PREFIX;

use super::Home;
use crate::local_instance::LocalInstance;
use crate::worker::Worker;

/// After how many milliseconds a document that could not be deleted is tried again.
const REWRITE_MILLIS: u64 = 10_000;

/// Documents of an instance's groups, by `{name}/{filter}`.
pub(crate) type StoredGroups = BTreeMap<Box<str>, Vec<u8>>;

/// What was written of a group into one batch.
pub(crate) struct WrittenGroup {
    home: Rc<Home>,
    is_deletion: bool,
}

/// What the document of a group is found under.
pub(crate) fn document_key(text: &TopicFilter) -> Vec<u8> {
    let name = text.as_str().strip_prefix(SHARED_PREFIX).unwrap_or_default();
    [GROUP_PREFIX, name].concat().into_bytes()
}

impl Worker {
    /// Has the document of a group written, or deleted, with the batch of this round.
    pub(super) fn note_unwritten(&self, home: &Rc<Home>) {
        if !home.is_unwritten.replace(true) {
            self.groups.unwritten.borrow_mut().push(Rc::clone(home));
            self.open_round();
        }
    }

    /// Sees whether the document of a group is to be written, and sets the timer for when it is.
    pub(super) fn tend_document(&self, home: &Rc<Home>) {
        if !home.is_lasting.get() {
            return;
        }
        let (at, is_due) = {
            let core = home.core.borrow();
            (core.checkpoint_at(), core.checkpoint_due(self.millis()))
        };
        if is_due {
            self.note_unwritten(home);
        } else if let Some(at) = at {
            self.set_group_timer(home, at.0);
        }
    }

    /// A group has ended: nothing of it is to be found at the next start.
    pub(super) fn end_home(&self, home: &Rc<Home>) {
        if home.has_document.get() || home.is_unwritten.get() {
            self.note_unwritten(home);
        } else {
            self.close_home(home);
        }
    }

    /// Has the documents of all groups written that are not what they were: the node stops.
    pub(crate) fn note_all_groups(&self) {
        let homes: Vec<_> = self.groups.homes.borrow().values().cloned().collect();
        for home in homes {
            if home.is_lasting.get() && home.core.borrow().has_unwritten() {
                self.note_unwritten(&home);
            }
        }
    }

    /// Writes what is to be written of groups into the batch of this round.
    pub(crate) fn write_groups(&self) {
        for home in self.groups.unwritten.take() {
            home.is_unwritten.set(false);
            self.guard(|| self.write_group(&home));
        }
    }

    fn write_group(&self, home: &Rc<Home>) {
        if home.is_over.get() {
            return self.delete_group(home);
        }
        if home.is_lasting.get() {
            let mut body = Vec::new();
            home.core.borrow_mut().write(&mut body, self.millis());
            home.has_document.set(true);
            self.append_group(home, Some(&body));
            self.tend_document(home);
        }
    }

    fn delete_group(&self, home: &Rc<Home>) {
        if !home.has_document.get() {
            return self.close_home(home);
        }
        // One of the same name may have begun since: then its document takes the place of this one.
        let successor = home.instance.shared.find_group_of(&home.group.text);
        let successor = successor.map(|group| self.open_home(&home.instance, &group));
        if let Some(successor) = &successor {
            self.refresh_home(successor);
        }
        if let Some(successor) = successor.filter(|it| it.is_lasting.get()) {
            successor.has_document.set(true);
            self.note_unwritten(&successor);
            return self.close_home(home);
        }
        self.append_group(home, None);
    }

    fn append_group(&self, home: &Rc<Home>, body: Option<&[u8]>) {
        let key = document_key(&home.group.text);
        self.make_room_in_batch(CHANGE_HEADER_BYTES + key.len() + body.map_or(0, <[u8]>::len));
        let written = WrittenGroup { home: Rc::clone(home), is_deletion: body.is_none() };
        let change = Change { instance: home.instance.shared.id, key: &key, body };
        match self.append_change(&change) {
            Ok(()) => self.owe_group(written),
            Err(error) => {
                tracing::error!(%error, group = home.group.text.as_str(), "a group is too long to be stored");
                self.settle_group(&written, false);
            }
        }
    }

    /// Deletes a document whose group has ended before the node started.
    pub(crate) fn delete_stale_group(&self, instance: &LocalInstance, key: &[u8]) {
        self.make_room_in_batch(CHANGE_HEADER_BYTES + key.len());
        let change = Change { instance: instance.shared.id, key, body: None };
        if let Err(error) = self.append_change(&change) {
            tracing::error!(%error, "the document of a group cannot be deleted");
        }
    }

    /// What was written of a group is stored, or is not.
    pub(crate) fn settle_group(&self, written: &WrittenGroup, is_stored: bool) {
        let home = &written.home;
        match (written.is_deletion, is_stored) {
            (true, true) => self.close_home(home),
            (true, false) => self.set_group_timer(home, self.millis().0 + REWRITE_MILLIS),
            (false, true) => {}
            (false, false) => {
                home.core.borrow_mut().write_failed();
                self.note_home(home);
            }
        }
    }
}
