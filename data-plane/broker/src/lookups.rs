//! Looking up what is stored, for clients of the workers: on threads of its own, since it waits for the disk. What was
//! found is put before the worker's door, in one order with what the log shows it. It decides nothing: what is done
//! with it is the worker's business.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use contract::durability::QueueOverflow;
use contract::ids::InstanceId;
use contract::qos::Qos;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;
use engine::{Pos, QueryError, Replay, ReplayFilter, ReplayQuery, Replayed, RetainedPage};
use router::{ClientKey, WorkerId};
use session::Granted;

use crate::clock::unix_now;
use crate::crossing::Crossing;
use crate::metrics::DropReason;
use crate::readers::{Past, PastWanted, find_past};

/// Look-ups of one worker that may be under way: a client has one of each kind at most, and the others wait for it.
pub(crate) const LOOKUPS_PER_WORKER_MAX: usize = 256;

/// Threads that look things up.
pub(crate) const LOOKUP_THREADS: usize = 2;

/// What one page of a replay brings at most.
pub(crate) const PAGE_BYTES_MAX: usize = 256 * 1024;
pub(crate) const PAGE_MESSAGES_MAX: usize = 4_096;

/// Retained messages of one page.
const RETAINED_MAX: usize = 100;

/// A subscription, and from where on messages count for it.
pub(crate) type Since = (TopicFilter, Pos);

/// Something to look up.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) worker: WorkerId,
    /// For whom: a client, or a shared subscription.
    pub(crate) client: ClientKey,
    pub(crate) instance: InstanceId,
    pub(crate) wanted: Wanted,
}

/// What is to be looked up.
#[derive(Debug)]
pub(crate) enum Wanted {
    Page(PageWanted),
    Retained(RetainedWanted),
    Past(PastWanted),
}

/// A page of what was stored for a session.
#[derive(Clone, Debug)]
pub(crate) struct PageWanted {
    pub(crate) filters: Vec<Since>,
    pub(crate) from: Pos,
    pub(crate) to: Pos,
    /// As many messages as the session has room for.
    pub(crate) messages_max: usize,
    pub(crate) stored_since: UnixMillis,
    /// There when it is to be seen whether too much waits.
    pub(crate) bounds: Option<QueueBounds>,
    /// A range that is passed over: it was too much.
    pub(crate) skip: Option<(Pos, Pos)>,
}

/// What may wait for one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBounds {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) overflow: QueueOverflow,
}

/// Retained messages that a subscription matches.
#[derive(Clone, Debug)]
pub(crate) struct RetainedWanted {
    pub(crate) filter: TopicFilter,
    pub(crate) granted: Granted,
    /// Behind which topic to go on.
    pub(crate) after: Option<Box<str>>,
    /// How many more may come.
    pub(crate) left: u64,
    /// What the log had brought when it was subscribed to, as the client's queue counts it.
    pub(crate) newest: u64,
}

/// What was looked up for a client.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) client: ClientKey,
    pub(crate) found: Found,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    Page(Page),
    Retained(RetainedWanted, Result<RetainedPage, QueryError>),
    Past(Past),
}

/// A page of a session's messages.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) messages: Vec<Replayed>,
    /// Everything before has been looked at.
    pub(crate) next: Pos,
    /// Too much waited: from here on it goes. None: as was asked.
    pub(crate) begins: Option<Pos>,
    /// What is passed over, by reason.
    pub(crate) passed: Vec<(DropReason, u64)>,
    /// A range that is passed over when it is come to: by this page, or by a later one.
    pub(crate) skip: Option<(Pos, Pos)>,
    /// Too much waits, and the client is to be sent away for it.
    pub(crate) overflows: bool,
    /// Part of it is gone, or damaged.
    pub(crate) lost: bool,
    /// Nothing could be read.
    pub(crate) failed: Option<QueryError>,
}

impl Page {
    pub(crate) fn empty(wanted: &PageWanted) -> Self {
        Self {
            messages: Vec::new(),
            next: wanted.from,
            begins: None,
            passed: Vec::new(),
            skip: wanted.skip,
            overflows: false,
            lost: false,
            failed: None,
        }
    }

    fn failed(wanted: &PageWanted, error: QueryError) -> Self {
        Self { failed: Some(error), ..Self::empty(wanted) }
    }
}

/// The queue before the threads.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// As many as the workers may have under way.
    waiting: VecDeque<Lookup>,
    is_closed: bool,
}

impl Lookups {
    /// Has something looked up. Whoever asks keeps to its bound.
    pub(crate) fn ask(&self, lookup: Lookup) {
        self.lock().waiting.push_back(lookup);
        self.bell.notify_one();
    }

