//! Retained messages: who subscribes gets those that match, a page at a time, and an instance has so many and no more.
//! They are kept by the engine, which takes them from the log.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use contract::qos::Qos;
use contract::refusal::Refusal;
use contract::topic::TopicFilter;
use engine::{Envelope, QueryError, RECORD_HEADER_BYTES, RetainedPage};
use mqtt::Publish;
use router::Target;
use session::{Granted, Session};

use crate::client::Client;
use crate::delivery::{Passing, Wanted, retained_message};
use crate::local_instance::LocalInstance;
use crate::lookups::{RetainedWanted, Wanted as Lookup};
use crate::metrics::DropReason;
use crate::policy;
use crate::replaying::BUSY_WAIT;
use crate::sys_topics;
use crate::worker::Worker;

/// A subscription is stored with the second writing from then on at the latest: one may have been under way.
const WRITINGS: u8 = 2;

/// Topics that are remembered for one client while something is looked up for it; of more an older message may come
/// behind a newer one.
const NEWER_MAX: usize = 1_024;

/// What a client is yet to get of retained messages: for each of its subscriptions in turn.
#[derive(Debug, Default)]
pub(crate) struct RetainedQueue {
    /// One is being looked up, and is not among them.
    is_looking: bool,
    /// It waits for the acknowledgement of a subscription, which comes with one of so many writings of the session.
    writings: u8,
    waiting: VecDeque<RetainedWanted>,
    /// Topics of which the log has brought a retained message meanwhile, each with its number: what is found for who
    /// had subscribed before must not come behind it.
    newer: HashMap<Box<str>, u64>,
    /// The number of the last of them.
    last_newer: u64,
}

impl RetainedQueue {
    fn is_idle(&self) -> bool {
        !self.is_looking && self.waiting.is_empty()
    }

    fn pop(&mut self) -> Option<RetainedWanted> {
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        next
    }

    /// Nothing more of a subscription is wanted.
    pub(crate) fn forget(&mut self, filter: &TopicFilter) {
        self.waiting.retain(|waiting| waiting.filter != *filter);
    }
}

impl Worker {
    /// Whether an instance may keep one more retained message. It is asked before the message is stored, so a few more
    /// may slip through while others are on their way.
    ///
    /// `replaced` are the bytes of the one whose place it takes, as far as is remembered; 0: none is. What is on the disk
    /// is not asked, since a worker waits for no disk: at the limit only who has retained a message of that topic lately
    /// may replace it. It may have been deleted since, so beyond the limit nobody may.
    pub(crate) fn may_retain(
        &self,
        instance: &LocalInstance,
        publish: &Publish<'_>,
        replaced: u32,
    ) -> Result<(), Refusal> {
        let rules = instance.rules();
        let limits = &rules.document.limits;
        let (messages, bytes) = self.node.durable.retained(instance.shared.id);
        let messages = messages + u64::from(replaced == 0);
        let bytes = bytes.saturating_sub(u64::from(replaced)) + u64::from(retained_bytes(publish));
        let fits = messages <= limits.retained_messages_max && bytes <= limits.retained_bytes_max;
        if fits { Ok(()) } else { Err(Refusal::RetainedMax) }
    }

    /// A client has subscribed: retained messages that match are for it [MQTT-3.8.4-3].
    pub(crate) fn want_retained(&self, client: &Client, filter: &TopicFilter, granted: Granted) {
        let instance = &client.instance;
        let is_any = if policy::is_sys(filter) {
            sys_topics::is_said(filter)
        } else {
            self.node.durable.retained(instance.shared.id).0 > 0
        };
        if !is_any {
            return;
        }
        let left = instance.rules().document.limits.retained_per_subscribe_max;
        let mut queue = client.stored_or_new().retained.borrow_mut();
        let newest = queue.last_newer;
        let wanted = RetainedWanted { filter: filter.clone(), granted, after: None, left, newest };
        queue.forget(filter);
        queue.waiting.push_back(wanted);
        if client.lasting().is_some() {
            queue.writings = WRITINGS;
        }
    }

    /// Has retained messages looked up, if the client waits for some and takes them.
    pub(crate) fn ask_retained(&self, client: &Rc<Client>) {
        while self.ask_next_retained(client) {}
    }

    /// Sees to the first that is waited for; the answer is whether the next one is to be seen to at once.
    fn ask_next_retained(&self, client: &Rc<Client>) -> bool {
        let Some(stored) = client.stored() else { return false };
        let granted = {
            let queue = stored.retained.borrow();
            let next = queue.waiting.front().filter(|_| !queue.is_looking && queue.writings == 0);
            next.map(|wanted| wanted.granted.qos())
        };
        let Some(granted) = granted else { return false };
        if !has_window(client, granted) || !self.may_look_up(client) {
            return false;
        }
        let Some(wanted) = stored.retained.borrow_mut().pop() else { return false };
        if policy::is_sys(&wanted.filter) {
            let rest = self.tell_subscriber(client, wanted);
            let is_told = rest.is_none();
            stored.retained.borrow_mut().waiting.extend(rest);
            return is_told;
        }
        stored.retained.borrow_mut().is_looking = true;
        self.look_up(client, Lookup::Retained(wanted));
        false
    }

