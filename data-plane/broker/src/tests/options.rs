//! The options and identifiers of subscriptions, from wherever a message comes.

use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use mqtt::{Options, Publish, RetainHandling};

use super::WORKERS;
use super::properties::{client, lasting};
use crate::testing::{Fixture, Peer};

const PLAIN: Options = Options::of(AtLeastOnce);
const NO_LOCAL: Options = Options { no_local: true, ..PLAIN };
const AS_PUBLISHED: Options = Options { retain_as_published: true, ..PLAIN };

async fn new_client(fixture: &Fixture, client_id: &str, is_lasting: bool) -> Peer {
    if is_lasting { lasting(fixture, client_id, false).await } else { client(fixture, client_id).await }
}

/// [MQTT-3.8.3-3]
#[tokio::test]
async fn its_own_messages_do_not_come_to_who_does_not_want_them() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut other = client(&fixture, "other").await;
        for is_lasting in [false, true] {
            let mut one = new_client(&fixture, "one", is_lasting).await;
            assert_eq!(one.subscribe_with(&[("a/#", NO_LOCAL)], None).await, "1");
            let to = |topic| Publish { topic, qos: AtLeastOnce, payload: b"mine", ..Publish::default() };
            one.send_publish(&to("a/x")).await;
            assert!(one.next().await.starts_with("puback"));
            other.publish_acknowledged("a/x", "another's").await;
            assert_eq!(one.take().await, "publish 1 a/x another's", "{workers} {is_lasting}");
            assert_eq!(one.subscribe_with(&[("a/x", PLAIN)], None).await, "1");
            one.send_publish(&to("a/y")).await;
            assert!(one.next().await.starts_with("puback"));
            one.send_publish(&to("a/x")).await;
            let mut came = [one.next().await, one.next().await];
            came.sort();
            assert!(came[0].starts_with("puback"), "{came:?}");
            assert_eq!(came[1], "publish 1 a/x mine", "another subscription of it wants it");
            one.answer(mqtt::client::puback).await;
            one.leave().await;
        }
    }
}

