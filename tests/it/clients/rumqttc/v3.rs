//! MQTT 3.1.1.

use rumqttc::{AsyncClient, Event, LastWill, MqttOptions, Packet, Publish, QoS, SubscribeReasonCode};
use tests::clients::{USERNAME, Workshop};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{EVENTS_MAX, KEEP_ALIVE, next};

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A connected client.
struct Client {
    client: AsyncClient,
    events: mpsc::Receiver<Packet>,
    polling: JoinHandle<()>,
    session_present: bool,
}

impl Client {
    async fn connect(workshop: &Workshop, client_id: &str, change: impl FnOnce(&mut MqttOptions)) -> Self {
        let address = workshop.instance.mqtt[0];
        let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
        options.set_credentials(USERNAME, &workshop.token).set_keep_alive(KEEP_ALIVE);
        change(&mut options);
        let (client, mut polled) = AsyncClient::new(options, 100);
        let (send, mut events) = mpsc::channel(EVENTS_MAX);
        let polling = tokio::spawn(async move {
            // The first error is the end: it would connect again.
            while let Ok(event) = polled.poll().await {
                if let Event::Incoming(packet) = event {
                    send.send(packet).await.expect("the test goes on");
                }
            }
        });
        let session_present = next(&mut events, "CONNACK", |packet| {
            if let Packet::ConnAck(connack) = packet { Some(connack.session_present) } else { None }
        })
        .await;
        Self { client, events, polling, session_present }
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, qos).await.expect("asked");
        let codes = next(&mut self.events, "SUBACK", |packet| {
            if let Packet::SubAck(suback) = packet { Some(suback.return_codes) } else { None }
        });
        assert_eq!(codes.await, [SubscribeReasonCode::Success(qos)]);
    }

    /// Publishes and waits for the last acknowledgement.
    async fn publish(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) {
        self.client.publish(topic, qos, retain, payload).await.expect("asked");
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                next(&mut self.events, "PUBACK", |it| matches!(it, Packet::PubAck(_)).then_some(())).await;
            }
            QoS::ExactlyOnce => {
                next(&mut self.events, "PUBCOMP", |it| matches!(it, Packet::PubComp(_)).then_some(())).await;
            }
        }
    }

    async fn expect(&mut self, topic: &str, payload: &str) -> Publish {
        let found = next(&mut self.events, "a message", |packet| {
            if let Packet::Publish(publish) = packet { Some(publish) } else { None }
        })
        .await;
        assert_eq!((&*found.topic, &*found.payload), (topic, payload.as_bytes()));
        found
    }

    async fn disconnect(self) {
        self.client.disconnect().await.expect("asked");
        tests::wait::within("the end", self.polling).await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_qos_arrive_and_the_lower_decides() {
    let workshop = Workshop::open().await;
    let mut mouth = Client::connect(&workshop, "mouth", |_| {}).await;
    for granted in ALL {
        let mut ear = Client::connect(&workshop, "ear", |_| {}).await;
        ear.subscribe("a/+", granted).await;
        for published in ALL {
            for number in 0..20 {
                mouth.publish("a/b", &number.to_string(), published, false).await;
            }
            for number in 0..20 {
                let found = ear.expect("a/b", &number.to_string()).await;
                assert_eq!(found.qos as u8, (granted as u8).min(published as u8));
                assert!(!found.retain && !found.dup);
            }
        }
        ear.disconnect().await;
    }
    mouth.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_wills_and_sessions_are_kept() {
    let workshop = Workshop::open().await;
    let mut mouth = Client::connect(&workshop, "mouth", |_| {}).await;
    mouth.publish("kept", "old", QoS::ExactlyOnce, true).await;
    let lasting = |options: &mut MqttOptions| {
        options.set_clean_session(false);
    };
    let mut ear = Client::connect(&workshop, "ear", lasting).await;
    assert!(!ear.session_present);
    ear.subscribe("kept", QoS::AtLeastOnce).await;
    assert!(ear.expect("kept", "old").await.retain);
    ear.subscribe("wills/#", QoS::ExactlyOnce).await;
    let lost = Client::connect(&workshop, "lost", |options| {
        options.set_last_will(LastWill::new("wills/lost", "dead", QoS::AtLeastOnce, false));
    })
    .await;
    // Its task has the socket, which ends with it.
    lost.polling.abort();
    ear.expect("wills/lost", "dead").await;
    // It keeps nothing for its next life: what is under way to it has to be over.
    ear.publish("done", "", QoS::ExactlyOnce, false).await;
    ear.disconnect().await;
    for number in 0..10 {
        mouth.publish("kept", &number.to_string(), QoS::AtLeastOnce, false).await;
    }
    let mut back = Client::connect(&workshop, "ear", lasting).await;
    assert!(back.session_present);
    for number in 0..10 {
        back.expect("kept", &number.to_string()).await;
    }
    back.disconnect().await;
    mouth.disconnect().await;
}
