//! Subscriptions that begin in the past: what history shows since then, in order, and then what comes.

mod pace;
mod shown;

use contract::claims::TokenClaims;
use contract::feed::{Document, TopicDocument, TopicHistory};
use contract::limits::InstanceLimits;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::time::UnixMillis;
use mqtt::{Connect, client};

use super::WORKERS;
use crate::clock::unix_now;
use crate::testing::{Fixture, Given, Peer, claims, connect, grants, instance_id, wait_for};

/// Grants everything, replays too.
const REPLAYS: &str = r##"[{"actions":["publish","subscribe","replay"],"topic_filter":"#","qos_max":2}]"##;

fn history(name: &str, change: impl FnOnce(&mut TopicHistory)) -> Document {
    let mut history = TopicHistory { retention_secs: 3_600, retention_bytes: None, since: UnixMillis(1) };
    change(&mut history);
    topic(name, Some(history))
}

fn topic(name: &str, history: Option<TopicHistory>) -> Document {
    Document::Topic(TopicDocument {
        instance: instance_id(1),
        name: name.into(),
        payload_bytes_max: None,
        history,
        durability: None,
    })
}

/// A node on which histories of `cars` and `vans` are kept, and no rate slows anybody down.
fn given(workers: usize) -> Given {
    Given::workers(workers).with(history("cars", |_| {})).with(history("vans", |_| {})).limits(|limits| {
        *limits = InstanceLimits {
            messages_in_per_sec: 10_000_000,
            bytes_in_per_sec: 10_000_000_000,
            messages_out_per_sec: 10_000_000,
            bytes_out_per_sec: 10_000_000_000,
            client_messages_in_per_sec: 10_000_000,
            client_bytes_in_per_sec: 10_000_000_000,
            client_messages_out_per_sec: 10_000_000,
            client_bytes_out_per_sec: 10_000_000_000,
            client_subscribes_per_sec: 1_000_000,
            ..InstanceLimits::default()
        };
    })
}

fn replaying(client_id: &str, grants_json: &str) -> TokenClaims {
    TokenClaims { grants: grants(grants_json), ..claims(1, client_id) }
}

/// A client that may replay.
async fn ear(fixture: &Fixture, client_id: &str) -> Peer {
    fixture.client_with(&replaying(client_id, REPLAYS), client_id).await
}

/// The same, with a session that is kept.
async fn lasting_ear(fixture: &Fixture, client_id: &str, present: bool) -> Peer {
    let token = fixture.sign(&replaying(client_id, REPLAYS));
    let mut peer = fixture.peer().await;
    peer.connect(&Connect { clean_start: false, ..connect(client_id, &token) }).await;
    let expected = if present { "connack with a session" } else { "connack 0" };
    assert_eq!(peer.next().await, expected);
    peer
}

/// A moment behind everything that was stored so far, and before everything that will be.
async fn moment() -> u64 {
    let now = unix_now().0;
    wait_for("the clock", async || unix_now().0 > now + 1).await;
    now + 1
}

async fn replay(ear: &mut Peer, from: impl std::fmt::Display, filter: &str) -> String {
    ear.subscribe(&[(&format!("$replay/{from}/{filter}"), AtLeastOnce)]).await
}

/// Publishes at QoS 1, acknowledged with the last.
async fn publish_many(mouth: &mut Peer, topic: &str, payloads: impl Iterator<Item = String>) {
    for payload in payloads {
        mouth.publish(topic, &payload, AtLeastOnce).await;
    }
    mouth.publish_until_acknowledged("bell", "stored").await;
}

#[tokio::test]
async fn it_begins_where_it_is_told_and_goes_on_with_what_comes() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut mouth = fixture.client(1, "mouth").await;
        let begin = moment().await;
        let mut moments = Vec::new();
        for at in 0..4 {
            mouth.publish_acknowledged(&format!("cars/{at}"), &at.to_string()).await;
            moments.push(moment().await);
        }
        let mut ears = Vec::new();
        for (from, first) in [
            ("0".to_owned(), 0),
            ("1970-01-02T00:00:00Z".to_owned(), 0),
            (begin.to_string(), 0),
            (moments[0].to_string(), 1),
            (moments[2].to_string(), 3),
            (moments[3].to_string(), 4),
            ("9999-12-31T23:59:59Z".to_owned(), 4),
            (u64::MAX.to_string(), 4),
        ] {
            let mut ear = ear(&fixture, &format!("ear-{from}")).await;
            assert_eq!(replay(&mut ear, &from, "cars/#").await, "1", "{from}");
            for at in first..4 {
                assert_eq!(
                    ear.take().await,
                    format!("publish 1 cars/{at} {at}"),
                    "{from}, {workers} workers"
                );
            }
            ears.push((from, ear));
        }
        mouth.publish_acknowledged("cars/x", "live").await;
        for (from, ear) in &mut ears {
            assert_eq!(ear.take().await, "publish 1 cars/x live", "{from}");
            assert_eq!(ear.ping().await, "pingresp", "{from}: once");
        }
    }
}

