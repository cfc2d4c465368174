//! Temporary tokens: their bounds, their time, whose they are, and how they are taken back.

use std::time::Duration;

use contract::refusal::Refusal;
use serde_json::{Value, json};
use tests::http_client::text;
use tests::tenant::everything;
use tests::{AtLeastOnce, Client, Cluster, Instance};

/// CONNACK return codes (table 3.1).
const IDENTIFIER_REJECTED: u8 = 2;
const BAD_USER_NAME_OR_PASSWORD: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_bounds_is_refused_and_never_shortened() {
    let cluster = Cluster::start().await;
    cluster.plan("tight", json!({"token_ttl_secs_max": 600, "grants_max": 2})).await;
    let cars = cluster.tenant("red").await.instance_on_plan("cars", "tight").await;
    let grant = json!({"actions": ["publish"], "topic_filter": "a"});
    for (body, code, pointer) in [
        (json!({"client_id": "car", "ttl_secs": 601}), "ttl_out_of_bounds", "/ttl_secs"),
        (json!({"client_id": "car", "ttl_secs": 0}), "ttl_out_of_bounds", "/ttl_secs"),
        (json!({"client_id": "car", "grants": [grant, grant, grant]}), "grants_too_many", "/grants"),
        (json!({"ttl_secs": 60}), "validation_failed", "/client_id"),
        (json!({"client_id": "car", "subject": "fleet"}), "validation_failed", "/subject"),
        (json!({"client_id": ""}), "validation_failed", "/client_id"),
        (json!({"client_id": "car", "gross": true}), "unknown_field", "/gross"),
    ] {
        let body = with_ttl(body);
        let answer = cars.issue(body.clone()).await;
        let problem = answer.problem(422, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body} gave {problem}");
    }
    cars.issue(json!({"client_id": "car", "ttl_secs": 600, "grants": [grant, grant]})).await.created();
}

