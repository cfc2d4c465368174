//! Lasting sessions from their documents, when the node starts: each is with its worker before the first client is let
//! in. Those of instances that the node does not know lie dormant until it does.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use engine::{Answer, Key, SCAN_MAX, State, StateError};
use router::WorkerId;
use session::{Lasting, Part, StoredParts};

use crate::clock::unix_now;
use crate::command::Command;
use crate::instances::Instance;
use crate::lasting::{Place, kept_filters};
use crate::local_instance::LocalInstance;
use crate::node::Node;
use crate::worker::Worker;

/// The documents of one session.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    session: Option<Vec<u8>>,
    progress: Option<Vec<u8>>,
    received: Option<Vec<u8>>,
}

/// The documents of sessions, by instance and client identifier.
pub(crate) type StoredSessions = BTreeMap<InstanceId, BTreeMap<Box<str>, Stored>>;

/// A session on its way to its worker.
pub(crate) struct Restored {
    pub(crate) shared: Arc<Instance>,
    client_id: Box<str>,
    /// None: what is stored of it cannot be read.
    lasting: Option<Box<Lasting>>,
}

/// Sessions whose instances are not known, and those that wait for their worker to come to their instance.
#[derive(Default)]
pub(crate) struct Dormant {
    /// There may be some.
    is_used: AtomicBool,
    sessions: Mutex<DormantSessions>,
}

#[derive(Default)]
struct DormantSessions {
    asleep: StoredSessions,
    awake: HashMap<(InstanceId, WorkerId), Vec<Restored>>,
}

impl Stored {
    fn restore(&self, now: UnixMillis) -> Option<Box<Lasting>> {
        let parts = StoredParts {
            session: self.session.as_deref()?,
            progress: self.progress.as_deref(),
            received: self.received.as_deref(),
        };
        let mut lasting = Box::new(Lasting::restore(&parts).ok()?);
        if lasting.detached_at().is_none() {
            // It was connected when the node went down.
            lasting.set_detached_at(Some(now));
        }
        Some(lasting)
    }
}

/// Reads the documents of all sessions. Blocks until they are there.
pub(crate) fn read(state: &dyn State) -> Result<StoredSessions, StateError> {
    let mut sessions = StoredSessions::new();
    for part in Part::ALL {
        let prefix = part.prefix().as_bytes();
        let mut after: Option<(InstanceId, Key)> = None;
        loop {
            let from = after.as_ref().map(|(instance, key)| (*instance, key));
            let page = wait(state.scan_all(prefix, from, SCAN_MAX))?;
            let Some((instance, key, _)) = page.last() else { break };
            after = Some((*instance, key.clone()));
            for (instance, key, document) in page {
                let Some(client_id) = client_id(&key, prefix) else { continue };
                let stored = sessions.entry(instance).or_default().entry(client_id.into()).or_default();
                *match part {
                    Part::Session => &mut stored.session,
                    Part::Progress => &mut stored.progress,
                    Part::Received => &mut stored.received,
                } = Some(document.body);
            }
        }
    }
    Ok(sessions)
}

