//! A log for tests: an engine in memory behind a gate, which stores when the test lets it, or not at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::memory::{Memory, MemoryOptions};
use engine::{
    Append, AppendError, Backlog, Bounds, Durability, FollowError, Follower, Key, Log, Page, Pos, QueryError,
    RETAINED_PREFIX, ReadError, Refused, RefusedWhy, Replay, ReplayPage, ReplayQuery, RetainedPage, SCAN_MAX,
    Shard, State as _,
};

use crate::clock::unix_now;
use crate::durable::{Engine, Health, SHARD};
use crate::restore;
use crate::testing::wait_for;

/// What each worker may have under way.
pub(crate) const CREDIT: usize = 8 * 1024 * 1024;

/// The log; held by the test and by the node.
pub(crate) struct HeldLog {
    memory: Arc<Memory>,
    state: Mutex<State>,
    changed: Condvar,
    /// Pages that were read for sessions, groups and replays.
    pages_read: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Taken and not handed on, the oldest first.
    taken: VecDeque<Append>,
    is_held: bool,
    /// What is taken is not stored.
    loses: bool,
    refuses: Option<RefusedWhy>,
    credit: usize,
    /// The disk is nearly full.
    is_nearly_full: bool,
}

impl HeldLog {
    /// A log that stores at once.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { credit: CREDIT, ..State::default() };
        let memory = Arc::new(Memory::start(MemoryOptions::new(unix_now)));
        let log = Arc::new(Self {
            memory,
            state: Mutex::new(state),
            changed: Condvar::new(),
            pages_read: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&log);
        std::thread::spawn(move || run(&weak));
        log
    }

    pub(crate) fn engine(self: &Arc<Self>) -> Engine {
        let this = Arc::clone(self);
        let health = move || match this.lock().refuses {
            Some(why) => Health::Fails(why.to_string()),
            None => Health::Good,
        };
        let this = Arc::clone(self);
        let history_stops = move || this.lock().is_nearly_full;
        let memory = Arc::clone(&self.memory);
        let retained = move |instance| {
            let prefix = RETAINED_PREFIX.as_bytes();
            let found = restore::wait(memory.scan(instance, prefix, None, SCAN_MAX)).expect("is in memory");
            let bytes = found.iter().map(|(_, document)| document.body.len() as u64).sum();
            (found.len() as u64, bytes)
        };
        Engine {
            log: Arc::clone(self) as Arc<dyn Log>,
            history: Arc::clone(&self.memory) as _,
            state: Arc::clone(&self.memory) as _,
            replay: Arc::clone(self) as _,
            retained: Arc::new(retained),
            health: Arc::new(health),
            history_stops: Arc::new(history_stops),
            durability: Durability::Process,
        }
    }

    /// From now on nothing is stored for the history alone, or is again.
    pub(crate) fn fill_disk(&self, is_nearly_full: bool) {
        self.change(|state| state.is_nearly_full = is_nearly_full);
    }

    /// Puts something that is none in the place of a document.
    pub(crate) fn damage(&self, instance: InstanceId, key: &str) {
        let key = Key::new(key.as_bytes()).expect("a key");
        let found = restore::wait(self.memory.load(instance, &key)).expect("is in memory");
        let rev = found.expect("is there").rev;
        restore::wait(self.memory.put(instance, &key, b"?".to_vec(), rev)).expect("is put");
    }

    /// Puts a document where there is none.
    pub(crate) fn plant(&self, instance: InstanceId, key: &str, body: Vec<u8>) {
        let key = Key::new(key.as_bytes()).expect("a key");
        restore::wait(self.memory.put(instance, &key, body, engine::Rev(0))).expect("is put");
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Takes, and completes nothing until [`HeldLog::release`].
    pub(crate) fn hold(&self) {
        self.change(|state| state.is_held = true);
    }

    /// Completes what it has and whatever comes.
    pub(crate) fn release(&self) {
        self.change(|state| state.is_held = false);
    }

    /// What it takes, and has, will not be stored.
    pub(crate) fn lose(&self, loses: bool) {
        self.change(|state| state.loses = loses);
    }

    /// Takes nothing, for this reason.
    pub(crate) fn refuse(&self, why: Option<RefusedWhy>) {
        self.change(|state| state.refuses = why);
    }

    /// What each worker may have under way from now on.
    pub(crate) fn set_credit(&self, bytes: usize) {
        self.change(|state| state.credit = bytes);
    }

    /// Pages that were read so far for sessions, groups and replays.
    pub(crate) fn pages_read(&self) -> u64 {
        self.pages_read.load(Ordering::Relaxed)
    }

    /// Whether it has taken something and not completed it.
    pub(crate) fn is_holding(&self) -> bool {
        !self.lock().taken.is_empty()
    }

    /// Messages that it has taken and not completed.
    pub(crate) fn held_messages(&self) -> u32 {
        self.lock().taken.iter().map(|append| append.batch.len()).sum()
    }

    /// Waits until it holds so many messages.
    pub(crate) async fn wait_held(&self, messages: u32) {
        wait_for("messages in the log's hands", async || self.held_messages() >= messages).await;
        assert_eq!(self.held_messages(), messages);
    }

    /// The payloads of what is stored, in the order of the log.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let page = self.memory.read(SHARD, Pos::START, usize::MAX).expect("nothing is trimmed");
        let envelopes = page.batches.iter().flat_map(|batch| batch.batch.iter());
        envelopes.map(|it| String::from_utf8_lossy(it.expect("written here").payload).into_owned()).collect()
    }