    /// Takes in a page of retained messages.
    pub(crate) fn take_retained(
        &self,
        client: &Rc<Client>,
        wanted: &RetainedWanted,
        page: &Result<RetainedPage, QueryError>,
    ) {
        let queue = &client.stored_or_new().retained;
        queue.borrow_mut().is_looking = false;
        if client.is_ending() {
            return;
        }
        match page {
            Ok(page) if is_subscribed(client, &wanted.filter) => {
                if let Some(wanted) = self.deliver_retained(client, wanted, page) {
                    queue.borrow_mut().waiting.push_front(wanted);
                }
            }
            Ok(_) => {}
            Err(QueryError::Busy) => {
                // Others are looking: it is asked for again, behind them.
                queue.borrow_mut().waiting.push_front(wanted.clone());
                return self.look_later(client, BUSY_WAIT);
            }
            Err(error) => {
                tracing::error!(%error, "retained messages cannot be looked up");
                client.instance.counts.dropped(DropReason::StorageUnavailable, 1);
            }
        }
        if queue.borrow().is_idle() {
            queue.borrow_mut().newer = HashMap::default();
        }
        self.ask_retained(client);
    }

    /// Delivers retained messages, as many as the client has room for now; the answer is what is still to come.
    fn deliver_retained(
        &self,
        client: &Rc<Client>,
        wanted: &RetainedWanted,
        page: &RetainedPage,
    ) -> Option<RetainedWanted> {
        let paces = client.instance.paces();
        let mut rendering = self.rendering.borrow_mut();
        let (mut left, mut after) = (wanted.left, wanted.after.clone());
        for record in &page.messages {
            left = left.saturating_sub(1);
            let Ok(envelope) = Envelope::from_record(&record.record) else {
                tracing::error!("a retained message cannot be read");
                continue;
            };
            let is_own = wanted.granted.is_no_local() && *envelope.publisher == *client.client_id;
            if !is_own && !is_overtaken(client, envelope.topic, wanted.newest) {
                let mut message = retained_message(&mut rendering, &Passing::of(&envelope));
                let granted = Wanted::Retained(wanted.granted);
                if !self.give(client, &mut message, granted, envelope.qos, &paces) {
                    return Some(RetainedWanted { after, left: left + 1, ..wanted.clone() });
                }
            }
            after = Some(envelope.topic.into());
        }
        let next = page.next.clone().filter(|_| left > 0)?;
        Some(RetainedWanted { after: Some(next), left, ..wanted.clone() })
    }

    /// The log has brought a retained message: to these it goes before what is being looked up for them.
    #[cold]
    pub(crate) fn note_retained(&self, targets: &[Target], topic: &str) {
        for target in targets {
            if let Some(client) = self.client(target.client()) {
                note_newer(&client, topic);
            }
        }
    }
}

/// Whether a client has room for a page: nothing waits for an acknowledgement of what it was sent, and where this is to be
/// acknowledged, too, half of what may be in flight is free. A page for each acknowledgement would cost more than what it
/// brings.
fn has_window(client: &Client, granted: Qos) -> bool {
    let session = client.session.borrow();
    let has_room = |session: &Session| {
        let window = usize::from(session.window());
        let room = window.saturating_sub(usize::from(session.in_flight()));
        session.waiting() == 0 && (granted == Qos::AtMostOnce || room >= window.div_ceil(2))
    };
    session.as_ref().is_some_and(has_room)
}

/// A retained message goes to a client, or will, from the log: what is being looked up of its topic no longer does.
pub(crate) fn note_newer(client: &Client, topic: &str) {
    let Some(stored) = client.stored() else { return };
    let mut queue = stored.retained.borrow_mut();
    if queue.is_idle() || queue.newer.len() >= NEWER_MAX && !queue.newer.contains_key(topic) {
        return;
    }
    queue.last_newer += 1;
    let number = queue.last_newer;
    queue.newer.insert(topic.into(), number);
}

/// Whether the log has brought a retained message of a topic since a subscription, which knows of those up to `newest`.
fn is_overtaken(client: &Client, topic: &str, newest: u64) -> bool {
    let newer = &client.stored_or_new().retained.borrow().newer;
    newer.get(topic).is_some_and(|number| *number > newest)
}

/// Bytes that a retained message is counted with; 0 for one that deletes.
pub(crate) fn retained_bytes(publish: &Publish<'_>) -> u32 {
    if publish.payload.is_empty() {
        return 0;
    }
    let bytes =
        RECORD_HEADER_BYTES + publish.topic.len() + publish.payload.len() + publish.content.size_bytes();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn is_subscribed(client: &Client, filter: &TopicFilter) -> bool {
    let session = client.session.borrow();
    session.as_ref().is_some_and(|session| session.subscriptions().any(|(held, _)| held == filter))
}

/// Something of a client's session is stored: with the last of it, SUBACK has gone.
pub(crate) fn note_written(client: &Client, is_all: bool) {
    if let Some(stored) = client.stored() {
        let mut queue = stored.retained.borrow_mut();
        queue.writings = if is_all { 0 } else { queue.writings.saturating_sub(1) };
    }
}
