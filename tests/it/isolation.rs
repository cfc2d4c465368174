//! Tenants are apart: what is another's is not there. Every operation of the API is asked, and every way of hearing.

use std::collections::BTreeMap;
use std::path::Path;

use contract::message::MessageId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, AtLeastOnce, AtMostOnce, Cluster, Instance, Tenant};
use uuid::Uuid;

/// The document of the API, as it is committed.
fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/control-plane.v1.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("the document is JSON")
}

/// One operation with its path parameters, as the document has it.
struct Operation {
    method: Method,
    path: String,
    body: Option<Value>,
    /// Members of a tenant may not do it, whosever the tenant is.
    operators_only: bool,
}

/// Every operation on something of a tenant.
fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        if !path.contains("{tenant_id}") && !path.contains("{instance_id}") {
            continue;
        }
        for (method, operation) in item.as_object().expect("a path item") {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            if !operation["operationId"].is_string() {
                continue;
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut body = (!schema.is_null()).then(|| example(document, schema));
            if path.ends_with("/tokens/revoke") {
                // Its schema cannot say that one of the selectors is needed.
                body = Some(json!({"client_id": "car-001"}));
            }
            let told = format!("{} {}", operation["summary"], operation["description"]);
            let operators_only = told.contains("Operators only");
            operations.push(Operation { method, path: path.clone(), body, operators_only });
        }
    }
    operations
}

/// A small value that a schema allows.
fn example(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return example(document, &document["components"]["schemas"][name]);
    }
    for alternatives in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) =
            schema[alternatives].as_array().and_then(|all| all.iter().find(|it| it["type"] != "null"))
        {
            return example(document, first);
        }
    }
    for given in ["example", "default", "const"] {
        if !schema[given].is_null() {
            return schema[given].clone();
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let kind = kinds.into_iter().find(|kind| *kind != "null").unwrap_or_default();
    match kind.as_str() {
        Some("object") => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let names = required.iter().filter_map(Value::as_str);
            names.map(|name| (name.to_owned(), example(document, &schema["properties"][name]))).collect()
        }
        Some("array") => json!([example(document, &schema["items"])]),
        Some("integer" | "number") => {
            schema["minimum"].as_u64().map_or(json!(1), |minimum| json!(minimum.max(1)))
        }
        Some("boolean") => json!(false),
        Some(_) | None if schema["format"] == "uuid" => json!(Uuid::now_v7()),
        Some(_) | None => json!("x"),
    }
}

/// The ids of one tenant's things, by the names of path parameters.
async fn things_of(tenant: &Tenant, instance: &Instance) -> BTreeMap<&'static str, String> {
    instance.topic(json!({"name": "vehicle"})).await;
    let credential = instance.credential("car-001", json!({})).await.text("id");
    let token = instance.token("car-001").await.id;
    let (channel, rule, alarm) = alarm_of(instance).await;
    BTreeMap::from([
        ("tenant_id", tenant.id.clone()),
        ("instance_id", instance.id.clone()),
        ("topic", "vehicle".to_owned()),
        ("credential_id", credential),
        ("token_id", token),
        ("kid", "k1".to_owned()),
        ("channel_id", channel),
        ("alarm_rule_id", rule),
        ("alarm_id", alarm),
        ("message_id", MessageId { shard: 0, record: 1, index: 0 }.to_string()),
    ])
}

/// A channel, a rule, and the alarm that it raises since nobody is connected.
async fn alarm_of(instance: &Instance) -> (String, String, String) {
    let channel = json!({"name": "ops", "kind": "webhook", "url": "https://8.8.8.8/", "enabled": false});
    let channel = instance.api.post(&instance.path("/channels"), channel).await;
    let condition = json!({"kind": "threshold", "metric": "connections", "compare": "below",
        "window_secs": 60, "value": 0, "clear_value": 1});
    let rule = json!({"name": "silent", "severity": "info", "condition": condition});
    let rule = instance.api.post(&instance.path("/alarm-rules"), rule).await;
    let mut alarms = Vec::new();
    tests::wait_for("an alarm", async || {
        alarms = tests::tenant::ids(instance.api.get(&instance.path("/alarms")).await.ok());
        !alarms.is_empty()
    })
    .await;
    (channel.text("id"), rule.text("id"), alarms.remove(0))
}

/// The path with these ids in it.
#[track_caller]
fn filled(path: &str, ids: &BTreeMap<&'static str, String>) -> String {
    let mut filled = path.to_owned();
    for (name, id) in ids {
        filled = filled.replace(&format!("{{{name}}}"), id);
    }
    assert!(!filled.contains('{'), "no id for a parameter of `{path}`: say in `things_of` what it is");
    filled
}

