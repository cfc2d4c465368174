//! Instances: their labels, states, plans and ends.

use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Document, DocumentKey, DocumentKind, InstanceState, TopicMode};
use contract::ids::InstanceId;
use contract::shared_group::SharedStrategy;
use service::access::AccessError;
use service::error::UpdateError;
use service::instances::{
    ChangePlanError, CreateInstanceError, DeleteInstanceError, InstancePatch, SuspendedReason,
    UpdateInstanceError,
};
use service::page::ListQuery;
use service::topics::NewTopic;

use crate::replicator::Replica;
use crate::world::{World, new_instance};

/// The state of an instance as a node has it.
async fn told(world: &World, instance: InstanceId) -> InstanceState {
    let node = world.node("n").await;
    let replica = Replica::export(&world.services, node, async || ()).await;
    let instances = replica.of_kind(DocumentKind::Instance);
    let state = instances.into_iter().find_map(|document| {
        if let Document::Instance(it) = document { (it.id == instance).then_some(it.state) } else { None }
    });
    state.expect("the instance")
}

#[tokio::test]
async fn a_new_instance_runs_with_a_label_and_a_key_of_its_own() {
    let world = World::new().await;
    let tenant = world.tenant("demo").await;
    let (instance, written) = world
        .services
        .instances
        .create(&tenant.owner, tenant.id, new_instance("My Cars", crate::world::PLAN))
        .await
        .expect("made");
    assert_eq!((instance.state, instance.revision), (InstanceState::Running, 1));
    assert!(instance.label.starts_with("my-cars-") && instance.label.len() == 12, "{}", instance.label);
    assert!(written.generation.is_some());
    let keys = world.services.signing_keys.list(&tenant.owner, instance.id).await.expect("keys");
    assert_eq!(keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["k1"]);
    let endpoints = world.services.instances.endpoints(&instance);
    assert_eq!(endpoints.mqtt, "mqtt://localhost:1883");
    let node = world.node("n").await;
    let replica = Replica::export(&world.services, node, async || ()).await;
    assert_eq!(replica.documents.len(), 2, "the instance and its key");
}

#[tokio::test]
async fn names_are_unique_in_a_tenant_and_labels_in_the_platform() {
    let world = World::new().await;
    let (red, blue) = (world.tenant("red").await, world.tenant("blue").await);
    let first = world.instance(&red, "cars").await;
    let second = world.instance(&blue, "cars").await;
    assert_ne!(first.label, second.label);
    let again =
        world.services.instances.create(&red.owner, red.id, new_instance("cars", crate::world::PLAN)).await;
    assert!(matches!(again, Err(CreateInstanceError::NameTaken(_))));
    for plan in ["unknown", ""] {
        let made = world.services.instances.create(&red.owner, red.id, new_instance("bus", plan)).await;
        assert!(matches!(made, Err(CreateInstanceError::Invalid(_))), "{plan}");
    }
    world.services.instances.delete(&red.owner, first.id, None).await.expect("deleted");
    world.instance(&red, "cars").await;
    let restored = world.services.instances.restore(&red.owner, first.id).await;
    assert!(matches!(restored, Err(UpdateInstanceError::NameTaken(_))), "its name was given away");
    world.pass(chrono::TimeDelta::days(8));
    service::reconcile::delete_after_grace(&world.services).await.expect("runs");
    world.holds(&format!("SELECT count(*) = 1 FROM instance_label WHERE label = '{}'", first.label));
}

#[tokio::test]
async fn deletion_can_be_refused_taken_back_and_comes_to_an_end() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (instances, by) = (&world.services.instances, &tenant.owner);
    let protect = |on| InstancePatch { delete_protection: Some(on), ..InstancePatch::default() };
    instances.update(by, instance.id, None, protect(true)).await.expect("protected");
    let refused = instances.delete(by, instance.id, None).await;
    assert!(matches!(refused, Err(DeleteInstanceError::DeleteProtected)));
    instances.update(by, instance.id, None, protect(false)).await.expect("unprotected");
    let (deleted, written) = instances.delete(by, instance.id, None).await.expect("deleted");
    assert_eq!(deleted.state, InstanceState::Deleting);
    assert!(written.urgent_sequence.is_some(), "its clients go at once");
    assert_eq!(told(&world, instance.id).await, InstanceState::Deleting);
    let twice = instances.delete(by, instance.id, None).await;
    assert!(matches!(twice, Err(DeleteInstanceError::State(_))));
    let new = NewTopic { name: "late".to_owned(), ..NewTopic::default() };
    assert!(world.services.topics.create(by, instance.id, new).await.is_err());
    let names = async |deleted| {
        let page = instances.list(by, tenant.id, deleted, &ListQuery::default()).await.expect("a page");
        page.items.len()
    };
    assert_eq!((names(false).await, names(true).await), (0, 1));
    let (restored, _) = instances.restore(by, instance.id).await.expect("restored");
    assert_eq!(restored.state, InstanceState::Running);
    instances.delete(by, instance.id, None).await.expect("deleted");
    world.pass(chrono::TimeDelta::days(7));
    assert_eq!(service::reconcile::delete_after_grace(&world.services).await.expect("runs"), 0);
    world.pass(chrono::TimeDelta::milliseconds(1));
    assert_eq!(service::reconcile::delete_after_grace(&world.services).await.expect("runs"), 1);
    assert!(instances.get(by, instance.id).await.is_err());
}