/// What waits in the log is looked through for it, too.
#[tokio::test]
async fn its_own_messages_do_not_wait_for_it() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut one = lasting(&fixture, "one", false).await;
        one.subscribe_with(&[("a", NO_LOCAL), ("b", AS_PUBLISHED)], Some(7)).await;
        let mut other = client(&fixture, "other").await;
        one.send_publish(&Publish { topic: "a", qos: AtLeastOnce, payload: b"own", ..Publish::default() })
            .await;
        assert!(one.next().await.starts_with("puback"));
        one.leave().await;
        for at in 0..40 {
            let (payload, retain) = (at.to_string(), at % 2 == 1);
            let payload = payload.as_bytes();
            let publish = Publish { topic: "b", qos: AtLeastOnce, payload, retain, ..Publish::default() };
            other.send_publish(&publish).await;
            assert!(other.next().await.starts_with("puback"));
        }
        other.publish_acknowledged("a", "last").await;
        let mut one = lasting(&fixture, "one", true).await;
        for at in 0..40 {
            let kept = if at % 2 == 1 { "retained " } else { "" };
            assert_eq!(one.take().await, format!("{kept}publish 1 b {at} {{ids=7}}"), "{workers}");
        }
        assert_eq!(one.take().await, "publish 1 a last {ids=7}");
        assert_eq!(one.ping().await, "pingresp");
    }
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[tokio::test]
async fn the_retain_flag_is_seen_as_published_by_who_asks_for_that() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut plain = client(&fixture, "plain").await;
        plain.subscribe_with(&[("#", PLAIN)], None).await;
        let mut asks = client(&fixture, "asks").await;
        asks.subscribe_with(&[("#", AS_PUBLISHED)], None).await;
        let mut sharing = client(&fixture, "sharing").await;
        sharing.subscribe_with(&[("$share/g/#", AS_PUBLISHED)], None).await;
        let mut mouth = client(&fixture, "mouth").await;
        for (retain, qos) in [(true, AtLeastOnce), (false, AtLeastOnce), (false, AtMostOnce)] {
            let publish = Publish { topic: "a", payload: b"x", retain, qos, ..Publish::default() };
            mouth.send_publish(&publish).await;
            let kept = if retain { "retained " } else { "" };
            let message = format!("publish {} a x", qos.bits());
            assert_eq!(plain.next().await, message);
            assert_eq!(asks.next().await, format!("{kept}{message}"));
            assert_eq!(sharing.next().await, format!("{kept}{message}"), "{workers} {qos:?}");
        }
    }
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[tokio::test]
async fn retained_messages_come_when_they_are_asked_for() {
    let new = Options { retain_handling: RetainHandling::SendIfNew, ..PLAIN };
    let never = Options { retain_handling: RetainHandling::DoNotSend, ..PLAIN };
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut mouth = client(&fixture, "mouth").await;
        mouth.retain("a", "kept").await;
        for is_lasting in [false, true] {
            let mut ear = new_client(&fixture, "ear", is_lasting).await;
            for (options, id, comes) in [
                (never, None, None),
                (new, None, None),
                (PLAIN, Some(3), Some("retained publish 1 a kept {ids=3}")),
                (PLAIN, None, Some("retained publish 1 a kept")),
                (new, None, None),
            ] {
                assert_eq!(ear.subscribe_with(&[("a", options)], id).await, "1");
                if let Some(comes) = comes {
                    assert_eq!(ear.take().await, comes);
                }
                assert_eq!(ear.ping().await, "pingresp", "{workers} {options:?}");
            }
            assert_eq!(ear.unsubscribe_codes("a").await, "0x00");
            assert_eq!(ear.unsubscribe_codes("a").await, "0x11");
            assert_eq!(ear.subscribe_with(&[("a", new)], None).await, "1");
            assert_eq!(ear.take().await, "retained publish 1 a kept", "it is new again");
            ear.leave().await;
        }
    }
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-5]
#[tokio::test]
async fn one_copy_comes_with_the_identifiers_of_all_that_match() {
    for workers in WORKERS {
        let fixture = Fixture::start(workers);
        let mut mouth = client(&fixture, "mouth").await;
        for is_lasting in [false, true] {
            let mut ear = new_client(&fixture, "ear", is_lasting).await;
            let at_most_once = Options::of(AtMostOnce);
            ear.subscribe_with(&[("a/#", at_most_once), ("b", PLAIN)], Some(1)).await;
            ear.subscribe_with(&[("a/+", PLAIN)], Some(268_435_455)).await;
            ear.subscribe_with(&[("+/x", at_most_once)], None).await;
            ear.subscribe_with(&[("$share/g/shared", PLAIN)], Some(9)).await;
            for (topic, expected) in [
                ("a/x", "publish 1 a/x x {ids=1,268435455}"),
                ("b", "publish 1 b x {ids=1}"),
                ("c/x", "publish 0 c/x x"),
                ("shared", "publish 1 shared x {ids=9}"),
            ] {
                mouth.publish(topic, "x", AtLeastOnce).await;
                let packet = ear.next().await;
                assert_eq!(ids_of(&packet), ids_of(expected), "{workers} {is_lasting}");
                assert!(mouth.next().await.starts_with("puback"));
                if packet.starts_with("publish 1") {
                    ear.answer(mqtt::client::puback).await;
                }
            }
            ear.leave().await;
        }
    }
}

/// The packet without its identifiers, and these in order.
fn ids_of(packet: &str) -> (&str, Vec<u32>) {
    let Some((text, ids)) = packet.split_once(" {ids=") else { return (packet, Vec::new()) };
    let ids = ids.trim_end_matches('}').split(',').map(|id| id.parse().expect("a number"));
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    (text, ids)
}
