//! A log for tests: it is in memory, and stores when the test lets it, or not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use contract::ids::InstanceId;
use contract::message::{MessageId, MessagesAnswer};
use engine::{
    Append, AppendError, Bounds, Committed, CommittedBatch, Durability, FollowError, Follower, FoundMessage,
    History, HistoryQuery, HistoryRules, Log, Page, Pos, QueryError, ReadError, Refused, RefusedWhy, Shard,
};

use crate::durable::{Engine, Health};
use crate::testing::wait_for;

/// What each worker may have under way.
pub(crate) const CREDIT: usize = 8 * 1024 * 1024;

/// The log; held by the test and by the node.
pub(crate) struct HeldLog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Taken and not completed, the oldest first.
    taken: VecDeque<Append>,
    followers: Vec<Follower>,
    /// In log order.
    stored: Vec<CommittedBatch>,
    is_held: bool,
    /// What is taken is not stored.
    loses: bool,
    refuses: Option<RefusedWhy>,
    credit: usize,
}

impl HeldLog {
    /// A log that stores at once.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { credit: CREDIT, ..State::default() };
        let log = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
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
        Engine {
            log: Arc::clone(self) as Arc<dyn Log>,
            history: Arc::clone(self) as Arc<dyn History>,
            health: Arc::new(health),
        }
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
        let state = self.lock();
        let envelopes = state.stored.iter().flat_map(|batch| batch.batch.iter());
        envelopes.map(|it| String::from_utf8_lossy(it.expect("written here").payload).into_owned()).collect()
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
    if loses {
        for append in taken {
            (append.completion)(Err(AppendError::NotStored));
        }
        return;
    }
    let mut state = log.lock();
    let from = state.stored.len() as u64 + 1;
    let mut completions = Vec::new();
    let mut batches = Vec::new();
    for (record, append) in (from..).zip(taken) {
        let Append { id, origin, batch, completion } = append;
        completions
            .push((completion, Committed { record, messages: batch.len(), durability: Durability::Process }));
        batches.push(CommittedBatch { record, id, origin, batch });
    }
    state.stored.extend_from_slice(&batches);
    let mut followers = std::mem::take(&mut state.followers);
    drop(state);
    for (completion, committed) in completions {
        completion(Ok(committed));
    }
    let batches = batches.into();
    for follower in &mut followers {
        follower(&batches);
    }
    log.lock().followers.append(&mut followers);
}

impl Log for HeldLog {
    fn submit(&self, _shard: Shard, append: Append) -> Result<(), Refused> {
        assert!(append.is_valid(), "{append:?}");
        if let Some(why) = self.lock().refuses {
            return Err(append.refused(why));
        }
        if append.batch.as_bytes().len() > self.room_bytes(Shard(0), append.origin) {
            return Err(append.refused(RefusedWhy::NoRoom));
        }
        self.change(|state| state.taken.push_back(append));
        Ok(())
    }

    fn room_bytes(&self, _shard: Shard, origin: u16) -> usize {
        let state = self.lock();
        let own = state.taken.iter().filter(|append| append.origin == origin);
        let taken: usize = own.map(|append| append.batch.as_bytes().len()).sum();
        if state.refuses.is_some() { 0 } else { state.credit.saturating_sub(taken) }
    }

    fn read(&self, _shard: Shard, _from: Pos, _bytes_max: usize) -> Result<Page, ReadError> {
        Err(ReadError::Failed)
    }

    fn bounds(&self, _shard: Shard) -> Result<Bounds, ReadError> {
        Err(ReadError::Failed)
    }

    fn trim(&self, _shard: Shard, _before: Pos) -> Result<(), ReadError> {
        Err(ReadError::Failed)
    }

    fn follow(&self, _shard: Shard, follower: Follower) -> Result<Pos, FollowError> {
        self.change(|state| state.followers.push(follower));
        Ok(Pos::of_record(self.lock().stored.len() as u64 + 1))
    }
}

/// Nothing is found again in it.
impl History for HeldLog {
    fn query(&self, _: InstanceId, _: &HistoryQuery, _: &HistoryRules) -> Result<MessagesAnswer, QueryError> {
        Err(QueryError::Failed)
    }

    fn get(&self, _: InstanceId, _: MessageId, _: &HistoryRules) -> Result<FoundMessage, QueryError> {
        Err(QueryError::Failed)
    }
}
