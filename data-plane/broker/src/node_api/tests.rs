//! The listener over sockets: who is let in, what is asked of the history, and what publishing answers.

use std::net::SocketAddr;

use contract::base64::Base64;
use contract::feed::{Document, TopicDocument, TopicHistory};
use contract::ids::InstanceId;
use contract::message::{
    MessageId, MessageProperties, MessageQuery, MessagesAnswer, Order, PayloadFormat, PublishAnswer,
    PublishRequest, StoredMessage, UserProperty,
};
use contract::node_call::CLOCK_SKEW_SECS_MAX;
use contract::qos::Qos;
use contract::shared_group::{SharedGroupKey, SharedGroupsAnswer, SharedGroupsQuery};
use engine::{FoundMessage, HistoryQuery, HistoryRules, QueryError};
use serde_json::Value;

use super::*;
use crate::testing::{Fixture, Given, instance_id};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SECRET: [u8; 32] = [7; 32];

/// One message of topic `cars/a` and one of `bikes/b`, in instance 1; it shows what the rules let it.
struct Shelf;

fn message(record: u64, topic: &str) -> StoredMessage {
    StoredMessage {
        id: MessageId { shard: 0, record, index: 0 },
        topic: topic.to_owned(),
        client_id: Some("car-001".to_owned()),
        qos: Qos::AtLeastOnce,
        retain: false,
        stored_at: UnixMillis(1_000 * record),
        bytes: 5,
        payload: Base64(b"hello".to_vec()),
        expires_at: None,
        properties: MessageProperties::default(),
        content: super::properties::content(&some_properties()),
    }
}

fn some_properties() -> MessageProperties {
    let pair = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
    MessageProperties {
        payload_format: Some(PayloadFormat::Text),
        response_topic: Some("cars/answers".to_owned()),
        user_properties: vec![pair("b", "1"), pair("a", "2"), pair("b", "3")],
        ..MessageProperties::default()
    }
}

impl Shelf {
    fn shown(instance: InstanceId, rules: &HistoryRules) -> Vec<StoredMessage> {
        let all = [message(1, "cars/a"), message(2, "bikes/b")];
        let is_shown = |it: &StoredMessage| {
            instance == instance_id(1) && rules.topics.contains_key(contract::topic::first_level(&it.topic))
        };
        all.into_iter().filter(is_shown).collect()
    }
}

impl History for Shelf {
    fn query(
        &self,
        instance: InstanceId,
        query: &HistoryQuery,
        rules: &HistoryRules,
    ) -> Result<MessagesAnswer, QueryError> {
        assert_eq!(rules.now, NOW);
        if query.client_id.as_deref() == Some("broken") {
            return Err(QueryError::Failed);
        }
        let items = Self::shown(instance, rules);
        Ok(MessagesAnswer { items, next: None, covered_from: query.from, complete: true })
    }

    fn get(
        &self,
        instance: InstanceId,
        id: MessageId,
        rules: &HistoryRules,
    ) -> Result<FoundMessage, QueryError> {
        let message = Self::shown(instance, rules).into_iter().find(|it| it.id == id);
        Ok(FoundMessage { message, complete: true })
    }
}

struct Scene {
    fixture: Fixture,
    address: SocketAddr,
    key: CallKey,
    http: reqwest::Client,
    now: fn() -> UnixMillis,
}

/// What was answered, and whether the node has signed it.
#[derive(Debug)]
struct Told {
    status: u16,
    signed: bool,
    body: Value,
}

impl Scene {
    fn start() -> Self {
        Self::start_at(|| NOW)
    }

