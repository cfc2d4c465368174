//! Messages between clients, and who may send and hear them.

use contract::feed::{Document, TopicDocument, TopicMode};
use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{Connect, Will};

use super::WORKERS;
use crate::testing::{Fixture, Given, claims, connect, document, grants, instance_id};

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[tokio::test]
async fn messages_reach_whoever_wants_them_once_and_in_order() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut exact = fixture.client(1, "exact").await;
        let mut wild = fixture.client(1, "wild").await;
        let mut both = fixture.client(1, "both").await;
        assert_eq!(exact.subscribe(&[("a/b", AtLeastOnce)]).await, "1");
        assert_eq!(wild.subscribe(&[("a/+", AtMostOnce), ("c/#", ExactlyOnce)]).await, "02");
        assert_eq!(both.subscribe(&[("a/b", AtMostOnce), ("#", AtLeastOnce)]).await, "01");

        let mut publisher = fixture.client(1, "publisher").await;
        publisher.publish_acknowledged("a/b", "one").await;
        publisher.publish("a/b", "two", AtMostOnce).await;
        publisher.publish_acknowledged("c", "three").await;
        assert_eq!(exact.next().await, "publish 1 a/b one");
        assert_eq!(exact.next().await, "publish 0 a/b two");
        for message in ["publish 0 a/b one", "publish 0 a/b two", "publish 1 c three"] {
            assert_eq!(wild.next().await, message);
        }
        for message in ["publish 1 a/b one", "publish 0 a/b two", "publish 1 c three"] {
            assert_eq!(both.next().await, message);
        }
    }
}

#[tokio::test]
async fn many_messages_cross_and_none_is_lost_or_overtaken() {
    for workers in WORKERS {
        let mut given = Given::workers(workers);
        given.config.worker.crossing_bytes_max = 65_536;
        let fixture = given
            .limits(|limits| {
                limits.client_messages_in_per_sec = 1_000_000;
                limits.client_messages_out_per_sec = 1_000_000;
                limits.messages_in_per_sec = 1_000_000;
                limits.messages_out_per_sec = 1_000_000;
                limits.in_flight_messages_max = 65_535;
                limits.client_bytes_in_per_sec = 1_000_000_000;
                limits.client_bytes_out_per_sec = 1_000_000_000;
                limits.bytes_in_per_sec = 1_000_000_000;
                limits.bytes_out_per_sec = 1_000_000_000;
                limits.outbox_bytes_max = 100_000_000;
            })
            .start();
        let mut ears = Vec::new();
        for at in 0..4 {
            let mut ear = fixture.client(1, &format!("ear-{at}")).await;
            assert_eq!(ear.subscribe(&[("load/#", AtLeastOnce)]).await, "1");
            ears.push(ear);
        }
        let mut mouth = fixture.client(1, "mouth").await;
        let count = 2_000;
        let filler = "x".repeat(1_000);
        let talking = tokio::spawn(async move {
            for number in 0..count {
                mouth.publish("load/here", &format!("{number} {filler}"), AtLeastOnce).await;
            }
            for number in 1..=count {
                assert_eq!(mouth.next().await, format!("puback {number}"));
            }
        });
        for mut ear in ears {
            for number in 0..count {
                let message = ear.next().await;
                assert!(message.starts_with(&format!("publish 1 load/here {number} x")), "{message}");
            }
        }
        talking.await.expect("every one was acknowledged");
        assert_eq!(fixture.broker.metrics().await.total.dropped, std::collections::BTreeMap::default());
    }
}