    /// Lets the threads go.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.bell.notify_all();
    }

    /// One thread's work, until there is no more.
    pub(crate) fn work(&self, replay: &dyn Replay, crossing: &Crossing) {
        while let Some(lookup) = self.next() {
            look_up(replay, crossing, lookup);
        }
    }

    fn next(&self) -> Option<Lookup> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
        let state = self.bell.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let mut state = state;
        if state.is_closed { None } else { state.waiting.pop_front() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_up(replay: &dyn Replay, crossing: &Crossing, lookup: Lookup) {
    let Lookup { worker, client, instance, wanted } = lookup;
    // A failure costs the client whom it was for.
    let found = match wanted {
        Wanted::Page(mut wanted) => {
            let page = catch_unwind(AssertUnwindSafe(|| find_page(replay, instance, &mut wanted)));
            Found::Page(page.unwrap_or_else(|_| Page::failed(&wanted, QueryError::Failed)))
        }
        Wanted::Retained(wanted) => {
            let limit = usize::try_from(wanted.left).unwrap_or(usize::MAX).min(RETAINED_MAX);
            let after = wanted.after.as_deref();
            let look = || replay.retained(instance, &wanted.filter, after, unix_now(), limit);
            let page = catch_unwind(AssertUnwindSafe(look)).unwrap_or(Err(QueryError::Failed));
            Found::Retained(wanted, page)
        }
        Wanted::Past(wanted) => Found::Past(find_past(replay, instance, &wanted)),
    };
    crossing.bring(worker, Box::new(Looked { client, found }));
}

fn find_page(replay: &dyn Replay, instance: InstanceId, wanted: &mut PageWanted) -> Page {
    let mut page = Page::empty(wanted);
    if let Some(bounds) = wanted.bounds
        && let Err(error) = keep_bounds(replay, instance, wanted, bounds, &mut page)
    {
        page.failed = Some(error);
        return page;
    }
    wanted.skip = page.skip;
    if wanted.from < wanted.to {
        read(replay, instance, wanted, &mut page);
    }
    page
}

fn read(replay: &dyn Replay, instance: InstanceId, wanted: &PageWanted, page: &mut Page) {
    let filters = filters(wanted);
    // A range that is passed over is not read, and ends the page.
    let skip = wanted.skip.filter(|skip| wanted.from <= skip.0 && skip.0 < wanted.to);
    let to = skip.map_or(wanted.to, |skip| skip.0);
    match replay.replay(instance, &ReplayQuery { to, ..query(wanted, &filters) }) {
        Ok(found) => {
            page.messages = found.messages;
            page.lost |= found.lost;
            page.next = match skip {
                Some((begin, end)) if found.next >= begin => end,
                Some(_) | None => found.next,
            };
        }
        Err(error) => page.failed = Some(error),
    }
}

/// Sees whether more waits than may, and what is to be passed over then.
fn keep_bounds(
    replay: &dyn Replay,
    instance: InstanceId,
    wanted: &mut PageWanted,
    bounds: QueueBounds,
    page: &mut Page,
) -> Result<(), QueryError> {
    let filters = filters(wanted);
    let query = query(wanted, &filters);
    let backlog = replay.backlog(instance, &query)?;
    page.lost |= backlog.lost;
    if query.stored_since.0 > 0 {
        let all = replay.backlog(instance, &ReplayQuery { stored_since: UnixMillis(0), ..query })?;
        let aged = all.messages.saturating_sub(backlog.messages);
        if aged > 0 {
            page.passed.push((DropReason::QueueAge, aged));
        }
    }
    let over_messages = backlog.messages > bounds.messages;
    let over_bytes = backlog.bytes > bounds.bytes;
    if !over_messages && !over_bytes {
        return Ok(());
    }
    let reason = if over_messages { DropReason::QueueMessages } else { DropReason::QueueBytes };
    match bounds.overflow {
        QueueOverflow::DropOldest => {
            let begins = replay.newest(instance, &query, bounds.messages, bounds.bytes)?;
            let kept = replay.backlog(instance, &ReplayQuery { from: begins, ..query })?;
            page.passed.push((reason, backlog.messages.saturating_sub(kept.messages)));
            page.begins = Some(begins);
            page.next = begins;
            wanted.from = begins;
        }
        QueueOverflow::DropNew => {
            let newer = backlog.messages.saturating_sub(bounds.messages);
            let by_messages =
                if over_messages { replay.newest(instance, &query, newer, u64::MAX)? } else { query.to };
            let bytes = backlog.bytes.saturating_sub(bounds.bytes);
            let by_bytes =
                if over_bytes { replay.newest(instance, &query, u64::MAX, bytes)? } else { query.to };
            let begins = by_messages.min(by_bytes);
            let dropped = replay.backlog(instance, &ReplayQuery { from: begins, ..query })?;
            page.passed.push((reason, dropped.messages));
            page.skip = Some((begins, query.to));
        }
        QueueOverflow::Disconnect => {
            page.passed.push((reason, backlog.messages));
            page.overflows = true;
            page.begins = Some(query.to);
            page.next = query.to;
            wanted.from = query.to;
        }
    }
    Ok(())
}

fn filters(wanted: &PageWanted) -> Vec<ReplayFilter<'_>> {
    wanted.filters.iter().map(|(filter, since)| ReplayFilter { filter, since: *since }).collect()
}

fn query<'a>(wanted: &PageWanted, filters: &'a [ReplayFilter<'a>]) -> ReplayQuery<'a> {
    ReplayQuery {
        filters,
        from: wanted.from,
        to: wanted.to,
        qos_min: Qos::AtLeastOnce,
        history_only: false,
        stored_since: wanted.stored_since,
        messages_max: wanted.messages_max.min(PAGE_MESSAGES_MAX),
        bytes_max: PAGE_BYTES_MAX,
    }
}
