//! The first start and the ones after it.

use contract::feed::{Document, DocumentKind};
use service::bootstrap::bootstrap;
use service::session::{SignIn, SignInOutcome};

use crate::replicator::Replica;
use crate::tokens::for_client;
use crate::world::World;

async fn empty_world() -> World {
    let world = World::new().await;
    world.sql("DELETE FROM plan");
    world
}

#[tokio::test]
async fn the_first_start_makes_all_and_later_ones_nothing() {
    let world = empty_world().await;
    let first = bootstrap(&world.services).await.expect("made");
    let password = first.one_time_password.clone().expect("a password, once");
    let heads = world.heads().await;
    let second = bootstrap(&world.services).await.expect("known");
    assert_eq!(second.one_time_password, None);
    assert_eq!((second.tenant, second.instance, &second.topic), (first.tenant, first.instance, &first.topic));
    assert_eq!(world.heads().await, heads);
    let sign_in = SignIn {
        email: first.operator_email,
        password,
        address: "127.0.0.1".parse().expect("an address"),
        request_id: "r".to_owned(),
    };
    let outcome = world.services.session.sign_in(sign_in).await.expect("the password is right");
    assert!(matches!(outcome, SignInOutcome::PasswordChangeRequired { .. }));
    let issued = world.services.tokens.issue(&world.operator, first.instance, for_client("a", 60)).await;
    issued.expect("the demo instance issues tokens");
    for plan in ["free", "standard", "large"] {
        world.services.plans.get(&world.operator, plan, None).await.expect(plan);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_first_starts_at_one_time_make_one() {
    let world = empty_world().await;
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let services = world.another_controller();
            tokio::spawn(async move { bootstrap(&services).await.expect("made or known") })
        })
        .collect();
    let mut passwords = 0;
    for start in starts {
        passwords += u32::from(start.await.expect("no panic").one_time_password.is_some());
    }
    assert_eq!(passwords, 1);
    let node = world.node("n1").await;
    let replica = Replica::export(&world.services, node, async || ()).await;
    assert_eq!(replica.of_kind(DocumentKind::Instance).len(), 1);
    let [Document::Topic(topic)] = replica.of_kind(DocumentKind::Topic)[..] else { panic!("one topic") };
    assert_eq!(topic.name, "demo");
}
