//! Signing in: the forced change of a password, the throttle, and the life of a session.

use chrono::TimeDelta;
use service::secret::Secret;
use service::session::{
    ACCOUNT_ATTEMPTS_MAX, ADDRESS_ATTEMPTS_MAX, ChangePasswordError, SignIn, SignInError, SignInOutcome,
    SignedIn,
};
use service::tenants::{NewOwner, NewTenant};

use crate::world::World;

const EMAIL: &str = "li@example.com";
const PASSWORD: &str = "correct horse battery";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn attempt(email: &str, password: &str, address: &str) -> SignIn {
    SignIn {
        email: email.to_owned(),
        password: secret(password),
        address: address.parse().expect("an address"),
        request_id: "r".to_owned(),
    }
}

async fn sign_in(world: &World, password: &str) -> Result<SignInOutcome, SignInError> {
    world.services.session.sign_in(attempt(EMAIL, password, "192.0.2.1")).await
}

async fn signed_in(world: &World, password: &str) -> SignedIn {
    match sign_in(world, password).await.expect("the password is right") {
        SignInOutcome::SignedIn(signed_in) => *signed_in,
        SignInOutcome::PasswordChangeRequired { .. } => panic!("no change is required"),
    }
}

/// A person with a password that was given to it.
async fn new_member(world: &World) -> Secret {
    let owner = Some(NewOwner { email: EMAIL.to_owned(), name: "Li".to_owned() });
    let new = NewTenant { name: "demo".to_owned(), owner, ..NewTenant::default() };
    let made = world.services.tenants.create(&world.operator, new).await.expect("a tenant");
    made.one_time_password.expect("a password")
}

async fn challenge(world: &World, password: &Secret) -> Secret {
    match sign_in(world, password.expose()).await.expect("the password is right") {
        SignInOutcome::PasswordChangeRequired { challenge } => challenge,
        SignInOutcome::SignedIn(_) => panic!("a change is required"),
    }
}

/// A person who has chosen its password.
async fn member(world: &World) {
    let given = new_member(world).await;
    let challenge = challenge(world, &given).await;
    let sessions = &world.services.session;
    let done = sessions.complete_password_change(challenge.expose(), &secret(PASSWORD), "r").await;
    done.expect("changed");
}

#[tokio::test]
async fn a_given_password_must_be_changed_before_anything_else() {
    let world = World::new().await;
    let given = new_member(&world).await;
    let sessions = &world.services.session;
    let first = challenge(&world, &given).await;
    let change = async |challenge: &Secret, new: &str| {
        sessions.complete_password_change(challenge.expose(), &secret(new), "r").await
    };
    assert!(matches!(change(&first, "short").await, Err(ChangePasswordError::Invalid(_))));
    assert!(matches!(change(&first, given.expose()).await, Err(ChangePasswordError::Invalid(_))));
    let wrong = change(&secret("guess"), PASSWORD).await;
    assert!(matches!(wrong, Err(ChangePasswordError::CredentialsWrong)));
    let signed_in = change(&first, PASSWORD).await.expect("changed");
    assert!(!signed_in.member.password_change_required);
    assert_eq!(signed_in.tenants.len(), 1);
    let twice = change(&first, "another password").await;
    assert!(matches!(twice, Err(ChangePasswordError::CredentialsWrong)), "a challenge is good once");
    assert!(matches!(sign_in(&world, given.expose()).await, Err(SignInError::CredentialsWrong)));
    signed_in_is_found(&world, &signed_in).await;
}

async fn signed_in_is_found(world: &World, signed_in: &SignedIn) {
    let found = world.services.session.find_session(signed_in.token.expose(), "request-7").await;
    let session = found.expect("an answer").expect("a session");
    assert_eq!(session.member, signed_in.member);
    assert_eq!(session.caller.member(), Some(signed_in.member.id));
    assert_eq!(session.caller.request_id, "request-7");
    assert_eq!(session.csrf_token, signed_in.csrf_token);
}

#[tokio::test]
async fn a_challenge_waits_ten_minutes() {
    let world = World::new().await;
    let given = new_member(&world).await;
    let challenge = challenge(&world, &given).await;
    world.pass(TimeDelta::minutes(10));
    let late =
        world.services.session.complete_password_change(challenge.expose(), &secret(PASSWORD), "r").await;
    assert!(matches!(late, Err(ChangePasswordError::CredentialsWrong)));
}

#[tokio::test]
async fn a_session_lasts_until_it_is_not_refreshed_or_signed_out() {
    let world = World::new().await;
    member(&world).await;
    let sessions = &world.services.session;
    let found =
        async |token: &Secret| sessions.find_session(token.expose(), "r").await.expect("an answer").is_some();
    let session = signed_in(&world, PASSWORD).await;
    world.pass(TimeDelta::hours(11));
    sessions.refresh(session.token.expose()).await.expect("an answer").expect("refreshed");
    world.pass(TimeDelta::hours(11));
    assert!(found(&session.token).await);
    world.pass(TimeDelta::hours(1));
    assert!(!found(&session.token).await);
    assert_eq!(sessions.refresh(session.token.expose()).await.expect("an answer"), None);
    let session = signed_in(&world, PASSWORD).await;
    sessions.sign_out(session.token.expose()).await.expect("signed out");
    assert!(!found(&session.token).await);
    let session = signed_in(&world, PASSWORD).await;
    for _ in 0..14 {
        world.pass(TimeDelta::hours(11));
        sessions.refresh(session.token.expose()).await.expect("an answer");
    }
    assert!(found(&session.token).await, "six days and a half");
    world.pass(TimeDelta::hours(14));
    assert!(!found(&session.token).await, "refreshing does not help beyond a week");
}

