//! A worker: one thread that owns its clients whole. Their sockets, sessions, timers, buffers and counters are plain
//! cells; nothing that is done for a message takes a lock or wakes another task.
//!
//! It works in rounds. The first turn of a client opens one: the clock is read, commands are obeyed. Every client that
//! is ready then gets its turn, and what it sends is put into the buffers of those who get it. At the end of the round
//! each client with output is written to once, and each other worker gets one batch.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use contract::ids::InstanceId;
use engine::{Batch, Pos};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use router::{ClientKey, Epochs, Scratch, WorkerId};
use session::{Millis, Rendering};
use slab::Slab;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;

use crate::buckets::Micros;
use crate::client::Client;
use crate::command::Command;
use crate::durable_appends::Appends;
use crate::groups::GroupsHere;
use crate::lasting::LastingClient;
use crate::local_instance::LocalInstance;
use crate::metrics::Counts;
use crate::node::Node;
use crate::readers::Reader;
use crate::reauthenticate::Proving;
use crate::schedule::Timer;
use crate::timers::Wheel;
use crate::turn::READ_BYTES_MAX;

/// Memory of emptied output buffers that a worker keeps for the next client with output.
const BUFFERS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The largest buffer that is kept. Anything less than what a round brings would be given back to the system, and
/// taken from it again page by page, in every round.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// One worker.
pub(crate) struct Worker {
    /// Itself, for the tasks of its clients.
    pub(crate) this: Weak<Self>,
    pub(crate) id: WorkerId,
    pub(crate) node: Arc<Node>,
    pub(crate) epochs: Arc<Epochs>,
    /// The time of this round.
    now: Cell<Micros>,
    pub(crate) round_is_open: Cell<bool>,
    pub(crate) round_opened: Notify,
    pub(crate) commands: RefCell<mpsc::Receiver<Command>>,
    pub(crate) clients: RefCell<Slab<Rc<Client>>>,
    pub(crate) generation: Cell<u32>,
    pub(crate) instances: RefCell<HashMap<InstanceId, Rc<LocalInstance>, RandomState>>,
    /// What sockets are read into: one for all, since nothing stays in it from one turn to the next.
    pub(crate) read_buffer: RefCell<Box<[u8]>>,
    pub(crate) rendering: RefCell<Rendering>,
    pub(crate) scratch: RefCell<Scratch>,
    /// Properties of the message in hand, where they had to be copied.
    pub(crate) content: RefCell<Vec<u8>>,
    /// The topic of the message in hand, where an alias stood for it.
    pub(crate) aliased: RefCell<String>,
    pub(crate) with_output: RefCell<Vec<Rc<Client>>>,
    /// CONNACK of clients that may not have it yet.
    pub(crate) greetings: RefCell<HashMap<ClientKey, Vec<u8>, RandomState>>,
    /// What clients are about to prove anew.
    pub(crate) proving: RefCell<HashMap<ClientKey, Box<Proving>, RandomState>>,
    /// Clients whose end is decided, in that order.
    pub(crate) ending: RefCell<VecDeque<Rc<Client>>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    buffers_bytes: Cell<usize>,
    pub(crate) wheel: RefCell<Wheel<Timer>>,
    pub(crate) timer_is_sooner: Notify,
    pub(crate) timer_set_to: Cell<u64>,
    /// How far in the log everything has been taken in here.
    pub(crate) watermark: Cell<Pos>,
    /// Lasting sessions, by the slots of their keys.
    pub(crate) sessions: RefCell<Slab<Rc<LastingClient>>>,
    /// Those of them that are written with the batch of this round.
    pub(crate) dirty: RefCell<Vec<Rc<LastingClient>>>,
    /// Shared subscriptions.
    pub(crate) groups: GroupsHere,
    /// Replays, by the places of their keys.
    pub(crate) readers: RefCell<Slab<Rc<Reader>>>,
    /// Look-ups under way.
    pub(crate) looking: Cell<usize>,
    /// Clients that wait until there may be more.
    pub(crate) waiting_to_look: RefCell<VecDeque<ClientKey>>,
    /// Nothing is stored for the history alone: the disk is nearly full.
    pub(crate) history_stops: Cell<bool>,
    /// When that was last looked at.
    pub(crate) disk_seen_at: Cell<Micros>,
    /// This round's messages for each other worker.
    pub(crate) crossing: RefCell<Box<[Batch]>>,
    pub(crate) appends: Appends,
    /// Closed connections that are read on.
    pub(crate) lingering: Rc<Cell<usize>>,
    pub(crate) lingered: Rc<Notify>,
    pub(crate) panics: Cell<u64>,
    /// Counts of instances that are forgotten here.
    pub(crate) forgotten: RefCell<Counts>,
    /// What of them no sample has been taken of yet.
    pub(crate) unsampled: RefCell<BTreeMap<InstanceId, Counts>>,
    pub(crate) is_stopping: Cell<bool>,
    /// Instances whose clients have had turns in this round, or wait for some.
    pub(crate) working: RefCell<Vec<Rc<LocalInstance>>>,
    /// There was more than one of them in the round before.
    pub(crate) is_contended: Cell<bool>,
}

