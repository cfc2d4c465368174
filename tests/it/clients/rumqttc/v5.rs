//! MQTT 5.0.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, DisconnectReasonCode, Filter, LastWill, LastWillProperties, Packet,
    PubAckReason, Publish, PublishProperties, RetainForwardRule, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions, StateError};
use tests::clients::{USERNAME, Workshop};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{EVENTS_MAX, KEEP_ALIVE, next};

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A connected client.
struct Client {
    client: AsyncClient,
    events: mpsc::Receiver<Packet>,
    /// Ends with the reason why it went no further.
    polling: JoinHandle<ConnectionError>,
    connack: ConnAck,
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
            loop {
                match polled.poll().await {
                    Ok(Event::Incoming(packet)) => send.send(packet).await.expect("the test goes on"),
                    Ok(Event::Outgoing(_)) => {}
                    // It would connect again.
                    Err(error) => return error,
                }
            }
        });
        let connack = next(&mut events, "CONNACK", |packet| {
            if let Packet::ConnAck(connack) = packet { Some(connack) } else { None }
        })
        .await;
        Self { client, events, polling, connack }
    }

    /// Subscribes with these options and answers the code.
    async fn try_subscribe(&mut self, filter: Filter, id: Option<usize>) -> SubscribeReasonCode {
        let properties = SubscribeProperties { id, user_properties: Vec::new() };
        let asked = self.client.subscribe_many_with_properties([filter], properties);
        asked.await.expect("asked");
        let codes = next(&mut self.events, "SUBACK", |packet| {
            if let Packet::SubAck(suback) = packet { Some(suback.return_codes) } else { None }
        });
        codes.await.remove(0)
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        assert_eq!(
            self.try_subscribe(Filter::new(filter, qos), None).await,
            SubscribeReasonCode::Success(qos)
        );
    }

    /// Publishes and waits for the last acknowledgement.
    async fn publish(&mut self, topic: &str, payload: &str, qos: QoS, properties: PublishProperties) {
        let payload = payload.to_owned();
        let asked = self.client.publish_with_properties(topic, qos, false, payload, properties);
        asked.await.expect("asked");
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => drop(self.puback().await),
            QoS::ExactlyOnce => {
                next(&mut self.events, "PUBCOMP", |it| matches!(it, Packet::PubComp(_)).then_some(())).await;
            }
        }
    }

    async fn puback(&mut self) -> PubAckReason {
        next(&mut self.events, "PUBACK", |packet| {
            if let Packet::PubAck(puback) = packet { Some(puback.reason) } else { None }
        })
        .await
    }

    async fn message(&mut self) -> Publish {
        next(&mut self.events, "a message", |packet| {
            if let Packet::Publish(publish) = packet { Some(publish) } else { None }
        })
        .await
    }

    async fn expect(&mut self, topic: &str, payload: &str) -> Publish {
        let found = self.message().await;
        assert_eq!((&*found.topic, &*found.payload), (topic.as_bytes(), payload.as_bytes()));
        found
    }

    async fn disconnect(self) {
        self.client.disconnect().await.expect("asked");
        tests::wait::within("the end", self.polling).await.expect("no panic");
    }
}

