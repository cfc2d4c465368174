//! Who may replay what: rights, limits, and what history shows.

use contract::feed::Document;
use contract::qos::Qos::AtMostOnce;
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use mqtt::{Connect, client};

use super::{REPLAYS, WORKERS, ear, given, history, moment, publish_many, replay, replaying, topic};
use crate::testing::{PASSWORD, connect, credential};

#[tokio::test]
async fn it_takes_both_rights_and_a_history() {
    let fixture = given(1).with(topic("plain", None)).start();
    let mut mouth = fixture.client(1, "mouth").await;
    mouth.publish_acknowledged("cars/x", "one").await;
    let some = r#"[{"actions":["subscribe","replay"],"topic_filter":"cars/#"},
                   {"actions":["subscribe"],"topic_filter":"vans/#"},
                   {"actions":["replay"],"topic_filter":"vans/#"},
                   {"actions":["replay"],"topic_filter":"buses/#"},
                   {"actions":["subscribe","replay"],"topic_filter":"plain/#"}]"#;
    let no_replay = r##"[{"actions":["subscribe"],"topic_filter":"#"}]"##;
    for (grants_json, filter, refusal) in [
        (no_replay, "cars/#", Some(Refusal::NotAuthorized)),
        (some, "buses/#", Some(Refusal::NotAuthorized)),
        (some, "#", Some(Refusal::NotAuthorized)),
        (some, "plain/#", Some(Refusal::HistoryNotKept)),
        (REPLAYS, "plain", Some(Refusal::HistoryNotKept)),
        (REPLAYS, "unheard/of", Some(Refusal::HistoryNotKept)),
        (REPLAYS, "$SYS/#", Some(Refusal::NotAuthorized)),
        (some, "cars/+", None),
        (some, "vans/1", None),
        (REPLAYS, "+/x", None),
        (REPLAYS, "#", None),
    ] {
        let mut ear = fixture.client_with(&replaying("ear", grants_json), "ear").await;
        let before = match refusal {
            Some(refusal) => fixture.refused(refusal).await,
            None => 0,
        };
        let answer = replay(&mut ear, 0, filter).await;
        assert_eq!(answer, if refusal.is_some() { "x" } else { "1" }, "{filter}");
        if let Some(refusal) = refusal {
            assert_eq!(fixture.refused(refusal).await, before + 1, "{filter}");
            assert_eq!(ear.ping().await, "pingresp", "and nothing comes");
        }
        ear.send(&[0xE0, 0]).await;
        ear.packets_until("closed").await;
    }
}

#[tokio::test]
async fn a_client_has_so_many_at_a_time() {
    let fixture = given(1).limits(|limits| limits.replays_max = 2).start();
    let mut ear = ear(&fixture, "ear").await;
    assert_eq!(replay(&mut ear, 1, "cars/#").await, "1");
    assert_eq!(replay(&mut ear, 2, "cars/#").await, "1");
    assert_eq!(replay(&mut ear, 3, "cars/#").await, "x");
    assert_eq!(fixture.refused(Refusal::ReplaysMax).await, 1);
    assert_eq!(replay(&mut ear, 2, "cars/#").await, "1", "in the place of the one before");
    ear.unsubscribe("$replay/1/cars/#").await;
    assert_eq!(replay(&mut ear, 3, "cars/#").await, "1");
    fixture.client(1, "mouth").await.publish_acknowledged("cars/x", "each").await;
    assert_eq!([ear.take().await, ear.take().await], ["publish 1 cars/x each"; 2]);
    assert_eq!(ear.ping().await, "pingresp", "two and not three");
}

