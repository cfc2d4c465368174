//! Starts and stops the node: its threads, in one place and in order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use engine::StateError;
use replica::{OpenError, Replica};
use router::WorkerId;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::{LocalOptions, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::command::Command;
use crate::config::{Config, ConfigError};
use crate::config_sync::{self, ConfigSync, Joining, Pace, SyncHealth};
use crate::control::Control;
use crate::durable::Engine;
use crate::embedded;
use crate::front::{self, Door};
use crate::http;
use crate::lookups::LOOKUP_THREADS;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::node_api::{self, CallKey, NodeApi};
use crate::node_client::{ClientError, NodeClient, Timeouts};
use crate::restore::{self, Restored};
use crate::slots::Slots;
use crate::tls::Tls;
use crate::websocket::mount::Mount;
use crate::worker::Worker;

/// Threads of the front.
const FRONT_THREADS: usize = 2;

/// Threads that keep the configuration in step and answer operators.
const CONTROL_THREADS: usize = 2;

/// Connections that wait to be accepted, for each listener.
const BACKLOG: i32 = 4_096;

/// The first and the longest pause after a call of the controller that failed.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Why a node does not start. What it had begun is undone.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The controller's address is none, or cannot be called.
    #[error(transparent)]
    Controller(ClientStartError),
    /// The directory for the node's data cannot be made.
    #[error("the data directory `{path}` cannot be used")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The copy of the configuration cannot be opened.
    #[error("the configuration in the data directory cannot be opened")]
    Replica(#[from] OpenError),
    /// The store of messages cannot be opened.
    #[error("the message log cannot be used")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored of sessions cannot be read.
    #[error("the stored sessions cannot be read")]
    Sessions(#[source] StateError),
    /// The system gives no chance.
    #[error("the system's source of randomness does not answer")]
    Randomness,
    /// Another program listens there, or nobody may.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A listener is to be encrypted, and there are no certificates for it.
    #[error("`{0}` is to be encrypted, but the process has no certificates")]
    NoCertificates(SocketAddr),
    /// The system gives no more threads.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Why the controller cannot be called at all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ClientStartError(ClientError);

/// A running node. Dropping it tells it to stop without waiting.
pub struct Broker {
    node: Arc<Node>,
    control: Control,
    mqtt_addresses: Vec<SocketAddr>,
    http_address: Option<SocketAddr>,
    node_api_address: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    /// Closed once every thread has come to its end.
    ended: mpsc::Receiver<()>,
}

/// Held by a thread as long as it lives. A thread that fails takes the node with it: half a node serves nobody.
struct Alive {
    stop: CancellationToken,
    _ended: mpsc::Sender<()>,
}

/// Held by a worker's thread: without it there is nobody to look things up for.
struct Leaving(Arc<Node>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.lookups.close();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a node is given by the process around it.
#[derive(Clone, Default)]
pub struct Extras {
    /// Certificates, for the listeners that are encrypted.
    pub tls: Option<Tls>,
    /// Another listener of the process that lets clients in.
    pub mount: Option<Mount>,
}

/// Starts a node that needs nothing of the process around it; see [`start_with`].
pub fn start(config: Config) -> Result<Broker, StartError> {
    start_with(config, Extras::default())
}

/// Starts a node; it serves when this returns. Any number of them may live in one process, each with a data directory
/// of its own.
pub fn start_with(config: Config, extras: Extras) -> Result<Broker, StartError> {
    start_on(config, extras, |config| embedded::open(config).map_err(|error| StartError::Log(error.into())))
}

/// Starts a node that stores messages with the engine given.
pub(crate) fn start_on(
    config: Config,
    extras: Extras,
    open: impl FnOnce(&Config) -> Result<Engine, StartError>,
) -> Result<Broker, StartError> {
    config.check()?;
    if let Some(listener) = config.listeners.iter().find(|it| it.kind().is_tls() && extras.tls.is_none()) {
        return Err(StartError::NoCertificates(listener.address));
    }
    let data_dir = |source| StartError::DataDir { path: config.data_dir.clone(), source };
    std::fs::create_dir_all(&config.data_dir).map_err(data_dir)?;
    let client =
        config.controller.url.as_deref().map(|url| NodeClient::new(url, Timeouts::default())).transpose();
    let client = client.map_err(|error| StartError::Controller(ClientStartError(error)))?;
    let replica = Arc::new(Replica::open(&config.data_dir.join("replica"))?);
    let engine = open(&config)?;

    let mut doors = Vec::new();
    let mut mqtt_addresses = Vec::new();
    for listener in &config.listeners {
        let (socket, address) = listen(listener.address)?;
        mqtt_addresses.push(address);
        doors.push(Door {
            listener: socket,
            kind: listener.kind(),
            default_instance: listener.default_instance.as_deref().map(Arc::from),
        });
    }
    let http = config.http.address.map(listen).transpose()?;
    let http_address = http.as_ref().map(|(_, address)| *address);
    let node_api = config.node_api.address.map(listen).transpose()?;
    let node_api_address = node_api.as_ref().map(|(_, address)| *address);

    let mut run = [0; 8];
    SystemRandom::new().fill(&mut run).map_err(|_| StartError::Randomness)?;
    let (node, commands) =
        Node::new(config, replica, engine, run).map_err(|error| StartError::Log(error.into()))?;
    let stored = restore::read(&**node.durable.state()).map_err(StartError::Sessions)?;
    let restored = restore::distribute(&node, stored);
    let control = Control::new(Arc::clone(&node));
    let (sender, ended) = mpsc::channel(1);
    let mut broker =
        Broker { node, control, mqtt_addresses, http_address, node_api_address, threads: Vec::new(), ended };
    for (index, (commands, restored)) in commands.into_iter().zip(restored).enumerate() {
        broker.start_worker(index, commands, restored, &sender)?;
    }
    broker.start_lookups(&sender)?;
    let node = Arc::clone(&broker.node);
    let front = runtime(FRONT_THREADS, "front").map_err(StartError::Thread)?;
    broker.start_thread("front", &sender, move || {
        serve(front, front::run(node, doors, extras.tls, extras.mount));
    })?;
    let work = keep(Arc::clone(&broker.node), client, http.map(|(listener, _)| listener), node_api);
    let control = runtime(CONTROL_THREADS, "control").map_err(StartError::Thread)?;
    broker.start_thread("control", &sender, move || serve(control, work))?;
    tracing::info!(addresses = ?broker.mqtt_addresses, workers = broker.node.commands.len(), "broker started");
    Ok(broker)
}

impl Broker {
    /// Where clients are accepted; of several listeners the first.
    #[must_use]
    pub fn mqtt_address(&self) -> SocketAddr {
        self.mqtt_addresses[0]
    }

    /// Where clients are accepted, in the order of the listeners.
    #[must_use]
    pub fn mqtt_addresses(&self) -> &[SocketAddr] {
        &self.mqtt_addresses
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Where the node's own listener is.
    #[must_use]
    pub fn node_api_address(&self) -> Option<SocketAddr> {
        self.node_api_address
    }

    /// Clients connected now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.control.connections().values().sum()
    }

    /// What has been counted since the start.
    pub async fn metrics(&self) -> Metrics {
        self.control.metrics().await
    }

    /// The configuration that the node serves from.
    #[must_use]
    pub fn replica(&self) -> &Arc<Replica> {
        &self.node.replica
    }

    /// Waits until the node has stopped, by itself or because another handle told it to.
    pub async fn join(&mut self) {
        while self.ended.recv().await.is_some() {}
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the broker has failed");
            }
        }
    }

    /// Stops accepting, sends the clients away with their wills withheld, and waits until all is closed: at most the
    /// configured time.
    pub async fn stop(mut self) {
        self.node.stop.cancel();
        self.join().await;
    }

    /// Tells the node to stop, when it is used.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.node.stop.clone()
    }

    /// The handle on the workers that the node's own tasks have.
    #[cfg(test)]
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    fn start_worker(
        &mut self,
        index: usize,
        commands: mpsc::Receiver<Command>,
        restored: Vec<Restored>,
        ended: &mpsc::Sender<()>,
    ) -> Result<(), StartError> {
        let node = Arc::clone(&self.node);
        let id = WorkerId::new(index).expect("the configuration bounds the workers");
        self.start_thread(&format!("worker-{index}"), ended, move || {
            let _leaving = Leaving(Arc::clone(&node));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let worker = Worker::new(node, id, commands);
                    worker.take_restored(restored);
                    worker.run().await;
                }),
                Err(error) => tracing::error!(error = ?error, "a worker cannot be started"),
            }
        })
    }

    /// Starts the threads that look things up for workers.
    fn start_lookups(&mut self, ended: &mpsc::Sender<()>) -> Result<(), StartError> {
        for index in 0..LOOKUP_THREADS {
            let node = Arc::clone(&self.node);
            self.start_thread(&format!("lookup-{index}"), ended, move || {
                node.lookups.work(&**node.durable.replay(), &node.crossing);
            })?;
        }
        Ok(())
    }

    fn start_thread(
        &mut self,
        name: &str,
        ended: &mpsc::Sender<()>,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let alive = Alive { stop: self.node.stop.clone(), _ended: ended.clone() };
        let work = move || {
            let _alive = alive;
            work();
        };
        self.threads.push(Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::Thread)?);
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.node.stop.cancel();
    }
}

