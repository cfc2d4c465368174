//! Messages of QoS 1 and 2 through crashes at any moment, between clients that keep what MQTT asks them to keep.

use std::collections::{BTreeMap, BTreeSet};

use contract::qos::Qos::{self, AtLeastOnce, ExactlyOnce};
use mqtt::{PacketId, Publish, client};

use super::WORKERS;
use crate::testing::{Fixture, Given, Peer};

/// How often the node goes down.
const CRASHES: usize = 6;

/// Messages that are published between two crashes, at most.
const MESSAGES: usize = 40;

/// A publisher and what it remembers: messages that are not acknowledged, and those of QoS 2 that are not released.
#[derive(Default)]
struct Mouth {
    last: u16,
    unacknowledged: BTreeMap<u16, (Qos, String)>,
    unreleased: BTreeSet<u16>,
    acknowledged: Vec<String>,
}

impl Mouth {
    async fn send(&self, peer: &mut Peer, packet_id: u16, dup: bool) -> bool {
        let (qos, payload) = &self.unacknowledged[&packet_id];
        let packet_id = PacketId::new(packet_id);
        let publish = Publish {
            dup,
            qos: *qos,
            retain: false,
            topic: "a",
            packet_id,
            payload: payload.as_bytes(),
            ..Publish::default()
        };
        let mut bytes = Vec::new();
        mqtt::client::publish(&mut bytes, &publish).expect("is written");
        peer.try_send(&bytes).await
    }

    /// Sends again what it has not been told is received.
    async fn resume(&self, peer: &mut Peer) -> bool {
        let mut is_up = true;
        for &packet_id in self.unacknowledged.keys() {
            is_up = is_up && self.send(peer, packet_id, true).await;
        }
        for &packet_id in &self.unreleased {
            is_up = is_up && release(peer, packet_id).await;
        }
        is_up
    }

    async fn publish(&mut self, peer: &mut Peer, qos: Qos, payload: String) -> bool {
        self.last = self.last % 60 + 1;
        while self.unacknowledged.contains_key(&self.last) || self.unreleased.contains(&self.last) {
            self.last = self.last % 60 + 1;
        }
        self.unacknowledged.insert(self.last, (qos, payload));
        self.send(peer, self.last, false).await
    }

    /// Hears one packet; false when the connection has gone.
    async fn hear(&mut self, peer: &mut Peer) -> bool {
        let packet = peer.next().await;
        let Some((kind, packet_id)) = packet.split_once(' ') else { return false };
        let Ok(packet_id) = packet_id.parse() else { return false };
        match kind {
            "puback" | "pubrec" => {
                if let Some((_, payload)) = self.unacknowledged.remove(&packet_id) {
                    self.acknowledged.push(payload);
                }
                if kind == "pubrec" {
                    self.unreleased.insert(packet_id);
                    return release(peer, packet_id).await;
                }
            }
            _ => drop(self.unreleased.remove(&packet_id)),
        }
        true
    }

    fn is_done(&self) -> bool {
        self.unacknowledged.is_empty() && self.unreleased.is_empty()
    }
}

async fn release(peer: &mut Peer, packet_id: u16) -> bool {
    let mut bytes = Vec::new();
    client::pubrel(&mut bytes, PacketId::new(packet_id).expect("from 1"));
    peer.try_send(&bytes).await
}

/// A subscriber and what it remembers: identifiers of QoS 2 that were received and not released.
#[derive(Default)]
struct Ear {
    received: BTreeSet<PacketId>,
    messages: Vec<String>,
}

