//! Replay: who subscribes from an earlier time on gets what was stored since then, in order, and then what comes. Debian's
//! client, which speaks 3.1.1.

use serde_json::{Value, json};
use tests::mosquitto::mosquitto;
use tests::process::Program;
use tests::{AtLeastOnce, AtMostOnce, Cluster, ExactlyOnce, Instance};

/// An instance whose topics below `cars` keep history.
async fn keeping(cluster: &Cluster) -> Instance {
    let instance = cluster.tenant("red").await.open_instance("fleet").await;
    instance.topic(json!({"name": "cars", "history": {"enabled": true}})).await;
    instance
}

/// `mosquitto_sub` for one filter, which ends after so many messages.
async fn ear(instance: &Instance, grants: Option<Value>, filter: &str, messages: usize) -> Program {
    let mut body = json!({"client_id": "ear"});
    if let Some(grants) = grants {
        body["grants"] = grants;
    }
    let token = instance.token_of(body).await;
    let mut command = mosquitto("mosquitto_sub", instance.mqtt[0], "ear", &token.text);
    Program::start(command.args(["-q", "1", "-v", "-t", filter, "-C", &messages.to_string()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_comes_first_and_then_what_is_published() {
    for workers in [1, 2] {
        let cluster = Cluster::builder().workers(workers).start().await;
        let instance = keeping(&cluster).await;
        let mut mouth = instance.connect("mouth").await;
        mouth.publish("cars/1", "too early", AtLeastOnce).await;
        // Of a later millisecond than the message.
        let then = cluster.time(0).await;
        let mut time = then.clone();
        while time == then {
            time = cluster.time(0).await;
        }
        let millis = chrono::DateTime::parse_from_rfc3339(&time).expect("a time").timestamp_millis();
        for number in 2..5 {
            mouth.publish(&format!("cars/{number}"), "stored", AtLeastOnce).await;
        }
        let mut expected = vec!["cars/2 stored", "cars/3 stored", "cars/4 stored"];
        for from in [time, millis.to_string()] {
            let past = expected.len();
            expected.extend(["cars/5 live", "cars/6 live"]);
            let mut ear = ear(&instance, None, &format!("$replay/{from}/cars/#"), expected.len()).await;
            for line in &expected[..past] {
                assert_eq!(ear.line().await.as_deref(), Some(*line), "from {from}, {workers} workers");
            }
            // The past is over: what is published now comes at once.
            mouth.publish("cars/5", "live", AtMostOnce).await;
            ear.line_with("cars/5 live").await;
            mouth.publish("bikes/1", "of another topic", AtLeastOnce).await;
            mouth.publish("cars/6", "live", ExactlyOnce).await;
            let (well, said) = ear.ended().await;
            assert_eq!((well, said), (true, expected.join("\n")), "from {from}, {workers} workers");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_for_who_has_a_right_to_it() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let grant = |actions: Value, filter: &str| json!([{"actions": actions, "topic_filter": filter}]);
    for (grants, filter) in [
        (grant(json!(["subscribe"]), "#"), "$replay/0/cars/#"),
        (grant(json!(["replay"]), "#"), "$replay/0/cars/#"),
        (grant(json!(["subscribe", "replay"]), "cars/1"), "$replay/0/cars/#"),
        // Nothing is kept there, or the time is none.
        (grant(json!(["subscribe", "replay"]), "#"), "$replay/0/bikes/#"),
        (grant(json!(["subscribe", "replay"]), "#"), "$replay/yesterday/cars/#"),
    ] {
        let (_, said) = ear(&instance, Some(grants.clone()), filter, 1).await.ended().await;
        assert!(said.contains("denied"), "{grants} {filter}: {said}");
    }
    let mut mouth = instance.connect("mouth").await;
    mouth.publish("cars/1", "x", AtLeastOnce).await;
    let rights = grant(json!(["subscribe", "replay"]), "cars/#");
    let (well, said) = ear(&instance, Some(rights), "$replay/0/cars/#", 1).await.ended().await;
    assert_eq!((well, &*said), (true, "cars/1 x"));
}