/// Messages that are small on the wire and large between workers, for the name of who sent them goes with each.
#[tokio::test]
async fn what_was_acknowledged_finds_room_between_workers() {
    let mut given = Given::workers(3);
    given.config.worker.crossing_bytes_max = 65_536;
    let fixture = given
        .limits(|limits| {
            limits.client_id_bytes_max = 1_024;
            limits.client_messages_in_per_sec = 1_000_000;
            limits.client_messages_out_per_sec = 1_000_000;
            limits.messages_in_per_sec = 1_000_000;
            limits.messages_out_per_sec = 1_000_000;
            limits.in_flight_messages_max = 65_535;
        })
        .start();
    let mut ears = Vec::new();
    for at in 0..8 {
        let mut ear = fixture.client(1, &format!("ear-{at}")).await;
        assert_eq!(ear.subscribe(&[("a", AtLeastOnce)]).await, "1");
        ears.push(ear);
    }
    let mut mouth = fixture.client(1, &"m".repeat(1_000)).await;
    let count = 1_000;
    let mut burst = Vec::new();
    for number in 1..=count {
        let packet_id = mqtt::PacketId::new(number);
        let publish = mqtt::Publish {
            dup: false,
            qos: AtLeastOnce,
            retain: false,
            topic: "a",
            packet_id,
            payload: b"x",
            ..mqtt::Publish::default()
        };
        mqtt::client::publish(&mut burst, &publish).expect("is written");
    }
    mouth.send(&burst).await;
    for number in 1..=count {
        assert_eq!(mouth.next().await, format!("puback {number}"));
    }
    for ear in &mut ears {
        for _ in 0..count {
            assert_eq!(ear.next().await, "publish 1 a x");
        }
    }
    assert_eq!(fixture.broker.metrics().await.total.dropped, std::collections::BTreeMap::default());
}

#[tokio::test]
async fn one_instances_wildcard_hears_nothing_of_another() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.client(1, "ear").await;
        assert_eq!(ear.subscribe(&[("#", AtLeastOnce), ("+/+", AtLeastOnce)]).await, "11");
        fixture.client(2, "mouth").await.publish_acknowledged("a/b", "secret").await;
        fixture.client(1, "bell").await.publish_acknowledged("bell", "ding").await;
        assert_eq!(ear.payloads_until("ding").await, [""; 0]);
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut narrow = claims(1, "car");
        narrow.grants = grants(
            r#"[{"actions":["publish"],"topic_filter":"up/car/#","qos_max":1},
                {"actions":["subscribe"],"topic_filter":"down/car/+","qos_max":0}]"#,
        );
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("#", AtLeastOnce)]).await;
        let mut car = fixture.client_with(&narrow, "car").await;
        let filters = ["down/car/x", "down/car/+", "down/+/x", "down/#", "#", "up/car/x", "$SYS/#"];
        let asked = filters.map(|filter| (filter, AtLeastOnce));
        assert_eq!(car.subscribe(&asked).await, "00xxxxx");

        car.publish("up/car/x", "allowed", AtMostOnce).await;
        car.publish("up/bus/x", "denied", AtMostOnce).await;
        car.publish("$SYS/x", "denied", AtMostOnce).await;
        car.publish_acknowledged("up/car/x", "marker").await;
        assert_eq!(ear.payloads_until("marker").await, ["allowed"]);
        assert_eq!(fixture.refused(Refusal::NotAuthorized).await, 7, "five filters and two messages");

        car.publish("up/bus/x", "denied", AtLeastOnce).await;
        assert_eq!(car.next().await, "closed", "an acknowledgement would be a lie");
        let bare = contract::claims::TokenClaims { grants: grants("[]"), ..claims(1, "bare") };
        let mut bare = fixture.client_with(&bare, "bare").await;
        assert_eq!(bare.subscribe(&[("a", AtMostOnce)]).await, "x");
    }
}

#[tokio::test]
async fn only_provisioned_topics_are_taken() {
    let instance = contract::feed::InstanceDocument { topic_mode: TopicMode::Provisioned, ..document(1) };
    let topic = |name: &str, payload_bytes_max| {
        let name = name.into();
        Document::Topic(TopicDocument {
            instance: instance_id(1),
            name,
            payload_bytes_max,
            history: None,
            durability: None,
        })
    };
    let mut given = Given::workers(1).with(topic("up", None)).with(topic("small", Some(3)));
    given.documents[0] = Document::Instance(instance);
    let fixture = given.start();
    let mut client = fixture.client(1, "car").await;
    assert_eq!(
        client.subscribe(&[("up/#", AtLeastOnce), ("other", AtMostOnce), ("#", AtMostOnce)]).await,
        "1x0"
    );
    client.publish("other", "lost", AtMostOnce).await;
    client.publish("small", "1234", AtMostOnce).await;
    client.publish("small", "123", AtMostOnce).await;
    assert_eq!(client.next().await, "publish 0 small 123");
    assert_eq!(fixture.refused(Refusal::TopicNotProvisioned).await, 2);
    assert_eq!(fixture.refused(Refusal::PayloadBytesMax).await, 1);
}

