//! The suite that every engine passes: what the traits promise, as functions that panic when it is not so. Each makes
//! engines of its own. [`log_conformance!`](crate::log_conformance) and its likes make one test of each function.
//! Not here: what only one engine does, like surviving a crash.
//!
//! ```ignore
//! engine::log_conformance!(|| MyEngine::in_a_new_directory());
//! engine::state_conformance!(|| MyDocuments::new());
//! ```

pub mod bus;
pub mod documents;
pub mod history;
pub mod leases;
pub mod log;
pub mod replay;
pub mod retained;
pub mod state;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use uuid::Uuid;

use crate::{
    Answer, Append, AppendError, Batch, BatchId, Committed, Envelope, History, Log, Replay, RetentionClass,
    Shard,
};

/// A fresh log, the history over it, and whatever has to live as long as they do.
pub trait Subject: Send + Sync + 'static {
    /// The log, with shard 0.
    fn log(&self) -> &dyn Log;
    /// What was stored in it.
    fn history(&self) -> &dyn History;
    /// The same, as it is given again.
    fn replay(&self) -> &dyn Replay;
}

/// How long anything is waited for before a promise counts as broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// The shard that is examined.
const SHARD: Shard = Shard(0);

const fn instance(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

const fn batch_id(number: u128) -> BatchId {
    BatchId(number.to_be_bytes())
}

/// A message of instance 1 with the payload.
const fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope {
        instance: instance(1),
        qos: Qos::AtLeastOnce,
        retain: false,
        retention: Some(RetentionClass::Day),
        history: true,
        expires_at: None,
        stored_at: UnixMillis(1_000),
        workers: 0,
        content: &[],
        topic,
        publisher: "somebody",
        payload,
    }
}

/// Properties as a message of MQTT 5.0 has them: a content type and a user property.
const CONTENT: &[u8] = b"\x03\0\x01t\x26\0\x01a\0\x01b";

/// A message of instance 1 with all that one can have.
const fn rich_message<'a>(topic: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    Envelope { content: CONTENT, expires_at: Some(UnixMillis(u64::MAX)), ..message(topic, payload) }
}

fn batch(messages: &[Envelope<'_>]) -> Batch {
    let mut batch = Batch::new();
    for message in messages {
        batch.append(message).expect("a message of a test fits");
    }
    batch
}

/// What completions say, in the order in which they are called.
struct Outcomes {
    said: SyncSender<Result<Committed, AppendError>>,
    heard: Receiver<Result<Committed, AppendError>>,
}

impl Outcomes {
    /// Room for so many: a completion never waits.
    fn new(room: usize) -> Self {
        let (said, heard) = sync_channel(room);
        Self { said, heard }
    }

    fn append(&self, id: u128, origin: u16, batch: Batch) -> Append {
        let said = self.said.clone();
        let completion = Box::new(move |outcome| said.try_send(outcome).expect("there is room for each"));
        Append { id: batch_id(id), origin, batch, completion }
    }

    fn submit(&self, log: &dyn Log, id: u128, origin: u16, batch: Batch) {
        log.submit(SHARD, self.append(id, origin, batch)).expect("a small batch is taken");
    }

    fn next(&self) -> Committed {
        self.heard.recv_timeout(PATIENCE).expect("a completion is called").expect("and says success")
    }
}

/// Appends one batch and waits for it.
fn append(log: &dyn Log, id: u128, messages: &[Envelope<'_>]) -> Committed {
    let outcomes = Outcomes::new(1);
    outcomes.submit(log, id, 0, batch(messages));
    outcomes.next()
}

/// The answer, waited for on this thread.
pub fn wait<T>(mut answer: Answer<'_, T>) -> T {
    struct Thread(std::thread::Thread);
    impl Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Thread(std::thread::current())));
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// One test of each of the functions.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($part:ident, $make:expr; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::$part::$name($make);
        }
    )*};
}

/// Tests of a [`Log`] and the [`History`] over it; the argument makes a [`Subject`](crate::conformance::Subject).
#[macro_export]
macro_rules! log_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { log, $make;
            positions_have_no_gap
            a_batch_id_is_appended_once
            completions_come_in_submission_order_on_one_thread
            a_completion_may_submit
            a_follower_hears_every_batch_in_order
            what_was_trimmed_says_so
            what_is_ahead_is_refused
            what_is_no_batch_comes_back
            credit_is_each_origins_own
            credit_returns_with_each_completion
            an_engine_that_goes_calls_every_completion
        }
        $crate::conformance_tests! { history, $make;
            what_is_acknowledged_is_found
            instances_are_apart
            filters_match_as_mqtt_says
            selections_are_those_of_a_plain_search
            pages_make_the_whole
            rules_hide_what_is_too_old_or_too_much
            payloads_are_cut_and_answers_bounded
        }
    };
}

/// Tests of a [`Replay`](crate::Replay); the argument makes a [`Subject`](crate::conformance::Subject).
#[macro_export]
macro_rules! replay_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { replay, $make;
            what_is_acknowledged_is_replayed
            replays_are_those_of_a_plain_search
            backlogs_are_counted_as_they_are_replayed
            history_shows_only_what_is_for_it
            a_moment_has_a_position
        }
        $crate::conformance_tests! { retained, $make;
            the_last_message_of_a_topic_is_retained
            retained_messages_are_those_of_a_plain_search
            retained_messages_keep_their_content
            expired_messages_are_left_out
        }
    };
}

/// Tests of a [`State`](crate::State); the argument makes one.
#[macro_export]
macro_rules! state_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { state, $make;
            of_two_writers_one_succeeds
            revisions_grow_across_deletion
            a_scan_is_in_order_and_bounded
            a_scan_of_all_instances_is_in_order_and_bounded
            documents_of_instances_are_apart
            what_is_too_long_is_refused
        }
    };
}

/// Tests of what the log does to documents; the argument makes a [`Subject`](crate::conformance::Subject) that is a
/// [`State`](crate::State) too.
#[macro_export]
macro_rules! documents_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { documents, $make;
            changes_are_seen_with_their_batch
            a_change_is_met_by_who_compares
            retained_messages_are_documents
            a_retained_message_is_deleted_when_its_time_is_over
        }
    };
}

/// Tests of a [`Bus`](crate::Bus); the argument makes one.
#[macro_export]
macro_rules! bus_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { bus, $make;
            messages_arrive_in_order_where_they_are_for
            what_has_no_room_is_dropped_and_counted
            a_waiting_reader_is_woken
        }
    };
}

/// Tests of [`Leases`](crate::Leases); the argument makes some.
#[macro_export]
macro_rules! leases_conformance {
    ($make:expr) => {
        $crate::conformance_tests! { leases, $make;
            one_node_holds_a_lease
            epochs_grow
            a_lost_lease_is_not_renewed
        }
    };
}