impl Ear {
    /// Hears one packet; false when the connection has gone.
    async fn hear(&mut self, peer: &mut Peer) -> bool {
        let packet = peer.next().await;
        let mut bytes = Vec::new();
        if let Some(packet_id) = packet.strip_prefix("pubrel ").and_then(|id| PacketId::new(id.parse().ok()?))
        {
            self.received.remove(&packet_id);
            client::pubcomp(&mut bytes, packet_id);
        } else if let Some((_, message)) = packet.split_once("publish ") {
            let packet_id = peer.last_packet_id.expect("of QoS 1 or 2");
            let (qos, payload) = (&message[..1], message.split(' ').nth(2).expect("a payload").to_owned());
            if qos == "2" {
                if self.received.insert(packet_id) {
                    self.messages.push(payload);
                }
                client::pubrec(&mut bytes, packet_id);
            } else {
                self.messages.push(payload);
                client::puback(&mut bytes, packet_id);
            }
        } else {
            return false;
        }
        peer.try_send(&bytes).await
    }
}

/// One life of the node: both clients do what they do until it goes down.
async fn live(fixture: &Fixture, mouth: &mut Mouth, ear: &mut Ear, life: usize) {
    let mut speaking = fixture.lasting_client("mouth", true).await;
    let mut hearing = fixture.lasting_client("ear", true).await;
    let publishing = async {
        let mut is_up = mouth.resume(&mut speaking).await;
        for at in 0..MESSAGES {
            let (qos, kind) = if at % 2 == 0 { (AtLeastOnce, "once") } else { (ExactlyOnce, "exactly") };
            is_up = is_up && mouth.publish(&mut speaking, qos, format!("{kind}-{life}-{at}")).await;
            while is_up && mouth.unacknowledged.len() > 8 {
                is_up = mouth.hear(&mut speaking).await;
            }
            if at == 7 + life * 4 {
                // From here on nothing is stored any more.
                fixture.log.lose(true);
            }
        }
        while is_up && !mouth.is_done() {
            is_up = mouth.hear(&mut speaking).await;
        }
        fixture.broker.stop_token().cancel();
    };
    let listening = async { while ear.hear(&mut hearing).await {} };
    tokio::join!(publishing, listening);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_comes_twice_that_must_not() {
    for workers in WORKERS {
        let given = Given::workers(workers).limits(|limits| limits.in_flight_messages_max = 20);
        let mut fixture = given.start();
        let (mut mouth, mut ear) = (Mouth::default(), Ear::default());
        let mut hearing = fixture.lasting_client("ear", false).await;
        assert_eq!(hearing.subscribe(&[("a", ExactlyOnce)]).await, "2");
        drop(hearing);
        let mut speaking = fixture.lasting_client("mouth", false).await;
        assert_eq!(speaking.subscribe(&[("nothing", AtLeastOnce)]).await, "1", "it is kept");
        drop(speaking);
        for life in 0..CRASHES {
            live(&fixture, &mut mouth, &mut ear, life).await;
            fixture = fixture.restart_on_log().await;
        }
        // What is left is brought to its end.
        let mut speaking = fixture.lasting_client("mouth", true).await;
        assert!(mouth.resume(&mut speaking).await);
        while !mouth.is_done() {
            assert!(mouth.hear(&mut speaking).await, "it stays connected");
        }
        // In order are only those of one QoS.
        for qos in [AtLeastOnce, ExactlyOnce] {
            assert!(mouth.publish(&mut speaking, qos, "end".into()).await);
        }
        let mut hearing = fixture.lasting_client("ear", true).await;
        while ear.messages.iter().filter(|it| *it == "end").count() < 2 {
            assert!(ear.hear(&mut hearing).await, "it stays connected");
        }
        let heard: BTreeSet<_> = ear.messages.iter().collect();
        for payload in &mouth.acknowledged {
            assert!(heard.contains(payload), "{payload} was acknowledged and has not come");
        }
        let mut exactly: Vec<_> = ear.messages.iter().filter(|it| it.starts_with("exactly")).collect();
        exactly.sort_unstable();
        let twice: Vec<_> = exactly.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(
            mouth.acknowledged.len() > CRASHES * 8,
            "it has published something: {}",
            mouth.acknowledged.len()
        );
    }
}
