//! Signing keys: rotation with overlap, and revocation.

use chrono::TimeDelta;
use contract::feed::{Document, DocumentKind};
use service::signing_keys::ChangeKeysError;

use crate::replicator::Replica;
use crate::tokens::for_client;
use crate::world::World;

/// The keys that a node has, by name.
async fn told(world: &World) -> Vec<String> {
    let node = world.node("n").await;
    let replica = Replica::export(&world.services, node, async || ()).await;
    replica
        .documents
        .into_keys()
        .filter(|key| key.kind == DocumentKind::SigningKey)
        .map(|key| key.name)
        .collect()
}

#[tokio::test]
async fn tokens_of_the_old_key_are_good_until_the_overlap_is_over() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (services, by) = (&world.services, &tenant.owner);
    let old = services.tokens.issue(by, instance.id, for_client("car", 1_000)).await.expect("a token");
    let (key, written) = services.signing_keys.rotate(by, instance.id, Some(100)).await.expect("rotated");
    assert_eq!((key.kid.as_str(), key.signs(), written.generation.is_some()), ("k2", true, true));
    let young = services.tokens.issue(by, instance.id, for_client("car", 1_000)).await.expect("a token");
    assert_eq!((old.token.signing_key.as_str(), young.token.signing_key.as_str()), ("k1", "k2"));
    let active =
        async |text: &str| services.tokens.introspect(by, instance.id, text).await.expect("an answer").active;
    assert!(active(old.text.expose()).await && active(young.text.expose()).await);
    assert_eq!(service::reconcile::retire_signing_keys(services).await.expect("runs"), 0);
    assert_eq!(told(&world).await, ["k1", "k2"]);
    world.pass(TimeDelta::seconds(100));
    assert!(!active(old.text.expose()).await && active(young.text.expose()).await);
    assert_eq!(service::reconcile::retire_signing_keys(services).await.expect("runs"), 1);
    assert_eq!(told(&world).await, ["k2"]);
    assert_eq!(service::reconcile::retire_signing_keys(services).await.expect("runs"), 0);
}

#[tokio::test]
async fn nodes_hear_until_when_the_old_key_verifies() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let services = &world.services;
    let node = world.node("n").await;
    let mut replica = Replica::export(services, node, async || ()).await;
    let rotated = services.signing_keys.rotate(&tenant.owner, instance.id, Some(100)).await;
    let until = rotated.map(|_| world.services.now() + TimeDelta::seconds(100)).expect("rotated");
    replica.catch_up(services, node).await;
    let told: Vec<_> =
        replica
            .of_kind(DocumentKind::SigningKey)
            .into_iter()
            .filter_map(|document| {
                if let Document::SigningKey(key) = document { Some(key.verifies_until) } else { None }
            })
            .collect();
    assert_eq!(told, [Some(service::clock::millis(until)), None]);
    assert_eq!(Replica::export(services, node, async || ()).await, replica);
}

#[tokio::test]
async fn a_revoked_key_is_replaced_and_its_tokens_go_at_once() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (services, by) = (&world.services, &tenant.owner);
    let token = services.tokens.issue(by, instance.id, for_client("car", 1_000)).await.expect("a token");
    let (key, written) = services.signing_keys.revoke(by, instance.id, "k1").await.expect("revoked");
    assert!(key.revoked_at.is_some() && written.urgent_sequence.is_some());
    assert_eq!(told(&world).await, ["k2"]);
    let looked = services.tokens.introspect(by, instance.id, token.text.expose()).await;
    assert_eq!(looked.expect("an answer").reason, Some("token_revoked"));
    let young = services.tokens.issue(by, instance.id, for_client("car", 1_000)).await.expect("a token");
    assert_eq!(young.token.signing_key, "k2");
    let (_, again) = services.signing_keys.revoke(by, instance.id, "k1").await.expect("revoked twice");
    assert_eq!(again, service::write::Written::default());
    let unknown = services.signing_keys.revoke(by, instance.id, "k9").await;
    assert!(matches!(unknown, Err(ChangeKeysError::Access(_))));
}

#[tokio::test]
async fn keys_are_bounded_in_number_and_overlap() {
    let world = World::new().await;
    world.plan("few", &[("signing_keys_max", 2), ("token_ttl_secs_max", 100)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "few").await;
    let (keys, by) = (&world.services.signing_keys, &tenant.owner);
    let long = keys.rotate(by, instance.id, Some(101)).await;
    assert!(matches!(long, Err(ChangeKeysError::Invalid(_))));
    keys.rotate(by, instance.id, None).await.expect("the second");
    let third = keys.rotate(by, instance.id, None).await;
    assert!(matches!(&third, Err(ChangeKeysError::Limit(it)) if (it.value, it.used) == (2, 2)), "{third:?}");
    world.pass(TimeDelta::seconds(100));
    keys.rotate(by, instance.id, None).await.expect("the first is over");
}
