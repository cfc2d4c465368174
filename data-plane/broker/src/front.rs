//! The front: connections that are not yet clients. They are bounded in number, bytes and time, and a storm of them
//! cannot stall a worker.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::refusal::Refusal;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use mqtt::kind;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::authenticate::Proof;
use crate::command::{Command, Newcomer};
use crate::connect::{Rejection, Welcome, decide};
use crate::control::Control;
use crate::farewell::farewell;
use crate::node::Node;
use crate::turn::refusal_of;

/// What is read of a CONNECT at first: most are shorter.
const CONNECT_BYTES: usize = 512;

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket and the instance of those who name none.
pub(crate) struct Door {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) default_instance: Option<Arc<str>>,
}

/// Accepts connections until the node stops; those that are not yet clients are then dropped.
pub(crate) async fn run(node: Arc<Node>, doors: Vec<Door>) -> std::io::Result<()> {
    let handshakes = Arc::new(Handshakes::default());
    let mut accepting = JoinSet::new();
    for door in doors {
        let listener = TcpListener::from_std(door.listener)?;
        accepting.spawn(accept(Arc::clone(&node), Arc::clone(&handshakes), listener, door.default_instance));
    }
    accepting.join_all().await;
    Ok(())
}

async fn accept(
    node: Arc<Node>,
    handshakes: Arc<Handshakes>,
    listener: TcpListener,
    default_instance: Option<Arc<str>>,
) {
    let mut is_well = true;
    while let Some(accepted) = node.stop.run_until_cancelled(listener.accept()).await {
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
        let Some(permit) = Handshakes::admit(&handshakes, peer.ip(), &node) else {
            node.refused.add(Refusal::TooManyHandshakes);
            continue;
        };
        let (node, default_instance) = (Arc::clone(&node), default_instance.clone());
        tokio::spawn(async move {
            let stop = node.stop.clone();
            stop.run_until_cancelled(shake_hands(&node, stream, peer, default_instance.as_deref())).await;
            drop(permit);
        });
    }
}

/// Brings one connection to its worker, or to its end.
async fn shake_hands(
    node: &Arc<Node>,
    mut stream: TcpStream,
    peer: SocketAddr,
    default_instance: Option<&str>,
) {
    // An acknowledgement and a message in two segments would else wait 40 ms for each other.
    let _ = stream.set_nodelay(true);
    let rechecks = node.rechecks.load(Ordering::SeqCst);
    let connect = tokio::time::timeout(
        node.config.front.connect_time_max(),
        read_connect(node, &mut stream, default_instance),
    );
    match connect.await.unwrap_or_else(|_| Err(Refusal::ConnectTimeout.into())) {
        Ok(Some((welcome, rest))) => hand_to_worker(node, stream, welcome, rest, rechecks).await,
        Ok(None) => {}
        Err(Rejection { refusal, answer }) => {
            node.refused.add(refusal);
            tracing::debug!(%peer, reason = refusal.name(), "connection refused");
            farewell(stream, answer, node.config.front.linger_time_max()).await;
        }
    }
}

/// Reads the first packet and decides about it; `None`: the peer has gone.
async fn read_connect(
    node: &Node,
    stream: &mut TcpStream,
    default_instance: Option<&str>,
) -> Result<Option<(Welcome, Vec<u8>)>, Rejection> {
    let mut bytes = Vec::with_capacity(CONNECT_BYTES);
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        // Before CONNECT nobody is listened to for long: another packet is refused at its first byte.
        if bytes.first().is_some_and(|first| first >> 4 != kind::CONNECT) {
            return Err(Refusal::ProtocolError.into());
        }
        let frame = mqtt::frame(&bytes, node.config.front.connect_bytes_max)
            .map_err(|error| Rejection::from(refusal_of(error)))?;
        if let Some(frame) = frame {
            let welcome = decide(node, frame, default_instance)?;
            let rest = bytes[frame.total..].to_vec();
            return Ok(Some((welcome, rest)));
        }
        bytes.reserve(bytes.len().max(CONNECT_BYTES));
    }
}

async fn hand_to_worker(node: &Arc<Node>, stream: TcpStream, welcome: Welcome, rest: Vec<u8>, rechecks: u64) {
    let Welcome { client_id, keep_alive_secs, will, proof, instance } = welcome;
    let Ok(stream) = stream.into_std() else { return };
    let id = instance.id;
    let credential = match &proof {
        Proof::Credential { document, .. } => Some(document.id),
        Proof::Token(_) => None,
    };
    let worker = instance.worker_of(&client_id);
    let newcomer = Newcomer { stream, rest, client_id, keep_alive_secs, will, proof, instance };
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
struct Handshakes {
    by_address: Mutex<HashMap<IpAddr, usize, RandomState>>,
    total: std::sync::atomic::AtomicUsize,
}

struct Permit {
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
