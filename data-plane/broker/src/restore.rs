//! Lasting sessions from their documents, when the node starts: each is with its worker before the first client is let
//! in. Those of instances that the node does not know lie dormant until it does.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::subscription::{SHARED_PREFIX, SubscriptionFilter};
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Answer, Key, Pos, SCAN_MAX, State, StateError};
use router::WorkerId;
use session::{GROUP_PREFIX, Lasting, Millis, Part, StoredParts};

use crate::clock::unix_now;
use crate::command::Command;
use crate::groups::{GroupText, SharedGroup, StoredGroups};
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

/// What is stored of one instance.
#[derive(Debug, Default)]
pub(crate) struct StoredInstance {
    /// By client identifier.
    sessions: BTreeMap<Box<str>, Stored>,
    groups: StoredGroups,
}

/// The documents of sessions and of shared subscriptions, by instance.
pub(crate) type StoredSessions = BTreeMap<InstanceId, StoredInstance>;

/// Something on its way to its worker.
pub(crate) struct Restored {
    pub(crate) shared: Arc<Instance>,
    what: What,
}

enum What {
    /// A session; without, if what is stored of it cannot be read.
    Session(Box<str>, Option<Box<Lasting>>),
    /// A shared subscription, at its home; false: how far it has come cannot be read.
    Group(Arc<SharedGroup>, bool),
    /// The document of one that has ended.
    Stale(Vec<u8>),
}

/// The members of a group as their sessions say it.
struct OfSessions {
    group: Box<str>,
    filter: TopicFilter,
    /// The smallest of theirs.
    since: Pos,
    members: Vec<(Box<str>, Qos)>,
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

/// Reads the documents of all sessions and shared subscriptions. Blocks until they are there.
pub(crate) fn read(state: &dyn State) -> Result<StoredSessions, StateError> {
    let mut found = StoredSessions::new();
    for part in Part::ALL {
        scan(state, part.prefix(), |instance, client_id, body| {
            let sessions = &mut found.entry(instance).or_default().sessions;
            let stored = sessions.entry(client_id.into()).or_default();
            *match part {
                Part::Session => &mut stored.session,
                Part::Progress => &mut stored.progress,
                Part::Received => &mut stored.received,
            } = Some(body);
        })?;
    }
    scan(state, GROUP_PREFIX, |instance, name, body| {
        found.entry(instance).or_default().groups.insert(name.into(), body);
    })?;
    Ok(found)
}

/// Shows the documents whose keys begin so, each with the rest of its key.
fn scan(
    state: &dyn State,
    prefix: &str,
    mut show: impl FnMut(InstanceId, &str, Vec<u8>),
) -> Result<(), StateError> {
    let prefix = prefix.as_bytes();
    let mut after: Option<(InstanceId, Key)> = None;
    loop {
        let from = after.as_ref().map(|(instance, key)| (*instance, key));
        let page = wait(state.scan_all(prefix, from, SCAN_MAX))?;
        let Some((instance, key, _)) = page.last() else { return Ok(()) };
        after = Some((*instance, key.clone()));
        for (instance, key, document) in page {
            if let Some(name) = name(&key, prefix) {
                show(instance, name, document.body);
            }
        }
    }
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

fn name<'a>(key: &'a Key, prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.as_bytes().strip_prefix(prefix)?).ok()
}

/// Brings sessions to their instances: from here on messages are logged for them. The answer is what each worker has to
/// take in before anybody is let in.
pub(crate) fn distribute(node: &Node, stored: StoredSessions) -> Vec<Vec<Restored>> {
    let mut of_workers: Vec<_> = node.commands.iter().map(|_| Vec::new()).collect();
    let mut asleep = StoredSessions::new();
    let (mut sessions, mut groups, mut damaged) = (0_usize, 0_usize, 0_usize);
    for (instance, stored) in stored {
        let Some(rules) = node.replica.instance(instance) else {
            asleep.insert(instance, stored);
            continue;
        };
        let shared = node.instances.get(instance, &rules.document.limits, node.clock.micros());
        for (worker, restored) in wake(&shared, stored, Millis(node.clock.micros() / 1_000)) {
            match &restored.what {
                What::Session(_, lasting) => {
                    sessions += 1;
                    damaged += usize::from(lasting.is_none());
                }
                What::Group(_, is_read) => {
                    groups += 1;
                    damaged += usize::from(!is_read);
                }
                What::Stale(_) => {}
            }
            of_workers[worker.index()].push(restored);
        }
    }
    let dormant: usize = asleep.values().map(|stored| stored.sessions.len()).sum();
    if sessions + dormant > 0 {
        tracing::info!(sessions, groups, damaged, dormant, "lasting sessions are restored");
    }
    node.dormant.put(asleep);
    of_workers
}

/// Reads what is stored of an instance, and has messages logged for its sessions and groups.
fn wake(shared: &Arc<Instance>, stored: StoredInstance, now: Millis) -> Vec<(WorkerId, Restored)> {
    let mut woken = Vec::new();
    let (mut groups, mut is_whole) = (BTreeMap::new(), true);
    let unix_now = unix_now();
    for (client_id, stored) in stored.sessions {
        let lasting = stored.restore(unix_now);
        shared.add_session();
        if let Some(lasting) = &lasting {
            keep_filters(shared, lasting);
            note_groups(&mut groups, &client_id, lasting);
        } else {
            is_whole = false;
            tracing::error!(
                instance.id = %shared.id, client.id = &*client_id,
                "a stored session cannot be read: its client is refused until it asks for a clean one"
            );
        }
        let worker = shared.worker_of(&client_id);
        let what = What::Session(client_id, lasting);
        woken.push((worker, Restored { shared: Arc::clone(shared), what }));
    }
    wake_groups(shared, groups, stored.groups, is_whole, now, &mut woken);
    woken
}

