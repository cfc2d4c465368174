//! A worker by itself, without a front: what depends on the order and the moment in which commands reach it.

use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::feed::Document;
use mqtt::Version;
use router::WorkerId;
use session::ClientSide;
use tokio::runtime::LocalOptions;

use crate::authenticate::Proof;
use crate::command::{Command, Newcomer};
use crate::connect::Asked;
use crate::instances::Instance;
use crate::node::Node;
use crate::schedule::Timer;
use crate::testing::{ALL, Given, credential, fill};
use crate::testing_log::HeldLog;
use crate::transport::{Layers, Transport};
use crate::worker::Worker;

/// The longest that a client's timer is left in the wheel.
const TIMER_MILLIS_MAX: u64 = 300_000;

pub(super) fn newcomer(instance: &Arc<Instance>, stream: TcpStream) -> Command {
    let mut document = credential(1, "meter", ALL);
    let secret = Box::new(document.secrets.remove(0));
    document.secrets.push((*secret).clone());
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    let transport = Transport::new(stream, Layers::default()).into_parts().expect("a socket");
    Command::Admit(Box::new(Newcomer {
        transport,
        rest: Vec::new(),
        client_id: "car".into(),
        asked: Box::new(Asked {
            version: Version::V311,
            clean_start: true,
            expiry_secs: 0,
            keep_alive_secs: u16::MAX,
            client: ClientSide::default(),
            is_id_assigned: false,
            method: None,
            auth_data: Vec::new(),
        }),
        will: None,
        proof: Proof::Credential { document: Arc::new(document), secret },
        instance: Arc::clone(instance),
    }))
}

/// A worker of a node that has no other thread, and instance 1.
pub(super) struct Alone {
    pub(super) runtime: tokio::runtime::LocalRuntime,
    pub(super) node: Arc<Node>,
    pub(super) worker: Rc<Worker>,
    pub(super) instance: Arc<Instance>,
    pub(super) log: Arc<HeldLog>,
    _dir: tempfile::TempDir,
}

pub(super) fn alone() -> Alone {
    let dir = tempfile::tempdir().expect("a directory");
    let Given { config, mut documents, .. } = Given::workers(1);
    documents.push(Document::Credential(credential(1, "meter", ALL)));
    fill(dir.path(), &documents);
    let replica = Arc::new(replica::Replica::open(&dir.path().join("replica")).expect("opens"));
    let log = HeldLog::new();
    let (node, mut receivers) = Node::new(config, replica, log.engine(), [0; 8]).expect("follows");
    let Document::Instance(document) = &documents[0] else { panic!("an instance comes first") };
    let instance = node.instances.get(document.id, &document.limits, 0);
    let commands = receivers.pop().expect("of the one worker");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime");
    let worker = Worker::new(Arc::clone(&node), WorkerId::new(0).expect("a worker"), commands);
    Alone { runtime, node, worker, instance, log, _dir: dir }
}

#[test]
fn commands_are_obeyed_in_the_order_in_which_they_came() {
    let Alone { runtime, node, worker, instance, .. } = &alone();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut ports = Vec::new();
        let mut peers = Vec::new();
        for _ in 0..3 {
            let peer = TcpStream::connect(address).expect("connects");
            ports.push(peer.local_addr().expect("an address").port());
            peers.push(peer);
            let (stream, _) = listener.accept().expect("accepts");
            node.commands[0].try_send(newcomer(instance, stream)).expect("room");
        }
        let running = tokio::task::spawn_local(Rc::clone(worker).run());
        let all_taken = async {
            while worker.generation.get() < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(crate::testing::PATIENCE, all_taken).await.expect("all are admitted");
        let clients: Vec<_> = worker.clients.borrow().iter().map(|(_, client)| Rc::clone(client)).collect();
        assert_eq!(clients.len(), 1, "one client identifier, one client");
        let peer = clients[0].transport.borrow().as_ref().map(Transport::peer_port);
        assert_eq!(peer.expect("open"), ports[2], "the last one holds it");

        // Of those that went, and of the longest keep alive, nothing is left in the wheel for long.
        let mut deadlines = 0;
        let later = worker.millis().0 + TIMER_MILLIS_MAX + 1_000;
        worker.wheel.borrow_mut().advance(later, |timer| {
            deadlines += usize::from(matches!(timer, Timer::Deadline(_)));
        });
        assert_eq!(deadlines, 3);
        node.stop.cancel();
        running.await.expect("stops");
    });
}

#[test]
fn a_worker_that_cannot_end_its_rounds_ends_itself() {
    let Alone { runtime, node, worker, .. } = alone();
    runtime.block_on(async {
        let running = tokio::task::spawn_local(Rc::clone(&worker).run());
        tokio::task::yield_now().await;
        // What is for the other workers cannot be looked at any more.
        std::mem::forget(worker.crossing.borrow_mut());
        worker.open_round();
        let ended = tokio::time::timeout(crate::testing::PATIENCE, running).await;
        ended.expect("it ends").expect("and says so itself");
        assert!(!node.stop.is_cancelled(), "that is its thread's to do");
    });
}