#[tokio::test]
async fn a_right_that_is_withdrawn_ends_it() {
    let with = |grants_json: &str| Document::Credential(credential(1, "meter", grants_json));
    let more =
        r##"[{"actions":["publish","subscribe","replay"],"topic_filter":"#","qos_max":2,"retain":true}]"##;
    let less = r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2}]"##;
    let lower = r##"[{"actions":["publish","subscribe"],"topic_filter":"#","qos_max":2},
                     {"actions":["replay"],"topic_filter":"#","qos_max":0}]"##;
    for withdrawn in [less, lower] {
        let mut fixture = given(1).with(with(REPLAYS)).start();
        let mut ear = fixture.peer().await;
        let password = Some(PASSWORD.as_bytes());
        ear.connect(&Connect { username: Some("meter"), password, ..connect("ear", "") }).await;
        assert_eq!(ear.next().await, "connack 0");
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        fixture.put(with(more)).await;
        let mut mouth = fixture.client(1, "mouth").await;
        mouth.publish_acknowledged("cars/x", "one").await;
        assert_eq!(ear.take().await, "publish 1 cars/x one", "other rights are nothing to it");
        fixture.put(with(withdrawn)).await;
        assert_eq!(ear.next().await, "closed");
        fixture.wait_refused(Refusal::RightsWithdrawn, 1).await;
    }
}

#[tokio::test]
async fn only_what_history_shows_is_replayed() {
    for workers in WORKERS {
        let mut fixture = given(workers).with(history("bytes", |_| {})).start();
        let mut mouth = fixture.client(1, "mouth").await;
        for at in 0..10 {
            mouth.publish_acknowledged("cars/x", &at.to_string()).await;
            mouth.publish_acknowledged("bytes/x", &format!("{at}{}", "x".repeat(1_000))).await;
        }
        let since = moment().await;
        mouth.publish_acknowledged("cars/x", "new").await;
        mouth.publish_acknowledged("vans/x", "van").await;
        // Kept anew from here on; and of the other no more than the newest two.
        fixture.put(history("cars", |history| history.since = UnixMillis(since))).await;
        fixture.put(history("bytes", |history| history.retention_bytes = Some(2_500))).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "#").await, "1");
        for (topic, begin) in [("bytes/x", "8x"), ("bytes/x", "9x"), ("cars/x", "new"), ("vans/x", "van")] {
            let heard = ear.take().await;
            assert!(heard.starts_with(&format!("publish 1 {topic} {begin}")), "{heard}");
        }
        mouth.publish_acknowledged("cars/x", "live").await;
        assert_eq!(ear.take().await, "publish 1 cars/x live");
        // Too old at once, all of it; and not what comes.
        fixture.put(history("cars", |history| history.retention_secs = 0)).await;
        let mut ear = self::ear(&fixture, "another").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        mouth.publish_acknowledged("cars/x", "now").await;
        assert_eq!(ear.take().await, "publish 1 cars/x now");
    }
}

/// What came since the subscription is the client's, whatever history shows since then.
#[tokio::test]
async fn a_history_that_is_no_longer_kept_ends_the_past_and_not_the_subscription() {
    for workers in WORKERS {
        let mut fixture = given(workers).limits(|limits| limits.in_flight_messages_max = 4).start();
        let mut mouth = fixture.client(1, "mouth").await;
        publish_many(&mut mouth, "cars/x", (0..50).map(|at| at.to_string())).await;
        let mut ear = ear(&fixture, "ear").await;
        assert_eq!(replay(&mut ear, 0, "cars/#").await, "1");
        let mut ids = Vec::new();
        for at in 0..4 {
            assert_eq!(ear.next().await, format!("publish 1 cars/x {at}"));
            ids.push(ear.last_packet_id.expect("of QoS 1"));
        }
        mouth.publish_acknowledged("cars/x", "stored since").await;
        fixture.put(topic("cars", None)).await;
        mouth.publish("cars/x", "not stored", AtMostOnce).await;
        assert_eq!(ear.next().await, "publish 0 cars/x not stored");
        for id in ids {
            let mut bytes = Vec::new();
            client::puback(&mut bytes, id);
            ear.send(&bytes).await;
        }
        let mut heard = ear.take().await;
        while heard != "publish 1 cars/x stored since" {
            heard = ear.take().await;
        }
        mouth.publish_acknowledged("cars/x", "live").await;
        assert_eq!(ear.take().await, "publish 1 cars/x live");
        assert_eq!(ear.ping().await, "pingresp");
    }
}
