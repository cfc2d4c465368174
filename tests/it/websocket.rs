//! MQTT over WebSocket: the same broker, whichever way a client comes.

use tests::bridge::Way;
use tests::place::{Place, Welcome};
use tests::process::Signal;
use tests::{Api, AtLeastOnce, AtMostOnce, ClientBuilder, Cluster, ExactlyOnce};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_ways_hear_one_another() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("fleet").await;
    let way = Way { to: cluster.websocket_address(0), tls: None, websocket: true };
    let through = way.bridge().await;
    let builder = cars.client_with_token("page").await.at(through);
    let mut page = builder.connect().await.subscribed("#", ExactlyOnce).await;
    let mut car = cars.connect("car").await.subscribed("to/#", ExactlyOnce).await;
    let large = "x".repeat(100_000);
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        page.publish("to/car", &large, qos).await;
        assert_eq!(car.expect("to/car", &large).await.qos, qos);
        car.publish("from/car", &large, qos).await;
        page.expect("to/car", &large).await;
        assert_eq!(page.expect("from/car", &large).await.qos, qos);
    }
    let refused = cars.client("stranger").token("no token").at(through).refusal().await;
    assert_eq!(refused, Some(5));
    page.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consoles_address_serves_mqtt_too() {
    let place = Place::new();
    let mut program = place.start(&[]);
    let welcome = Welcome::read(&mut program).await;
    assert!(program.heard.iter().any(|line| line.contains(&format!("ws://{}/mqtt", place.api))));

    let through = Way { to: place.api, tls: None, websocket: true }.bridge().await;
    let client = |flags: &std::collections::BTreeMap<String, String>, address| {
        ClientBuilder::new(address, &flags["-i"]).login(&flags["-u"], &flags["-P"])
    };
    let ear = client(&welcome.subscribe, through).connect().await;
    let mut ear = ear.subscribed(&welcome.subscribe["-t"], AtLeastOnce).await;
    let topic = &welcome.publish["-t"];
    client(&welcome.publish, place.mqtt).connect().await.publish(topic, "hello", AtLeastOnce).await;
    ear.expect(topic, "hello").await;

    let asked = Api::new(place.api).get("/mqtt").await;
    assert_eq!(asked.status, 426, "{asked:?}");
    program.signal(Signal::SIGINT);
    program.ended().await;
}
