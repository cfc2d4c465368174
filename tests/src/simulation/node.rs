//! The machine: its disk and documents, which outlive it, and the node on it, which may stop at any step and is started
//! again with what is left.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::limits::InstanceLimits;
use contract::subscription::SHARED_PREFIX;
use contract::time::UnixMillis;
use engine::conformance::wait;
use engine::{CommittedBatch, Key, Pos, ReadError};
use engine_embedded::documents::MemoryDocuments;
use engine_embedded::memory_disk::{MemoryDisk, Stop};
use engine_embedded::stepping::Stepped;
use engine_embedded::{Options, Writing};
use mqtt::FirstPacket;
use router::{Epochs, RouteTable, Scratch};
use session::{Bounds, ClientSide, GROUP_PREFIX, Lasting, Part, StoredParts, Will};

use super::account::Wrong;
use super::conditions::Conditions;
use super::doors::Doors;
use super::faults::Faults;
use super::groups::Groups;
use super::plan::{INSTANCES, Plan, TOPICS};
use super::scene::Scene;
use super::site::{EPOCH_MILLIS, Site, instance_at};
use super::surroundings::Connecting;
use super::worker::{SHARD, Worker, document_key};

/// What one read of the log brings.
const READ_BYTES: usize = 1024 * 1024;

/// Documents of one page.
const SCAN: usize = 100;

/// How much more than its bound documents may take in memory.
const OVERLAY_TIMES: usize = 2;

/// What a worker may have handed in and not been told about, about.
const HANDED_IN_BYTES_MAX: usize = 64 * 1024;

/// What is written of unsynced work, at most, when it is torn.
const TORN_BYTES_MAX: usize = 2_048;

/// A machine and the node on it.
pub struct Node {
    plan: Plan,
    conditions: Conditions,
    disk: MemoryDisk,
    documents: MemoryDocuments,
    faults: Faults,
    now: Arc<AtomicU64>,
    /// The disk does nothing any more after some of its steps: the machine is about to stop.
    is_doomed: bool,
    up: Option<Up>,
    /// How often it has stopped.
    pub crashes: usize,
    /// How often it found an unfinished end of what it had not synced.
    pub cuts: usize,
    /// How often the disk has begun to fail, or ceased to.
    pub faults_seen: usize,
}

/// The node while it runs.
struct Up {
    engine: Stepped,
    site: Site,
    workers: Vec<Worker>,
}

impl Node {
    /// A machine with an empty disk.
    #[must_use]
    pub fn new(plan: &Plan, conditions: Conditions) -> Self {
        Self {
            plan: plan.clone(),
            conditions,
            disk: MemoryDisk::default(),
            documents: MemoryDocuments::default(),
            faults: Faults::default(),
            now: Arc::new(AtomicU64::new(0)),
            is_doomed: false,
            up: None,
            crashes: 0,
            cuts: 0,
            faults_seen: 0,
        }
    }

    /// Whether the node runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Whether it will stop of itself.
    #[must_use]
    pub const fn is_doomed(&self) -> bool {
        self.is_doomed
    }

    /// Time passes.
    pub fn pass(&self, millis: u64, scene: &mut Scene) {
        self.now.fetch_add(millis, Ordering::Relaxed);
        scene.millis = self.now.load(Ordering::Relaxed);
        if let Some(up) = &self.up {
            up.site.now.set(self.now.load(Ordering::Relaxed));
        }
    }

    /// From now on the disk does so many things more, and then nothing.
    pub fn doom(&mut self, steps: u64) {
        self.disk.stop_after(steps);
        self.is_doomed = true;
    }

    /// The machine stops.
    pub fn crash(&mut self, scene: &mut Scene) {
        let seed = scene.chance.draw();
        let stop = match scene.chance.below(4) {
            0 => Stop::Process,
            1 => Stop::Power,
            _ => Stop::Drawn(seed),
        };
        self.stop(stop, scene);
    }

    /// The machine stops while it writes what has gathered.
    pub fn crash_writing(&mut self, scene: &mut Scene) -> Result<(), Wrong> {
        self.doom(1);
        self.step_log(scene)?;
        let seed = scene.chance.draw();
        let bytes = scene.chance.below(TORN_BYTES_MAX);
        self.stop(if self.conditions.holes { Stop::Drawn(seed) } else { Stop::Torn(bytes) }, scene);
        Ok(())
    }

