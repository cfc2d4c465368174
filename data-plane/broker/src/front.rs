//! The front: connections that are not yet clients. They are bounded in number, bytes and time, and a storm of them
//! cannot stall a worker.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::refusal::Refusal;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authenticate::Proof;
use crate::command::{Command, Newcomer};
use crate::config::ListenerKind;
use crate::connect::{Rejection, Welcome};
use crate::control::Control;
use crate::farewell::farewell;
use crate::first_packets::read_connect;
use crate::node::Node;
use crate::tls::Tls;
use crate::transport::{Layers, Transport};
use crate::websocket::listen;
use crate::websocket::mount::Mount;

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket, what is spoken there, and the instance of those who name none.
pub(crate) struct Door {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) kind: ListenerKind,
    pub(crate) default_instance: Option<Arc<str>>,
}

/// What the doors share.
pub(crate) struct Front {
    pub(crate) node: Arc<Node>,
    /// There if a door needs it.
    tls: Option<Tls>,
    handshakes: Arc<Handshakes>,
    runtime: Handle,
}

/// Accepts connections until the node stops; those that are not yet clients are then dropped.
pub(crate) async fn run(
    node: Arc<Node>,
    doors: Vec<Door>,
    tls: Option<Tls>,
    mount: Option<Mount>,
) -> std::io::Result<()> {
    let front = Arc::new(Front { node, tls, handshakes: Arc::default(), runtime: Handle::current() });
    let mut accepting = JoinSet::new();
    for Door { listener, kind, default_instance } in doors {
        let listener = TcpListener::from_std(listener)?;
        accepting.spawn(Arc::clone(&front).accept(listener, kind, default_instance));
    }
    if let Some(mount) = mount {
        mount.open(front);
    }
    accepting.join_all().await;
    Ok(())
}

impl Front {
    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        kind: ListenerKind,
        default_instance: Option<Arc<str>>,
    ) {
        let mut is_well = true;
        while let Some(accepted) = self.node.stop.run_until_cancelled(listener.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if std::mem::take(&mut is_well) {
                        tracing::warn!(error = ?error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            is_well = true;
            let Some(permit) = self.admit(peer.ip()) else { continue };
            let (front, default_instance) = (Arc::clone(&self), default_instance.clone());
            self.spawn(async move {
                let open = front.open(stream, kind);
                front.shake_hands(open, peer, default_instance, permit).await;
            });
        }
    }

    /// A place among those that are not yet clients. Without one the refusal is counted.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Permit> {
        let permit = Handshakes::admit(&self.handshakes, address, &self.node);
        if permit.is_none() {
            self.node.refused.add(None, Refusal::TooManyHandshakes);
        }
        permit
    }

    /// Does something on the front's threads until the node stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.node.stop.clone();
        self.runtime.spawn(async move { stop.run_until_cancelled(work).await });
    }

    /// What lies over a connection; `None`: the peer has not come so far.
    async fn open(&self, stream: TcpStream, kind: ListenerKind) -> Option<Transport> {
        // An acknowledgement and a message in two segments would else wait 40 ms for each other.
        let _ = stream.set_nodelay(true);
        let origins = &self.node.config.websocket.allowed_origins;
        match kind {
            ListenerKind::Tcp => Some(Transport::new(stream, Layers::default())),
            ListenerKind::Tls => {
                let (stream, tls) = self.accept_tls(stream, |tls| &tls.mqtt).await?.into_inner();
                Some(Transport::new(stream, Layers { tls: Some(tls), ..Layers::default() }))
            }
            ListenerKind::Websocket => listen::upgrade(stream, origins).await,
            ListenerKind::WebsocketTls => {
                listen::upgrade(self.accept_tls(stream, |tls| &tls.http).await?, origins).await
            }
        }
    }

    async fn accept_tls(
        &self,
        stream: TcpStream,
        config: impl FnOnce(&Tls) -> &Arc<ServerConfig>,
    ) -> Option<TlsStream<TcpStream>> {
        let config = Arc::clone(config(self.tls.as_ref()?));
        match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.node.refused.add(None, Refusal::TlsHandshakeFailed);
                tracing::debug!(%error, "no TLS");
                None
            }
        }
    }

    /// Brings one connection to its worker, or to its end.
    pub(crate) async fn shake_hands(
        &self,
        open: impl Future<Output = Option<Transport>>,
        peer: SocketAddr,
        default_instance: Option<Arc<str>>,
        _permit: Permit,
    ) {
        let node = &self.node;
        let rechecks = node.rechecks.load(Ordering::SeqCst);
        let deadline = Instant::now() + node.config.front.connect_time_max();
        let Ok(opened) = timeout_at(deadline, open).await else {
            node.refused.add(None, Refusal::ConnectTimeout);
            return;
        };
        let Some(mut transport) = opened else { return };
        let connect = read_connect(node, &mut transport, default_instance.as_deref());
        let connected = timeout_at(deadline, connect)
            .await
            .unwrap_or_else(|_| Err(Rejection::silent(Refusal::ConnectTimeout)));
        match connected {
            Ok(Some((welcome, rest))) => hand_to_worker(node, transport, welcome, rest, rechecks).await,
            Ok(None) => {}
            Err(Rejection { refusal, answer, instance }) => {
                node.refused.add(instance, refusal);
                tracing::debug!(%peer, reason = refusal.name(), "connection refused");
                farewell(transport, answer, refusal.into(), node.config.front.linger_time_max()).await;
            }
        }
    }
}

async fn hand_to_worker(
    node: &Arc<Node>,
    transport: Transport,
    welcome: Welcome,
    rest: Vec<u8>,
    rechecks: u64,
) {
    let Welcome { client_id, asked, will, proof, instance } = welcome;
    let Ok(transport) = transport.into_parts() else { return };
    let id = instance.id;
    let credential = match &proof {
        Proof::Credential { document, .. } => Some(document.id),
        Proof::Token(_) => None,
    };
    let worker = instance.worker_of(&client_id);
    let newcomer = Newcomer { transport, rest, client_id, asked, will, proof, instance };
    if node.commands_of(worker).send(Command::Admit(Box::new(newcomer))).await.is_err() {
        return; // the worker is gone, and with it the node
    }
    // The worker reads the instance's rules itself; a credential it cannot. If live connections have been looked at
    // since this one began, it may have been let in by a document that is gone, and too late to be looked at with them.
    if let Some(credential) = credential
        && node.rechecks.load(Ordering::SeqCst) != rechecks
    {
        Control::new(Arc::clone(node)).recheck_credential(id, credential).await;
    }
}

/// How many connections are not yet clients, in all and by address.
#[derive(Default)]
pub(crate) struct Handshakes {
    by_address: Mutex<HashMap<IpAddr, usize, RandomState>>,
    total: std::sync::atomic::AtomicUsize,
}

pub(crate) struct Permit {
    handshakes: Arc<Handshakes>,
    address: IpAddr,
}

impl Handshakes {
    fn admit(self: &Arc<Self>, address: IpAddr, node: &Node) -> Option<Permit> {
        let front = &node.config.front;
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let here = by_address.get(&address).copied().unwrap_or(0);
        if here >= front.handshakes_per_address_max
            || self.total.load(Ordering::Relaxed) >= front.handshakes_max
        {
            return None;
        }
        by_address.insert(address, here + 1);
        self.total.fetch_add(1, Ordering::Relaxed);
        Some(Permit { handshakes: Arc::clone(self), address })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = self.handshakes.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        self.handshakes.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}