#[tokio::test]
async fn what_the_operator_suspends_the_tenant_does_not_resume() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (instances, by, operator) = (&world.services.instances, &tenant.owner, &world.operator);
    let (suspended, written) = instances.suspend(by, instance.id).await.expect("suspended");
    assert_eq!(suspended.suspended_reason, Some(SuspendedReason::Tenant));
    assert!(written.urgent_sequence.is_some());
    assert_eq!(told(&world, instance.id).await, InstanceState::Suspended);
    let (suspended, _) = instances.suspend(operator, instance.id).await.expect("suspended");
    assert_eq!(suspended.suspended_reason, Some(SuspendedReason::Operator));
    instances.suspend(by, instance.id).await.expect("it is");
    let resumed = instances.resume(by, instance.id).await;
    assert!(matches!(resumed, Err(UpdateError::Access(AccessError::OperatorOnly))));
    let (running, _) = instances.resume(operator, instance.id).await.expect("resumed");
    assert_eq!((running.state, running.suspended_reason), (InstanceState::Running, None));
    let (_, again) = instances.resume(by, instance.id).await.expect("it runs");
    assert_eq!(again, service::write::Written::default());
}

#[tokio::test]
async fn a_suspended_tenants_instances_stop_and_come_back_as_they_were() {
    let world = World::new().await;
    let tenant = world.tenant("demo").await;
    let (runs, paused) = (world.instance(&tenant, "runs").await, world.instance(&tenant, "paused").await);
    world.services.instances.suspend(&tenant.owner, paused.id).await.expect("suspended");
    let (_, urgent) = world.heads().await;
    let (_, written) = world.services.tenants.suspend(&world.operator, tenant.id).await.expect("suspended");
    assert_eq!(written.urgent_sequence, Some(urgent + 2), "one entry for each instance");
    assert_eq!(told(&world, runs.id).await, InstanceState::Suspended);
    world.services.tenants.resume(&world.operator, tenant.id).await.expect("resumed");
    assert_eq!(told(&world, runs.id).await, InstanceState::Running);
    assert_eq!(told(&world, paused.id).await, InstanceState::Suspended);
}

#[tokio::test]
async fn a_plan_is_changed_where_what_is_in_use_fits() {
    let world = World::new().await;
    world.plan("tiny", &[("topics_max", 1)]).await;
    let (tenant, instance) = world.demo().await;
    let (instances, by) = (&world.services.instances, &tenant.owner);
    for name in ["a", "b"] {
        let new = NewTopic { name: name.to_owned(), ..NewTopic::default() };
        world.services.topics.create(by, instance.id, new).await.expect("a topic");
    }
    let heads = world.heads().await;
    let (preview, _) = instances.change_plan(by, instance.id, "tiny", true).await.expect("a preview");
    let named: Vec<_> = preview.exceeded.iter().map(|it| (it.name, it.value, it.used)).collect();
    assert_eq!(named, [("topics_max", 1, 2)]);
    assert_eq!(preview.instance.plan_name, "tiny");
    let refused = instances.change_plan(by, instance.id, "tiny", false).await;
    assert!(
        matches!(refused, Err(ChangePlanError::WouldExceedLimits { exceeded, .. }) if exceeded.len() == 1)
    );
    assert_eq!(world.heads().await, heads, "nothing has changed");
    world.services.topics.delete(by, instance.id, "b", None).await.expect("deleted");
    let (changed, written) = instances.change_plan(by, instance.id, "tiny", false).await.expect("changed");
    assert_eq!((changed.instance.limits.topics_max, changed.instance.revision), (1, 2));
    assert!(written.generation.is_some());
    assert_eq!(instances.get(by, instance.id).await.expect("it is there"), changed.instance);
}

