//! CONNECT and what follows: who is let in, how others are told, what ends a connection, and what does not.

use std::time::Duration;

use contract::refusal::Refusal;
use serde_json::json;
use tests::wait::now;
use tests::{AtLeastOnce, AtMostOnce, Client, Cluster, ExactlyOnce, Instance};

/// CONNACK return codes (table 3.1).
const UNACCEPTABLE_VERSION: u8 = 1;
const IDENTIFIER_REJECTED: u8 = 2;
const BAD_USER_NAME_OR_PASSWORD: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;

/// A cluster of this many workers, and an instance that accepts any topic.
async fn cluster_and_instance(workers: usize) -> (Cluster, Instance) {
    let cluster = Cluster::builder().workers(workers).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    (cluster, cars)
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_are_answered_in_a_form_that_they_may_know() {
    let (cluster, cars) = cluster_and_instance(1).await;
    for (name, level, answer) in [
        (&b"\x00\x04MQTT"[..], 6, &[0x20, 3, 0, 0x84, 0][..]),
        (b"\x00\x04MQTT", 3, &[0x20, 2, 0, UNACCEPTABLE_VERSION]),
        (b"\x00\x06MQIsdp", 2, &[0x20, 2, 0, UNACCEPTABLE_VERSION]),
    ] {
        let before = cluster.refused(Refusal::UnsupportedVersion).await;
        let mut body = name.to_vec();
        body.extend_from_slice(&[level, 0b10, 0, 60]);
        body.extend_from_slice(b"\x00\x03car");
        let mut packet = vec![0x10, u8::try_from(body.len()).expect("short")];
        packet.extend_from_slice(&body);
        let mut client = Client::open(cars.mqtt[0], "car").await;
        client.send(&packet).await;
        assert_eq!(client.read_until_closed().await, answer, "level {level}");
        cluster.wait_for_refusal(Refusal::UnsupportedVersion, before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_a_lasting_client_is_away_is_there_when_it_comes_back() {
    let (_cluster, cars) = cluster_and_instance(1).await;
    let car = cars.client_with_token("car").await.lasting();
    let mut connected = car.connect().await;
    assert!(!connected.session_present());
    connected.subscribe("down/+", ExactlyOnce).await;
    connected.disconnect().await;
    let mut mouth = cars.connect("mouth").await;
    for (payload, qos) in [("1", AtLeastOnce), ("2", ExactlyOnce), ("3", AtLeastOnce), ("4", ExactlyOnce)] {
        mouth.publish("down/car", payload, qos).await;
    }
    let mut back = car.connect().await;
    assert!(back.session_present());
    let mut arrived = Vec::new();
    for _ in 0..4 {
        let message = back.message().await;
        arrived.push((message.qos, message.payload));
    }
    // In order for each QoS; between the two there is none [MQTT-4.6.0-6].
    arrived.sort_by_key(|(qos, _)| *qos);
    let in_order = [(AtLeastOnce, "1"), (AtLeastOnce, "3"), (ExactlyOnce, "2"), (ExactlyOnce, "4")];
    assert_eq!(arrived, in_order.map(|(qos, payload)| (qos, payload.to_owned())));
    back.disconnect().await;
    let clean = cars.client_with_token("car").await;
    assert!(!clean.connect().await.session_present(), "a clean session ends the lasting one [MQTT-3.1.2-6]");
    assert!(!car.connect().await.session_present());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_proof() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let secret = cars.credential("car-001", json!({"client_id": "car-001"})).await.text("secret");
    let named = format!("car-001@{}", cars.label);
    for (client, code, refusal) in [
        (cars.client("x"), BAD_USER_NAME_OR_PASSWORD, Refusal::CredentialsWrong),
        (cars.client("x").username_only(&named), BAD_USER_NAME_OR_PASSWORD, Refusal::CredentialsWrong),
        (
            cars.client("car-001").login(&named, "guessed"),
            BAD_USER_NAME_OR_PASSWORD,
            Refusal::CredentialsWrong,
        ),
        (
            cars.client("x").login(&format!("nobody@{}", cars.label), &secret),
            BAD_USER_NAME_OR_PASSWORD,
            Refusal::CredentialsWrong,
        ),
        (cars.client("car-001").login("car-001", &secret), NOT_AUTHORIZED, Refusal::InstanceUnknown),
        (cars.client("car-001").login("car-001@nowhere", &secret), NOT_AUTHORIZED, Refusal::InstanceUnknown),
        (cars.client("car-002").login(&named, &secret), IDENTIFIER_REJECTED, Refusal::ClientIdNotAllowed),
        (cars.client("car-001").token("eyJ.eyJ.x"), BAD_USER_NAME_OR_PASSWORD, Refusal::TokenInvalid),
    ] {
        cluster.expect_refused(&client, code, refusal).await;
    }
    cars.client("car-001").login(&named, &secret).connect().await.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_can_be_disabled_rotated_and_deleted_under_a_connection() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let created = cars.credential("car-001", json!({})).await;
    let (id, primary) = (created.text("id"), created.text("secret"));
    let act = async |verb: &str| {
        cars.api.waiting().act(&cars.path(&format!("/credentials/{id}/{verb}"))).await.ok().clone()
    };
    let named = format!("car-001@{}", cars.label);
    let with = |secret: &str| cars.client("car-001").login(&named, secret);

    let mut car = with(&primary).connect().await;
    act("disable").await;
    car.closed().await;
    cluster.expect_refused(&with(&primary), NOT_AUTHORIZED, Refusal::CredentialDisabled).await;
    act("enable").await;

    let rotate = async |which: &str| {
        let path = cars.path(&format!("/credentials/{id}/rotate"));
        cars.api.waiting().post(&path, json!({ "which": which })).await.text("secret")
    };
    let secondary = rotate("secondary").await;
    let mut car = with(&primary).connect().await;
    car.ping().await;
    with(&secondary).connect().await.ping().await;
    car.closed().await;
    let mut car = with(&secondary).connect().await;
    let new_primary = rotate("primary").await;
    car.ping().await;
    cluster.expect_refused(&with(&primary), BAD_USER_NAME_OR_PASSWORD, Refusal::CredentialsWrong).await;
    with(&new_primary).connect().await.ping().await;

    let mut car = with(&new_primary).connect().await;
    cars.api.waiting().delete(&cars.path(&format!("/credentials/{id}"))).await.expect(204);
    car.closed().await;
    cluster.expect_refused(&with(&new_primary), BAD_USER_NAME_OR_PASSWORD, Refusal::CredentialsWrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_are_sent_to_who_subscribes_later() {
    let (_cluster, cars) = cluster_and_instance(1).await;
    let mut ear = cars.connect("ear").await.subscribed("#", ExactlyOnce).await;
    let mut mouth = cars.connect("mouth").await;
    for (topic, qos) in [("a", AtMostOnce), ("b", ExactlyOnce), ("c", AtLeastOnce)] {
        mouth.retain(topic, "kept", qos).await;
        assert!(!ear.expect(topic, "kept").await.retain, "as any message for who was there [MQTT-3.3.1-9]");
    }
    let mut late = cars.connect("late").await.subscribed("+", ExactlyOnce).await;
    for topic in ["a", "b", "c"] {
        assert!(late.expect(topic, "kept").await.retain, "[MQTT-3.3.1-8]");
    }
    mouth.retain("a", "", AtLeastOnce).await;
    let payload = json!({"encoding": "utf8", "data": "of an application"});
    let body = json!({"topic": "b", "payload": payload, "retain": true});
    cars.api.post(&cars.path("/messages/publish"), body).await.ok();
    let mut later = cars.connect("later").await.subscribed("#", AtLeastOnce).await;
    later.expect("b", "of an application").await;
    later.expect("c", "kept").await;
    mouth.publish("bell", "", AtLeastOnce).await;
    assert_eq!(later.topics_until("bell").await, ["bell"], "what was deleted is not sent [MQTT-3.3.1-10]");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bytes_close_the_connection_they_came_on_and_no_other() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let mut bystander = cars.connect("bystander").await.subscribed("#", AtLeastOnce).await;
    let garbage: [(&[u8], Refusal); 6] = [
        (&[0xF0, 0], Refusal::MalformedPacket),
        (&[0x36, 5, 0, 1, b'a', 0, 1], Refusal::MalformedPacket),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], Refusal::MalformedPacket),
        (&[0x30, 3, 0, 1, b'+'], Refusal::MalformedPacket),
        (&[0x82, 2, 0, 1], Refusal::MalformedPacket),
        (&[0x20, 2, 0, 0], Refusal::ProtocolError),
    ];
    for (bytes, _) in garbage {
        let mut stranger = Client::open(cars.mqtt[0], "stranger").await;
        stranger.send(bytes).await;
        stranger.closed().await;
    }
    for (bytes, refusal) in garbage {
        let before =
            cluster.refused(Refusal::MalformedPacket).await + cluster.refused(Refusal::ProtocolError).await;
        let mut client = cars.connect("clumsy").await;
        client.send(bytes).await;
        client.closed().await;
        let what = format!("{bytes:02x?} to be counted as {refusal:?} or its neighbour");
        tests::wait_for(&what, async || {
            cluster.refused(Refusal::MalformedPacket).await + cluster.refused(Refusal::ProtocolError).await
                > before
        })
        .await;
    }
    let mut twice = cars.client_with_token("twice").await.connect().await;
    twice.send(&cars.client_with_token("twice").await.packet()).await;
    twice.closed().await;
    bystander.publish("still", "here", AtLeastOnce).await;
    bystander.expect("still", "here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let before = cluster.refused(Refusal::KeepAliveTimeout).await;
    let mut silent = cars.client_with_token("silent").await.keep_alive(2).connect().await;
    let mut alive = cars.client_with_token("alive").await.keep_alive(2).connect().await;
    let begin = now();
    let silence = silent.closed_at();
    let pings = async {
        while begin.elapsed() < Duration::from_secs(5) {
            alive.ping().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let (closed_at, ()) = tokio::join!(silence, pings);
    let lived = closed_at - begin;
    assert!((Duration::from_millis(2_900)..Duration::from_millis(4_500)).contains(&lived), "{lived:?}");
    alive.ping().await;
    cluster.wait_for_refusal(Refusal::KeepAliveTimeout, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_identifier_belongs_to_the_identity_that_has_it() {
    for workers in [1, 3] {
        let (cluster, cars) = cluster_and_instance(workers).await;
        let first = cars.token_of(json!({"subject": "first"})).await;
        let other = cars.token_of(json!({"subject": "other"})).await;
        let mut holder =
            cars.client("shared").token(&first.text).connect().await.subscribed("a", AtLeastOnce).await;
        let burglar = cars.client("shared").token(&other.text);
        cluster.expect_refused(&burglar, IDENTIFIER_REJECTED, Refusal::ClientIdInUse).await;
        holder.publish("a", "still mine", AtLeastOnce).await;
        holder.expect("a", "still mine").await;

        let mut newcomer = cars.client("shared").token(&first.text).connect().await;
        holder.closed().await;
        newcomer.ping().await;
        newcomer.disconnect().await;
        burglar.connect().await.ping().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_unless_the_client_says_good_bye() {
    for workers in [1, 3] {
        let (cluster, cars) = cluster_and_instance(workers).await;
        let mut ear = cars.connect("ear").await.subscribed("#", AtLeastOnce).await;
        let car = cars.client_with_token("car").await;

        drop(car.clone().will("wills/car", "lost", AtLeastOnce).connect().await);
        let message = ear.expect("wills/car", "lost").await;
        assert_eq!((message.qos, message.retain), (AtLeastOnce, false));

        car.clone().will("wills/car", "never", AtLeastOnce).connect().await.disconnect().await;
        cars.connect("bell").await.publish("bell", "", AtLeastOnce).await;
        assert_eq!(ear.topics_until("bell").await, ["bell"], "good-bye voids the will");

        let mut clumsy = car.clone().will("wills/car", "malformed", AtMostOnce).connect().await;
        clumsy.send(&[0xF0, 0]).await;
        ear.expect("wills/car", "malformed").await;

        let grants = json!([{"actions": ["publish"], "topic_filter": "mine/#"}]);
        let bounded = cars.token_with_grants("bounded", grants).await;
        let bounded = cars.client("bounded").token(&bounded.text).will("wills/car", "", AtMostOnce);
        cluster.expect_refused(&bounded, NOT_AUTHORIZED, Refusal::WillNotAuthorized).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_denied() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let grants = json!([
        {"actions": ["publish"], "topic_filter": "up/+", "qos_max": 0},
        {"actions": ["subscribe"], "topic_filter": "down/#", "qos_max": 0},
    ]);
    let connect = async || cars.connect_with_grants("car", grants.clone()).await;
    let mut ear = cars.connect("ear").await.subscribed("#", AtLeastOnce).await;
    let mut car = connect().await;
    assert_eq!(car.try_subscribe("down/a", AtLeastOnce).await, Some(AtMostOnce));
    for filter in ["#", "up/a", "+/a", "$SYS/#", "$share/g/up/a", "$share/g/#", "$replay/0/down/a"] {
        assert_eq!(car.try_subscribe(filter, AtMostOnce).await, None, "`{filter}`");
    }
    // `down/#` covers `down` itself, and whatever is asked for below it, shared or not.
    for filter in ["down", "$share/g/down/a"] {
        assert_eq!(car.try_subscribe(filter, AtMostOnce).await, Some(AtMostOnce), "`{filter}`");
    }
    car.publish("up/a", "heard", AtMostOnce).await;
    ear.expect("up/a", "heard").await;

    let before = cluster.refused(Refusal::NotAuthorized).await;
    car.publish("up/a/b", "dropped and counted", AtMostOnce).await;
    car.ping().await;
    cluster.wait_for_refusal(Refusal::NotAuthorized, before).await;
    for (topic, qos) in [("up/a", AtLeastOnce), ("down/a", AtLeastOnce), ("$SYS/a", AtLeastOnce)] {
        let before = cluster.refused(Refusal::NotAuthorized).await;
        let mut car = connect().await;
        car.send_publish(topic, "refused", qos, false).await;
        car.closed().await;
        cluster.wait_for_refusal(Refusal::NotAuthorized, before).await;
    }
    cars.connect("bell").await.publish("bell", "", AtLeastOnce).await;
    assert_eq!(ear.topics_until("bell").await, ["bell"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_every_subscriber_once_and_in_order() {
    for workers in [1, 3] {
        let (_cluster, cars) = cluster_and_instance(workers).await;
        let mut ears = Vec::new();
        for (at, filter) in ["a/#", "+/b", "a/b"].into_iter().enumerate() {
            let mut ear = cars.connect(&format!("ear-{at}")).await;
            ear.subscribe(filter, AtLeastOnce).await;
            // A second subscription that overlaps: still one delivery, at the higher QoS [MQTT-3.3.5-1].
            ear.subscribe("a/+", AtMostOnce).await;
            ears.push(ear);
        }
        let mut mouth = cars.connect("mouth").await;
        for number in 0..200 {
            let qos = if number % 2 == 0 { AtLeastOnce } else { AtMostOnce };
            mouth.publish("a/b", &number.to_string(), qos).await;
        }
        mouth.publish("a/b", "last", AtLeastOnce).await;
        for ear in &mut ears {
            for number in 0..200 {
                let message = ear.expect("a/b", &number.to_string()).await;
                assert_eq!(message.qos, if number % 2 == 0 { AtLeastOnce } else { AtMostOnce });
            }
            ear.expect("a/b", "last").await;
        }
        ears[0].unsubscribe("a/#").await;
        ears[0].unsubscribe("a/+").await;
        ears[0].subscribe("bell", AtLeastOnce).await;
        mouth.publish("a/b", "after", AtLeastOnce).await;
        mouth.publish("bell", "", AtLeastOnce).await;
        assert_eq!(ears[0].topics_until("bell").await, ["bell"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_leave_its_identifier_to_the_broker() {
    let (cluster, cars) = cluster_and_instance(1).await;
    let token = cars.token_of(json!({"subject": "anyone"})).await;
    let nameless = cars.client("").token(&token.text);
    let (mut one, mut two) = (nameless.connect().await, nameless.connect().await);
    one.ping().await;
    two.ping().await;
    for client_id in [".", ".."] {
        let client = cars.client(client_id).token(&token.text);
        cluster.expect_refused(&client, IDENTIFIER_REJECTED, Refusal::ClientIdInvalid).await;
    }
}
