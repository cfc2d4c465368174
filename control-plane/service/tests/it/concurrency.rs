//! What holds when two do something at one time: whoever waited for a lock decides by what it then finds.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::ids::MemberId;
use service::access::AccessError;
use service::error::{GetError, UpdateError};
use service::plans::Plan;
use service::tenants::{TenantPatch, TenantState};
use service::topics::{CreateTopicError, NewTopic};
use store::Transaction;

use crate::replicator::Replica;
use crate::world::{World, caller, nothing};

/// Makes what `act` answers when it has waited for what the transaction holds.
async fn after<T>(world: &World, tx: Transaction, act: impl Future<Output = T>) -> T {
    let release = async {
        world.until_one_waits().await;
        tx.commit().await.expect("committed");
    };
    tokio::join!(act, release).0
}

fn topic(name: &str) -> NewTopic {
    NewTopic { name: name.to_owned(), ..NewTopic::default() }
}

#[tokio::test]
async fn an_instance_whose_plan_is_just_changed_is_still_there() {
    let world = World::new().await;
    world.plan("tiny", &[("topics_max", 1)]).await;
    let (tenant, instance) = world.demo().await;
    let plan = world.services.plans.get(&tenant.owner, "tiny", None).await.expect("a plan");
    let mut tx = world.store.begin().await.expect("a transaction");
    store::instances::lock(&mut tx, tenant.id, instance.id).await.expect("locked");
    let now = world.services.now();
    store::instances::update_plan(&mut tx, tenant.id, instance.id, plan.id, now).await.expect("changed");
    let create = world.services.topics.create(&tenant.owner, instance.id, topic("a"));
    after(&world, tx, create).await.expect("a topic");
    let second = world.services.topics.create(&tenant.owner, instance.id, topic("b")).await;
    assert!(matches!(second, Err(CreateTopicError::Limit(_))), "the new plan counts");
}

#[tokio::test]
async fn a_tenant_that_is_just_suspended_changes_nothing_more() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let mut tx = world.store.begin().await.expect("a transaction");
    let found = store::tenants::lock(&mut tx, tenant.id).await.expect("locked").expect("it is there");
    let suspended = store::tenants::Tenant { state: TenantState::Suspended, ..found };
    store::tenants::update(&mut tx, &suspended).await.expect("suspended");
    let create = world.services.topics.create(&tenant.owner, instance.id, topic("a"));
    let refused = after(&world, tx, create).await;
    assert!(matches!(refused, Err(CreateTopicError::Access(AccessError::TenantSuspended))), "{refused:?}");
}

#[tokio::test]
async fn a_stranger_waits_for_nobody() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant("demo").await, world.tenant("other").await);
    let mut tx = world.store.begin().await.expect("a transaction");
    store::tenants::lock(&mut tx, tenant.id).await.expect("locked");
    let refused = world.services.tenants.update(&other.owner, tenant.id, None, TenantPatch::default()).await;
    assert!(matches!(refused, Err(UpdateError::Access(AccessError::NotFound { .. }))), "{refused:?}");
    // One of its own does, and hears in time that it cannot be now.
    let waited = world.services.tenants.update(&tenant.owner, tenant.id, None, TenantPatch::default()).await;
    assert!(matches!(&waited, Err(UpdateError::Store(error)) if error.is_unavailable()), "{waited:?}");
}

#[tokio::test]
async fn versions_of_a_plan_that_are_made_at_one_time_follow_each_other() {
    let world = World::new().await;
    world.plan("small", &[("topics_max", 7)]).await;
    let mut tx = world.store.begin().await.expect("a transaction");
    let first = store::plans::lock_highest(&mut tx, "small").await.expect("locked").expect("a plan");
    let mut second = Plan { id: nothing(|id| id), version: 2, ..first };
    second.limits.topics_max = 8;
    store::plans::insert(&mut tx, &second).await.expect("a version");
    let create = world.services.plans.create_version(&world.operator, "small", None, BTreeMap::new());
    let third = after(&world, tx, create).await.expect("a version");
    assert_eq!((third.version, third.limits.topics_max), (3, 8));
}

#[tokio::test]
async fn changing_ones_own_account_takes_one_connection() {
    let world = World::new().await;
    let tenant = world.tenant("demo").await;
    let mut held = Vec::new();
    for _ in 0..crate::world::CONNECTIONS - 1 {
        held.push(world.store.read().await.expect("a connection"));
    }
    for (name, expected) in [(None, "Owner of demo"), (Some("Li".to_owned()), "Li")] {
        let me = world.services.members.update_me(&tenant.owner, None, name).await.expect("answers");
        assert_eq!((me.member.name.as_str(), me.tenants.len()), (expected, 1));
        drop(held.pop());
        assert_eq!(world.services.members.get_me(&tenant.owner).await.expect("answers"), me);
        held.push(world.store.read().await.expect("a connection"));
    }
}

#[tokio::test]
async fn nodes_are_served_while_others_have_every_connection() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let node = world.node("n").await;
    world.services.topics.create(&tenant.owner, instance.id, topic("a")).await.expect("a topic");
    let mut held = Vec::new();
    for _ in 0..crate::world::CONNECTIONS {
        held.push(world.store.read().await.expect("a connection"));
    }
    Replica::export(&world.services, node, async || ()).await.catch_up(&world.services, node).await;
    world.services.feed.urgent_after(node, 0, Duration::ZERO).await.expect("an answer");
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_the_callers() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let found = world.services.topics.get(&tenant.owner, instance.id, "a\0b").await;
    assert!(matches!(&found, Err(GetError::Store(error)) if error.is_value()), "{found:?}");
    let nobody = caller(nothing(MemberId), tenant.id, service::access::Role::Viewer);
    let found = world.services.topics.get(&nobody, instance.id, "a").await;
    assert!(matches!(found, Err(GetError::Access(_))), "{found:?}");
}
