//! Idempotency keys: the first answer again, and no second run.

use chrono::TimeDelta;
use contract::base64::Base64;
use contract::ids::{MemberId, TenantId};
use service::access::{Caller, Role};
use service::idempotency::{ANSWER_BYTES_MAX, Begun, Claim, StoredAnswer};

use crate::world::{World, caller, nothing};

const KEY: &str = "0123456789abcdef";

fn answer(body: &str) -> StoredAnswer {
    let headers = vec![("location".to_owned(), "/v1/x".to_owned())];
    StoredAnswer { status: 201, headers, body: Base64(body.as_bytes().to_vec()) }
}

async fn begin(world: &World, by: &Caller, request: u8) -> Begun {
    world.services.idempotency.begin(by, KEY, [request; 32]).await.expect("an answer")
}

async fn fresh(world: &World, by: &Caller, request: u8) -> Claim {
    let begun = begin(world, by, request).await;
    let Begun::Fresh(claim) = begun else { panic!("{begun:?}") };
    claim
}

#[tokio::test]
async fn the_first_answer_is_given_again() {
    let world = World::new().await;
    let by = world.operator.clone();
    let claim = fresh(&world, &by, 1).await;
    assert_eq!(begin(&world, &by, 1).await, Begun::InProgress);
    world.services.idempotency.finish(claim, &answer("the secret answer")).await.expect("kept");
    assert_eq!(begin(&world, &by, 1).await, Begun::Replay(answer("the secret answer")));
    assert_eq!(begin(&world, &by, 2).await, Begun::Mismatch);
    let other = caller(nothing(MemberId), nothing(TenantId), Role::Owner);
    fresh(&world, &other, 2).await;
    world.holds(
        "SELECT bool_and(position('secret answer'::bytea IN answer_sealed) = 0)
                 FROM idempotency WHERE answer_sealed IS NOT NULL",
    );
    world.pass(TimeDelta::hours(24) + TimeDelta::milliseconds(1));
    fresh(&world, &by, 2).await;
}

#[tokio::test]
async fn a_failed_request_may_be_tried_again() {
    let world = World::new().await;
    let by = world.operator.clone();
    let claim = fresh(&world, &by, 1).await;
    world.services.idempotency.abandon(claim).await.expect("freed");
    fresh(&world, &by, 1).await;
}

#[tokio::test]
async fn a_request_that_died_is_taken_over_and_cannot_answer_any_more() {
    let world = World::new().await;
    let by = world.operator.clone();
    let dead = fresh(&world, &by, 1).await;
    world.pass(TimeDelta::seconds(61));
    let alive = fresh(&world, &by, 1).await;
    world.services.idempotency.finish(dead.clone(), &answer("late")).await.expect("ignored");
    world.services.idempotency.abandon(dead).await.expect("ignored");
    assert_eq!(begin(&world, &by, 1).await, Begun::InProgress);
    world.services.idempotency.finish(alive, &answer("right")).await.expect("kept");
    assert_eq!(begin(&world, &by, 1).await, Begun::Replay(answer("right")));
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let world = World::new().await;
    let by = world.operator.clone();
    let claim = fresh(&world, &by, 1).await;
    let large = answer(&"x".repeat(ANSWER_BYTES_MAX + 1));
    world.services.idempotency.finish(claim, &large).await.expect("freed");
    fresh(&world, &by, 1).await;
}

#[tokio::test]
async fn old_answers_are_forgotten() {
    let world = World::new().await;
    fresh(&world, &world.operator, 1).await;
    assert_eq!(service::reconcile::expire_idempotency(&world.services).await.expect("runs"), 0);
    world.pass(TimeDelta::hours(25));
    assert_eq!(service::reconcile::expire_idempotency(&world.services).await.expect("runs"), 1);
}
