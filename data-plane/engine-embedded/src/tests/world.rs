//! An engine without threads over a disk in memory, with a clock that is set by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use contract::feed::TopicHistory;
use contract::ids::InstanceId;
use contract::message::{MessagesAnswer, Order};
use contract::qos::Qos;
use contract::time::UnixMillis;
use engine::{
    Append, AppendError, Batch, BatchId, Committed, Envelope, History, HistoryQuery, HistoryRules, Log, Pos,
    RefusedWhy, RetentionClass, Shard,
};
use uuid::Uuid;

use crate::documents::MemoryDocuments;
use crate::engine::{OpenError, assemble};
use crate::keeper;
use crate::memory_disk::{MemoryDisk, Stop};
use crate::options::{Options, SEGMENT_BYTES_MIN};
use crate::shared::Shared;
use crate::writer::Writer;

pub(crate) const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(7));
pub(crate) const SHARD: Shard = Shard(0);

/// When the tests begin.
pub(crate) const BEGIN: u64 = 1_800_000_000_000;

/// What outlives a process.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: MemoryDisk,
    pub(crate) documents: MemoryDocuments,
    pub(crate) time: Arc<AtomicU64>,
    pub(crate) options: Options,
}

/// A process.
pub(crate) struct Process {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) outcomes: Outcomes,
    submitted: u64,
}

/// What completions said, in the order in which they were called.
pub(crate) type Outcomes = Arc<Mutex<Vec<(u64, Result<Committed, AppendError>)>>>;

impl World {
    pub(crate) fn new() -> Self {
        Self::over(MemoryDisk::default())
    }

    pub(crate) fn over(disk: MemoryDisk) -> Self {
        let time = Arc::new(AtomicU64::new(BEGIN));
        let clock = Arc::clone(&time);
        let mut options = Options::new("");
        options.files = Some(Arc::new(disk.clone()));
        let documents = MemoryDocuments::default();
        options.documents = Some(Arc::new(documents.clone()));
        options.clock = Arc::new(move || UnixMillis(clock.load(Ordering::Relaxed)));
        options.segment_bytes = SEGMENT_BYTES_MIN;
        Self { disk, documents, time, options }
    }

    /// The same machine after a stop.
    pub(crate) fn after(&self, stop: Stop) -> Self {
        let mut world = Self::over(self.disk.after(stop));
        let kept = if stop == Stop::Process { usize::MAX } else { 0 };
        world.documents = self.documents.after_stop(kept);
        world.options.documents = Some(Arc::new(world.documents.clone()));
        world.options.segment_bytes = self.options.segment_bytes;
        world.options.stored_bytes_max = self.options.stored_bytes_max;
        world.set_time(self.time.load(Ordering::Relaxed));
        world
    }

    pub(crate) fn set_time(&self, millis: u64) {
        self.time.store(millis, Ordering::Relaxed);
    }

    pub(crate) fn start(&self) -> Process {
        self.try_start().expect("the engine opens")
    }

    pub(crate) fn try_start(&self) -> Result<Process, OpenError> {
        let (shared, writer) = assemble(&self.options)?;
        Ok(Process { shared, writer, outcomes: Outcomes::default(), submitted: 0 })
    }
}

/// One message of a test.
pub(crate) fn envelope<'a>(
    topic: &'a str,
    payload: &'a [u8],
    class: RetentionClass,
    at: u64,
) -> Envelope<'a> {
    Envelope {
        instance: INSTANCE,
        qos: Qos::AtLeastOnce,
        retain: false,
        retention: Some(class),
        history: true,
        expires_at: None,
        stored_at: UnixMillis(at),
        workers: 0,
        content: &[],
        topic,
        publisher: "p",
        payload,
    }
}

pub(crate) fn batch(messages: &[Envelope<'_>]) -> Batch {
    let mut batch = Batch::new();
    for message in messages {
        batch.append(message).expect("short enough");
    }
    batch
}

/// A batch of one message of 100 bytes and more, which says `number`.
pub(crate) fn numbered(number: u64, class: RetentionClass, at: u64) -> Batch {
    let payload = format!("{number:0100}");
    batch(&[envelope("t/a", payload.as_bytes(), class, at)])
}

/// Rules that show everything in `t`.
pub(crate) fn rules(now: u64) -> HistoryRules {
    let all = TopicHistory { retention_secs: u64::MAX / 1000, retention_bytes: None, since: UnixMillis(0) };
    HistoryRules { now: UnixMillis(now), topics: BTreeMap::from([("t".into(), all)]) }
}

impl Process {
    /// Hands a batch in; its id and the name of its outcome is `number`.
    pub(crate) fn submit(&mut self, number: u64, batch: Batch) -> Result<(), RefusedWhy> {
        let outcomes = Arc::clone(&self.outcomes);
        let completion = move |outcome| outcomes.lock().expect("no panic").push((number, outcome));
        let id = BatchId(u128::from(number).to_le_bytes());
        let append = Append { id, origin: 0, batch, completion: Box::new(completion) };
        self.shared.submit(SHARD, append).map_err(|it| it.why)?;
        self.submitted += 1;
        Ok(())
    }

    /// Commits one batch by itself. False when it is not acknowledged.
    pub(crate) fn append(&mut self, number: u64, batch: Batch) -> bool {
        if self.submit(number, batch).is_err() {
            return false;
        }
        self.writer.step();
        self.last().is_ok()
    }

    /// Commits one numbered message of a class of a day.
    pub(crate) fn say(&mut self, number: u64) -> bool {
        let now = self.shared.now().0;
        self.append(number, numbered(number, RetentionClass::Day, now))
    }

    pub(crate) fn last(&self) -> Result<Committed, AppendError> {
        self.outcomes.lock().expect("no panic").last().expect("something was completed").1
    }

    /// What the view's thread does in a round.
    pub(crate) fn keep(&self) {
        keeper::round(&self.shared);
    }

    pub(crate) fn query(&self, query: &HistoryQuery) -> MessagesAnswer {
        self.shared.query(INSTANCE, query, &rules(self.shared.now().0)).expect("the history answers")
    }

    /// Every stored message, oldest first, page by page: where it stands and the number it says.
    pub(crate) fn stored(&self) -> Vec<(Pos, u64)> {
        let mut query = HistoryQuery { order: Order::Oldest, limit: 7, ..HistoryQuery::default() };
        let mut stored = Vec::new();
        loop {
            let answer = self.query(&query);
            stored.extend(answer.items.iter().map(|it| {
                let text = std::str::from_utf8(&it.payload.0).expect("a number");
                (Pos::from(it.id), text.parse::<u64>().expect("a number"))
            }));
            query.after = answer.next;
            if query.after.is_none() {
                return stored;
            }
        }
    }

    /// The numbers of [`Process::stored`].
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.stored().into_iter().map(|it| it.1).collect()
    }

    /// Everything in the log from there on: record and number.
    pub(crate) fn read(&self, mut from: Pos) -> Vec<(u64, u64)> {
        let mut read = Vec::new();
        loop {
            let page = self.shared.read(SHARD, from, 300).expect("the log is read");
            if page.batches.is_empty() {
                return read;
            }
            for batch in &page.batches {
                let payload = batch.batch.iter().next().expect("a message").expect("whole").payload;
                let text = std::str::from_utf8(payload).expect("a number");
                read.push((batch.record, text.parse::<u64>().expect("a number")));
            }
            from = page.next;
        }
    }
}
