//! How a client comes to its session: a clean one, the lasting one that was kept for it, or a new one that will be kept.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::PoisonError;

use contract::limits::InstanceLimits;
use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::subscription::SubscriptionFilter;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{KEY_BYTES_MAX, Pos};
use router::{ClientKey, Subscriber};
use session::{Granted, Lasting, Session, Settings};

use crate::authenticate::{Principal, Proof};
use crate::client::{Client, Ending, Pause};
use crate::clock::unix_now;
use crate::connect::Asked;
use crate::greeting::{Terms, connack};
use crate::groups::GroupText;
use crate::lasting::{LastingClient, Place};
use crate::local_instance::LocalInstance;
use crate::policy;
use crate::sink::ClientSink;
use crate::worker::Worker;

/// The longest client identifier that a document can be named after.
const CLIENT_ID_BYTES_MAX: usize = KEY_BYTES_MAX - 2;

/// What the owner of a session begins with that is a credential; its id and its user name follow.
const CREDENTIAL: &str = "credential/";

/// What a newcomer finds of the sessions of its client identifier.
pub(crate) struct Kept {
    /// What there is.
    found: Option<Rc<LastingClient>>,
    /// It wants it gone.
    clean_start: bool,
    /// It wants its own to be kept without a connection.
    outlives: bool,
    /// It is a new one, for which room was taken.
    is_counted: Cell<bool>,
}

impl Kept {
    /// What it may go on with.
    fn resumed(&self) -> Option<&Rc<LastingClient>> {
        self.found.as_ref().filter(|found| !self.clean_start && !found.is_gone())
    }
}

/// What a newcomer is told when it is let in, once it is known whether there was a session.
pub(crate) struct Greeting {
    pub(crate) asked: Box<Asked>,
    pub(crate) terms: Terms,
}

/// Whose a session is, as it is stored.
fn owner(proof: &Proof) -> String {
    match proof.principal() {
        Principal::ClientId(client_id) => format!("client/{client_id}"),
        Principal::Subject(subject) => format!("subject/{subject}"),
        Principal::Credential(id) => {
            let username = match proof {
                Proof::Credential { document, .. } => document.username.as_str(),
                Proof::Token(_) => "",
            };
            format!("{CREDENTIAL}{}/{username}", id.0)
        }
    }
}

/// Whether the owner of a session is the credential before this one: of one user name there is one credential, so that
/// is gone for good, and whoever has taken its place is not to be locked out by what it has left.
fn has_lapsed(owner: &str, proof: &Proof) -> bool {
    let Proof::Credential { document, .. } = proof else { return false };
    let before = owner.strip_prefix(CREDENTIAL).and_then(|owner| owner.split_once('/'));
    before.is_some_and(|(id, username)| username == document.username && id != document.id.0.to_string())
}

impl Worker {
    /// Looks whether a client may have the session that it asks for. Another identity neither gets nor ends it, unless it
    /// is the credential that has taken the owner's place. Of a damaged one it is not known whose it is: anybody who may
    /// connect with its client identifier may end it with a clean start.
    pub(crate) fn find_kept(
        &self,
        instance: &LocalInstance,
        client_id: &str,
        proof: &Proof,
        asked: &Asked,
    ) -> Result<Kept, Refusal> {
        let (clean_start, outlives) = (asked.clean_start, asked.expiry_secs > 0);
        if outlives && client_id.len() > CLIENT_ID_BYTES_MAX {
            return Err(Refusal::ClientIdInvalid);
        }
        let found = instance.lasting.borrow().get(client_id).cloned();
        if let Some(found) = &found {
            let is_left = match &*found.place.borrow() {
                Place::Away(lasting) => has_lapsed(lasting.owner(), proof),
                Place::Here(_) | Place::Damaged | Place::Gone => false,
            };
            if is_left {
                // Its will goes with it: who asked for that may publish nothing any more.
                self.discard_session(found);
            }
            match &*found.place.borrow() {
                Place::Away(lasting) if lasting.owner() != owner(proof) => {
                    return Err(Refusal::ClientIdInUse);
                }
                Place::Damaged if !clean_start => return Err(Refusal::SessionDamaged),
                // It went down with its client. What is stored of it is read at the next start.
                Place::Here(key) if self.client(*key).is_none() && !clean_start => {
                    return Err(Refusal::SessionDamaged);
                }
                // Whose client is connected has been looked at already.
                Place::Away(_) | Place::Here(_) | Place::Damaged | Place::Gone => {}
            }
        }
        Ok(Kept { found, clean_start, outlives, is_counted: Cell::new(false) })
    }