    fn start_at(now: fn() -> UnixMillis) -> Self {
        let history = TopicHistory { retention_secs: 60, retention_bytes: None, since: UnixMillis(0) };
        let topic = |name: &str, history| {
            let (instance, name) = (instance_id(1), name.to_owned());
            Document::Topic(TopicDocument {
                instance,
                name,
                payload_bytes_max: None,
                history,
                durability: None,
            })
        };
        let fixture = Given::workers(1).with(topic("cars", Some(history))).with(topic("bikes", None)).start();
        let call_key = Arc::new(OnceLock::new());
        drop(call_key.set(CallKey::of_secret(&SECRET)));
        let api = NodeApi {
            call_key,
            replica: Arc::clone(fixture.broker.replica()),
            history: Arc::new(Shelf),
            control: fixture.broker.control().clone(),
            now,
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(run(listener, api, fixture.broker.stop_token()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { fixture, address, key: CallKey::of_secret(&SECRET), http, now }
    }

    async fn send(&self, method: &str, target: &str, body: Vec<u8>, proof: &str, nonce: &str) -> Told {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let call = self.http.request(method, format!("http://{}{target}", self.address));
        let response = call.header("authorization", proof).body(body).send().await.expect("an answer");
        let status = response.status().as_u16();
        let signature = response.headers().get(ANSWER_HEADER).map(|it| it.to_str().expect("text").to_owned());
        let body = response.bytes().await.expect("a body");
        let signed = signature == Some(self.key.sign_answer(nonce, status, &body));
        Told { status, signed, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// A call as the controller makes it.
    async fn call(&self, method: &str, target: &str, body: Vec<u8>) -> Told {
        let nonce = nonce();
        let proof = self.key.header(method, target, &body, (self.now)().secs(), &nonce);
        let told = self.send(method, target, body, &proof, &nonce).await;
        assert!(told.signed, "{told:?}");
        told
    }

    async fn ask(&self, query: &MessageQuery) -> Told {
        self.call("GET", &target(query), Vec::new()).await
    }

    async fn publish(&self, topic: &str, retain: bool) -> Told {
        self.publish_whole(&PublishRequest { retain, ..hello(topic) }).await
    }

    async fn publish_whole(&self, request: &PublishRequest) -> Told {
        let body = serde_json::to_vec(request).expect("serializes");
        self.call("POST", "/node/v1/publish", body).await
    }
}

fn hello(topic: &str) -> PublishRequest {
    PublishRequest {
        instance: instance_id(1),
        topic: topic.to_owned(),
        payload: Base64(b"hello".to_vec()),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_in_secs: None,
        properties: MessageProperties::default(),
    }
}

fn nonce() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    Base64(bytes.to_vec()).encode()
}

fn query(instance: u128) -> MessageQuery {
    MessageQuery {
        instance: instance_id(instance),
        topic_filter: None,
        client_id: None,
        id: None,
        from: UnixMillis(0),
        to: NOW,
        order: Order::Newest,
        after: None,
        limit: 10,
        payload_bytes_max: 3,
    }
}

fn target(query: &MessageQuery) -> String {
    let json = serde_json::to_string(query).expect("serializes");
    let url = reqwest::Url::parse_with_params("http://x/node/v1/messages", [("query", json)]).expect("a URL");
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

#[tokio::test]
async fn who_does_not_prove_to_be_the_controller_gets_nothing() {
    let scene = Scene::start();
    let target = target(&query(1));
    let header = |key: &CallKey, at: u64, nonce: &str| key.header("GET", &target, b"", at, nonce);
    let (other, nonce) = (CallKey::of_secret(&[8; 32]), nonce());
    let late = NOW.secs() - CLOCK_SKEW_SECS_MAX - 1;
    for (proof, code) in [
        (String::new(), "signature_wrong"),
        (header(&other, NOW.secs(), &nonce), "signature_wrong"),
        (header(&scene.key, late, &nonce), "signature_expired"),
    ] {
        let told = scene.send("GET", &target, Vec::new(), &proof, &nonce).await;
        assert_eq!((told.status, told.signed, told.body["code"].as_str()), (401, false, Some(code)));
    }
    let good = header(&scene.key, NOW.secs(), &nonce);
    assert_eq!(scene.send("GET", &target, Vec::new(), &good, &nonce).await.status, 200);
    let again = scene.send("GET", &target, Vec::new(), &good, &nonce).await;
    assert_eq!((again.status, again.body["code"].as_str()), (401, Some("nonce_replayed")));
}

/// A node that was started again has forgotten the nonces, and takes no call that it may have answered before.
#[tokio::test]
async fn a_call_of_before_the_start_is_not_made_again() {
    let scene = Scene::start();
    let (target, nonce) = (target(&query(1)), nonce());
    let proof = scene.key.header("GET", &target, b"", NOW.secs() - 1, &nonce);
    let told = scene.send("GET", &target, Vec::new(), &proof, &nonce).await;
    assert_eq!(
        (told.status, told.signed, told.body["code"].as_str()),
        (401, false, Some("signature_expired"))
    );
}

#[tokio::test]
async fn only_what_the_topics_rules_show_is_answered() {
    let scene = Scene::start();
    let told = scene.ask(&query(1)).await;
    let answer: MessagesAnswer = serde_json::from_value(told.body).expect("an answer");
    let topics: Vec<&str> = answer.items.iter().map(|it| it.topic.as_str()).collect();
    assert_eq!((told.status, topics), (200, vec!["cars/a"]));
    let told = scene.ask(&query(2)).await;
    assert_eq!(told.body["items"].as_array().map(Vec::len), Some(0), "of instance 2 there is nothing");
    let told = scene.ask(&query(9)).await;
    assert_eq!((told.status, told.body["code"].as_str()), (404, Some("instance_unknown")));
}

#[tokio::test]
async fn one_message_is_shown_where_the_rest_of_the_query_fits_it() {
    let scene = Scene::start();
    let id = Some(message(1, "").id);
    let found = MessageQuery { id, ..query(1) };
    let told = scene.ask(&found).await;
    let answer: MessagesAnswer = serde_json::from_value(told.body).expect("an answer");
    assert_eq!(answer.items.len(), 1);
    assert_eq!((&answer.items[0].payload.0[..], answer.items[0].bytes), (&b"hel"[..], 5), "cut as asked");
    for other in [
        MessageQuery { id: Some(message(2, "").id), ..query(1) },
        MessageQuery { topic_filter: Some("cars/b".to_owned()), ..found.clone() },
        MessageQuery { client_id: Some("car-002".to_owned()), ..found.clone() },
        MessageQuery { to: UnixMillis(1_000), ..found.clone() },
        MessageQuery { instance: instance_id(2), ..found },
    ] {
        let told = scene.ask(&other).await;
        assert_eq!(told.body["items"].as_array().map(Vec::len), Some(0), "{other:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_named() {
    let scene = Scene::start();
    let broken = MessageQuery { client_id: Some("broken".to_owned()), ..query(1) };
    let no_filter = MessageQuery { topic_filter: Some("a/#/b".to_owned()), ..query(1) };
    for (method, target, status, code) in [
        ("GET", target(&broken), 500, "internal"),
        ("GET", target(&no_filter), 400, "malformed_query"),
        ("GET", "/node/v1/messages".to_owned(), 400, "malformed_query"),
        ("POST", "/node/v1/publish".to_owned(), 400, "malformed_body"),
        ("POST", "/node/v1/messages".to_owned(), 404, "not_found"),
        ("GET", "/metrics".to_owned(), 404, "not_found"),
    ] {
        let told = scene.call(method, &target, Vec::new()).await;
        assert_eq!((told.status, told.body["code"].as_str()), (status, Some(code)), "{method} {target}");
    }
}

#[tokio::test]
async fn a_call_that_is_too_large_is_not_read_to_its_end() {
    let scene = Scene::start();
    let told = scene.send("POST", "/node/v1/publish", vec![b' '; BODY_BYTES_MAX + 1], "", "").await;
    assert_eq!((told.status, told.signed), (413, false));
}

#[tokio::test]
async fn an_application_publishes_to_those_who_want_it() {
    let scene = Scene::start();
    let mut subscriber = scene.fixture.client(1, "app").await;
    assert_eq!(subscriber.subscribe(&[("cars/#", Qos::AtLeastOnce)]).await, "1");
    let told = scene.publish("cars/a", false).await;
    let answer: PublishAnswer = serde_json::from_value(told.body).expect("an answer");
    assert_eq!(answer.matched, 1);
    assert!(answer.id.is_some(), "its topic keeps history");
    let told = scene.publish("bikes/a", false).await;
    let answer: PublishAnswer = serde_json::from_value(told.body).expect("an answer");
    assert_eq!((answer.id, answer.matched), (None, 0));
    let told = scene.publish("cars/a", true).await;
    let answer: PublishAnswer = serde_json::from_value(told.body).expect("an answer");
    assert!(answer.id.is_some(), "what is retained is stored");
    let mut late = scene.fixture.client(1, "late").await;
    late.subscribe(&[("cars/#", Qos::AtMostOnce)]).await;
    assert!(late.next().await.starts_with("retained publish 0 cars/a"));
}

#[tokio::test]
async fn what_a_message_has_besides_is_taken_and_shown() {
    let scene = Scene::start();
    let answer: MessagesAnswer = serde_json::from_value(scene.ask(&query(1)).await.body).expect("an answer");
    assert_eq!(answer.items[0].properties, some_properties());
    let mut subscriber = crate::tests::v5_client(&scene.fixture, "app").await;
    subscriber.subscribe(&[("cars/#", Qos::AtMostOnce)]).await;
    let expires_in_secs = Some(1_000);
    let whole = PublishRequest { properties: some_properties(), expires_in_secs, ..hello("cars/a") };
    assert_eq!(scene.publish_whole(&whole).await.status, 200);
    let shown = "expires_in=1000 format=1 response=cars/answers b=1 a=2 b=3";
    assert_eq!(subscriber.next().await, format!("publish 0 cars/a hello {{{shown}}}"));
    let no_text = PublishRequest { payload: Base64(vec![0xff]), ..whole };
    let told = scene.publish_whole(&no_text).await;
    assert_eq!((told.status, told.body["code"].as_str()), (409, Some("payload_format_invalid")));
}

/// What the controller is told of shared subscriptions, with the body of the answer.
async fn shared_groups(scene: &Scene, query: &SharedGroupsQuery) -> Told {
    let json = serde_json::to_string(query).expect("serializes");
    let url = reqwest::Url::parse_with_params("http://x/node/v1/shared-groups", [("query", json)]);
    let url = url.expect("a URL");
    scene.call("GET", &format!("{}?{}", url.path(), url.query().unwrap_or_default()), Vec::new()).await
}

#[tokio::test]
async fn shared_subscriptions_are_listed_with_what_waits_for_them() {
    let scene = Scene::start_at(crate::clock::unix_now);
    let fixture = &scene.fixture;
    let mut member = fixture.lasting_client("member", false).await;
    member.subscribe(&[("$share/work/a/#", Qos::AtLeastOnce), ("$share/idle/b", Qos::AtLeastOnce)]).await;
    fixture.lasting_client("away", false).await.leave().await;
    let mut away = fixture.lasting_client("away", true).await;
    away.subscribe(&[("$share/work/a/#", Qos::AtLeastOnce), ("$share/work/c", Qos::AtLeastOnce)]).await;
    away.leave().await;
    let mut mouth = fixture.client(1, "mouth").await;
    for _ in 0..4 {
        mouth.publish_acknowledged("a/x", "hello").await;
        mouth.publish_acknowledged("c", "hello").await;
        member.next().await;
    }
    member.answer(mqtt::client::puback).await;
    crate::testing::wait_for("the acknowledgement", async || {
        let groups =
            fixture.broker.control().list_groups(instance_id(1)).await.expect("every worker answers");
        groups.iter().map(|it| it.in_flight).sum::<u64>() == 3
    })
    .await;

    let all = SharedGroupsQuery { instance: instance_id(1), group: None, after: None, limit: 10 };
    let figures = |told: &Told| {
        let answer: SharedGroupsAnswer = serde_json::from_value(told.body.clone()).expect("an answer");
        let items = answer.items.into_iter().map(|it| {
            assert!(it.complete && it.oldest_at.is_some() == (it.waiting_messages > 0), "{it:?}");
            assert_eq!(it.waiting_bytes > 0, it.waiting_messages > 0, "{it:?}");
            let name = format!("{} {}", it.key.group, it.key.filter);
            (name, it.members_connected, it.members_away, it.in_flight, it.waiting_messages)
        });
        (items.collect::<Vec<_>>(), answer.has_more)
    };
    let idle = ("idle b".to_owned(), 1, 0, 0, 0);
    let work = ("work a/#".to_owned(), 1, 1, 3, 3);
    let of_away = ("work c".to_owned(), 0, 1, 0, 4);
    let told = shared_groups(&scene, &all).await;
    assert_eq!(figures(&told), (vec![idle.clone(), work.clone(), of_away.clone()], false));
    let told = shared_groups(&scene, &SharedGroupsQuery { limit: 1, ..all.clone() }).await;
    assert_eq!(figures(&told), (vec![idle], true));
    let after = SharedGroupKey { group: "work".into(), filter: "a/#".into() };
    let told = shared_groups(&scene, &SharedGroupsQuery { after: Some(after), ..all.clone() }).await;
    assert_eq!(figures(&told), (vec![of_away.clone()], false));
    let told = shared_groups(&scene, &SharedGroupsQuery { group: Some("work".into()), ..all.clone() }).await;
    assert_eq!(figures(&told), (vec![work, of_away], false));
    let told = shared_groups(&scene, &SharedGroupsQuery { instance: instance_id(2), ..all.clone() }).await;
    assert_eq!(figures(&told), (Vec::new(), false), "never another's");
    let told = shared_groups(&scene, &SharedGroupsQuery { instance: instance_id(3), ..all }).await;
    assert_eq!((told.status, told.body["code"].as_str()), (404, Some("instance_unknown")));
    let told = scene.call("GET", "/node/v1/shared-groups?query=no", Vec::new()).await;
    assert_eq!((told.status, told.body["code"].as_str()), (400, Some("malformed_query")));
}
