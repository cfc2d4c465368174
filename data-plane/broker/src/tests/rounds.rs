//! What meets in one round of a worker: the test takes every step of it itself, and looks nothing up that it does not
//! want found.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use contract::qos::Qos::AtLeastOnce;
use contract::refusal::Refusal;
use engine::Pos;
use mqtt::{PacketId, client as device};
use session::{Granted, Lasting};

use super::one_worker::{Alone, alone, newcomer};
use crate::api_publish::ApiPublish;
use crate::client::{Client, Ending};
use crate::clock::unix_now;
use crate::command::Command;
use crate::lasting::Place;
use crate::lookups::{Found, Looked, RetainedWanted};
use crate::testing::{Peer, publication, wait_for};

impl Alone {
    /// A client that is connected, and has a session that is kept if it `lasts`.
    async fn client(&self, lasts: bool) -> (Peer, Rc<Client>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut peer = Peer::at(listener.local_addr().expect("an address")).await;
        let mut admit = newcomer(&self.instance, listener.accept().expect("accepts").0);
        if let Command::Admit(newcomer) = &mut admit {
            newcomer.asked.clean_start = !lasts;
            newcomer.asked.expiry_secs = if lasts { u32::MAX } else { 0 };
        }
        self.worker.open_round();
        self.worker.execute(admit);
        self.end_round().await;
        assert_eq!(self.next(&mut peer).await, "connack 0");
        let clients: Vec<_> = self.worker.clients.borrow().iter().map(|(_, it)| Rc::clone(it)).collect();
        (peer, Rc::clone(clients.last().expect("it was admitted")))
    }

    /// Sends SUBSCRIBE and waits until it is served, within the round.
    async fn subscribe(&self, peer: &mut Peer, filter: &str, served: impl Fn() -> bool) {
        let mut bytes = Vec::new();
        device::subscribe(&mut bytes, PacketId::MIN, &[(filter, AtLeastOnce)]).expect("is written");
        peer.send(&bytes).await;
        wait_for("the subscription", async || served()).await;
    }

    fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let (answer, _outcome) = tokio::sync::oneshot::channel();
        let publish = ApiPublish {
            shared: std::sync::Arc::clone(&self.instance),
            topic: topic.parse().expect("a topic"),
            message: publication(payload.as_bytes(), AtLeastOnce, retain),
            publisher: "application".into(),
            answer,
        };
        self.worker.open_round();
        self.worker.publish_for(publish);
    }

    /// Takes in what comes until nothing is under way, within the round.
    async fn settle(&self) {
        let settled = async || {
            self.worker.take_arrivals();
            self.worker.appends.is_idle()
        };
        wait_for("the log", settled).await;
    }

    /// The next packet that a client gets, rounds ending meanwhile: its socket may not be known to take anything yet.
    async fn next(&self, peer: &mut Peer) -> String {
        let rounds = async {
            loop {
                self.worker.end_round();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            text = peer.next() => text,
            () = rounds => unreachable!("it goes on for ever"),
        }
    }

    /// Ends the round, and has what it handed in settled and said.
    async fn end_round(&self) {
        self.worker.end_round();
        self.settle().await;
        self.worker.end_round();
    }
}

/// A message that comes while its subscriber is as good as gone is for its next connection, whatever is settled then.
#[test]
fn what_comes_between_a_client_s_goodbye_and_its_end_waits() {
    for says_goodbye in [true, false] {
        let alone = alone();
        alone.runtime.block_on(async {
            let (worker, log) = (&alone.worker, &alone.log);
            let (mut peer, client) = alone.client(true).await;
            alone.subscribe(&mut peer, "a", || !worker.dirty.borrow().is_empty()).await;
            alone.end_round().await;
            log.hold();
            alone.subscribe(&mut peer, "b", || !worker.dirty.borrow().is_empty()).await;
            alone.publish("a", "late", false);
            worker.end_round();
            log.wait_held(1).await;
            let late = alone.node.crossing.committed(worker.id);
            worker.open_round();
            if says_goodbye {
                peer.send(&[0xE0, 0]).await;
                wait_for("the goodbye", async || client.is_ending()).await;
            } else {
                worker.close(&client, Ending::Refused(Refusal::TokenExpired));
            }
            log.release();
            alone.settle().await;
            assert!(worker.watermark.get() > late && worker.client(client.key).is_some());
            worker.end_round();
            let session = client.lasting().expect("it lasts");
            let place = session.place.borrow();
            let Place::Away(lasting) = &*place else { panic!("it is put away") };
            assert!(lasting.cursor() <= late, "{:?} is behind {late:?}", lasting.cursor());
        });
    }
}

#[test]
fn however_many_sessions_end_in_one_round_their_documents_are_deleted() {
    let alone = alone();
    alone.runtime.block_on(async {
        let (worker, node) = (&alone.worker, &alone.node);
        let rules = node.replica.instance(alone.instance.id).expect("given");
        let instance = worker.local_instance(&alone.instance, rules);
        let sessions: Vec<_> = (0..30)
            .map(|at| {
                alone.instance.add_session();
                let lasting = Box::new(Lasting::new("owner", Pos::START));
                let client_id = format!("{at:02}{}", "x".repeat(60_000));
                worker.add_session(&instance, client_id.into(), Place::Away(lasting))
            })
            .collect();
        worker.open_round();
        for session in &sessions {
            worker.note_changes(session);
        }
        alone.end_round().await;
        assert_eq!(alone.log.keys(alone.instance.id, "s/").len(), 30);
        worker.open_round();
        for session in &sessions {
            worker.discard_session(session);
        }
        alone.end_round().await;
        assert!(alone.log.keys(alone.instance.id, "").is_empty());
        assert!(worker.sessions.borrow().is_empty() && instance.lasting.borrow().is_empty());
    });
}

/// A retained message is looked up beside the feed, which may bring a newer one of its topic first.
#[test]
fn an_older_retained_message_does_not_come_behind_a_newer_one() {
    let alone = alone();
    alone.runtime.block_on(async {
        let (worker, node) = (&alone.worker, &alone.node);
        alone.publish("a", "old", true);
        alone.publish("b", "other", true);
        alone.end_round().await;
        let (mut peer, client) = alone.client(false).await;
        alone.subscribe(&mut peer, "#", || worker.looking.get() == 1).await;
        alone.end_round().await;
        assert_eq!(alone.next(&mut peer).await, "suback 1 1");

        let filter: contract::topic::TopicFilter = "#".parse().expect("a filter");
        let page = node.durable.replay().retained(alone.instance.id, &filter, None, unix_now(), 9);
        alone.publish("a", "new", true);
        alone.end_round().await;
        let wanted =
            RetainedWanted { filter, granted: Granted::of(AtLeastOnce), after: None, left: 9, newest: 0 };
        let found = Found::Retained(wanted, page);
        node.crossing.bring(worker.id, Box::new(Looked { client: client.key, found }));
        alone.end_round().await;
        assert_eq!(alone.next(&mut peer).await, "publish 1 a new");
        assert_eq!(alone.next(&mut peer).await, "retained publish 1 b other");
        alone.publish("a", "newest", false);
        alone.end_round().await;
        assert_eq!(alone.next(&mut peer).await, "publish 1 a newest");
    });
}