#[tokio::test]
async fn a_change_of_rules_reaches_nodes_and_one_of_names_does_not() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (instances, by) = (&world.services.instances, &tenant.owner);
    let patch = InstancePatch { topic_mode: Some(TopicMode::Open), ..InstancePatch::default() };
    let (_, written) = instances.update(by, instance.id, Some(1), patch).await.expect("changed");
    assert!(written.generation.is_some());
    let patch = InstancePatch { name: Some("renamed".to_owned()), ..InstancePatch::default() };
    let (renamed, written) =
        instances.update(by, instance.id, Some(2), patch.clone()).await.expect("renamed");
    assert_eq!((written.generation, renamed.label == instance.label), (None, true));
    let stale = instances.update(by, instance.id, Some(2), patch.clone()).await;
    assert!(matches!(stale, Err(UpdateInstanceError::Revision(it)) if it.current == 3));
    let other = world.instance(&tenant, "other").await;
    let taken = instances.update(by, other.id, None, patch).await;
    assert!(matches!(taken, Err(UpdateInstanceError::NameTaken(it)) if it.name == "renamed"));
}

#[tokio::test]
async fn nodes_hear_what_an_instances_messages_are_worth() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (instances, by) = (&world.services.instances, &tenant.owner);
    let document = async || {
        let (kind, name) = (DocumentKind::Instance, String::new());
        let key = DocumentKey { kind, instance: instance.id, name };
        let mut connection = world.store.read().await.expect("a connection");
        let documents = store::documents::list(&mut connection, &[key]).await.expect("documents");
        match documents.into_values().next() {
            Some(Document::Instance(instance)) => (instance.durability, instance.queue_overflow),
            other => panic!("no instance: {other:?}"),
        }
    };
    let mut worth = (DurabilityClass::Logged, QueueOverflow::DropOldest);
    assert_eq!((document().await, (instance.durability, instance.queue_overflow)), (worth, worth));
    for (durability, queue_overflow) in [
        (Some(DurabilityClass::Relay), None),
        (None, Some(QueueOverflow::DropNew)),
        (Some(DurabilityClass::Always), Some(QueueOverflow::Disconnect)),
        (Some(DurabilityClass::Synced), Some(QueueOverflow::DropOldest)),
    ] {
        let patch = InstancePatch { durability, queue_overflow, ..InstancePatch::default() };
        let (changed, written) = instances.update(by, instance.id, None, patch).await.expect("changed");
        worth = (durability.unwrap_or(worth.0), queue_overflow.unwrap_or(worth.1));
        assert_eq!((changed.durability, changed.queue_overflow), worth);
        assert!(written.generation.is_some());
        assert_eq!(document().await, worth);
    }
}

#[tokio::test]
async fn whose_turn_it_is_in_shared_subscriptions_reaches_nodes() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    assert_eq!(instance.shared_strategy, SharedStrategy::RoundRobin);
    for strategy in [SharedStrategy::Sticky, SharedStrategy::LeastInFlight, SharedStrategy::RoundRobin] {
        let patch = InstancePatch { shared_strategy: Some(strategy), ..InstancePatch::default() };
        let instances = &world.services.instances;
        let (changed, written) =
            instances.update(&tenant.owner, instance.id, None, patch).await.expect("changed");
        assert_eq!((changed.shared_strategy, written.generation.is_some()), (strategy, true));
        let key = DocumentKey { kind: DocumentKind::Instance, instance: instance.id, name: String::new() };
        let mut connection = world.store.read().await.expect("a connection");
        let documents = store::documents::list(&mut connection, &[key]).await.expect("documents");
        let told = documents.into_values().next();
        let is_told = matches!(&told, Some(Document::Instance(it)) if it.shared_strategy == strategy);
        assert!(is_told, "{told:?}");
    }
}

#[tokio::test]
async fn no_instance_is_restored_beyond_the_limit() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (instances, by) = (&world.services.instances, &tenant.owner);
    instances.delete(by, instance.id, None).await.expect("deleted");
    for at in 0..service::instances::INSTANCES_MAX {
        world.instance(&tenant, &format!("instance-{at}")).await;
    }
    let refused = instances.restore(by, instance.id).await;
    assert!(
        matches!(&refused, Err(UpdateInstanceError::Limit(it)) if (it.name, it.used) == ("instances_max", 100)),
        "{refused:?}"
    );
}