    /// Room for the session of a newcomer, if it is a new one.
    pub(crate) fn take_session(
        instance: &LocalInstance,
        kept: &Kept,
        limits: &InstanceLimits,
    ) -> Result<(), Refusal> {
        // A clean start gives back what the session before it had.
        let is_new = kept.outlives && kept.found.as_ref().is_none_or(|found| found.is_gone());
        if is_new {
            instance.shared.take_session(limits.sessions_max)?;
            kept.is_counted.set(true);
        }
        Ok(())
    }

    /// Ends what there was of a newcomer's session, where it wants a clean start.
    pub(crate) fn start_clean(&self, kept: &Kept) {
        if let Some(found) = kept.found.as_ref().filter(|_| kept.clean_start) {
            self.end_session(found);
        }
    }

    /// The lasting session of a newcomer, put into its hands; none where nothing of it is to be kept.
    pub(crate) fn claim(
        &self,
        instance: &Rc<LocalInstance>,
        client_id: &Rc<str>,
        kept: &Kept,
        proof: &Proof,
        key: ClientKey,
    ) -> Option<(Rc<LastingClient>, Box<Lasting>)> {
        let resumed = kept.resumed().cloned();
        if resumed.is_none() && !kept.outlives {
            return None;
        }
        let new = || Box::new(Lasting::new(&owner(proof), self.watermark.get()));
        let session = resumed.unwrap_or_else(|| {
            if !kept.is_counted.get() {
                // The one before has ended a moment ago, and has given its room back.
                instance.shared.add_session();
            }
            let session = self.add_session(instance, Rc::clone(client_id), Place::Away(new()));
            // The one before may still be stored. Of its documents this one writes all but one at once.
            session.follows.set(kept.found.is_some());
            session
        });
        let place = session.place.replace(Place::Here(key));
        let lasting = match place {
            Place::Away(lasting) => lasting,
            // None of these is let in so far.
            Place::Here(_) | Place::Damaged | Place::Gone => new(),
        };
        Some((session, lasting))
    }

    /// Tells a newcomer that it is connected, and gives it its session. Where a session before has ended, by a clean start
    /// or by itself, it is told once that is stored: else the old one could come back.
    pub(crate) fn begin_session(
        &self,
        client: &Rc<Client>,
        kept: &Kept,
        greeting: &Greeting,
        settings: Settings,
        lasting: Option<Box<Lasting>>,
    ) {
        let found = kept.found.as_ref().zip(client.lasting());
        let is_present = found.is_some_and(|(found, held)| Rc::ptr_eq(found, held));
        let Greeting { asked, terms } = greeting;
        let connack = connack(asked, terms, &client.client_id, is_present);
        match kept.found.as_ref().filter(|_| !is_present) {
            None => self.say_connected(client, &connack),
            Some(found) => {
                // The one before has ended and may still be stored: its client is not told that it has gone before it
                // has.
                client.pause.set(Some(Pause::Welcome));
                self.greetings.borrow_mut().insert(client.key, connack);
                if lasting.is_none() && !kept.clean_start {
                    // Its deletion is under way. It is told behind one that is made now.
                    self.discard_session(found);
                }
                self.owe_welcome(client.key);
            }
        }
        let Some(lasting) = lasting else {
            *client.session.borrow_mut() = Some(Session::new(self.millis(), settings));
            return;
        };
        let lasting = self.renew_subscriptions(client, lasting);
        let session = {
            let mut sink = ClientSink::new(self, client, 0);
            Session::attach(self.millis(), settings, lasting, &mut sink)
        };
        *client.session.borrow_mut() = Some(session);
        if let Some(session) = client.lasting() {
            session.queue.check_next();
            session.will_not_before.set(UnixMillis(0));
            // Also where nothing has changed: it may have been noted while it was away.
            self.note_changes(session);
        }
        self.tend(client);
    }