#[tokio::test]
async fn a_will_is_published_unless_the_client_says_goodbye() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("will/#", AtLeastOnce)]).await;
        let with_will = async |client_id: &str| {
            let token = fixture.sign(&claims(1, client_id));
            let payload = client_id.as_bytes();
            let will =
                Some(Will { topic: "will/x", payload, qos: AtLeastOnce, retain: false, ..Will::default() });
            let mut peer = fixture.peer().await;
            peer.connect(&Connect { will, ..connect(client_id, &token) }).await;
            assert_eq!(peer.next().await, "connack 0");
            peer
        };
        let mut polite = with_will("polite").await;
        polite.send(&[0xE0, 0]).await;
        assert_eq!(polite.next().await, "closed");
        drop(with_will("broken").await);
        assert_eq!(ear.next().await, "publish 1 will/x broken");
        with_will("malformed").await.send(&[0xF0, 0]).await;
        assert_eq!(ear.next().await, "publish 1 will/x malformed");
        let _first = with_will("taken").await;
        let _second = with_will("taken").await;
        assert_eq!(ear.next().await, "publish 1 will/x taken");
    }
}

#[tokio::test]
async fn a_goodbye_that_lies_unread_takes_the_will_back_though_the_connection_is_broken() {
    let fixture = Given::workers(1).limits(|limits| limits.client_messages_in_per_sec = 1).start();
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("will", AtMostOnce)]).await;
    let token = fixture.sign(&claims(1, "polite"));
    let mut polite = fixture.peer().await;
    let will =
        Some(Will { topic: "will", payload: b"polite", qos: AtMostOnce, retain: false, ..Will::default() });
    polite.connect(&Connect { will, ..connect("polite", &token) }).await;
    assert_eq!(polite.next().await, "connack 0");
    polite.subscribe(&[("a", AtMostOnce)]).await;
    // It is not read for a second or two, says goodbye, and its system closes with a reset: something lies unread.
    for _ in 0..3 {
        polite.publish("a", "unread", AtMostOnce).await;
    }
    polite.stream.readable().await.expect("a socket");
    polite.send(&[0xE0, 0]).await;
    drop(polite);
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish("a", "into the void", AtMostOnce).await;
    crate::testing::wait_for("it to be gone", async || fixture.broker.connections() == 2).await;
    mouth.publish("will", "marker", AtMostOnce).await;
    assert_eq!(ear.payloads_until("marker").await, [""; 0]);
}

#[tokio::test]
async fn a_subscription_ends_when_the_client_says_so_or_goes() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut mouth = fixture.client(1, "mouth").await;
        let mut ear = fixture.client(1, "ear").await;
        ear.subscribe(&[("a", AtMostOnce), ("marker", AtMostOnce)]).await;
        mouth.publish_acknowledged("a", "one").await;
        assert_eq!(ear.next().await, "publish 0 a one");
        ear.send(b"\xA2\x05\x00\x09\x00\x01a").await;
        assert_eq!(ear.next().await, "unsuback 9");
        mouth.publish_acknowledged("a", "two").await;
        mouth.publish_acknowledged("marker", "end").await;
        assert_eq!(ear.payloads_until("end").await, [""; 0]);

        drop(ear);
        crate::testing::wait_for("the client to be gone", async || fixture.broker.connections() == 1).await;
        let mut again = fixture.client(1, "ear").await;
        mouth.publish_acknowledged("marker", "end").await;
        assert_eq!(again.ping().await, "pingresp", "nothing of the former session");
    }
}
