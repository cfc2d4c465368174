//! Nodes: joining, being recognised, and how far they have come.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use contract::base64::Base64;
use contract::feed::Generation;
use contract::ids::NodeId;
use contract::node::{EnrolRequest, NodeReport};
use service::nodes::{EnrolError, NodeCaller};
use service::rollout::Applied;
use service::topics::NewTopic;
use service::write::Written;

use crate::world::{World, nothing};

fn sha256(bytes: &[u8]) -> Base64 {
    Base64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec())
}

fn request(join_token: &str, secret: &[u8]) -> EnrolRequest {
    EnrolRequest {
        join_token: join_token.to_owned(),
        secret_sha256: sha256(secret),
        name: "n1".to_owned(),
        version: "0.1.0".to_owned(),
        address: None,
    }
}

#[tokio::test]
async fn a_join_token_is_good_once_and_its_answer_can_be_asked_again() {
    let world = World::new().await;
    let nodes = &world.services.nodes;
    let join = nodes.create_join_token(&world.operator).await.expect("a join token");
    let token = join.token.expose();
    let node = nodes.enrol(request(token, b"mine")).await.expect("joined").node;
    assert_eq!(nodes.enrol(request(token, b"mine")).await.expect("the same again").node, node);
    let other = nodes.enrol(request(token, b"other's")).await;
    assert!(matches!(other, Err(EnrolError::JoinTokenWrong)));
    let late = nodes.create_join_token(&world.operator).await.expect("a join token");
    world.pass(TimeDelta::hours(1));
    for wrong in [late.token.expose(), "", "x.y", &format!("{}.wrong", join.id)] {
        let outcome = nodes.enrol(request(wrong, b"mine")).await;
        assert!(matches!(outcome, Err(EnrolError::JoinTokenWrong)), "{wrong}");
    }
}

#[tokio::test]
async fn a_node_is_recognised_by_its_secret() {
    let world = World::new().await;
    let nodes = &world.services.nodes;
    let join = nodes.create_join_token(&world.operator).await.expect("a join token");
    let node = nodes.enrol(request(join.token.expose(), &[5; 32])).await.expect("joined").node;
    let bearer = |node: NodeId, secret: &[u8]| format!("{node}.{}", Base64(secret.to_vec()).encode());
    for (bearer, expected) in [
        (bearer(node, &[5; 32]), Some(NodeCaller { node })),
        (bearer(node, &[6; 32]), None),
        (bearer(nothing(NodeId), &[5; 32]), None),
        (format!("{node}."), None),
        (String::new(), None),
    ] {
        assert_eq!(nodes.find_node(&bearer).await.expect("an answer"), expected, "{bearer}");
    }
}

fn report(generation: Generation, sequence: u64, closed: &[(u64, u64)]) -> NodeReport {
    NodeReport {
        format_version: 1,
        version: "0.1.0".to_owned(),
        generation: Some(generation),
        urgent_timeline: Some(generation.timeline),
        urgent_sequence: sequence,
        closed: closed.iter().copied().collect(),
        connections: BTreeMap::new(),
        ..NodeReport::default()
    }
}