fn keep_filters(shared: &Instance, lasting: &Lasting) {
    let mut routes = shared.routes.write().unwrap_or_else(PoisonError::into_inner);
    for filter in kept_filters(lasting) {
        if let Err(refusal) = routes.insert_lasting(filter) {
            tracing::error!(reason = refusal.name(), "a filter of a stored session is refused");
        }
    }
}

fn note_groups(groups: &mut BTreeMap<TopicFilter, OfSessions>, client_id: &str, lasting: &Lasting) {
    for (text, granted, since) in lasting.subscriptions() {
        let Ok(SubscriptionFilter::Shared { group, filter }) = SubscriptionFilter::of(text.clone()) else {
            continue;
        };
        let new = || OfSessions { group, filter, since, members: Vec::new() };
        let held = groups.entry(text.clone()).or_insert_with(new);
        held.since = held.since.min(since);
        held.members.push((client_id.into(), granted.qos()));
    }
}

/// Brings together what sessions and documents say of groups. A document without a group is one whose deletion was not
/// stored, as long as all sessions could be read.
fn wake_groups(
    shared: &Arc<Instance>,
    groups: BTreeMap<TopicFilter, OfSessions>,
    mut documents: StoredGroups,
    is_whole: bool,
    now: Millis,
    woken: &mut Vec<(WorkerId, Restored)>,
) {
    for (text, OfSessions { group, filter, since, members }) in groups {
        let name = text.as_str().strip_prefix(SHARED_PREFIX).unwrap_or_default();
        let document = documents.remove(name);
        let wanted = GroupText { text: &text, name: &group, filter: &filter };
        match shared.restore_group(wanted, members, since, document.as_deref(), now) {
            Ok((group, is_read)) => {
                if !is_read {
                    tracing::error!(
                        instance.id = %shared.id, group = text.as_str(),
                        "how far a shared subscription has come cannot be read: it begins with its first member"
                    );
                }
                woken.push((
                    group.home,
                    Restored { shared: Arc::clone(shared), what: What::Group(group, is_read) },
                ));
            }
            Err(refusal) => {
                tracing::error!(reason = refusal.name(), "a shared filter of a stored session is refused");
            }
        }
    }
    for (name, _) in documents.into_iter().filter(|_| is_whole) {
        let text = [SHARED_PREFIX, &name].concat();
        let key = [GROUP_PREFIX, &name].concat().into_bytes();
        let what = What::Stale(key);
        woken.push((shared.worker_of(&text), Restored { shared: Arc::clone(shared), what }));
    }
}

impl Dormant {
    fn put(&self, asleep: StoredSessions) {
        self.is_used.store(!asleep.is_empty(), Ordering::Release);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).asleep = asleep;
    }

    /// A worker has come to an instance: the answer is what it has to take in, and whether others have too: the first one
    /// wakes the sessions of all.
    fn take(&self, shared: &Arc<Instance>, worker: WorkerId, now: Millis) -> (Vec<Restored>, bool) {
        if !self.is_used.load(Ordering::Acquire) {
            return (Vec::new(), false);
        }
        let mut dormant = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = dormant.asleep.remove(&shared.id);
        let is_first = asleep.is_some();
        for (worker, restored) in wake(shared, asleep.unwrap_or_default(), now) {
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
        for restored in restored {
            // It was known a moment ago; what is of one that has gone since lies in its documents until the next start.
            let Some(rules) = self.node.replica.instance(restored.shared.id) else { continue };
            let instance = self.guard(|| self.local_instance(&restored.shared, rules));
            if let Some(instance) = instance {
                self.restore(&instance, restored);
            }
        }
    }

    /// Takes in what has lain dormant of an instance that this worker has come to.
    pub(crate) fn wake_sessions(&self, instance: &Rc<LocalInstance>) {
        let (restored, is_first) = self.node.dormant.take(&instance.shared, self.id, self.millis());
        for restored in restored {
            self.restore(instance, restored);
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

    fn restore(&self, instance: &Rc<LocalInstance>, restored: Restored) {
        match restored.what {
            What::Session(client_id, lasting) => self.restore_session(instance, client_id, lasting),
            // A failure costs this one its progress, and no other anything.
            What::Group(group, _) => drop(self.guard(|| self.open_home(instance, &group))),
            What::Stale(key) => drop(self.guard(|| self.delete_stale_group(instance, &key))),
        }
    }

    fn restore_session(
        &self,
        instance: &Rc<LocalInstance>,
        client_id: Box<str>,
        lasting: Option<Box<Lasting>>,
    ) {
        let place = lasting.map_or(Place::Damaged, Place::Away);
        let session = self.add_session(instance, client_id.into(), place);
        let grace_millis = self.node.config.session.restart_grace_secs * 1_000;
        session.will_not_before.set(UnixMillis(unix_now().0 + grace_millis));
        // A failure costs this one its will or its end, and no other anything.
        self.guard(|| self.sweep_session(&session));
    }
}
