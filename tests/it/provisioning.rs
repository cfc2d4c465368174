//! The conventions of the API, on the resources that a tenant provisions.

use serde_json::{Value, json};
use tests::cluster::PASSWORD;
use tests::tenant::{everything, ids};
use tests::{Cluster, Instance};
use uuid::Uuid;

async fn cluster_and_instance() -> (Cluster, Instance) {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.provisioned_instance("cars").await;
    (cluster, cars)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_password_must_be_changed() {
    let cluster = Cluster::start().await;
    let api = cluster.anonymous();
    let email = "li@example.com";
    let tenant = json!({"name": "acme", "owner": {"email": email, "name": "Li"}});
    let one_time = cluster.operator().await.post("/v1/tenants", tenant).await.text("one_time_password");
    let first = json!({"email": email, "password": one_time});
    let wrong = json!({"email": email, "password": "guessed"});
    let unknown = json!({"email": "nobody@example.com", "password": "guessed"});
    let of_wrong = api.post("/v1/session", wrong).await.problem(401, "credentials_wrong")["detail"].clone();
    let of_unknown =
        api.post("/v1/session", unknown).await.problem(401, "credentials_wrong")["detail"].clone();
    assert_eq!(of_wrong, of_unknown, "which of the two is wrong is not said");

    let challenge =
        api.post("/v1/session", first.clone()).await.problem(401, "password_change_required")["challenge"]
            .clone();
    let short = json!({"challenge": challenge, "new_password": "short"});
    api.post("/v1/session", short).await.problem(422, "validation_failed");
    let change = json!({"challenge": challenge, "new_password": PASSWORD});
    let signed_in = api.post("/v1/session", change.clone()).await;
    let session = signed_in.ok();
    assert!(session["csrf_token"].is_string() && session["expires_at"].is_string(), "{session}");
    let cookie = signed_in.text_header("set-cookie").expect("a cookie").to_owned();
    for attribute in ["iotmq_session=", "HttpOnly", "SameSite=", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    api.post("/v1/session", change).await.problem(401, "credentials_wrong");
    api.post("/v1/session", first).await.problem(401, "credentials_wrong");

    let owner = api.sign_in(email, PASSWORD).await;
    let me = owner.get("/v1/me").await.ok().clone();
    assert_eq!((&me["operator"], &me["tenants"][0]["role"]), (&json!(false), &json!("owner")), "{me}");
    owner.delete("/v1/session").await.expect(204);
    owner.get("/v1/me").await.problem(401, "not_signed_in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_needs_its_csrf_token_for_changes() {
    let cluster = Cluster::start().await;
    cluster.operator().await;
    let api = cluster.anonymous();
    let body = json!({"email": cluster.bootstrapped.operator_email, "password": PASSWORD});
    let signed_in = api.post("/v1/session", body).await;
    let csrf = signed_in.text("csrf_token");
    let cookie = format!("iotmq_session={}", signed_in.text("token"));
    let browser = api.header("cookie", &cookie);
    browser.get("/v1/me").await.ok();
    let rename = json!({"name": "Li"});
    browser.patch("/v1/me", rename.clone()).await.problem(403, "csrf_failed");
    browser
        .header("x-csrf-token", "guessed")
        .patch("/v1/me", rename.clone())
        .await
        .problem(403, "csrf_failed");
    browser.header("x-csrf-token", &csrf).patch("/v1/me", rename).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_guards_against_lost_updates() {
    let (_cluster, cars) = cluster_and_instance().await;
    let created = cars.topic(json!({"name": "vehicle"})).await;
    assert_eq!(created.text_header("etag"), Some("\"1\""));
    let path = cars.path("/topics/vehicle");
    assert_eq!(created.text_header("location"), Some(&*path));
    let describe = |text: &str| json!({"description": text});
    let first = cars.api.header("if-match", "\"1\"").patch(&path, describe("first")).await;
    assert_eq!((first.ok()["revision"].clone(), first.text_header("etag")), (json!(2), Some("\"2\"")));
    let late = cars.api.header("if-match", "\"1\"").patch(&path, describe("late")).await;
    assert_eq!(late.problem(412, "revision_mismatch")["revision"], 2);
    cars.api.header("if-match", "\"1\"").delete(&path).await.problem(412, "revision_mismatch");
    cars.api.header("if-match", "not a revision").delete(&path).await.problem(400, "invalid_parameter");
    assert_eq!(cars.api.get(&path).await.ok()["description"], "first");
    cars.api.header("if-match", "\"2\"").delete(&path).await.expect(204);
    cars.api.get(&path).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_done_once() {
    let (_cluster, cars) = cluster_and_instance().await;
    let key = Uuid::now_v7().to_string();
    let api = cars.api.header("idempotency-key", &key);
    let body = json!({"kind": "password", "username": "car-001", "grants": everything()});
    let path = cars.path("/credentials");
    let first = api.post(&path, body.clone()).await;
    let again = api.post(&path, body.clone()).await;
    assert_eq!(again.created(), first.created(), "the secret, too, is shown again to whoever has the key");
    assert_eq!(
        (first.text_header("idempotency-replayed"), again.text_header("idempotency-replayed")),
        (None, Some("true"))
    );
    assert_eq!(again.text_header("location"), first.text_header("location"));
    api.post(&path, json!({"kind": "password", "username": "car-002"}))
        .await
        .problem(422, "idempotency_mismatch");
    cars.api
        .header("idempotency-key", "short")
        .post(&path, body.clone())
        .await
        .problem(400, "invalid_parameter");
    cars.api.post(&path, body).await.problem(409, "name_taken");
    let listed = cars.api.get(&path).await;
    assert_eq!(ids(listed.ok()).len(), 1);
    assert!(!listed.body.to_string().contains(&first.text("secret")), "a secret is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_with_one_key_are_done_once() {
    let (_cluster, cars) = cluster_and_instance().await;
    let api = cars.api.header("idempotency-key", &Uuid::now_v7().to_string());
    let path = cars.path("/topics");
    let calls = (0..8).map(|_| {
        let (api, path) = (api.clone(), path.clone());
        tokio::spawn(async move { api.post(&path, json!({"name": "vehicle"})).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.expect("no panic");
        if answer.status == 409 {
            answer.problem(409, "idempotency_in_progress");
        } else {
            answer.created();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_join_to_the_whole_list() {
    let (_cluster, cars) = cluster_and_instance().await;
    let names: Vec<String> = (0..7).map(|number| format!("topic-{number}")).collect();
    for (at, name) in names.iter().enumerate() {
        let site = if at % 2 == 0 { "berlin" } else { "shanghai" };
        cars.topic(json!({"name": name, "labels": {"site": site}})).await;
    }
    let list = async |query: &str| cars.api.get(&cars.path(&format!("/topics?{query}"))).await;
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let page = list(&format!("limit=3&sort=name{cursor}")).await.ok().clone();
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert_eq!(items.len(), 3, "a page that another follows is full");
    }
    assert_eq!(seen, names);
    let named = |answer: &Value| -> Vec<String> {
        answer["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(named(list("sort=-name&limit=1").await.ok()), ["topic-6"]);
    assert_eq!(named(list("sort=name&label.site=shanghai").await.ok()), ["topic-1", "topic-3", "topic-5"]);
    assert_eq!(named(list("name=topic-4").await.ok()), ["topic-4"]);
    assert_eq!(named(list("q=topic-&limit=200&sort=name").await.ok()), names);
    assert_eq!(list("count=true&limit=1").await.ok()["total"], 7);
    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("sort=colour", "invalid_parameter"),
        ("cursor=made-up", "invalid_cursor"),
        ("colour=red", "invalid_parameter"),
        ("name=a&name=b", "invalid_parameter"),
    ] {
        list(query).await.problem(400, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_strictly() {
    let (_cluster, cars) = cluster_and_instance().await;
    let path = cars.path("/topics");
    let unknown = cars.api.post(&path, json!({"name": "vehicle", "colour": "red"})).await;
    assert_eq!(unknown.problem(422, "unknown_field")["errors"][0]["pointer"], "/colour");
    let wrong = cars.api.post(&path, json!({"name": 7})).await;
    assert_eq!(wrong.problem(422, "validation_failed")["errors"][0]["pointer"], "/name");
    let read_only = cars.api.patch(&cars.path(""), json!({"label": "mine"})).await;
    read_only.problem(422, "unknown_field");
    let raw = async |body: &str| cars.api.call(reqwest::Method::POST, &path, Some(body.to_owned())).await;
    for body in ["{", "", "[]x", r#"{"name":"a","name":"b"}"#, &"[".repeat(200)] {
        raw(body).await.problem(400, "malformed_json");
    }
    raw(&format!(r#"{{"name":"{}"}}"#, "x".repeat(1_100_000))).await.problem(413, "body_too_large");
    for name in ["", "a/b", "+", "#", "$SYS", "."] {
        cars.api.post(&path, json!({"name": name})).await.problem(422, "validation_failed");
    }
    cars.api.call(reqwest::Method::PUT, &path, None).await.problem(405, "method_not_allowed");
    cars.api.get("/v1/no-such-thing").await.problem(404, "not_found");
    cars.api.get("/v1/instances/not-an-id").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn which_messages_are_logged_is_said_by_the_topic_or_its_instance() {
    let (_cluster, cars) = cluster_and_instance().await;
    let shown = cars.api.get(&cars.path("")).await;
    assert_eq!(
        (&shown.ok()["durability"], &shown.body["queue_overflow"]),
        (&json!("logged"), &json!("drop_oldest"))
    );
    let patch = json!({"durability": "synced", "queue_overflow": "disconnect"});
    let changed = cars.api.patch(&cars.path(""), patch).await;
    assert_eq!(
        (&changed.ok()["durability"], &changed.body["queue_overflow"]),
        (&json!("synced"), &json!("disconnect"))
    );
    assert_eq!(cars.topic(json!({"name": "plain"})).await.body["durability"], Value::Null);
    assert_eq!(cars.topic(json!({"name": "fast", "durability": "relay"})).await.body["durability"], "relay");
    let fast = cars.path("/topics/fast");
    for (patch, expected) in [
        (json!({"durability": "always"}), json!("always")),
        (json!({"description": "as it was"}), json!("always")),
        (json!({"durability": null}), Value::Null),
    ] {
        assert_eq!(cars.api.patch(&fast, patch).await.ok()["durability"], expected);
        assert_eq!(cars.api.get(&fast).await.ok()["durability"], expected);
    }
    for (path, body) in
        [(cars.path(""), json!({"durability": "eternal"})), (fast, json!({"durability": "eternal"}))]
    {
        let refused = cars.api.patch(&path, body).await;
        let error = &refused.problem(422, "validation_failed")["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/durability"), &json!("unknown_value")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_says_how_far_it_has_come() {
    let (_cluster, cars) = cluster_and_instance().await;
    let plain = cars.api.post(&cars.path("/topics"), json!({"name": "one"})).await;
    plain.created();
    assert!(plain.text_header("iotmq-generation").is_some() && plain.text_header("iotmq-applied").is_none());
    let waited = cars.api.waiting().post(&cars.path("/topics"), json!({"name": "two"})).await;
    waited.created();
    assert_eq!(waited.text_header("iotmq-applied"), Some("1/1"));
    let generation = waited.text_header("iotmq-generation").expect("a write has a generation");
    let rollout = cars.api.get(&cars.path(&format!("/rollout?generation={generation}"))).await;
    let expected = json!({"generation": generation.parse::<u64>().expect("a number"), "applied": 1, "reachable": 1, "unreachable": 0, "done": true});
    assert_eq!(rollout.ok(), &expected);
    let newest = cars.api.get(&cars.path("/rollout")).await;
    assert_eq!(newest.ok(), &expected, "the newest, where none is named");
    let token =
        cars.api.waiting().post(&cars.path("/tokens"), json!({"client_id": "car", "ttl_secs": 60})).await;
    token.created();
    assert_eq!(token.text_header("iotmq-generation"), None, "issuing a token changes no configuration");
    assert!(token.text_header("ratelimit").is_some() && token.text_header("ratelimit-policy").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_deleted_with_care_and_can_be_restored() {
    let (cluster, cars) = cluster_and_instance().await;
    let path = cars.path("");
    cars.api.patch(&path, json!({"delete_protection": true})).await.ok();
    cars.api.delete(&path).await.problem(409, "delete_protected");
    cars.api.patch(&path, json!({"delete_protection": false})).await.ok();
    let car = cars.client_with_token("car").await;
    let mut connected = car.connect().await;
    let deleted = cars.api.waiting().delete(&path).await;
    assert_eq!((&deleted.ok()["state"], deleted.body["deleted_at"].is_string()), (&json!("deleting"), true));
    connected.closed().await;
    cluster.expect_refused(&car, 5, contract::refusal::Refusal::InstanceSuspended).await;
    cars.api.post(&cars.path("/topics"), json!({"name": "late"})).await.problem(409, "wrong_state");
    cars.api.waiting().act(&cars.path("/restore")).await.ok();
    car.connect().await.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_never_given_twice() {
    let cluster = Cluster::start().await;
    let (red, blue) = (cluster.tenant("red").await, cluster.tenant("blue").await);
    let (cars, others) = (red.open_instance("Cars & more").await, blue.open_instance("Cars & more").await);
    assert_ne!(cars.label, others.label);
    assert!(cars.label.starts_with("cars-more-"), "{}", cars.label);
    red.api
        .post(
            &format!("/v1/tenants/{}/instances", red.id),
            json!({"name": "Cars & more", "plan": "standard"}),
        )
        .await
        .problem(409, "name_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_without_its_secrets() {
    let (_cluster, cars) = cluster_and_instance().await;
    let tenant = cars.api.get(&cars.path("")).await.text("tenant_id");
    let topic = cars.topic(json!({"name": "vehicle"})).await;
    let secret = cars.credential("car-001", json!({})).await.text("secret");
    let log = cars.api.get(&format!("/v1/tenants/{tenant}/audit?limit=200")).await;
    let entries = log.ok()["items"].as_array().expect("a list").clone();
    let made =
        entries.iter().find(|entry| entry["action"] == "create_topic").expect("the topic's making is logged");
    assert_eq!((&made["resource"], &made["resource_id"]), (&json!("topic"), &json!("vehicle")));
    assert_eq!(made["request_id"].as_str(), topic.text_header("request-id"));
    assert!(made["actor"].as_str().is_some_and(|actor| actor.starts_with("member:")), "{made}");
    assert!(entries.iter().any(|entry| entry["action"] == "create_credential"));
    assert!(!log.body.to_string().contains(&secret), "the audit log holds no secret");
}
