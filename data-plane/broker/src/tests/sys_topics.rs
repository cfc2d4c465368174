//! `$SYS`: each instance is told about itself, and nothing about others.

use std::collections::BTreeMap;

use contract::claims::TokenClaims;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce};
use contract::refusal::Refusal;
use mqtt::Connect;

use super::WORKERS;
use crate::testing::{Fixture, Given, Peer, claims, connect, grants};

const WATCHES: &str = r##"[{"actions":["publish","subscribe","replay"],"topic_filter":"#","qos_max":2},
    {"actions":["publish","subscribe","replay"],"topic_filter":"$SYS/#","qos_max":2}]"##;

fn given(workers: usize) -> Given {
    let mut given = Given::workers(workers);
    given.config.metrics.slot_secs = 1;
    given
}

async fn watching(fixture: &Fixture, instance: u128, client_id: &str) -> Peer {
    let claims = TokenClaims { grants: grants(WATCHES), ..claims(instance, client_id) };
    fixture.client_with(&claims, client_id).await
}

/// The next figures, by the names of what they are of.
async fn figures(peer: &mut Peer, kept: &str) -> BTreeMap<String, String> {
    let mut figures = BTreeMap::new();
    for _ in 0..9 {
        let packet = peer.next().await;
        let begin = format!("{kept}publish 0 $SYS/broker/");
        let figure = packet.strip_prefix(&begin).unwrap_or_else(|| panic!("{packet}"));
        // Of the names only one has a blank.
        let figure = figure.replace("retained messages", "retained");
        let (name, figure) = figure.split_once(' ').expect("a name and a figure");
        figures.insert(name.to_owned(), figure.to_owned());
    }
    figures
}

#[tokio::test]
async fn two_instances_see_nothing_of_each_other() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut one = watching(&fixture, 1, "watch").await;
        let mut busy = fixture.client(2, "busy").await;
        busy.subscribe(&[("a", AtMostOnce), ("b", AtMostOnce), ("c", AtMostOnce)]).await;
        for _ in 0..20 {
            busy.publish("b/nobody", "x", AtMostOnce).await;
        }
        assert_eq!(busy.ping().await, "pingresp");
        assert_eq!(one.subscribe(&[("$SYS/#", AtLeastOnce)]).await, "1");
        let first = figures(&mut one, "retained ").await;
        assert_eq!(first["clients/connected"], "1", "{first:?}");
        assert_eq!((&*first["messages/received"], &*first["subscriptions/count"]), ("0", "1"));
        assert!(first["version"].starts_with("IoT MQ ") && first["uptime"].ends_with(" seconds"));
        assert_eq!(first["retained/count"], "0");
        let mut other = watching(&fixture, 2, "watch").await;
        other.subscribe(&[("$SYS/#", AtMostOnce)]).await;
        let mut later = figures(&mut other, "retained ").await;
        // What another worker has counted is known once that has said so.
        while later["messages/received"] != "20" {
            later = figures(&mut other, "").await;
        }
        assert_eq!((&*later["clients/connected"], &*later["subscriptions/count"]), ("2", "4"), "{workers}");
        let again = figures(&mut one, "").await;
        assert_eq!((&*again["clients/connected"], &*again["messages/received"]), ("1", "0"));
        assert_eq!(again["messages/sent"], "9", "what it was told is counted");
    }
}

#[tokio::test]
async fn it_takes_a_right_of_its_own_and_a_filter_that_says_so() {
    for workers in WORKERS {
        let fixture = given(workers).start();
        let mut plain = fixture.client(1, "plain").await;
        let filters = ["$SYS/#", "$SYS/broker/uptime", "#", "+/broker/#"];
        assert_eq!(plain.subscribe(&filters.map(|filter| (filter, AtMostOnce))).await, "xx00");
        let mut watch = watching(&fixture, 1, "watch").await;
        let asked = ["$share/g/$SYS/#", "$replay/0/$SYS/#", "$SYS/broker/uptime", "$p2p/#"];
        assert_eq!(watch.subscribe(&asked.map(|filter| (filter, AtMostOnce))).await, "xx0x");
        let packet = watch.next().await;
        assert!(packet.starts_with("retained publish 0 $SYS/broker/uptime "), "{packet}");
        for _ in 0..2 {
            let packet = watch.next().await;
            assert!(packet.starts_with("publish 0 $SYS/broker/uptime "), "{packet}");
        }
        assert_eq!(plain.ping().await, "pingresp", "a wildcard does not match it");
        assert_eq!(watch.unsubscribe("$SYS/broker/uptime").await, [""; 0]);
        let before = fixture.refused(Refusal::NotAuthorized).await;
        watch.publish("$SYS/broker/uptime", "forged", AtMostOnce).await;
        fixture.wait_refused(Refusal::NotAuthorized, before + 1).await;
        assert_eq!(watch.ping().await, "pingresp");
    }
}

#[tokio::test]
async fn a_session_that_is_kept_is_told_again_when_its_client_is_back() {
    let fixture = given(1).start();
    let token = fixture.sign(&TokenClaims { grants: grants(WATCHES), ..claims(1, "watch") });
    let kept = Connect { clean_start: false, ..connect("watch", &token) };
    let mut watch = fixture.peer().await;
    watch.connect(&kept).await;
    assert_eq!(watch.next().await, "connack 0");
    watch.subscribe(&[("$SYS/broker/clients/connected", AtMostOnce)]).await;
    assert_eq!(watch.next().await, "retained publish 0 $SYS/broker/clients/connected 1");
    watch.leave().await;
    let mut watch = fixture.peer().await;
    watch.connect(&kept).await;
    assert_eq!(watch.next().await, "connack with a session");
    assert_eq!(watch.next().await, "publish 0 $SYS/broker/clients/connected 1");
}
