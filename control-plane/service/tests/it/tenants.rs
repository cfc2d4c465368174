//! Tenants and their first owners.

use service::page::ListQuery;
use service::session::{SignIn, SignInOutcome};
use service::tenants::{NewOwner, NewTenant, TenantPatch, TenantState};

use crate::world::World;

fn owned(name: &str, email: &str) -> NewTenant {
    let owner = NewOwner { email: email.to_owned(), name: "Li".to_owned() };
    NewTenant { name: name.to_owned(), owner: Some(owner), ..NewTenant::default() }
}

#[tokio::test]
async fn a_new_owner_gets_a_password_once_and_a_known_one_none() {
    let world = World::new().await;
    let tenants = &world.services.tenants;
    let first = tenants.create(&world.operator, owned("red", "Li@Example.com")).await.expect("made");
    let owner = first.owner.expect("an owner");
    assert_eq!((owner.email.as_str(), owner.password_change_required), ("li@example.com", true));
    let sign_in = SignIn {
        email: "LI@example.com".to_owned(),
        password: first.one_time_password.expect("a password"),
        address: "192.0.2.7".parse().expect("an address"),
        request_id: "r".to_owned(),
    };
    let outcome = world.services.session.sign_in(sign_in).await.expect("right");
    assert!(matches!(outcome, SignInOutcome::PasswordChangeRequired { .. }));
    let second = tenants.create(&world.operator, owned("blue", "li@example.com")).await.expect("made");
    assert_eq!((second.owner.map(|it| it.id), second.one_time_password), (Some(owner.id), None));
}

#[tokio::test]
async fn what_is_no_good_is_named() {
    let world = World::new().await;
    for (new, pointer) in [
        (owned("", "li@example.com"), "/name"),
        (owned("red", "li"), "/owner/email"),
        (NewTenant { labels: crate::world::labels(&[("a b", "")]), ..owned("red", "li@x") }, "/labels/a b"),
    ] {
        let error = world.services.tenants.create(&world.operator, new).await.expect_err("refused");
        assert!(error.to_string().starts_with(pointer), "{error}");
    }
}

#[tokio::test]
async fn a_tenant_is_renamed_and_suspended_under_its_revision() {
    let world = World::new().await;
    let tenant = world.tenant("demo").await;
    let tenants = &world.services.tenants;
    let patch = TenantPatch { name: Some("renamed".to_owned()), ..TenantPatch::default() };
    let renamed = tenants.update(&tenant.owner, tenant.id, Some(1), patch.clone()).await.expect("renamed");
    assert_eq!((renamed.name.as_str(), renamed.revision), ("renamed", 2));
    tenants.update(&tenant.owner, tenant.id, Some(1), patch).await.expect_err("stale");
    let (suspended, _) = tenants.suspend(&world.operator, tenant.id).await.expect("suspended");
    assert_eq!((suspended.state, suspended.revision), (TenantState::Suspended, 3));
    let (again, written) = tenants.suspend(&world.operator, tenant.id).await.expect("it is");
    assert_eq!((again.revision, written), (3, service::write::Written::default()));
    let log = world.services.audit.list(&tenant.owner, tenant.id, &ListQuery::default()).await;
    let mut actions: Vec<_> = log.expect("a page").items.into_iter().map(|entry| entry.action).collect();
    actions.sort();
    assert_eq!(actions, ["create_membership", "create_tenant", "suspend_tenant", "update_tenant"]);
    let owner = tenant.owner.member().expect("a person");
    world.holds(&format!(
        "SELECT bool_and(resource_id = '{owner}') AND count(*) = 2 FROM audit
         WHERE action IN ('create_member', 'create_membership')"
    ));
}
