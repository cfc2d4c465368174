//! Stored messages: what a topic keeps is found again, by whoever may, and by nobody else.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::http_client::text;
use tests::process::Program;
use tests::{AtLeastOnce, AtMostOnce, Cluster, Instance, wait_for};

/// What a test asks of the messages of its instance.
struct Found<'a> {
    instance: &'a Instance,
}

impl Found<'_> {
    async fn page(&self, query: &str) -> Value {
        self.instance.api.get(&self.instance.path(&format!("/messages?{query}"))).await.ok().clone()
    }

    /// The topics of the messages that a query finds.
    async fn topics(&self, query: &str) -> Vec<String> {
        topics(&self.page(query).await)
    }

    /// Waits until so many messages are found: QoS 0 is stored unacknowledged.
    async fn wait_for(&self, count: usize) {
        wait_for("stored messages", async || self.topics("limit=200").await.len() >= count).await;
    }
}

fn topics(page: &Value) -> Vec<String> {
    page["items"].as_array().expect("items").iter().map(|item| text(item, "topic")).collect()
}

/// An instance whose topic `cars` keeps history, and `bikes` does not.
async fn keeping(cluster: &Cluster) -> Instance {
    let tenant = cluster.tenant("red").await;
    let instance = tenant.provisioned_instance("fleet").await;
    instance.topic(json!({"name": "cars", "history": {"enabled": true}})).await;
    instance.topic(json!({"name": "bikes"})).await;
    instance
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_keeps_is_found_by_everything_that_is_known_of_it() {
    let cluster = Cluster::builder().workers(3).start().await;
    let instance = keeping(&cluster).await;
    let found = Found { instance: &instance };
    let (mut one, mut two) = (instance.connect("car-001").await, instance.connect("car-002").await);
    for (topic, payload, qos) in
        [("cars/1/gps", "a", AtLeastOnce), ("cars/1/fuel", "b", AtMostOnce), ("bikes/1", "-", AtLeastOnce)]
    {
        one.publish(topic, payload, qos).await;
    }
    found.wait_for(2).await;
    let between = cluster.time(0).await;
    two.publish("cars/2/gps", "{\"lat\":1}", AtLeastOnce).await;
    two.publish("cars/2/fuel", "d", AtLeastOnce).await;

    let all = ["cars/2/fuel", "cars/2/gps", "cars/1/fuel", "cars/1/gps"];
    assert_eq!(found.topics("").await, all);
    assert_eq!(found.topics("topic_filter=cars/%23").await, all);
    assert_eq!(found.topics("topic_filter=cars/%2B/gps").await, ["cars/2/gps", "cars/1/gps"]);
    assert_eq!(found.topics("topic_filter=%2B/1/%23").await, ["cars/1/fuel", "cars/1/gps"]);
    assert_eq!(found.topics("topic_filter=cars/1/gps").await, ["cars/1/gps"]);
    assert_eq!(found.topics("client_id=car-002&order=oldest").await, ["cars/2/gps", "cars/2/fuel"]);
    assert_eq!(found.topics(&format!("from={between}")).await, all[..2]);
    let before = found.page(&format!("to={between}&include=payload")).await;
    assert_eq!(topics(&before), all[2..]);
    assert_eq!(before["coverage"]["to"], between);

    let item = &before["items"][1];
    assert_eq!(
        (item["client_id"].as_str(), item["qos"].as_u64(), item["bytes"].as_u64()),
        (Some("car-001"), Some(1), Some(1))
    );
    assert_eq!(before["items"][0]["qos"], 0);
    assert_eq!(item["payload"], json!({"encoding": "utf8", "data": "a", "bytes": 1, "truncated": false}));
    let id = text(item, "id");
    assert_eq!(found.topics(&format!("id={id}")).await, ["cars/1/gps"]);
    let whole = instance.api.get(&instance.path(&format!("/messages/{id}"))).await;
    assert_eq!(whole.ok()["payload"]["data"], "a");

    publish_exactly_once(&instance, "cars/3").await;
    let page = found.page("topic_filter=cars/3").await;
    assert_eq!((topics(&page), &page["items"][0]["qos"]), (vec!["cars/3".to_owned()], &2.into()));
}

/// By Debian's client, which ends well once PUBCOMP has come.
async fn publish_exactly_once(instance: &Instance, topic: &str) {
    let (address, token) = (instance.mqtt[0], instance.token("car-003").await);
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-q", "2", "-m", "x"]);
    command.args(["-i", "car-003", "-u", "car-003", "-P", &token.text, "-t", topic]);
    let (well, said) = Program::start(&mut command).ended().await;
    assert!(well, "mosquitto_pub said {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let found = Found { instance: &instance };
    let mut client = instance.connect("car-001").await;
    let expected: Vec<String> = (10..23).map(|number| format!("cars/{number}")).collect();
    for topic in &expected {
        client.publish(topic, "x", AtLeastOnce).await;
    }
    for order in ["oldest", "newest"] {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = found.page(&format!("order={order}&limit=5{cursor}")).await;
            pages.push(topics(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            client.publish("cars/late", "x", AtLeastOnce).await;
        }
        assert_eq!(pages.iter().take(2).map(Vec::len).collect::<Vec<_>>(), [5, 5], "{order}");
        let mut all: Vec<String> = pages.concat();
        all.retain(|topic| topic != "cars/late");
        if order == "newest" {
            all.reverse();
        }
        assert_eq!(all, expected, "{order}");
    }
    let other = format!("/messages?limit=5&order=newest&cursor={}", "x".repeat(20));
    instance.api.get(&instance.path(&other)).await.problem(400, "invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_come_as_what_they_are() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let found = Found { instance: &instance };
    let publish = async |payload: Value| {
        let body = json!({"topic": "cars/1", "payload": payload});
        instance.api.post(&instance.path("/messages/publish"), body).await
    };
    let long = "车".repeat(2_000);
    let utf8 = publish(json!({"encoding": "utf8", "data": long})).await;
    let binary = publish(json!({"encoding": "base64", "data": "/wD+"})).await;
    publish(json!({"encoding": "utf8", "data": ""})).await.ok();
    let listed = found.page("include=payload").await;
    let payloads = listed["items"].as_array().expect("items");
    assert_eq!(payloads[0]["payload"]["data"], "");
    assert_eq!(payloads[0]["client_id"], Value::Null, "an application is no client");
    assert_eq!(
        payloads[1]["payload"],
        json!({"encoding": "base64", "data": "/wD+", "bytes": 3, "truncated": false})
    );
    let cut = &payloads[2]["payload"];
    assert_eq!((cut["bytes"].as_u64(), cut["truncated"].as_bool()), (Some(6_000), Some(true)));
    assert_eq!(cut["data"].as_str().map(str::len), Some(4_095), "4 KiB, down to a whole character");
    assert!(found.page("").await["items"][2]["payload"].is_null(), "only when they are asked for");

    let (utf8, binary) = (text(utf8.ok(), "id"), text(binary.ok(), "id"));
    let whole = instance.api.get(&instance.path(&format!("/messages/{utf8}"))).await;
    assert_eq!(
        (&whole.ok()["payload"]["data"], &whole.body["payload"]["truncated"]),
        (&long.into(), &false.into())
    );
    let file = instance.api.get(&instance.path(&format!("/messages/{binary}/payload"))).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.text_header("content-type"), Some("application/octet-stream"));
    assert_eq!(
        file.text_header("content-disposition"),
        Some(format!("attachment; filename=\"{binary}.bin\"").as_str())
    );
    publish(json!({"encoding": "base64", "data": "?"})).await.problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_gives_its_message_is_received_and_found() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let token = instance.token("ear").await;
    let mut command = tests::mosquitto::mosquitto("mosquitto_sub", instance.mqtt[0], "ear", &token.text);
    let format = "got %C|%R|%D|%F|%E|%P|%p";
    let mut ear =
        Program::start(command.args(["-V", "5", "-q", "1", "-d", "-t", "cars/#", "-F", format, "-C", "1"]));
    ear.line_with("Subscribed").await;
    let mut older = instance.connect("older").await.subscribed("cars/#", AtLeastOnce).await;
    let properties = json!({"payload_format": "text", "content_type": "text/plain", "response_topic": "cars/1/up",
        "correlation_data": "NDI=", "user_properties": [{"name": "b", "value": "1"}, {"name": "a", "value": "2"}]});
    let body = json!({"topic": "cars/1/down", "payload": {"encoding": "utf8", "data": "stop"},
        "expires_in_secs": 3600, "properties": properties});
    let path = instance.path("/messages/publish");
    let id = text(instance.api.post(&path, body).await.ok(), "id");
    let line = ear.line_with("got ").await;
    let fields: Vec<&str> = line.split('|').collect();
    assert_eq!(fields[..4], ["got text/plain", "cars/1/up", "42", "1"]);
    let secs_left: u32 = fields[4].parse().expect("seconds");
    assert!((3_500..=3_600).contains(&secs_left), "{line}");
    let pairs: Vec<&str> = fields[5].split_whitespace().collect();
    assert_eq!((pairs, fields[6]), (vec!["b:1", "a:2"], "stop"), "in their order");
    older.expect("cars/1/down", "stop").await;

    let whole = instance.api.get(&instance.path(&format!("/messages/{id}"))).await;
    assert_eq!(whole.ok()["properties"], properties);
    assert!(whole.body["expires_at"].is_string(), "{}", whole.body);
    let found = Found { instance: &instance };
    assert_eq!(found.page("").await["items"][0]["properties"], Value::Null, "not asked for");
    assert_eq!(found.page("include=payload").await["items"][0]["properties"], properties);
    let wrong = json!({"topic": "cars/1", "payload": {"encoding": "base64", "data": "/w=="},
        "properties": {"payload_format": "text"}});
    let problem = instance.api.post(&path, wrong).await;
    let errors = &problem.problem(422, "validation_failed")["errors"];
    assert_eq!(errors[0]["pointer"], "/properties/payload_format");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_publishes_and_hears_what_became_of_it() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let mut ear = instance.connect("ear").await.subscribed("cars/#", AtLeastOnce).await;
    let _other = instance.connect("other").await.subscribed("+/1/down", AtMostOnce).await;
    let path = instance.path("/messages/publish");
    let body = json!({"topic": "cars/1/down", "payload": {"encoding": "utf8", "data": "stop"}, "qos": 1});
    let api = instance.api.header("idempotency-key", "0123456789abcdef");
    let answer = api.post(&path, body.clone()).await;
    assert_eq!((&answer.ok()["stored"], &answer.body["matched"]), (&true.into(), &2.into()));
    ear.expect("cars/1/down", "stop").await;
    let again = api.post(&path, body).await;
    assert_eq!(again.ok(), &answer.body, "said again, it is done once");
    let bikes = json!({"topic": "bikes/1", "payload": {"encoding": "utf8", "data": "x"}});
    let answer = instance.api.post(&path, bikes).await;
    assert_eq!(answer.ok(), &json!({"id": null, "stored": false, "matched": 0}));
    ear.ping().await;
    let found = Found { instance: &instance };
    assert_eq!(found.topics("").await, ["cars/1/down"]);
    for (topic, code) in [("cars/+", "invalid"), ("trains/1", "unknown")] {
        let body = json!({"topic": topic, "payload": {"encoding": "utf8", "data": ""}});
        let problem = instance.api.post(&path, body).await;
        assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["code"], code, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_their_tenants_alone() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let mut client = instance.connect("car-001").await;
    client.publish("cars/1", "secret", AtLeastOnce).await;
    let id = text(&Found { instance: &instance }.page("").await["items"][0], "id");
    let blue = cluster.tenant("blue").await;
    let theirs = blue.provisioned_instance("fleet").await;
    theirs.topic(json!({"name": "cars", "history": {"enabled": true}})).await;
    assert_eq!(Found { instance: &theirs }.topics("").await, [""; 0]);
    blue.api.get(&theirs.path(&format!("/messages/{id}"))).await.problem(404, "not_found");
    for path in [String::new(), format!("/{id}"), format!("/{id}/payload")] {
        blue.api.get(&instance.path(&format!("/messages{path}"))).await.problem(404, "not_found");
    }
    let body = json!({"topic": "cars/1", "payload": {"encoding": "utf8", "data": ""}});
    blue.api.post(&instance.path("/messages/publish"), body).await.problem(404, "not_found");
    let operator = cluster.operator().await;
    let path = instance.path("/messages?include=payload");
    let problem = operator.get(&path).await;
    assert_eq!(problem.problem(403, "permission_denied")["missing_permission"], "messages:read_payload");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_begins_and_ends_when_it_is_switched() {
    let cluster = Cluster::start().await;
    let instance = keeping(&cluster).await;
    let found = Found { instance: &instance };
    let mut client = instance.connect("car-001").await;
    client.publish("bikes/1", "before", AtLeastOnce).await;
    let path = instance.path("/messages?topic_filter=bikes/%23");
    instance.api.get(&path).await.problem(409, "history_disabled");
    let switch = async |enabled: bool| {
        let body = json!({"history": {"enabled": enabled}});
        instance.api.waiting().patch(&instance.path("/topics/bikes"), body).await.ok()["history"].clone()
    };
    let history = switch(true).await;
    assert_eq!((&history["enabled"], &history["retention_secs"]), (&true.into(), &259_200.into()));
    client.publish("bikes/2", "after", AtLeastOnce).await;
    let page = found.page("topic_filter=bikes/%23").await;
    assert_eq!(topics(&page), ["bikes/2"]);
    assert_eq!(page["coverage"]["history_enabled_since"], history["enabled_since"]);
    assert_eq!(page["coverage"]["from"], history["enabled_since"]);
    assert_eq!(page["coverage"]["complete"], true);
    assert_eq!(switch(false).await["enabled_since"], Value::Null);
    instance.api.get(&path).await.problem(409, "history_disabled");
    switch(true).await;
    assert_eq!(found.topics("topic_filter=bikes/%23").await, [""; 0], "the past stays past");
    instance
        .api
        .get(&instance.path("/messages?topic_filter=a/%23/b"))
        .await
        .problem(400, "invalid_topic_filter");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_are_one_list_and_a_stopped_one_is_named() {
    let mut cluster = Cluster::builder().brokers(2).start().await;
    let instance = keeping(&cluster).await;
    let mut clients = [instance.connect_at(0, "car-000").await, instance.connect_at(1, "car-001").await];
    let mut expected = Vec::new();
    for round in 0..6 {
        let topic = format!("cars/{round}");
        clients[round % 2].publish(&topic, "x", AtLeastOnce).await;
        expected.push(topic);
        // What two nodes store in the same millisecond has no order.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let found = Found { instance: &instance };
    let page = found.page("order=oldest&limit=4").await;
    assert_eq!(page["coverage"]["complete"], true);
    let next = text(&page, "next_cursor");
    let rest = found.page(&format!("order=oldest&limit=4&cursor={next}")).await;
    assert_eq!([topics(&page), topics(&rest)].concat(), expected);
    let ids: std::collections::BTreeSet<String> =
        tests::tenant::ids(&page).into_iter().chain(tests::tenant::ids(&rest)).collect();
    assert_eq!(ids.len(), 6, "an id names one message, whichever node has it");

    let operator = cluster.operator().await;
    let nodes = operator.get("/v1/nodes").await;
    let addresses = nodes.ok()["items"].as_array().expect("nodes").iter();
    assert!(addresses.clone().all(|node| text(node, "address").starts_with("http://127.0.0.1:")));
    cluster.stop_broker(1).await;
    let page = found.page("order=oldest").await;
    assert_eq!(topics(&page), ["cars/0", "cars/2", "cars/4"]);
    assert_eq!(page["coverage"]["complete"], false);
    let missing = page["coverage"]["missing"].as_array().expect("a list");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0]["reason"], "unreachable");
    cluster.start_broker(1).await;
    wait_for("the node's messages", async || found.topics("order=oldest").await == expected).await;
    for at in [0, 1] {
        cluster.stop_broker(at).await;
    }
    instance.api.get(&instance.path("/messages")).await.problem(503, "node_unavailable");
    let body = json!({"topic": "cars/1", "payload": {"encoding": "utf8", "data": ""}});
    instance.api.post(&instance.path("/messages/publish"), body).await.problem(503, "node_unavailable");
}
