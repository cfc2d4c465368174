//! QoS 2 through the node.

use contract::qos::Qos::{AtLeastOnce, ExactlyOnce};
use contract::refusal::Refusal;
use mqtt::{PacketId, Publish, Will, client};

use super::WORKERS;
use crate::testing::{Fixture, Given, Peer, claims, connect};

fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).expect("from 1")
}

/// A PUBLISH of QoS 2 with this identifier.
async fn publish(peer: &mut Peer, packet_id: u16, topic: &str, payload: &str, dup: bool) {
    let (packet_id, payload) = (Some(id(packet_id)), payload.as_bytes());
    let mut bytes = Vec::new();
    let publish =
        Publish { dup, qos: ExactlyOnce, retain: false, topic, packet_id, payload, ..Publish::default() };
    mqtt::client::publish(&mut bytes, &publish).expect("is written");
    peer.send(&bytes).await;
}

async fn acknowledge(peer: &mut Peer, write: fn(&mut Vec<u8>, PacketId), packet_id: PacketId) {
    let mut bytes = Vec::new();
    write(&mut bytes, packet_id);
    peer.send(&bytes).await;
}

/// [MQTT-4.3.3-1], [MQTT-4.3.3-2]: four packets each way, one message.
#[tokio::test]
async fn a_message_sent_twice_arrives_once() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.client(1, "ear").await;
        assert_eq!(ear.subscribe(&[("a", ExactlyOnce)]).await, "2");
        let mut mouth = fixture.client(1, "mouth").await;
        publish(&mut mouth, 9, "a", "once", false).await;
        publish(&mut mouth, 9, "a", "once", true).await;
        assert_eq!(mouth.next().await, "pubrec 9");
        assert_eq!(mouth.next().await, "pubrec 9");
        acknowledge(&mut mouth, client::pubrel, id(9)).await;
        acknowledge(&mut mouth, client::pubrel, id(9)).await;
        assert_eq!(mouth.next().await, "pubcomp 9");
        assert_eq!(mouth.next().await, "pubcomp 9");
        publish(&mut mouth, 9, "a", "a new one", false).await;
        assert_eq!(mouth.next().await, "pubrec 9");

        let mut packet_ids = Vec::new();
        for expected in ["publish 2 a once", "publish 2 a a new one"] {
            assert_eq!(ear.next().await, expected);
            packet_ids.push(ear.last_packet_id.expect("of QoS 2"));
        }
        // The first may come again: the client need not have seen PUBREL.
        for packet_id in [packet_ids[0], packet_ids[0], packet_ids[1]] {
            acknowledge(&mut ear, client::pubrec, packet_id).await;
        }
        for expected in ["pubrel 1", "pubrel 1", "pubrel 2"] {
            assert_eq!(ear.next().await, expected);
        }
        acknowledge(&mut ear, client::pubcomp, id(1)).await;
        assert_eq!(ear.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn messages_wait_for_the_last_of_the_four_packets() {
    let fixture = Given::workers(1).limits(|limits| limits.in_flight_messages_max = 1).start();
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("a", ExactlyOnce)]).await;
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_exactly_once("a", "one").await;
    mouth.publish_acknowledged("a", "two").await;
    assert_eq!(ear.next().await, "publish 2 a one");
    acknowledge(&mut ear, client::pubrec, id(1)).await;
    assert_eq!(ear.next().await, "pubrel 1");
    assert_eq!(ear.ping().await, "pingresp", "and not the second message");
    acknowledge(&mut ear, client::pubcomp, id(1)).await;
    assert_eq!(ear.next().await, "publish 1 a two");
}

#[tokio::test]
async fn a_client_releases_what_it_has_sent_or_goes() {
    let fixture = Given::workers(1).limits(|limits| limits.in_flight_messages_max = 2).start();
    let mut mouth = fixture.client(1, "mouth").await;
    for packet_id in 1..=3 {
        publish(&mut mouth, packet_id, "a", "", false).await;
    }
    assert_eq!(mouth.next().await, "pubrec 1");
    assert_eq!(mouth.next().await, "pubrec 2");
    assert_eq!(mouth.next().await, "closed");
    assert_eq!(fixture.refused(Refusal::InFlightMessagesMax).await, 1);
}

#[tokio::test]
async fn repetitions_are_paid_for() {
    let fixture = Given::workers(1).limits(|limits| limits.client_messages_in_per_sec = 10).start();
    let mut mouth = fixture.client(1, "mouth").await;
    let begun = std::time::Duration::from_millis(0);
    let started = tokio::time::Instant::now();
    for _ in 0..30 {
        publish(&mut mouth, 1, "a", "", true).await;
    }
    for _ in 0..30 {
        assert_eq!(mouth.next().await, "pubrec 1");
    }
    assert_eq!(mouth.ping().await, "pingresp");
    assert!(started.elapsed() > begun + std::time::Duration::from_millis(500), "ten a second");
}

#[tokio::test]
async fn a_will_of_qos_2_is_published_so() {
    let fixture = Fixture::start(1);
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("will", ExactlyOnce)]).await;
    let mut at_most_1 = fixture.client(1, "at-most-1").await;
    at_most_1.subscribe(&[("will", AtLeastOnce)]).await;
    let token = fixture.sign(&claims(1, "car"));
    let will =
        Some(Will { topic: "will", payload: b"gone", qos: ExactlyOnce, retain: false, ..Will::default() });
    let mut car = fixture.peer().await;
    car.connect(&mqtt::Connect { will, ..connect("car", &token) }).await;
    assert_eq!(car.next().await, "connack 0");
    drop(car);
    assert_eq!(ear.next().await, "publish 2 will gone");
    assert_eq!(at_most_1.next().await, "publish 1 will gone");
}