fn nothing() -> PublishProperties {
    PublishProperties::default()
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
                mouth.publish("a/b", &number.to_string(), published, nothing()).await;
            }
            for number in 0..20 {
                let found = ear.expect("a/b", &number.to_string()).await;
                assert_eq!(found.qos as u8, (granted as u8).min(published as u8));
            }
        }
        ear.disconnect().await;
    }
    mouth.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_and_options_do_what_they_say() {
    let workshop = Workshop::open().await;
    let mut one = Client::connect(&workshop, "one", |_| {}).await;
    let mut other = Client::connect(&workshop, "other", |_| {}).await;
    let filter = Filter { nolocal: true, ..Filter::new("a/#", QoS::ExactlyOnce) };
    assert_eq!(one.try_subscribe(filter, Some(5)).await, SubscribeReasonCode::Success(QoS::ExactlyOnce));
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(1_000),
        response_topic: Some("answers".to_owned()),
        correlation_data: Some("42".into()),
        user_properties: [("b", "2"), ("a", "1"), ("b", "2")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        content_type: Some("text/plain".to_owned()),
        ..nothing()
    };
    one.publish("a/own", "x", QoS::AtLeastOnce, sent.clone()).await;
    other.publish("a/theirs", "x", QoS::ExactlyOnce, sent.clone()).await;
    let found = one.expect("a/theirs", "x").await.properties.expect("some");
    assert!(found.message_expiry_interval.is_some_and(|left| (990..=1_000).contains(&left)), "{found:?}");
    assert_eq!(found.subscription_identifiers, [5]);
    let expected = PublishProperties {
        message_expiry_interval: found.message_expiry_interval,
        subscription_identifiers: vec![5],
        ..sent
    };
    assert_eq!(found, expected);

    other.client.publish("kept", QoS::AtLeastOnce, true, "old").await.expect("asked");
    other.puback().await;
    let filter = Filter {
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::Never,
        ..Filter::new("kept", QoS::AtLeastOnce)
    };
    one.try_subscribe(filter, None).await;
    other.client.publish("kept", QoS::AtLeastOnce, true, "anew").await.expect("asked");
    assert!(one.expect("kept", "anew").await.retain);
    one.disconnect().await;
    other.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_sessions_and_wills_work() {
    let workshop = Workshop::open().await;
    let lasting = |options: &mut MqttOptions| {
        options.set_clean_start(false).set_session_expiry_interval(Some(300));
    };
    let mut ear = Client::connect(&workshop, "ear", lasting).await;
    assert!(!ear.connack.session_present);
    ear.subscribe("a/#", QoS::AtLeastOnce).await;
    let mut mouth = Client::connect(&workshop, "mouth", |options| {
        let properties = LastWillProperties {
            delay_interval: Some(0),
            payload_format_indicator: Some(1),
            message_expiry_interval: None,
            content_type: Some("text/plain".to_owned()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let will = LastWill::new("a/will", "dead", QoS::AtLeastOnce, false, Some(properties));
        options.set_last_will(will).set_connect_properties(ConnectProperties::new());
    })
    .await;
    for topic in ["a/topic", "", ""] {
        let alias = PublishProperties { topic_alias: Some(1), ..nothing() };
        mouth.publish(topic, "x", QoS::AtLeastOnce, alias).await;
        ear.expect("a/topic", "x").await;
    }
    ear.disconnect().await;
    for number in 0..10 {
        mouth.publish("a/b", &number.to_string(), QoS::ExactlyOnce, nothing()).await;
    }
    mouth.polling.abort();
    let mut back = Client::connect(&workshop, "ear", lasting).await;
    assert!(back.connack.session_present);
    for number in 0..10 {
        back.expect("a/b", &number.to_string()).await;
    }
    let will = back.expect("a/will", "dead").await.properties.expect("some");
    assert_eq!((will.content_type.as_deref(), will.payload_format_indicator), (Some("text/plain"), Some(1)));
    back.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why() {
    let workshop = Workshop::open().await;
    let mut narrow = Client::connect(&workshop, "narrow", |options| {
        options.set_credentials(USERNAME, &workshop.narrow_token);
    })
    .await;
    let code = narrow.try_subscribe(Filter::new("closed", QoS::AtLeastOnce), None).await;
    assert_eq!(code, SubscribeReasonCode::NotAuthorized);
    narrow.client.publish("closed", QoS::AtLeastOnce, false, "x").await.expect("asked");
    assert_eq!(narrow.puback().await, PubAckReason::NotAuthorized);
    narrow.client.publish("open/a", QoS::AtLeastOnce, false, "x").await.expect("asked");
    assert_eq!(narrow.puback().await, PubAckReason::NoMatchingSubscribers);
    narrow.subscribe("open/#", QoS::AtLeastOnce).await;
    narrow.client.publish("open/a", QoS::AtLeastOnce, false, "x").await.expect("asked");
    narrow.expect("open/a", "x").await;
    narrow.disconnect().await;

    let first = Client::connect(&workshop, "twin", |_| {}).await;
    let second = Client::connect(&workshop, "twin", |_| {}).await;
    let said = tests::wait::within("DISCONNECT", first.polling).await.expect("no panic");
    let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) = said else {
        panic!("it was told nothing: {said:?}")
    };
    assert_eq!(reason_code, DisconnectReasonCode::SessionTakenOver);
    second.disconnect().await;
}
