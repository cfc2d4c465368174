//! Plans: versions that never change.

use std::collections::BTreeMap;

use service::error::UpdateError;
use service::page::ListQuery;
use service::plans::{CreatePlanError, NewPlan};

use crate::world::{World, new_instance};

fn limits(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[tokio::test]
async fn limits_are_checked_by_name_and_bound() {
    let world = World::new().await;
    let create = async |name: &str, pairs: &[(&str, u64)]| {
        let new = NewPlan { name: name.to_owned(), description: String::new(), limits: limits(pairs) };
        world.services.plans.create(&world.operator, new).await
    };
    let plan = create("small", &[("topics_max", 7)]).await.expect("a plan");
    assert_eq!((plan.version, plan.limits.topics_max), (1, 7));
    assert!(matches!(create("small", &[]).await, Err(CreatePlanError::NameTaken(_))));
    let Err(CreatePlanError::Invalid(invalid)) = create("odd", &[("speed", 1), ("topics_max", 0)]).await
    else {
        panic!("refused")
    };
    let found: Vec<_> = invalid.0.iter().map(|it| (it.pointer.as_str(), it.code)).collect();
    assert_eq!(found, [("/limits/speed", "unknown"), ("/limits/topics_max", "out_of_bounds")]);
    for name in ["", "Small", "1st", &"x".repeat(41)] {
        assert!(matches!(create(name, &[]).await, Err(CreatePlanError::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn an_instance_keeps_the_version_it_was_given() {
    let world = World::new().await;
    world.plan("small", &[("topics_max", 7)]).await;
    let tenant = world.tenant("demo").await;
    let old = world.instance_on(&tenant, "old", "small").await;
    let plans = &world.services.plans;
    let next = plans.create_version(&world.operator, "small", None, limits(&[("topics_max", 9)])).await;
    assert_eq!(next.expect("a version").version, 2);
    let young = world.instance_on(&tenant, "young", "small").await;
    let now = world.services.instances.get(&tenant.owner, old.id).await.expect("it is there");
    assert_eq!((now.plan_version, now.limits.topics_max), (1, 7));
    assert_eq!((young.plan_version, young.limits.topics_max), (2, 9));
    let query = ListQuery { name: Some("small".to_owned()), count: true, ..ListQuery::default() };
    let page = plans.list(&tenant.owner, &query).await.expect("a page");
    assert_eq!((page.items[0].version, page.total), (2, Some(1)));
    let first = plans.get(&tenant.owner, "small", Some(1)).await.expect("version 1");
    assert_eq!(first.limits.topics_max, 7);
}

#[tokio::test]
async fn a_retired_plan_is_given_to_nobody_new() {
    let world = World::new().await;
    world.plan("old", &[]).await;
    let tenant = world.tenant("demo").await;
    world.instance_on(&tenant, "kept", "old").await;
    let retired = world.services.plans.retire(&world.operator, "old").await.expect("retired");
    assert!(retired.retired_at.is_some());
    let again = world.services.plans.retire(&world.operator, "old").await.expect("retired twice");
    assert_eq!(again, retired);
    let made = world.services.instances.create(&tenant.owner, tenant.id, new_instance("new", "old")).await;
    assert!(made.is_err());
    let unknown = world.services.plans.retire(&world.operator, "unknown").await;
    assert!(matches!(unknown, Err(UpdateError::Access(_))));
}