impl Worker {
    pub(crate) fn new(node: Arc<Node>, id: WorkerId, commands: mpsc::Receiver<Command>) -> Rc<Self> {
        let now = node.clock.micros();
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            id,
            epochs: node.instances.epochs(),
            now: Cell::new(now),
            round_is_open: Cell::new(false),
            round_opened: Notify::new(),
            commands: RefCell::new(commands),
            clients: RefCell::default(),
            generation: Cell::new(0),
            instances: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES_MAX].into()),
            rendering: RefCell::default(),
            scratch: RefCell::default(),
            content: RefCell::default(),
            aliased: RefCell::default(),
            with_output: RefCell::default(),
            greetings: RefCell::default(),
            proving: RefCell::default(),
            ending: RefCell::default(),
            buffers: RefCell::default(),
            buffers_bytes: Cell::new(0),
            wheel: RefCell::new(Wheel::new(now / 1000)),
            timer_is_sooner: Notify::new(),
            timer_set_to: Cell::new(u64::MAX),
            watermark: Cell::new(node.crossing.committed(id)),
            sessions: RefCell::default(),
            dirty: RefCell::default(),
            groups: GroupsHere::new(node.commands.len()),
            readers: RefCell::default(),
            looking: Cell::new(0),
            waiting_to_look: RefCell::default(),
            history_stops: Cell::new(false),
            disk_seen_at: Cell::new(0),
            crossing: RefCell::new((0..node.commands.len()).map(|_| Batch::new()).collect()),
            appends: Appends::new(),
            lingering: Rc::default(),
            lingered: Rc::default(),
            panics: Cell::new(0),
            forgotten: RefCell::default(),
            unsampled: RefCell::default(),
            is_stopping: Cell::new(false),
            working: RefCell::default(),
            is_contended: Cell::new(false),
            node,
        })
    }

    /// Serves until the node stops, then closes its clients. It returns early when a part of it has failed: a worker
    /// that accepts and never writes is worse than none, and the end of its thread stops the node.
    pub(crate) async fn run(self: Rc<Self>) {
        let rounds = spawn_local(Rc::clone(&self).end_rounds());
        let obeying = spawn_local(Rc::clone(&self).obey());
        let keeping_time = spawn_local(Rc::clone(&self).keep_time());
        let receiving = spawn_local(Rc::clone(&self).receive());
        let ended = tokio::select! {
            () = self.node.stop.cancelled() => Ok(()),
            ended = rounds => ended,
            ended = obeying => ended,
            ended = keeping_time => ended,
            ended = receiving => ended,
        };
        if let Err(error) = ended {
            tracing::error!(error = ?error, worker = self.id.index(), "a part of a worker has failed");
            return;
        }
        let _ = tokio::time::timeout(self.node.config.stop_time_max(), self.stop()).await;
    }

    /// Obeys commands as they come; those that are there when a round begins are obeyed there.
    async fn obey(self: Rc<Self>) {
        while let Some(command) = poll_fn(|cx| self.commands.borrow_mut().poll_recv(cx)).await {
            // In the order in which they came: this one before what a round that begins finds in the queue.
            if self.round_is_open.get() {
                self.execute(command);
            } else {
                self.begin_round(Some(command));
            }
        }
    }

    /// Takes in what other threads send.
    async fn receive(self: Rc<Self>) {
        loop {
            self.node.crossing.knocked(self.id).await;
            self.open_round();
            self.take_arrivals();
            self.guard(|| self.resume_spread());
            self.guard(|| self.resume_groups());
            self.guard(|| self.resume_appending());
        }
    }

    /// Does something of which a failure must not end the worker: it is counted, and what was done for is left.
    pub(crate) fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work)).ok();
        if done.is_none() {
            self.panics.set(self.panics.get() + 1);
        }
        done
    }

    /// The time of this round.
    #[inline]
    pub(crate) fn now(&self) -> Micros {
        self.now.get()
    }

    /// The same as sessions and timers are told it.
    #[inline]
    pub(crate) fn millis(&self) -> Millis {
        Millis(self.now.get() / 1000)
    }

    pub(crate) fn read_clock(&self) {
        self.now.set(self.node.clock.micros());
    }

    /// Another generation: of the keys of one slot no two have the same.
    pub(crate) fn next_generation(&self) -> u32 {
        self.generation.set(self.generation.get().wrapping_add(1));
        self.generation.get()
    }

    /// The client of a key, unless it has gone.
    pub(crate) fn client(&self, key: ClientKey) -> Option<Rc<Client>> {
        self.clients.borrow().get(key.slot() as usize).filter(|client| client.key == key).cloned()
    }

    /// An empty buffer with some memory, if one is to be had.
    #[inline]
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        let buffer = self.buffers.borrow_mut().pop().unwrap_or_default();
        self.buffers_bytes.set(self.buffers_bytes.get() - buffer.capacity());
        buffer
    }

    /// Keeps the memory of a buffer that is no longer needed.
    #[inline]
    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        let bytes = self.buffers_bytes.get() + buffer.capacity();
        if (1..=BUFFER_BYTES_MAX).contains(&buffer.capacity()) && bytes <= BUFFERS_BYTES_MAX {
            buffer.clear();
            self.buffers_bytes.set(bytes);
            self.buffers.borrow_mut().push(buffer);
        }
    }
}