    fn stop(&mut self, stop: Stop, scene: &mut Scene) {
        self.crashes += 1;
        self.up = None;
        self.is_doomed = false;
        self.disk = self.disk.after(stop);
        let unpersisted = self.documents.unpersisted_steps();
        self.documents = match stop {
            Stop::Process => self.documents.after_stop(unpersisted),
            Stop::Power | Stop::Torn(_) | Stop::Drawn(_) => {
                self.documents.after_stop(scene.chance.below(unpersisted + 1))
            }
        };
        self.faults.go_on(&self.disk, &self.documents);
        scene.trace.note(format_args!("the machine stops: {stop:?}"));
        scene.account.crashed(scene.millis);
        scene.cut_wires();
    }

    /// The disk begins to fail in some way, or ceases to.
    pub fn change_faults(&mut self, scene: &mut Scene) {
        self.faults_seen += 1;
        let fault = self.faults.change(&self.disk, &self.documents, &mut scene.chance);
        scene.trace.note(format_args!("faults change: {fault:?}, {:?}", self.faults));
    }

    /// The disk fails no more.
    pub fn heal(&mut self) {
        self.faults.heal(&self.disk, &self.documents);
    }

    /// Whether the log stores nothing any more until the node is started again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.up.as_ref().is_some_and(|up| matches!(up.engine.health().writing, Writing::Failed { .. }))
    }
}

// --- starting ---
impl Node {
    /// Starts the node. False when the machine stopped meanwhile.
    pub fn start(&mut self, scene: &mut Scene) -> Result<bool, Wrong> {
        let now = Arc::clone(&self.now);
        let options = Options {
            segment_bytes: self.plan.segment_bytes,
            overlay_bytes_max: self.plan.overlay_bytes_max,
            clock: Arc::new(move || UnixMillis(EPOCH_MILLIS + now.load(Ordering::Relaxed))),
            files: Some(Arc::new(self.disk.clone())),
            documents: Some(Arc::new(self.documents.clone())),
            ..Options::new("/simulated")
        };
        let engine = match Stepped::open(&options) {
            Ok(engine) => engine,
            Err(_) if self.is_doomed || self.faults.are_there() => return Ok(false),
            Err(error) => return Err(format!("the engine cannot be opened: {error}")),
        };
        self.cuts += usize::from(engine.stats().cut_bytes > 0);
        let up = self.boot(engine, scene)?;
        self.up = Some(up);
        scene.trace.note(format_args!("the node is up"));
        Ok(true)
    }

    fn boot(&self, engine: Stepped, scene: &mut Scene) -> Result<Up, Wrong> {
        let damage = engine.health().damage;
        if !damage.is_empty() {
            return Err(format!("what was synced is damaged: {damage:?}"));
        }
        let log = engine.log();
        let head = log.bounds(SHARD).map_err(|error| format!("the log has no bounds: {error}"))?.head;
        scene.trace.note(format_args!("the log goes on at {head}"));
        let doors = Doors::new(self.plan.workers, head);
        let shown = doors.clone();
        log.follow(SHARD, Box::new(move |batches| shown.show(batches)))
            .map_err(|error| format!("the log cannot be followed: {error}"))?;
        see_recovered(&engine, head, scene)?;
        let epochs = Arc::new(Epochs::new());
        let routes = (0..INSTANCES).map(|at| RefCell::new(RouteTable::new(at as u64, Arc::clone(&epochs))));
        let limits = InstanceLimits {
            in_flight_messages_max: self.plan.in_flight_max,
            outbox_bytes_max: self.plan.outbox_bytes_max,
            packet_bytes_max: 4_096,
            ..InstanceLimits::default()
        };
        let site = Site {
            log,
            replay: engine.replay(),
            doors,
            routes: routes.collect(),
            groups: RefCell::new(Groups::default()),
            lookups: RefCell::new(VecDeque::new()),
            bounds: Bounds::from(&limits),
            plan: self.plan.clone(),
            conditions: self.conditions,
            wills_not_before: scene.millis + self.plan.grace_millis,
            run: scene.chance.draw().to_be_bytes(),
            now: Cell::new(self.now.load(Ordering::Relaxed)),
            incarnations: Cell::new(0),
        };
        let mut workers: Vec<_> = (0..self.plan.workers).map(|at| Worker::new(at, head)).collect();
        restore(&engine, &site, &mut workers)?;
        restore_groups(&engine, &site, &mut workers)?;
        Ok(Up { engine, site, workers })
    }
}