/// The lower QoS of the stored and the granted one, the grant's bound observed, never marked as retained.
#[tokio::test]
async fn the_past_has_the_lower_qos() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let retains = r##"[{"actions":["publish","subscribe","replay"],"topic_filter":"#","qos_max":2,"retain":true}]"##;
        let mut mouth = fixture.client_with(&replaying("mouth", retains), "mouth").await;
        mouth.publish("cars/0", "zero", AtMostOnce).await;
        mouth.retain("cars/1", "one").await;
        mouth.publish_exactly_once("cars/2", "two").await;
        let one = r##"[{"actions":["subscribe"],"topic_filter":"#","qos_max":2},
                      {"actions":["replay"],"topic_filter":"#","qos_max":1}]"##;
        for (grants_json, asked, granted, expected) in [
            (REPLAYS, AtMostOnce, "0", [0, 0, 0]),
            (REPLAYS, AtLeastOnce, "1", [0, 1, 1]),
            (REPLAYS, ExactlyOnce, "2", [0, 1, 2]),
            (one, ExactlyOnce, "1", [0, 1, 1]),
        ] {
            let client_id = format!("ear-{granted}-{}", grants_json.len());
            let mut ear = fixture.client_with(&replaying(&client_id, grants_json), &client_id).await;
            assert_eq!(ear.subscribe(&[("$replay/0/cars/+", asked)]).await, granted);
            for (at, (qos, payload)) in expected.into_iter().zip(["zero", "one", "two"]).enumerate() {
                assert_eq!(ear.next().await, format!("publish {qos} cars/{at} {payload}"));
                match qos {
                    0 => {}
                    1 => ear.answer(client::puback).await,
                    _ => {
                        ear.answer(client::pubrec).await;
                        assert!(ear.next().await.starts_with("pubrel"));
                        ear.answer(client::pubcomp).await;
                    }
                }
            }
            assert_eq!(ear.ping().await, "pingresp", "no retained ones besides");
        }
    }
}

/// Of topics without a history there is no past, and what comes is delivered at once; also what a session had stored.
#[tokio::test]
async fn topics_without_a_history_have_no_past() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 3).start();
        let mut session = fixture.lasting_client("session", false).await;
        session.subscribe(&[("plain/logged", AtLeastOnce)]).await;
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("plain/relayed", "before").await;
        mouth.publish_acknowledged("plain/logged", "before").await;
        for at in 0..8 {
            mouth.publish_acknowledged("cars/x", &at.to_string()).await;
        }
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "#").await, "1");
        let mut ids = Vec::new();
        for at in 0..3 {
            assert_eq!(ear.next().await, format!("publish 1 cars/x {at}"));
            ids.push(ear.last_packet_id.expect("of QoS 1"));
        }
        // It is behind, with its window full.
        mouth.publish("plain/relayed", "now", AtMostOnce).await;
        assert_eq!(ear.next().await, "publish 0 plain/relayed now");
        mouth.publish_acknowledged("plain/relayed", "relayed").await;
        mouth.publish_acknowledged("plain/logged", "logged").await;
        mouth.publish_acknowledged("cars/x", "8").await;
        assert_eq!(ear.ping().await, "pingresp");
        for id in ids {
            let mut bytes = Vec::new();
            client::puback(&mut bytes, id);
            ear.send(&bytes).await;
        }
        let mut heard = Vec::new();
        for _ in 3..11 {
            heard.push(ear.take().await);
        }
        let of = |topic: &str| -> Vec<_> { heard.iter().filter(|it| it.contains(topic)).cloned().collect() };
        assert_eq!(of("plain/"), ["publish 1 plain/relayed relayed", "publish 1 plain/logged logged"]);
        let cars: Vec<_> = (3..9).map(|at| format!("publish 1 cars/x {at}")).collect();
        assert_eq!(of("cars/"), cars, "{workers} workers");
        assert_eq!(ear.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn unsubscribing_ends_it_and_subscribing_again_begins_anew() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 4).start();
        let mut mouth = fixture.client(1, "mouth").await;
        publish_many(&mut mouth, "cars/x", (0..100).map(|at| at.to_string())).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        for at in 0..8 {
            assert_eq!(ear.take().await, format!("publish 1 cars/x {at}"));
        }
        let left = ear.unsubscribe("$replay/0/cars/#").await;
        assert!(left.iter().all(|it| it.starts_with("publish 1 cars/x")) && left.len() <= 8, "{left:?}");
        mouth.publish_acknowledged("cars/x", "unheard").await;
        assert_eq!(ear.ping().await, "pingresp");

        let mut ear = self::ear(&fixture, "another").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        for at in 0..6 {
            assert_eq!(ear.take().await, format!("publish 1 cars/x {at}"));
        }
        ear.send_subscribe("$replay/0/cars/#").await;
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "publish 1 cars/x unheard") {
            let packet = ear.next().await;
            if packet.starts_with("publish") {
                ear.answer(client::puback).await;
                heard.push(packet);
            }
        }
        let begins = heard.iter().rposition(|it| it == "publish 1 cars/x 0").expect("it begins anew");
        let anew: Vec<_> = (0..100).map(|at| format!("publish 1 cars/x {at}")).collect();
        assert_eq!(heard[begins..begins + 100], anew);
        assert_eq!(heard.len(), begins + 101);
    }
}