#[tokio::test]
async fn a_csrf_token_belongs_to_its_session() {
    let world = World::new().await;
    member(&world).await;
    let sessions = &world.services.session;
    let (one, other) = (signed_in(&world, PASSWORD).await, signed_in(&world, PASSWORD).await);
    assert!(sessions.check_csrf(one.token.expose(), &one.csrf_token));
    assert!(!sessions.check_csrf(one.token.expose(), &other.csrf_token));
    assert!(!sessions.check_csrf(one.token.expose(), ""));
}

#[tokio::test]
async fn changing_the_password_ends_every_other_session() {
    let world = World::new().await;
    member(&world).await;
    let (services, new) = (&world.services, secret("battery horse correct"));
    let (kept, other) = (signed_in(&world, PASSWORD).await, signed_in(&world, PASSWORD).await);
    let found = services.session.find_session(kept.token.expose(), "r").await.expect("an answer");
    let caller = found.expect("a session").caller;
    let change = async |current: &str, new: &Secret| {
        services.members.change_password(&caller, &secret(current), new, kept.token.expose()).await
    };
    let wrong = change("a wrong password", &new).await;
    assert!(matches!(wrong, Err(ChangePasswordError::CredentialsWrong)));
    assert!(matches!(change(PASSWORD, &secret(PASSWORD)).await, Err(ChangePasswordError::Invalid(_))));
    change(PASSWORD, &new).await.expect("changed");
    let found = async |of: &SignedIn| {
        services.session.find_session(of.token.expose(), "r").await.expect("an answer").is_some()
    };
    assert!(found(&kept).await && !found(&other).await);
    assert!(matches!(sign_in(&world, PASSWORD).await, Err(SignInError::CredentialsWrong)));
    signed_in(&world, new.expose()).await;
}

#[tokio::test]
async fn an_account_is_locked_after_ten_attempts_until_the_window_ends() {
    let world = World::new().await;
    member(&world).await;
    for _ in 0..ACCOUNT_ATTEMPTS_MAX {
        assert!(matches!(sign_in(&world, "wrong").await, Err(SignInError::CredentialsWrong)));
    }
    let right = sign_in(&world, PASSWORD).await;
    let Err(SignInError::LockedOut { retry_after_secs }) = right else { panic!("{right:?}") };
    assert_eq!(retry_after_secs, 15 * 60);
    world.pass(TimeDelta::minutes(15));
    signed_in(&world, PASSWORD).await;
    for _ in 0..ACCOUNT_ATTEMPTS_MAX {
        assert!(matches!(sign_in(&world, "wrong").await, Err(SignInError::CredentialsWrong)));
    }
    assert!(matches!(sign_in(&world, "wrong").await, Err(SignInError::LockedOut { .. })));
}

#[tokio::test]
async fn an_unknown_account_is_locked_like_a_known_one() {
    let world = World::new().await;
    let sessions = &world.services.session;
    for _ in 0..ACCOUNT_ATTEMPTS_MAX {
        let unknown = sessions.sign_in(attempt("nobody@example.com", "x", "192.0.2.1")).await;
        assert!(matches!(unknown, Err(SignInError::CredentialsWrong)));
    }
    let unknown = sessions.sign_in(attempt("Nobody@example.com", "x", "192.0.2.2")).await;
    assert!(matches!(unknown, Err(SignInError::LockedOut { .. })));
}

#[tokio::test]
async fn an_address_is_locked_whatever_accounts_it_tries() {
    let world = World::new().await;
    member(&world).await;
    let sessions = &world.services.session;
    world.sql("INSERT INTO sign_in_throttle SELECT sha256('address 192.0.2.9'::bytea), 99, '2100-01-01'");
    let last = sessions.sign_in(attempt("a@example.com", "x", "192.0.2.9")).await;
    assert!(matches!(last, Err(SignInError::CredentialsWrong)), "number {ADDRESS_ATTEMPTS_MAX}");
    let one_more = sessions.sign_in(attempt(EMAIL, PASSWORD, "192.0.2.9")).await;
    assert!(matches!(one_more, Err(SignInError::LockedOut { .. })));
    let elsewhere = sessions.sign_in(attempt(EMAIL, PASSWORD, "192.0.2.10")).await;
    assert!(matches!(elsewhere, Ok(SignInOutcome::SignedIn(_))));
}

#[tokio::test]
async fn what_is_over_is_forgotten() {
    let world = World::new().await;
    member(&world).await;
    signed_in(&world, PASSWORD).await;
    assert!(sign_in(&world, "wrong").await.is_err());
    world.pass(TimeDelta::days(1));
    let forgotten = service::reconcile::expire_sessions(&world.services).await.expect("runs");
    assert!(forgotten >= 4, "two sessions, an account and an address: {forgotten}");
    world.holds("SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM sign_in_throttle) = 0");
    assert_eq!(service::reconcile::expire_sessions(&world.services).await.expect("runs"), 0);
}

#[tokio::test]
async fn a_password_that_is_just_changed_signs_nobody_in() {
    let world = World::new().await;
    member(&world).await;
    let mut tx = world.store.begin().await.expect("a transaction");
    let known = store::members::find_by_email(&mut tx, EMAIL).await.expect("answers").expect("a member");
    let now = world.services.now();
    store::members::update_password(&mut tx, known.id, "another hash", now).await.expect("changed");
    let release = async {
        world.until_one_waits().await;
        tx.commit().await.expect("committed");
    };
    let (refused, ()) = tokio::join!(sign_in(&world, PASSWORD), release);
    assert!(matches!(refused, Err(SignInError::CredentialsWrong)), "{refused:?}");
}