fn runtime(threads: usize, name: &'static str) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}

/// Runs on the thread that owns the runtime, so that the runtime ends where that may block.
fn serve(runtime: Runtime, work: impl Future<Output = io::Result<()>>) {
    if let Err(error) = runtime.block_on(work) {
        tracing::error!(error = ?error, "a part of the broker has failed");
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Keeps the configuration in step and answers operators, until the node stops.
async fn keep(
    node: Arc<Node>,
    client: Option<NodeClient>,
    http: Option<TcpListener>,
    node_api: Option<(TcpListener, SocketAddr)>,
) -> io::Result<()> {
    let control = Control::new(Arc::clone(&node));
    let call_key = Arc::new(OnceLock::new());
    let address = node_api.as_ref().map(|(_, address)| format!("http://{address}"));
    let answering = async {
        match http {
            Some(listener) => http::run(listener, control.clone(), node.stop.clone()).await,
            None => Ok(()),
        }
    };
    let answering_controller = async {
        let Some((listener, _)) = node_api else { return Ok(()) };
        let api = NodeApi {
            call_key: Arc::clone(&call_key),
            replica: Arc::clone(&node.replica),
            history: Arc::clone(node.durable.history()),
            control: control.clone(),
            now: crate::clock::unix_now,
        };
        node_api::run(listener, api, node.stop.clone()).await
    };
    let syncing = async {
        if let Some(client) = client {
            follow(&node, client, control.clone(), address, Arc::clone(&call_key)).await;
        }
        node.stop.cancelled().await;
    };
    let (answered, answered_controller, ()) = tokio::join!(answering, answering_controller, syncing);
    answered.and(answered_controller)
}

async fn follow(
    node: &Node,
    client: NodeClient,
    control: Control,
    address: Option<String>,
    call_key: Arc<OnceLock<CallKey>>,
) {
    let settings = &node.config.controller;
    let joining = Joining {
        key_path: node.config.data_dir.join("node.key"),
        join_token: settings.join_token.clone(),
        name: settings.name.clone().unwrap_or_else(host_name),
        address,
        call_key,
    };
    let pace = Pace {
        wait_secs: contract::node::WAIT_SECS_MAX,
        pause_min: PAUSE_MIN,
        pause_max: PAUSE_MAX,
        jitter: Arc::new(chance),
    };
    let sync = ConfigSync {
        replica: Arc::clone(&node.replica),
        connections: Arc::new(control),
        pace,
        now: crate::clock::unix_now,
        health: Arc::new(SyncHealth::default()),
        slots: Slots::new(node.config.metrics.slot_secs),
    };
    if let Err(error) = config_sync::run(sync, client, joining, node.stop.clone()).await {
        tracing::error!(error = ?error, "the node has not joined its controller and serves from the copy it has");
    }
}

/// A number in 0..1, by chance.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all nodes wait as long as they may, which is safe.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "node".to_owned() } else { name.trim().to_owned() }
}

/// A listening socket and the address it has got.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|source| StartError::Listen { address, source })
}