async fn ask(api: &Api, operation: &Operation, ids: &BTreeMap<&'static str, String>) -> Answer {
    let mut path = filled(&operation.path, ids);
    if path.ends_with("/rollout") {
        path.push_str("?generation=1");
    }
    api.call(operation.method.clone(), &path, operation.body.as_ref().map(Value::to_string)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_shows_or_changes_anything_of_another_tenant() {
    let cluster = Cluster::start().await;
    let (red, blue) = (cluster.tenant("red").await, cluster.tenant("blue").await);
    let cars = red.open_instance("cars").await;
    let mut of_red = things_of(&red, &cars).await;
    let mut of_nobody = of_red.clone();
    for id in of_nobody.values_mut().filter(|id| id.parse::<Uuid>().is_ok()) {
        *id = Uuid::now_v7().to_string();
    }
    let document = document();
    let operations = operations(&document);
    assert!(operations.len() > 30, "the document has {} operations on things of tenants", operations.len());
    let mut wrong = Vec::new();
    for operation in &operations {
        let foreign = ask(&blue.api, operation, &of_red).await;
        let unknown = ask(&blue.api, operation, &of_nobody).await;
        let expected = if operation.operators_only { (403, "operator_only") } else { (404, "not_found") };
        if (foreign.status, foreign.body["code"].as_str()) != (expected.0, Some(expected.1))
            || seen(&foreign, &of_red) != seen(&unknown, &of_nobody)
        {
            wrong.push(format!(
                "{} -> {} {}; unknown -> {} {}",
                foreign.request, foreign.status, foreign.body, unknown.status, unknown.body
            ));
        }
    }
    // The same ids mixed: another tenant's thing below one's own instance.
    let boats = blue.open_instance("boats").await;
    of_red.insert("instance_id", boats.id.clone());
    for path in [
        "credentials/{credential_id}",
        "tokens/{token_id}",
        "channels/{channel_id}",
        "channels/{channel_id}/deliveries",
        "alarm-rules/{alarm_rule_id}",
        "alarms/{alarm_id}",
    ] {
        let path = filled(&format!("/v1/instances/{{instance_id}}/{path}"), &of_red);
        blue.api.get(&path).await.problem(404, "not_found");
    }
    assert!(wrong.is_empty(), "not answered like what is not there:\n{}", wrong.join("\n"));
    red.api.get(&cars.path("")).await.ok();
}

/// What a stranger sees of an answer: everything but the request's id, and the ids that it has sent itself.
fn seen(answer: &Answer, sent: &BTreeMap<&'static str, String>) -> (u16, String, Vec<String>) {
    let mut body = answer.body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    let mut text = body.to_string();
    for (name, id) in sent {
        text = text.replace(id.as_str(), name);
    }
    let headers = answer.headers.keys().map(ToString::to_string).collect();
    (answer.status, text, headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_anything_without_a_session() {
    let cluster = Cluster::start().await;
    let red = cluster.tenant("red").await;
    let cars = red.open_instance("cars").await;
    let of_red = things_of(&red, &cars).await;
    for operation in &operations(&document()) {
        ask(&cluster.anonymous(), operation, &of_red).await.problem(401, "not_signed_in");
        ask(&cluster.anonymous().bearer("guessed"), operation, &of_red).await.problem(401, "not_signed_in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_platforms_is_for_operators_only() {
    let cluster = Cluster::start().await;
    let red = cluster.tenant("red").await;
    let node = cluster.operator().await.get("/v1/nodes").await.ok()["items"][0]["id"].clone();
    let node = format!("/v1/nodes/{}", node.as_str().expect("a node has an id"));
    for path in ["/v1/nodes", &node] {
        red.api.get(path).await.problem(403, "operator_only");
    }
    red.api.act("/v1/nodes/join-tokens").await.problem(403, "operator_only");
    red.api.post("/v1/plans", json!({"name": "mine"})).await.problem(403, "operator_only");
    red.api.post("/v1/tenants", json!({"name": "mine"})).await.problem(403, "operator_only");
    red.api.act(&format!("/v1/tenants/{}/suspend", red.id)).await.problem(403, "operator_only");
    let listed = red.api.get("/v1/tenants").await.ok().clone();
    assert_eq!(tests::tenant::ids(&listed), [red.id.as_str()], "a list shows one's own tenants");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_wildcard_hears_nothing_of_another() {
    for workers in [1, 3] {
        let cluster = Cluster::builder().workers(workers).start().await;
        let (red, blue) = (cluster.tenant("red").await, cluster.tenant("blue").await);
        let (cars, boats) = (red.open_instance("cars").await, blue.open_instance("boats").await);
        let mut ear = cars.connect("ear").await;
        for filter in ["#", "+/b", "a/b"] {
            ear.subscribe(filter, AtLeastOnce).await;
        }
        for filter in ["$SYS/#", "$share/g/$SYS/#", "$queue/#", "$events/#"] {
            assert_eq!(ear.try_subscribe(filter, AtMostOnce).await, None, "`{filter}`");
        }
        // Groups of one name in two instances are two groups.
        let mut member = cars.connect("member").await.subscribed("$share/g/#", AtLeastOnce).await;
        // The same client identifier in two instances is two clients.
        let mut mouth = boats.connect("ear").await;
        ear.ping().await;
        mouth.publish("a/b", "secret", AtLeastOnce).await;
        mouth.publish("a/b", "secret", AtMostOnce).await;
        drop(boats.client_with_token("gone").await.will("a/b", "secret", AtLeastOnce).connect().await);
        let mut witness = boats.connect("witness").await.subscribed("a/#", AtLeastOnce).await;
        mouth.publish("a/c", "the will came before", AtLeastOnce).await;
        while witness.message().await.topic != "a/c" {}
        cars.connect("bell").await.publish("bell", "", AtLeastOnce).await;
        assert_eq!(ear.topics_until("bell").await, ["bell"]);
        assert_eq!(member.topics_until("bell").await, ["bell"]);
    }
}