#[tokio::test]
async fn a_change_is_applied_on_n_of_n_nodes() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (nodes, rollout) = (&world.services.nodes, &world.services.rollout);
    let lost = world.node("lost").await;
    world.pass(TimeDelta::seconds(16));
    let (first, second) = (world.node("first").await, world.node("second").await);
    let new = NewTopic { name: "news".to_owned(), ..NewTopic::default() };
    let made = world.services.topics.create(&tenant.owner, instance.id, new).await;
    let written = made.expect("a topic").1;
    let generation = written.generation.expect("a generation");
    let progress = async || {
        let asked = rollout.progress(&tenant.owner, instance.id, Some(generation.number)).await;
        let newest = rollout.progress(&tenant.owner, instance.id, None).await;
        let (asked, newest) = (asked.expect("an answer"), newest.expect("an answer"));
        assert_eq!((asked.0, asked), (generation.number, newest), "it is the newest");
        asked.1
    };
    let so_far = |applied| Applied { applied, reachable: 2, unreachable: 1, closed: 0 };
    assert_eq!(progress().await, so_far(0));
    nodes.report(first, report(generation, 0, &[])).await.expect("heard");
    assert_eq!(progress().await, so_far(1));
    assert!(!progress().await.done());
    // Asking for what comes after is an acknowledgement too.
    world.services.feed.changes_after(second, generation, Duration::ZERO).await.expect("an answer");
    assert_eq!(progress().await, so_far(2));
    let before = Generation { number: generation.number - 1, ..generation };
    nodes.report(second, report(before, 0, &[])).await.expect("heard");
    assert_eq!(progress().await, so_far(2), "an old report takes nothing back");
    world.services.feed.changes_after(second, before, Duration::ZERO).await.expect("an answer");
    assert_eq!(progress().await, so_far(1), "a node that asks from further back has it no more");
    world.services.feed.changes_after(second, generation, Duration::ZERO).await.expect("an answer");
    let waited = rollout.wait_applied(written, Duration::from_secs(10)).await.expect("an answer");
    assert_eq!((waited, waited.done()), (so_far(2), true));
    let seen = nodes.get(&world.operator, lost.node).await.expect("a node");
    assert!(!nodes.is_reachable(&seen));
    let new = NewTopic { name: "weather".to_owned(), ..NewTopic::default() };
    world.services.topics.create(&tenant.owner, instance.id, new).await.expect("a topic");
    let newest = rollout.progress(&tenant.owner, instance.id, None).await.expect("an answer");
    assert_eq!(newest, (generation.number + 1, so_far(0)), "nodes run what is no more the newest");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_waits_hears_of_the_last_node_at_once() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n1").await;
    let (_, written) = world.services.instances.suspend(&tenant.owner, instance.id).await.expect("suspended");
    let sequence = written.urgent_sequence.expect("a place in the lane");
    let waiting = tokio::spawn({
        let rollout = world.services.rollout.clone();
        async move { rollout.wait_applied(written, Duration::from_secs(30)).await.expect("an answer") }
    });
    let generation = written.generation.expect("a generation");
    let told = report(generation, sequence, &[(sequence, 3)]);
    for _ in 0..2 {
        // Said twice, since the first answer may have been lost: it counts once.
        world.services.nodes.report(node, told.clone()).await.expect("heard");
    }
    let applied = tokio::time::timeout(Duration::from_secs(8), waiting).await.expect("not timed out");
    let expected = Applied { applied: 1, reachable: 1, unreachable: 0, closed: 3 };
    assert_eq!(applied.expect("no panic"), expected);
}

#[tokio::test]
async fn waiting_ends_and_says_how_far_it_came() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n1").await;
    let (_, written) = world.services.instances.suspend(&tenant.owner, instance.id).await.expect("suspended");
    let rollout = &world.services.rollout;
    let applied = rollout.wait_applied(written, Duration::from_millis(20)).await.expect("an answer");
    assert_eq!((applied.applied, applied.reachable, applied.done()), (0, 1, false));
    // A place in the lane of another history is none in this one.
    let generation = written.generation.expect("a generation");
    let elsewhere = Generation { timeline: nothing(contract::ids::TimelineId), ..generation };
    world.services.nodes.report(node, report(elsewhere, 99, &[(1, 5)])).await.expect("heard");
    let applied = rollout.wait_applied(written, Duration::ZERO).await.expect("an answer");
    assert_eq!((applied.applied, applied.closed), (0, 0));
    let nothing = rollout.wait_applied(Written::default(), Duration::from_secs(5)).await.expect("an answer");
    assert!(nothing.done() && nothing.applied == 1, "nothing to apply is applied");
}

#[tokio::test]
async fn connections_are_summed_over_reachable_nodes() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let used = async || {
        let limits = world.services.instances.limits(&tenant.owner, instance.id).await.expect("limits");
        limits.iter().find(|row| row.limit.name == "connections_max").and_then(|row| row.used)
    };
    assert_eq!(used().await, Some(0));
    for (name, connections) in [("a", 2), ("b", 5)] {
        let node = world.node(name).await;
        let connections = BTreeMap::from([(instance.id, connections)]);
        let told = NodeReport { connections, ..NodeReport::default() };
        world.services.nodes.report(node, told).await.expect("heard");
    }
    assert_eq!(used().await, Some(7));
    world.pass(TimeDelta::seconds(16));
    assert_eq!(used().await, Some(0));
}