/// The books take in what was stored and never told.
fn see_recovered(engine: &Stepped, head: Pos, scene: &mut Scene) -> Result<(), Wrong> {
    let log = engine.log();
    let mut from = Pos::of_record(scene.account.next_record());
    if from > head {
        return Err(format!("the log ends at {head}, before what it had shown"));
    }
    while from < head {
        let next = match log.read(SHARD, from, READ_BYTES) {
            Ok(page) => {
                page.batches.iter().try_for_each(|batch| see(batch, scene))?;
                page.next
            }
            // Numbers that a crash has left out, or what was never synced.
            Err(ReadError::Trimmed { oldest: next } | ReadError::Damaged { next }) => next,
            Err(error) => return Err(format!("the log cannot be read from {from}: {error}")),
        };
        if next <= from {
            break;
        }
        from = next;
    }
    Ok(())
}

/// The books take in a record of the log.
fn see(batch: &CommittedBatch, scene: &mut Scene) -> Result<(), Wrong> {
    for (index, envelope) in (0..).zip(batch.batch.iter()) {
        let envelope = envelope.map_err(|error| format!("a stored message cannot be read: {error}"))?;
        let instance = instance_at(envelope.instance).ok_or("a message of no instance")?;
        let (pos, at) = (Pos { record: batch.record, index }, scene.trace.now());
        scene.account.logged(instance, pos, &envelope, at)?;
    }
    scene.account.saw_record(batch.record);
    Ok(())
}

/// Gives each worker its sessions.
fn restore(engine: &Stepped, site: &Site, workers: &mut [Worker]) -> Result<(), Wrong> {
    let state = engine.state();
    let prefix = Part::Session.prefix();
    let mut after = None;
    loop {
        let behind = after.as_ref().map(|(instance, key)| (*instance, key));
        let page =
            wait(state.scan_all(prefix.as_bytes(), behind, SCAN)).map_err(|error| error.to_string())?;
        let Some((instance, key, _)) = page.last() else { return Ok(()) };
        after = Some((*instance, key.clone()));
        for (id, key, session) in &page {
            let client_id = String::from_utf8_lossy(&key.as_bytes()[prefix.len()..]).into_owned();
            let load = |part| {
                let key = Key::new(document_key(part, &client_id)).map_err(|error| error.to_string())?;
                wait(state.load(*id, &key)).map_err(|error| error.to_string())
            };
            let (progress, received): (Option<engine::Document>, Option<engine::Document>) =
                (load(Part::Progress)?, load(Part::Received)?);
            let parts = StoredParts {
                session: &session.body,
                progress: progress.as_ref().map(|document| &*document.body),
                received: received.as_ref().map(|document| &*document.body),
            };
            let lasting = Lasting::restore(&parts)
                .map_err(|error| format!("the session of `{client_id}` cannot be restored: {error}"))?;
            let name = (instance_at(*id).ok_or("a session of no instance")?, client_id);
            let worker = worker_of(&name.1, name.0, workers.len());
            workers[worker].restore(name, Box::new(lasting), site)?;
        }
    }
}

/// Gives each group that has a member what is stored of it; of the others it is deleted.
fn restore_groups(engine: &Stepped, site: &Site, workers: &mut [Worker]) -> Result<(), Wrong> {
    // There are fewer groups than a page holds.
    let page = wait(engine.state().scan_all(GROUP_PREFIX.as_bytes(), None, SCAN));
    for (instance, key, document) in page.map_err(|error| error.to_string())? {
        let name = String::from_utf8_lossy(&key.as_bytes()[GROUP_PREFIX.len()..]).into_owned();
        let filter =
            [SHARED_PREFIX, &name].concat().parse().map_err(|_| format!("`{name}` names no group"))?;
        let text = (instance_at(instance).ok_or("a group of no instance")?, filter);
        if site.groups.borrow().find(&text).is_some() {
            site.groups.borrow_mut().stored.insert(text, document.body.clone());
        } else {
            workers[0].delete_group(text);
        }
    }
    Ok(())
}

/// The worker of a client.
fn worker_of(client_id: &str, instance: usize, workers: usize) -> usize {
    let sum: usize = client_id.bytes().map(usize::from).sum();
    (sum + instance) % workers
}

// --- running ---
impl Node {
    /// A worker has a round.
    pub fn round(&mut self, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(up) = &mut self.up else { return Ok(()) };
        let at = scene.chance.below(up.workers.len());
        up.workers[at].round(&up.site, scene)
    }

    /// Every worker has a round.
    pub fn rounds(&mut self, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(up) = &mut self.up else { return Ok(()) };
        up.workers.iter_mut().try_for_each(|worker| worker.round(&up.site, scene))
    }