    /// Has what a kept session is subscribed to lead to its client. What the client may no longer have is ended first.
    fn renew_subscriptions(&self, client: &Client, mut lasting: Box<Lasting>) -> Box<Lasting> {
        let instance = &client.instance;
        let rules = instance.rules();
        let proof = client.proof.borrow();
        let is_granted = |filter: &_, qos| {
            policy::subscribe_qos(&rules, proof.grants(), filter, qos).is_ok_and(|granted| granted >= qos)
        };
        let kept = lasting.subscriptions().map(|(text, granted, since)| (text.clone(), granted, since));
        for (text, granted, since) in kept.collect::<Vec<_>>() {
            let read = SubscriptionFilter::of(text.clone());
            let is_granted = read.as_ref().is_ok_and(|read| is_granted(read.filter(), granted.qos()));
            if !is_granted {
                lasting.unsubscribe(&text);
            }
            match read {
                Ok(SubscriptionFilter::Plain(filter)) => {
                    self.renew_route(client, &filter, granted, is_granted);
                }
                Ok(SubscriptionFilter::Shared { group, filter }) if is_granted => {
                    let wanted = GroupText { text: &text, name: &group, filter: &filter };
                    self.rejoin_group(client, wanted, granted, since);
                }
                Ok(SubscriptionFilter::Shared { .. }) => {
                    self.discard_membership(instance, &client.client_id, &text);
                }
                // Neither is ever stored.
                Ok(SubscriptionFilter::Replay { .. }) | Err(_) => {}
            }
        }
        lasting
    }

    fn renew_route(&self, client: &Client, filter: &TopicFilter, granted: Granted, is_granted: bool) {
        if policy::is_sys(filter) {
            client.instance.watches_sys.set(true);
        }
        let mut routes = client.instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        if is_granted {
            let (qos, is_special) = (granted.qos(), granted.is_special());
            let subscriber = Subscriber { worker: self.id, client: client.key, qos, is_special };
            // It was let in once, and is not counted anew.
            if let Err(refusal) = routes.insert(filter, subscriber, u64::MAX) {
                tracing::error!(reason = refusal.name(), "a filter of a kept session is refused");
            }
        } else if granted.qos() != Qos::AtMostOnce {
            routes.remove_lasting(filter);
        }
    }

    fn say_connected(&self, client: &Rc<Client>, connack: &[u8]) {
        client.output.borrow_mut().extend_from_slice(connack);
        self.note_output(client);
    }

    /// What there was of a client is deleted: it may begin.
    pub(crate) fn welcome(&self, key: ClientKey) {
        let Some(client) = self.client(key) else { return };
        let connack = self.greetings.borrow_mut().remove(&key);
        if let Some(connack) = connack.filter(|_| !client.is_ending()) {
            self.say_connected(&client, &connack);
            client.resume();
            // What has come for it meanwhile was left to the log.
            self.tend(&client);
        }
    }

    /// What there was of a client could not be deleted: it is not connected after all.
    pub(crate) fn unwelcome(&self, key: ClientKey) {
        if let Some(client) = self.client(key) {
            self.close(&client, Ending::Refused(Refusal::StorageUnavailable));
        }
    }

    /// Takes a session back from a client whose connection has gone.
    pub(crate) fn put_away(&self, session: &Rc<LastingClient>, mut lasting: Box<Lasting>) {
        // The clock says when this millisecond began: with its end nothing that waits comes too early.
        lasting.set_detached_at(Some(UnixMillis(unix_now().0 + 1)));
        let ends_with_connection = lasting.expiry_secs() == 0 && !self.is_stopping.get();
        *session.place.borrow_mut() = Place::Away(lasting);
        if ends_with_connection || session.is_doomed.get() {
            return self.end_session(session);
        }
        self.note_changes(session);
        // With a stop of the node nothing is due: its client is given time to come back after the next start.
        if !self.is_stopping.get() {
            self.sweep_session(session);
        }
    }

    /// How far everything in the log has been taken in: from there on messages come to a subscription made now.
    pub(crate) fn since(&self) -> Pos {
        self.watermark.get()
    }
}