/// It is a matter of the connection, also where the session is not.
#[tokio::test]
async fn it_ends_with_the_connection() {
    for workers in WORKERS {
        let fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 4).start();
        let mut mouth = fixture.client(1, "mouth").await;
        publish_many(&mut mouth, "cars/x", (0..100).map(|at| at.to_string())).await;
        let mut first = lasting_ear(&fixture, "ear", false).await;
        assert_eq!(first.subscribe(&[("bell", AtLeastOnce)]).await, "1");
        let granted = first.send_subscribe("$replay/0/cars/#").await;
        // SUBACK waits until what else is new of the session is stored; messages may come before it.
        let mut heard = first.packets_until(&granted).await;
        if heard.is_empty() {
            heard.push(first.next().await);
        }
        assert_eq!(heard[0], "publish 1 cars/x 0");
        // Taken over while a page may be under way.
        let mut ear = lasting_ear(&fixture, "ear", true).await;
        mouth.publish_acknowledged("cars/x", "live").await;
        mouth.publish_acknowledged("bell", "ding").await;
        assert_eq!(ear.take().await, "publish 1 bell ding", "nothing else comes again");
        let granted = ear.send_subscribe("$replay/0/cars/#").await;
        for message in (0..100).map(|at| at.to_string()).chain(["live".into()]) {
            let mut heard = ear.take().await;
            if heard == granted {
                heard = ear.take().await;
            }
            assert_eq!(heard, format!("publish 1 cars/x {message}"));
        }
        assert_eq!(ear.ping().await, "pingresp");
        ear.leave().await;
        let unmatched = async || fixture.broker.metrics().await.total.messages_unmatched;
        let before = unmatched().await;
        mouth.publish_acknowledged("cars/x", "unheard").await;
        wait_for("nobody to want it", async || unmatched().await == before + 1).await;
    }
}

/// What is acknowledged to who publishes right behind its SUBSCRIBE comes, also when the past is looked for meanwhile.
#[tokio::test]
async fn nothing_is_lost_while_the_beginning_is_looked_for() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut ear = ear(&fixture, "ear").await;
        for at in 0..100 {
            let text = format!("$replay/{}/cars/{at}", u64::MAX - at);
            ear.send_subscribe(&text).await;
            ear.publish(&format!("cars/{at}"), "mine", AtMostOnce).await;
            let expected = format!("publish 0 cars/{at} mine");
            assert_eq!(ear.packets_until(&expected).await.len(), 1, "SUBACK");
            assert_eq!(ear.unsubscribe(&text).await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn sealed_segments_and_the_journal_are_one_past() {
    const MESSAGES: usize = 6_000;
    let mut given = given(2);
    given.config.log.segment_bytes_max = 1_048_576;
    let fixture = given.start_with_files();
    let mut mouth = fixture.client(1, "mouth").await;
    let payload = |at: usize| format!("{at:04}{}", "x".repeat(1_000));
    publish_many(&mut mouth, "cars/x", (0..MESSAGES / 2).map(payload)).await;
    let middle = moment().await;
    publish_many(&mut mouth, "cars/x", (MESSAGES / 2..MESSAGES).map(payload)).await;
    let fixture = fixture.restart().await;
    let mut mouth = fixture.client(1, "mouth").await;
    let mut ears = Vec::new();
    for (from, first) in [(0, 0), (middle, MESSAGES / 2)] {
        let mut ear = ear(&fixture, &format!("ear-{from}")).await;
        assert_eq!(replay(&mut ear, from, "cars/#").await, "1");
        for at in first..MESSAGES {
            assert_eq!(ear.take().await, format!("publish 1 cars/x {}", payload(at)), "since {from}");
        }
        ears.push(ear);
    }
    mouth.publish_acknowledged("cars/x", "live").await;
    for ear in &mut ears {
        assert_eq!(ear.take().await, "publish 1 cars/x live");
    }
}