    /// The keys of documents of an instance that begin so.
    pub(crate) fn keys(&self, instance: InstanceId, prefix: &str) -> Vec<String> {
        let found = restore::wait(self.memory.scan(instance, prefix.as_bytes(), None, SCAN_MAX));
        let found = found.expect("is in memory").into_iter();
        found.map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
    }

    /// What a document holds.
    pub(crate) fn body(&self, instance: InstanceId, key: &str) -> Option<Vec<u8>> {
        let key = Key::new(key.as_bytes()).expect("a key");
        restore::wait(self.memory.load(instance, &key)).expect("is in memory").map(|document| document.body)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log's thread: ends when nobody has the log any more.
fn run(log: &Weak<HeldLog>) {
    while let Some(log) = log.upgrade() {
        let state = log.lock();
        let wait = std::time::Duration::from_millis(20);
        let is_idle = |state: &mut State| state.is_held || state.taken.is_empty();
        let (mut state, _) =
            log.changed.wait_timeout_while(state, wait, is_idle).unwrap_or_else(PoisonError::into_inner);
        if !is_idle(&mut state) {
            let taken = std::mem::take(&mut state.taken);
            let loses = state.loses;
            drop(state);
            complete(&log, taken, loses);
        }
    }
}

fn complete(log: &HeldLog, taken: VecDeque<Append>, loses: bool) {
    for append in taken {
        if loses {
            (append.completion)(Err(AppendError::NotStored));
        } else {
            log.memory.submit(SHARD, append).expect("its bounds are as wide as the gate's");
        }
    }
}

impl Log for HeldLog {
    fn submit(&self, shard: Shard, append: Append) -> Result<(), Refused> {
        assert!(append.is_valid(), "{append:?}");
        if let Some(why) = self.lock().refuses {
            return Err(append.refused(why));
        }
        if append.batch.as_bytes().len() > self.room_bytes(shard, append.origin) {
            return Err(append.refused(RefusedWhy::NoRoom));
        }
        self.change(|state| state.taken.push_back(append));
        Ok(())
    }

    fn room_bytes(&self, shard: Shard, origin: u16) -> usize {
        let state = self.lock();
        let own = state.taken.iter().filter(|append| append.origin == origin);
        let taken: usize = own.map(|append| append.batch.as_bytes().len()).sum();
        let under_way = CREDIT - self.memory.room_bytes(shard, origin);
        if state.refuses.is_some() { 0 } else { state.credit.saturating_sub(taken + under_way) }
    }

    fn read(&self, shard: Shard, from: Pos, bytes_max: usize) -> Result<Page, ReadError> {
        self.memory.read(shard, from, bytes_max)
    }

    fn bounds(&self, shard: Shard) -> Result<Bounds, ReadError> {
        self.memory.bounds(shard)
    }

    fn trim(&self, shard: Shard, before: Pos) -> Result<(), ReadError> {
        self.memory.trim(shard, before)
    }

    fn follow(&self, shard: Shard, follower: Follower) -> Result<Pos, FollowError> {
        self.memory.follow(shard, follower)
    }
}

impl Replay for HeldLog {
    fn replay(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<ReplayPage, QueryError> {
        self.pages_read.fetch_add(1, Ordering::Relaxed);
        self.memory.replay(instance, query)
    }

    fn backlog(&self, instance: InstanceId, query: &ReplayQuery<'_>) -> Result<Backlog, QueryError> {
        self.memory.backlog(instance, query)
    }

    fn newest(
        &self,
        instance: InstanceId,
        query: &ReplayQuery<'_>,
        messages: u64,
        bytes: u64,
    ) -> Result<Pos, QueryError> {
        self.memory.newest(instance, query, messages, bytes)
    }

    fn position_at(&self, instance: InstanceId, time: UnixMillis) -> Result<Pos, QueryError> {
        self.memory.position_at(instance, time)
    }

    fn retained(
        &self,
        instance: InstanceId,
        filter: &TopicFilter,
        after: Option<&str>,
        now: UnixMillis,
        limit: usize,
    ) -> Result<RetainedPage, QueryError> {
        self.memory.retained(instance, filter, after, now, limit)
    }
}