/// Waits on this thread, which may be any: nothing is served yet.
pub(crate) fn wait<T>(mut answer: Answer<'_, T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn client_id<'a>(key: &'a Key, prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.as_bytes().strip_prefix(prefix)?).ok()
}

/// Brings sessions to their instances: from here on messages are logged for them. The answer is what each worker has to
/// take in before anybody is let in.
pub(crate) fn distribute(node: &Node, stored: StoredSessions) -> Vec<Vec<Restored>> {
    let mut of_workers: Vec<_> = node.commands.iter().map(|_| Vec::new()).collect();
    let mut asleep = StoredSessions::new();
    let (mut count, mut damaged) = (0_usize, 0_usize);
    for (instance, sessions) in stored {
        let Some(rules) = node.replica.instance(instance) else {
            asleep.insert(instance, sessions);
            continue;
        };
        let shared = node.instances.get(instance, &rules.document.limits, node.clock.micros());
        for (worker, restored) in wake(&shared, sessions) {
            count += 1;
            damaged += usize::from(restored.lasting.is_none());
            of_workers[worker.index()].push(restored);
        }
    }
    let dormant: usize = asleep.values().map(BTreeMap::len).sum();
    if count + dormant > 0 {
        tracing::info!(sessions = count, damaged, dormant, "lasting sessions are restored");
    }
    node.dormant.put(asleep);
    of_workers
}

/// Reads sessions, and has messages logged for them.
fn wake(
    shared: &Arc<Instance>,
    sessions: BTreeMap<Box<str>, Stored>,
) -> impl Iterator<Item = (WorkerId, Restored)> {
    let now = unix_now();
    sessions.into_iter().map(move |(client_id, stored)| {
        let lasting = stored.restore(now);
        shared.add_session();
        if let Some(lasting) = &lasting {
            let mut routes = shared.routes.write().unwrap_or_else(PoisonError::into_inner);
            for filter in kept_filters(lasting) {
                if let Err(refusal) = routes.insert_lasting(filter) {
                    tracing::error!(reason = refusal.name(), "a filter of a stored session is refused");
                }
            }
        } else {
            tracing::error!(
                instance.id = %shared.id, client.id = &*client_id,
                "a stored session cannot be read: its client is refused until it asks for a clean one"
            );
        }
        (shared.worker_of(&client_id), Restored { shared: Arc::clone(shared), client_id, lasting })
    })
}

impl Dormant {
    fn put(&self, asleep: StoredSessions) {
        self.is_used.store(!asleep.is_empty(), Ordering::Release);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).asleep = asleep;
    }

    /// A worker has come to an instance: the answer is what it has to take in, and whether others have too: the first one
    /// wakes the sessions of all.
    fn take(&self, shared: &Arc<Instance>, worker: WorkerId) -> (Vec<Restored>, bool) {
        if !self.is_used.load(Ordering::Acquire) {
            return (Vec::new(), false);
        }
        let mut dormant = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = dormant.asleep.remove(&shared.id);
        let is_first = asleep.is_some();
        for (worker, restored) in wake(shared, asleep.unwrap_or_default()) {
            dormant.awake.entry((shared.id, worker)).or_default().push(restored);
        }
        let restored = dormant.awake.remove(&(shared.id, worker)).unwrap_or_default();
        let is_used = !dormant.asleep.is_empty() || !dormant.awake.is_empty();
        self.is_used.store(is_used, Ordering::Release);
        (restored, is_first)
    }
}

impl Worker {
    /// Takes in sessions that were restored, before its first client.
    pub(crate) fn take_restored(&self, restored: Vec<Restored>) {
        // Nobody is obeyed before the last of them is there.
        self.round_is_open.set(true);
        self.restore_all(restored);
        self.round_is_open.set(false);
        self.open_round();
    }

    fn restore_all(&self, restored: Vec<Restored>) {
        for session in restored {
            // It was known a moment ago; sessions of one that has gone since lie in their documents until the next start.
            let Some(rules) = self.node.replica.instance(session.shared.id) else { continue };
            let instance = self.guard(|| self.local_instance(&session.shared, rules));
            if let Some(instance) = instance {
                self.restore_session(&instance, session);
            }
        }
    }

    /// Takes in what has lain dormant of an instance that this worker has come to.
    pub(crate) fn wake_sessions(&self, instance: &Rc<LocalInstance>) {
        let (sessions, is_first) = self.node.dormant.take(&instance.shared, self.id);
        for session in sessions {
            self.restore_session(instance, session);
        }
        if !is_first {
            return;
        }
        for worker in instance.shared.workers().iter().filter(|worker| **worker != self.id) {
            // One that has no room for it comes to the instance with its first client there.
            let _ = self.node.commands_of(*worker).try_send(Command::Wake(Arc::clone(&instance.shared)));
        }
    }

    /// Another worker has woken the sessions of an instance: what is due of those that are here must not wait until
    /// somebody comes.
    pub(crate) fn wake_instance(&self, shared: &Arc<Instance>) {
        if let Some(rules) = self.node.replica.instance(shared.id) {
            let _ = self.local_instance(shared, rules);
        }
    }

    fn restore_session(&self, instance: &Rc<LocalInstance>, session: Restored) {
        let Restored { client_id, lasting, .. } = session;
        let place = lasting.map_or(Place::Damaged, Place::Away);
        let session = self.add_session(instance, client_id.into(), place);
        let grace_millis = self.node.config.session.restart_grace_secs * 1_000;
        session.will_not_before.set(UnixMillis(unix_now().0 + grace_millis));
        // A failure costs this one its will or its end, and no other anything.
        self.guard(|| self.sweep_session(&session));
    }
}
