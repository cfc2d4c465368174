//! What becomes due while nobody is connected: wills of lasting sessions, and their end.

use std::rc::Rc;

use contract::refusal::Refusal;
use contract::time::UnixMillis;
use session::{Due, Will};

use crate::clock::unix_now;
use crate::lasting::{LastingClient, Place, SessionKey};
use crate::worker::Worker;

impl Worker {
    /// A timer of a lasting session has rung.
    pub(crate) fn look_at_session(&self, key: SessionKey) {
        let Some(session) = self.find_session(key) else { return };
        session.timer.set(0);
        if session.is_gone() {
            // A newer one writes its own documents in the place of these.
            if Self::is_last(&session) {
                self.delete_session(&session);
            } else {
                self.settle_deletion(&session, true);
            }
            return;
        }
        self.sweep_session(&session);
    }

    /// Does what is due of a session whose client is away, and sets the timer for what will be.
    pub(crate) fn sweep_session(&self, session: &Rc<LastingClient>) {
        let now = unix_now();
        loop {
            let due = match &mut *session.place.borrow_mut() {
                Place::Away(lasting) => {
                    let waits = lasting.will().is_some() && now < session.will_not_before.get();
                    if waits { None } else { lasting.due(now) }
                }
                Place::Here(_) | Place::Damaged | Place::Gone => return,
            };
            match due {
                Some(Due::Will(will)) => self.publish_waiting_will(session, &will),
                Some(Due::Expired) => {
                    tracing::debug!(
                        instance.id = %session.instance.shared.id, client.id = &*session.client_id,
                        "a session has expired"
                    );
                    return self.discard_session(session);
                }
                None => break,
            }
        }
        if session.has_changes() {
            self.note_changes(session);
        }
        self.set_due_timer(session, now);
    }

    /// Ends a session before its time. Its will does not wait any longer: the session is over. Only what is withheld since
    /// the node went down is not for those who are back.
    pub(crate) fn end_session(&self, session: &Rc<LastingClient>) {
        let is_withheld = self.is_stopping.get() || unix_now() < session.will_not_before.get();
        let will = match &mut *session.place.borrow_mut() {
            Place::Away(lasting) if !is_withheld => lasting.take_will(),
            Place::Away(_) | Place::Here(_) | Place::Damaged | Place::Gone => None,
        };
        if let Some(will) = will {
            self.publish_waiting_will(session, &will);
        }
        self.discard_session(session);
    }

    fn publish_waiting_will(&self, session: &LastingClient, will: &Will) {
        let instance = &session.instance;
        let rules = instance.rules();
        if self.publish_kept_will(instance, &session.client_id, will, &rules).is_err() {
            instance.counts.refused.add(Refusal::WillNotAuthorized);
        }
    }

    fn set_due_timer(&self, session: &LastingClient, now: UnixMillis) {
        let next = match &*session.place.borrow() {
            Place::Away(lasting) => lasting.next_due().map(|due| match lasting.will() {
                Some(_) => due.max(session.will_not_before.get()),
                None => due,
            }),
            Place::Here(_) | Place::Damaged | Place::Gone => None,
        };
        if let Some(next) = next {
            self.set_session_timer(session, self.millis().0 + next.0.saturating_sub(now.0).max(1));
        }
    }
}