fn with_ttl(mut body: Value) -> Value {
    if body["ttl_secs"].is_null() {
        body["ttl_secs"] = json!(60);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_from_its_beginning_until_its_end() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;

    let later = cluster.time(3_600).await;
    let early = cars.token_of(json!({"client_id": "early", "not_before": later})).await;
    let early = cars.client("early").token(&early.text);
    cluster.expect_refused(&early, NOT_AUTHORIZED, Refusal::TokenNotYetValid).await;

    let brief = cars.token_of(json!({"client_id": "brief", "ttl_secs": 2})).await;
    let brief = cars.client("brief").token(&brief.text);
    let before = cluster.refused(Refusal::TokenExpired).await;
    let mut connected = brief.connect().await;
    let lived = connected.closed().await;
    assert!(lived < Duration::from_secs(4), "disconnected {lived:?} after it connected with a token of 2 s");
    cluster.wait_for_refusal(Refusal::TokenExpired, before).await;
    cluster.expect_refused(&brief, NOT_AUTHORIZED, Refusal::TokenExpired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_instance_and_one_client() {
    let cluster = Cluster::start().await;
    let red = cluster.tenant("red").await;
    let (cars, boats) = (red.open_instance("cars").await, red.open_instance("boats").await);
    let token = cars.token("car-001").await;

    let elsewhere = boats.client("car-001").login(&format!("x@{}", boats.label), &token.text);
    cluster.expect_refused(&elsewhere, BAD_USER_NAME_OR_PASSWORD, Refusal::TokenInvalid).await;
    let somebody = cars.client("car-002").token(&token.text);
    cluster.expect_refused(&somebody, IDENTIFIER_REJECTED, Refusal::ClientIdNotAllowed).await;
    let nowhere = cars.client("car-001").login("x@no-such-instance", &token.text);
    cluster.expect_refused(&nowhere, NOT_AUTHORIZED, Refusal::InstanceUnknown).await;

    for altered in [altered_signature(&token.text), unsigned(&token.text)] {
        let client = cars.client("car-001").token(&altered);
        cluster.expect_refused(&client, BAD_USER_NAME_OR_PASSWORD, Refusal::TokenInvalid).await;
    }
    cars.client("car-001").login(&format!("x@{}", cars.label), &token.text).connect().await.ping().await;
}

/// The same token with the last character but one of its signature changed.
fn altered_signature(token: &str) -> String {
    let at = token.len() - 2;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// The same claims under `"alg":"none"`, with a signature of one byte.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("a token has three parts");
    let header = contract::base64::Base64(br#"{"alg":"none","typ":"JWT","kid":"k1"}"#.to_vec()).encode();
    format!("{header}.{claims}.AA")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_has_only_a_user_name_puts_the_token_there() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let token = cars.token("car-001").await;
    let mut car = cars.client("car-001").username_only(&token.text).connect().await;
    car.subscribe("a", AtLeastOnce).await;
    car.publish("a", "heard", AtLeastOnce).await;
    car.expect("a", "heard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_may_connect_under_any_client_identifier() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let token = cars.token_of(json!({"subject": "dashboard"})).await;
    let mut first = cars.client("dashboard-1").token(&token.text).connect().await;
    let mut second = cars.client("dashboard-2").token(&token.text).connect().await;
    first.ping().await;
    second.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_token_is_the_same_client() {
    let cluster = Cluster::builder().workers(2).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let mut with_the_old = cars.connect("car-001").await;
    let before = cluster.refused(Refusal::TakenOver).await;
    let mut with_the_new = cars.connect("car-001").await;
    with_the_old.closed().await;
    with_the_new.ping().await;
    cluster.wait_for_refusal(Refusal::TakenOver, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_of_a_batch_is_answered_apart() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let token = |client_id: &str, ttl_secs: u64| json!({"client_id": client_id, "ttl_secs": ttl_secs, "grants": everything()});
    let tokens = json!({"tokens": [token("car-1", 60), token("car-2", 0), token("car-3", 60)]});
    let answer = cars.api.post(&cars.path("/tokens/batch"), tokens).await;
    let results = answer.ok()["results"].as_array().expect("results").clone();
    assert_eq!((&answer.body["issued"], &answer.body["failed"]), (&json!(2), &json!(1)));
    assert_eq!(results.iter().map(|it| it["status"].clone()).collect::<Vec<_>>(), [201, 422, 201]);
    assert_eq!(results[1]["problem"]["code"], "ttl_out_of_bounds");
    for (client_id, at) in [("car-1", 0), ("car-3", 2)] {
        cars.client(client_id).token(&text(&results[at]["token"], "token")).connect().await.ping().await;
    }
    for tokens in [json!([]), Value::Array(vec![token("car", 60); 1_001])] {
        let answer = cars.api.post(&cars.path("/tokens/batch"), json!({ "tokens": tokens })).await;
        answer.problem(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_say_which_tokens_reaches_them_and_no_others() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    for (client_id, meant, selector) in [
        ("by-id", json!({}), None),
        ("by-client", json!({}), Some(json!({"client_id": "by-client"}))),
        (
            "by-label",
            json!({"labels": {"tour": "42", "fleet": "a"}}),
            Some(json!({"labels": {"tour": "42"}})),
        ),
    ] {
        let mut body = json!({"client_id": client_id});
        body.as_object_mut().expect("an object").extend(meant.as_object().cloned().expect("an object"));
        let token = cars.token_of(body).await;
        let selector = selector.unwrap_or_else(|| json!({"ids": [token.id]}));
        revoked_alone(&cluster, &cars, cars.client(client_id).token(&token.text).connect().await, &selector)
            .await;
        let again = cars.client(client_id).token(&token.text);
        cluster.expect_refused(&again, NOT_AUTHORIZED, Refusal::TokenRevoked).await;
        let answer = cars.api.get(&cars.path(&format!("/tokens/{}", token.id))).await;
        assert_eq!(answer.ok()["state"], "revoked", "{}", answer.body);
        cars.connect(client_id).await.ping().await;
    }
    let subject = cars.token_of(json!({"subject": "dashboard"})).await;
    let screen = cars.client("screen-1").token(&subject.text).connect().await;
    revoked_alone(&cluster, &cars, screen, &json!({"subject": "dashboard"})).await;
}

/// The client is disconnected by the revocation; another one is not, and nor is one whose token comes later.
async fn revoked_alone(cluster: &Cluster, cars: &Instance, mut client: Client, selector: &Value) {
    let mut bystander = cars.connect("bystander").await;
    let before = cluster.refused(Refusal::TokenRevoked).await;
    let answer = cars.revoke(selector.clone()).await;
    assert_eq!(answer.body["revoked"], 1, "{selector} gave {}", answer.body);
    client.closed().await;
    bystander.ping().await;
    cluster.wait_for_refusal(Refusal::TokenRevoked, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_signing_key_takes_its_tokens_along() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let old = cars.token("car-001").await;
    let mut with_the_old = cars.client("car-001").token(&old.text).connect().await;
    let rotate = json!({"overlap_secs": 3_600});
    let rotated = cars.api.waiting().post(&cars.path("/signing-keys/rotate"), rotate).await;
    assert!((200..300).contains(&rotated.status), "{rotated:?}");
    let mut with_the_new = cars.connect("car-002").await;
    with_the_old.ping().await;

    cars.revoke(json!({"signing_key": "k1"})).await;
    with_the_old.closed().await;
    with_the_new.ping().await;
    let again = cars.client("car-001").token(&old.text);
    cluster.expect_refused(&again, NOT_AUTHORIZED, Refusal::TokenRevoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_issued_before_a_moment_can_be_taken_back() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let mut clients = vec![cars.connect("car-001").await, cars.connect("car-002").await];
    let now = cluster.time(0).await;
    cars.revoke(json!({"issued_before": now})).await;
    for client in &mut clients {
        client.closed().await;
    }
    cars.connect("car-001").await.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_applied_on_every_node() {
    let cluster = Cluster::builder().brokers(2).start().await;
    let cars = cluster.tenant("red").await.open_instance("cars").await;
    let token = cars.token_of(json!({"subject": "dashboard"})).await;
    let mut first = cars.client("screen-1").token(&token.text).connect().await;
    let mut second = cars.client("screen-2").token(&token.text).at(cars.mqtt[1]).connect().await;
    let answer = cars.revoke(json!({"ids": [token.id]})).await;
    for (member, expected) in [("applied", 2), ("reachable", 2), ("unreachable", 0), ("sessions_closed", 2)] {
        assert_eq!(answer.body[member], expected, "`{member}` in {}", answer.body);
    }
    first.closed().await;
    second.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_be_asked_about() {
    let cluster = Cluster::start().await;
    let red = cluster.tenant("red").await;
    let (cars, boats) = (red.open_instance("cars").await, red.open_instance("boats").await);
    let token = cars.token("car-001").await;
    let introspect = async |instance: &Instance| {
        instance
            .api
            .post(&instance.path("/tokens/introspect"), json!({"token": token.text}))
            .await
            .ok()
            .clone()
    };
    let answer = introspect(&cars).await;
    assert_eq!(
        (&answer["active"], &answer["claims"]["client_id"]),
        (&json!(true), &json!("car-001")),
        "{answer}"
    );
    let answer = introspect(&boats).await;
    assert_eq!((&answer["active"], &answer["reason"]), (&json!(false), &json!("token_invalid")), "{answer}");
    cars.revoke(json!({"ids": [token.id]})).await;
    let answer = introspect(&cars).await;
    assert_eq!((&answer["active"], &answer["reason"]), (&json!(false), &json!("token_revoked")), "{answer}");
    let listed = cars.api.get(&cars.path("/tokens?name=car-001")).await;
    assert_eq!(listed.ok()["items"][0]["id"], token.id);
    assert!(!listed.body.to_string().contains(&token.text), "a list shows no token");
}
