//! What must not take more than one connection with it, and how a node ends.

use std::time::Duration;

use contract::qos::Qos;
use contract::refusal::Refusal;
use mqtt::{Connect, Will};

use super::WORKERS;
use crate::client::Client;
use crate::testing::{Fixture, Given, claims, connect};

use Qos::AtMostOnce;

#[tokio::test]
async fn malformed_bytes_close_that_connection_only() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut bystander = fixture.client(1, "bystander").await;
        for bytes in [
            &b"\xF0\x00"[..],
            b"\x10\x00",
            b"\x30\x03\x00\x05a",
            b"\x82\x02\x00\x00",
            b"\x40\x03\x00\x01\x00",
            b"\x30\xFF\xFF\xFF\xFF",
            b"\x20\x02\x00\x00",
        ] {
            let mut client = fixture.client(1, "car").await;
            client.send(bytes).await;
            assert_eq!(client.next().await, "closed", "{bytes:x?}");
        }
        assert_eq!(bystander.ping().await, "pingresp");
        let malformed = fixture.refused(Refusal::MalformedPacket).await;
        assert_eq!(malformed + fixture.refused(Refusal::ProtocolError).await, 7);
    }
}

#[tokio::test]
async fn a_failure_while_serving_one_client_closes_that_client_only() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut bystander = fixture.client(1, "bystander").await;
        let mut victim = fixture.client(1, "victim").await;
        victim.publish(crate::turn::FAILS, "x", AtMostOnce).await;
        assert_eq!(victim.next().await, "closed");
        assert_eq!(bystander.ping().await, "pingresp");
        bystander.subscribe(&[("a", AtMostOnce)]).await;
        bystander.publish("a", "still here", AtMostOnce).await;
        assert_eq!(bystander.next().await, "publish 0 a still here");
        let metrics = fixture.broker.metrics().await;
        assert_eq!((metrics.panics, metrics.total.refused.get(&Refusal::InternalError)), (1, Some(&1)));
    }
}

#[tokio::test]
async fn a_message_that_fails_on_another_worker_takes_no_other_with_it() {
    let mut given = Given::workers(3);
    given.config.worker.crossing_bytes_max = 65_536;
    let fixture = given.start();
    let mut mouth = fixture.client(1, "mouth").await;
    let mut ears = Vec::new();
    for at in 0..12 {
        let mut ear = fixture.client(1, &format!("ear-{at}")).await;
        ear.subscribe(&[(crate::turn::FAILS_CROSSED, AtMostOnce), ("a", AtMostOnce)]).await;
        ears.push(ear);
    }
    let payload = "x".repeat(50_000);
    for _ in 0..4 {
        // More than the ring takes: its room must have come back each time.
        mouth.publish_acknowledged(crate::turn::FAILS_CROSSED, &payload).await;
        mouth.publish_acknowledged("a", &payload).await;
    }
    for ear in &mut ears {
        for _ in 0..4 {
            let mut packet = ear.next().await;
            while packet.starts_with("publish 0 fails/") {
                packet = ear.next().await;
            }
            assert_eq!(packet, format!("publish 0 a {payload}"));
        }
    }
    let panics = fixture.broker.metrics().await.panics;
    assert!([4, 8].contains(&panics), "four on each other worker with ears: {panics}");
}

#[tokio::test]
async fn packets_may_come_in_any_pieces() {
    let fixture = Given::workers(1).start();
    let mut client = fixture.client(1, "car").await;
    client.subscribe(&[("a", AtMostOnce)]).await;
    let large = "y".repeat(300_000);
    let mut bytes = b"\xC0\x00\x30\x04\x00\x01ax".to_vec();
    let publish = mqtt::Publish {
        dup: false,
        qos: AtMostOnce,
        retain: false,
        topic: "a",
        packet_id: None,
        payload: large.as_bytes(),
        ..mqtt::Publish::default()
    };
    mqtt::client::publish(&mut bytes, &publish).expect("is written");
    bytes.extend_from_slice(b"\xC0\x00");
    for piece in bytes[..64].chunks(1).chain(bytes[64..].chunks(70_001)) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.next().await, "pingresp");
    assert_eq!(client.next().await, "publish 0 a x");
    assert_eq!(client.next().await, format!("publish 0 a {large}"));
    assert_eq!(client.next().await, "pingresp");
}