    /// A connection is accepted: its CONNECT says to which worker it goes.
    pub fn accept(&mut self, scene: &mut Scene) -> Result<(), Wrong> {
        let Some(up) = &mut self.up else { return Ok(()) };
        let Some((wire, client)) = scene.opened.pop_front() else { return Ok(()) };
        let Some(bytes) = scene.wires[wire].next_for_node() else {
            scene.wires[wire].close();
            return Ok(());
        };
        let frame = mqtt::frame(&bytes, usize::MAX).ok().flatten().ok_or("no whole CONNECT")?;
        let first = mqtt::decode_first(frame).map_err(|error| format!("no CONNECT: {error}"))?;
        let FirstPacket::Connect(connect) = first else { return Err("an unknown version".to_owned()) };
        let name = (scene.account.instance_of(client), connect.client_id.to_owned());
        let worker = worker_of(&name.1, name.0, up.workers.len());
        let will = connect.will.as_ref().map(Will::accept).transpose();
        let mut will = will.map_err(|refusal| format!("a will is refused: {refusal:?}"))?;
        if let Some(will) = will.as_mut().filter(|_| !connect.clean_start) {
            will.delay_secs = up.site.plan.will_delay_secs;
        }
        let client = ClientSide::from(&connect.properties);
        let (version, clean) = (connect.version, connect.clean_start);
        up.workers[worker].accept(Connecting { name, wire, version, client, clean, will });
        Ok(())
    }

    /// The log writes and syncs what waits. False when nothing did.
    pub fn step_log(&mut self, scene: &mut Scene) -> Result<bool, Wrong> {
        let Some(up) = &mut self.up else { return Ok(false) };
        let worked = up.engine.step_log();
        for batch in up.site.doors.take_committed() {
            scene.trace.note(format_args!("the log has record {}", batch.record));
            see(&batch, scene)?;
        }
        self.check_overlay()?;
        Ok(worked)
    }

    /// However many documents change, few of them are in memory: beyond its bound the log takes nothing that changes one,
    /// but for what had been handed in.
    fn check_overlay(&self) -> Result<(), Wrong> {
        let Some(up) = &self.up else { return Ok(()) };
        let bytes = up.engine.overlay_bytes();
        if bytes > self.plan.overlay_bytes_max * OVERLAY_TIMES + HANDED_IN_BYTES_MAX * up.workers.len() {
            return Err(format!("{bytes} bytes of documents are in memory"));
        }
        Ok(())
    }

    /// The view seals, and puts documents away.
    pub fn step_view(&mut self, documents: bool, scene: &mut Scene) {
        let Some(up) = &mut self.up else { return };
        scene.trace.note(format_args!("the view works, documents {documents}"));
        if documents {
            up.engine.step_documents();
        } else {
            up.engine.step_view();
        }
    }

    /// Something is looked up. False when nothing is to be.
    pub fn look_up(&mut self, scene: &mut Scene) -> bool {
        let Some(up) = &mut self.up else { return false };
        up.site.look_up(&mut scene.chance)
    }

    /// Whether the node has nothing left to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.up.as_ref().is_some_and(|up| {
            up.site.doors.are_empty()
                && up.site.lookups.borrow().is_empty()
                && up.workers.iter().all(Worker::is_idle)
        })
    }

    /// What is stored of sessions, by their keys.
    pub fn stored_sessions(&self) -> Result<Vec<String>, Wrong> {
        let Some(up) = &self.up else { return Ok(Vec::new()) };
        let mut stored = Vec::new();
        for prefix in Part::ALL.map(Part::prefix).into_iter().chain([GROUP_PREFIX]) {
            let page = wait(up.engine.state().scan_all(prefix.as_bytes(), None, SCAN));
            let page = page.map_err(|error| error.to_string())?;
            stored
                .extend(page.iter().map(|(_, key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()));
        }
        Ok(stored)
    }

    /// Whether messages are logged for somebody who is away or was.
    #[must_use]
    pub fn logs_for_somebody(&self) -> bool {
        let mut scratch = Scratch::new();
        let mut is_wanted =
            |routes: &RouteTable| TOPICS.iter().any(|topic| routes.matches(topic, &mut scratch).is_lasting());
        self.up.as_ref().is_some_and(|up| up.site.routes.iter().any(|routes| is_wanted(&routes.borrow())))
    }

    /// Groups that have something left to hand out, though a member is there.
    #[must_use]
    pub fn unfinished_groups(&self) -> Vec<String> {
        let workers = self.up.iter().flat_map(|up| &up.workers);
        workers.flat_map(Worker::unfinished_groups).map(|text| format!("{} of {}", text.1, text.0)).collect()
    }

    /// Lasting sessions that it has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.up.as_ref().map_or(0, |up| up.workers.iter().map(Worker::sessions).sum())
    }
}