#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let fixture = Fixture::start(1);
    let token = fixture.sign(&claims(1, "car"));
    let mut ear = fixture.client(1, "ear").await;
    ear.subscribe(&[("gone", AtMostOnce)]).await;
    let mut silent = fixture.peer().await;
    let will =
        Some(Will { topic: "gone", payload: b"car", qos: AtMostOnce, retain: false, ..Will::default() });
    silent.connect(&Connect { keep_alive_secs: 1, will, ..connect("car", &token) }).await;
    assert_eq!(silent.next().await, "connack 0");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(silent.ping().await, "pingresp");
    }
    assert_eq!(silent.next().await, "closed");
    assert_eq!(ear.next().await, "publish 0 gone car");
    assert_eq!(fixture.refused(Refusal::KeepAliveTimeout).await, 1);
}

#[tokio::test]
async fn a_stopping_node_says_goodbye_and_withholds_wills() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut clients = Vec::new();
        for at in 0..20 {
            let client_id = format!("car-{at}");
            let token = fixture.sign(&claims(1, &client_id));
            let mut peer = fixture.peer().await;
            let will = Some(Will {
                topic: "gone",
                payload: b"x",
                qos: AtMostOnce,
                retain: false,
                ..Will::default()
            });
            peer.connect(&Connect { will, ..connect(&client_id, &token) }).await;
            assert_eq!(peer.next().await, "connack 0");
            peer.subscribe(&[("gone", AtMostOnce)]).await;
            clients.push(peer);
        }
        let address = fixture.broker.mqtt_address();
        let ends = tokio::spawn(async move {
            for client in &mut clients {
                assert_eq!(client.next().await, "closed", "and no will before it");
            }
        });
        let stopped = tokio::time::timeout(Duration::from_secs(5), fixture.broker.stop()).await;
        assert!(stopped.is_ok(), "within its bound");
        ends.await.expect("all were closed");
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn a_node_serves_operators_on_an_address_of_their_own() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut given = Given::workers(1);
    given.config.http.address = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let fixture = given.start();
    let _client = fixture.client(1, "car").await;
    let address = fixture.broker.http_address().expect("an address");
    for (path, expected) in [("/healthz", "ok"), ("/metrics", "broker_connections{instance=")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{answer}");
    }
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Given::workers(1).config;
    config.data_dir = dir.path().to_owned();
    config.listeners[0].address = taken.local_addr().expect("an address");
    let error = crate::start(config.clone()).err().expect("the port is taken");
    assert!(error.to_string().contains("cannot listen on"), "{error}");

    config.listeners[0].address.set_port(0);
    let first = crate::start(config.clone()).expect("starts");
    let error = crate::start(config.clone()).err().expect("the directory is in use");
    assert!(matches!(error, crate::StartError::Replica(_)), "{error}");
    drop(first);

    config.data_dir = taken_path(dir.path());
    let error = crate::start(config).err().expect("a file is no directory");
    assert!(matches!(error, crate::StartError::DataDir { .. }), "{error}");
}

fn taken_path(dir: &std::path::Path) -> std::path::PathBuf {
    let path = dir.join("file");
    std::fs::write(&path, "").expect("is written");
    path.join("below")
}

#[test]
fn a_client_is_small() {
    let parts = [
        ("Client", size_of::<Client>(), 536),
        ("Session", size_of::<session::Session>(), 224),
        ("Bucket", size_of::<crate::buckets::Bucket>(), 24),
        ("Topics", size_of::<crate::topics::Topics>(), 32),
    ];
    for (name, bytes, bytes_max) in parts {
        println!("{name}: {bytes} bytes");
        assert!(bytes <= bytes_max, "{name} takes {bytes} bytes");
    }
}

#[tokio::test]
async fn a_busy_instance_leaves_the_others_their_turns() {
    let mut given = Given::workers(1).limits(|limits| {
        for limit in contract::limits::LIMITS.iter().filter(|limit| limit.name.ends_with("_per_sec")) {
            limits.set(limit.name, limit.max).expect("within its bounds");
        }
    });
    given.config.front.handshakes_per_address_max = 1_000;
    let fixture = given.start();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut busy = Vec::new();
    for at in 0..150 {
        let mut client = fixture.client(1, &format!("busy-{at}")).await;
        let stop = stop.clone();
        busy.push(tokio::spawn(async move {
            let mut answers = 0;
            while !stop.is_cancelled() {
                client.publish_acknowledged("a", "x").await;
                answers += 1;
            }
            answers
        }));
    }
    let mut bystander = fixture.client(2, "bystander").await;
    for _ in 0..100 {
        assert_eq!(bystander.ping().await, "pingresp");
    }
    stop.cancel();
    for client in busy {
        assert!(client.await.expect("is served") > 0, "and of the busy ones each has had its turns");
    }
}
