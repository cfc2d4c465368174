//! Temporary tokens: issue, bounds, revocation.

use chrono::TimeDelta;
use contract::claims::TokenClaims;
use contract::feed::{Document, DocumentKind};
use contract::ids::{InstanceId, TokenId};
use contract::revocation::TokenSelector;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use service::page::ListQuery;
use service::tokens::{IssueTokenError, IssuedToken, NewToken, RevokeTokens, TokenState};

use crate::world::{Tenant, World, grants, labels, no_instance, nothing};

/// A token for a client, which may do nothing.
pub(crate) fn for_client(client_id: &str, ttl_secs: u64) -> NewToken {
    NewToken { client_id: Some(client_id.to_owned()), ttl_secs, ..NewToken::default() }
}

fn selected(selector: TokenSelector) -> RevokeTokens {
    RevokeTokens { selector, issued_before: None, reason: Some("stolen".to_owned()) }
}

async fn issue(world: &World, tenant: &Tenant, instance: InstanceId, new: NewToken) -> IssuedToken {
    world.services.tokens.issue(&tenant.owner, instance, new).await.expect("a token")
}

async fn reason(world: &World, tenant: &Tenant, instance: InstanceId, token: &IssuedToken) -> String {
    let text = token.text.expose();
    let looked = world.services.tokens.introspect(&tenant.owner, instance, text).await.expect("an answer");
    assert_eq!(looked.active, looked.reason.is_none());
    looked.reason.unwrap_or("active").to_owned()
}

#[tokio::test]
async fn issuing_is_one_insert_without_generation_lock_or_audit_row() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    world.sql("CREATE TABLE before AS SELECT count(*) AS audits FROM audit");
    let heads = world.heads().await;
    // Another transaction holds the heads and the instance, as one that is about to commit a change does.
    let mut tx = world.store.begin().await.expect("a transaction");
    store::instances::lock(&mut tx, tenant.id, instance.id).await.expect("locked");
    store::feed::append(&mut tx, &[], world.services.now()).await.expect("held");
    let issued = issue(&world, &tenant, instance.id, for_client("car-001", 60)).await;
    drop(tx);
    assert_eq!(world.heads().await, heads);
    world.holds("SELECT audits = (SELECT count(*) FROM audit) FROM before");
    let kept = world.services.tokens.get(&tenant.owner, instance.id, issued.token.id).await;
    let kept = kept.expect("its own record");
    assert_eq!(kept, issued.token);
    assert_eq!((kept.issued_by, kept.request_id.as_str()), (tenant.owner.actor, "request-1"));
    assert_eq!(world.services.tokens.state(&kept), TokenState::Active);
}

#[tokio::test]
async fn a_token_says_what_was_asked_and_its_key_signs_it() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new = NewToken {
        labels: labels(&[("tour", "42")]),
        grants: grants(r#"[{"actions":["publish"],"topic_filter":"up/#","qos_max":1}]"#),
        ..for_client("car-001", 3_600)
    };
    let issued = issue(&world, &tenant, instance.id, new.clone()).await;
    let keys = world.services.signing_keys.list_verifying(&tenant.owner, instance.id).await.expect("keys");
    let [key] = keys.as_slice() else { panic!("one key") };
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[contract::claims::AUDIENCE]);
    // The test's clock is not the library's.
    validation.validate_exp = false;
    let decoded = jsonwebtoken::decode::<TokenClaims>(
        issued.text.expose(),
        &DecodingKey::from_ed_der(&key.public_key),
        &validation,
    )
    .expect("signed by the instance's key");
    assert_eq!(decoded.header.kid.as_deref(), Some("k1"));
    let claims = decoded.claims;
    assert_eq!((claims.instance, claims.jti), (instance.id, issued.token.id));
    assert_eq!((claims.client_id, claims.labels, claims.grants), (new.client_id, new.labels, new.grants));
    assert_eq!(claims.exp - claims.nbf, 3_600);
    assert_eq!(claims.jti.issued_at().map(|at| at.0), Some(1_800_000_000_123));
}

#[tokio::test]
async fn the_size_of_tokens() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    for (count, bytes_max) in [(1, 540), (10, 1_650)] {
        let grant = |at: u32| {
            format!(r#"{{"actions":["publish"],"topic_filter":"vehicle/car-001/up/{at}/#","qos_max":1}}"#)
        };
        let json = format!("[{}]", (0..count).map(grant).collect::<Vec<_>>().join(","));
        let new = NewToken { grants: grants(&json), ..for_client("car-001", 86_400) };
        let issued = issue(&world, &tenant, instance.id, new).await;
        println!("a token of {count} grants has {} bytes", issued.bytes);
        assert_eq!(issued.bytes, issued.text.expose().len());
        assert!(issued.bytes <= bytes_max, "{count} grants: {} bytes", issued.bytes);
    }
}

#[tokio::test]
async fn bounds_are_said_and_never_bent() {
    let world = World::new().await;
    world.plan("short", &[("token_ttl_secs_max", 100), ("grants_max", 1)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "short").await;
    let now = world.services.now();
    let grant = r#"{"actions":["publish"],"topic_filter":"a"}"#;
    let later = |secs| Some(now + TimeDelta::seconds(secs));
    let subject = || Some("fleet".to_owned());
    for (new, expected) in [
        (for_client("car", 100), "ok"),
        (for_client("car", 101), "`ttl_secs` may be 1 to 100, not 101"),
        (for_client("car", 0), "`ttl_secs` may be 1 to 100, not 0"),
        (NewToken { not_before: later(40), ..for_client("car", 60) }, "ok"),
        (NewToken { not_before: later(41), ..for_client("car", 60) }, "`ttl_secs` may be 1 to 100, not 60"),
        (
            NewToken { not_before: later(-1), ..for_client("car", 60) },
            "/not_before of the request is no good",
        ),
        (NewToken { grants: grants(&format!("[{grant}]")), ..for_client("car", 60) }, "ok"),
        (
            NewToken { grants: grants(&format!("[{grant},{grant}]")), ..for_client("car", 60) },
            "at most 1 grants, not 2",
        ),
        (NewToken { client_id: None, ..for_client("", 60) }, "/client_id of the request is no good"),
        (NewToken { subject: subject(), ..for_client("car", 60) }, "/subject of the request is no good"),
        (NewToken { subject: subject(), client_id: None, ..for_client("", 60) }, "ok"),
        (for_client(&"x".repeat(257), 60), "/client_id of the request is no good"),
    ] {
        let outcome = world.services.tokens.issue(&tenant.owner, instance.id, new.clone()).await;
        let said = outcome.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert_eq!(said, expected, "{new:?}");
    }
}

#[tokio::test]
async fn each_of_a_batch_is_answered_apart() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let batch = vec![for_client("a", 60), for_client("b", 0), for_client("c", 60)];
    let answers = world.services.tokens.issue_batch(&tenant.owner, instance.id, batch).await;
    let answers = answers.expect("answers");
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(IssueTokenError::TtlOutOfBounds { given: 0, .. })));
    let page = world.services.tokens.list(&tenant.owner, instance.id, &ListQuery::default()).await;
    assert_eq!(page.expect("a page").items.len(), 2);
    for size in [0, 1_001] {
        let batch = vec![for_client("a", 60); size];
        let refused = world.services.tokens.issue_batch(&tenant.owner, instance.id, batch).await;
        assert!(refused.is_err(), "{size}");
    }
    let most = vec![for_client("a", 60); 1_000];
    let answers = world.services.tokens.issue_batch(&tenant.owner, instance.id, most).await;
    assert!(answers.expect("answers").iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_revocation_takes_back_what_it_selects_and_nothing_later() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let new =
        |client_id: &str| NewToken { labels: labels(&[("of", client_id)]), ..for_client(client_id, 600) };
    for selector in
        [TokenSelector::ClientId("car".to_owned()), TokenSelector::Labels(labels(&[("of", "car")]))]
    {
        let old = issue(&world, &tenant, instance.id, new("car")).await;
        let other = issue(&world, &tenant, instance.id, new("bus")).await;
        let revoked =
            world.services.tokens.revoke(&tenant.owner, instance.id, selected(selector.clone())).await;
        let (revoked, written) = revoked.expect("revoked");
        assert_eq!(revoked.revoked, 1, "{selector:?}");
        assert!(written.urgent_sequence.is_some() && written.generation.is_some());
        world.pass(TimeDelta::milliseconds(1));
        let renewed = issue(&world, &tenant, instance.id, new("car")).await;
        assert_eq!(reason(&world, &tenant, instance.id, &old).await, "token_revoked", "{selector:?}");
        assert_eq!(reason(&world, &tenant, instance.id, &other).await, "active", "{selector:?}");
        assert_eq!(reason(&world, &tenant, instance.id, &renewed).await, "active", "{selector:?}");
        let kept = world.services.tokens.get(&tenant.owner, instance.id, old.token.id).await;
        assert_eq!(kept.expect("kept").revocation, revoked.revocation);
        world
            .services
            .tokens
            .revoke(&tenant.owner, instance.id, selected(TokenSelector::All))
            .await
            .expect("all");
        world.pass(TimeDelta::milliseconds(1));
    }
}

#[tokio::test]
async fn one_token_is_revoked_by_its_id_and_once_is_enough() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let tokens = &world.services.tokens;
    let issued = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    let id = issued.token.id;
    let (revoked, written) = tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("revoked");
    assert_eq!((revoked.revoked, written.urgent_sequence.is_some()), (1, true));
    let (revoked, written) = tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("again");
    assert_eq!((revoked.revoked, revoked.revocation), (0, None));
    assert_eq!(written, service::write::Written::default());
    let unknown = tokens.revoke_one(&tenant.owner, instance.id, nothing(TokenId), None).await;
    assert!(unknown.is_err());
    // By its id in a list, a token that has no row here is still taken back: it may have been issued before a restore.
    let ids = TokenSelector::Ids(vec![nothing(TokenId)]);
    let (revoked, written) = tokens.revoke(&tenant.owner, instance.id, selected(ids)).await.expect("revoked");
    assert_eq!((revoked.revoked, written.urgent_sequence.is_some()), (0, true));
}

#[tokio::test]
async fn tokens_issued_before_a_moment_are_revoked_by_it() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let old = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    world.pass(TimeDelta::seconds(10));
    let moment = world.services.now();
    let young = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    world.pass(TimeDelta::seconds(10));
    let revoke = RevokeTokens { issued_before: Some(moment), ..selected(TokenSelector::All) };
    let revoked = world.services.tokens.revoke(&tenant.owner, instance.id, revoke).await;
    assert_eq!(revoked.expect("revoked").0.revoked, 1);
    assert_eq!(reason(&world, &tenant, instance.id, &old).await, "token_revoked");
    assert_eq!(reason(&world, &tenant, instance.id, &young).await, "active");
    let future = world.services.now() + TimeDelta::seconds(1);
    let revoke = RevokeTokens { issued_before: Some(future), ..selected(TokenSelector::All) };
    assert!(world.services.tokens.revoke(&tenant.owner, instance.id, revoke).await.is_err());
}

#[tokio::test]
async fn a_token_is_judged_as_a_node_judges_it() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let other = world.instance(&tenant, "other").await;
    let later = world.services.now() + TimeDelta::seconds(60);
    let token =
        issue(&world, &tenant, instance.id, NewToken { not_before: Some(later), ..for_client("car", 60) })
            .await;
    assert_eq!(reason(&world, &tenant, instance.id, &token).await, "token_not_yet_valid");
    world.pass(TimeDelta::seconds(60));
    assert_eq!(reason(&world, &tenant, instance.id, &token).await, "active");
    assert_eq!(reason(&world, &tenant, other.id, &token).await, "token_invalid");
    world.pass(TimeDelta::seconds(60));
    assert_eq!(reason(&world, &tenant, instance.id, &token).await, "token_expired");
    let forged = format!("{}x", token.text.expose());
    for text in ["", "a.b.c", &forged] {
        let looked = world.services.tokens.introspect(&tenant.owner, instance.id, text).await;
        let looked = looked.expect("an answer");
        assert_eq!((looked.reason, looked.claims), (Some("token_invalid"), None), "{text}");
    }
}

#[tokio::test]
async fn revocations_beyond_their_limit_are_merged_into_wider_ones() {
    let world = World::new().await;
    world.plan("few", &[("revocations_max", 100)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "few").await;
    let mut tokens = Vec::new();
    for at in 0..130 {
        let token = issue(&world, &tenant, instance.id, for_client(&format!("car-{at}"), 600)).await;
        world.pass(TimeDelta::milliseconds(1));
        let id = token.token.id;
        world.services.tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("revoked");
        world.pass(TimeDelta::milliseconds(1));
        tokens.push(token);
        let mut connection = world.store.read().await.expect("a connection");
        let count = store::revocations::count(&mut connection, instance.id).await.expect("a count");
        assert!(count <= 100, "{count} after {at}");
    }
    // What nodes hold still means every one of them, and none that is issued now.
    let node = world.node("n1").await;
    let replica = crate::replicator::Replica::export(&world.services, node, async || ()).await;
    let revocations: Vec<_> = replica
        .of_kind(DocumentKind::Revocation)
        .into_iter()
        .filter_map(|document| {
            if let Document::Revocation(revocation) = document { Some(revocation.clone()) } else { None }
        })
        .collect();
    let fresh = issue(&world, &tenant, instance.id, for_client("car-0", 600)).await;
    for (token, meant) in tokens.iter().map(|token| (token, true)).chain([(&fresh, false)]) {
        let looked = world.services.tokens.introspect(&tenant.owner, instance.id, token.text.expose()).await;
        let claims = looked.expect("an answer").claims.expect("claims");
        assert_eq!(revocations.iter().any(|it| it.revokes(&claims, "k1")), meant, "{:?}", claims.client_id);
    }
}

#[tokio::test]
async fn revocations_and_tokens_are_forgotten_when_they_mean_nothing_more() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    let all = selected(TokenSelector::All);
    world.services.tokens.revoke(&tenant.owner, instance.id, all).await.expect("revoked");
    assert_eq!(service::reconcile::forget_revocations(&world.services).await.expect("runs"), 0);
    let heads = world.heads().await;
    world.pass(TimeDelta::days(31));
    assert_eq!(service::reconcile::forget_revocations(&world.services).await.expect("runs"), 1);
    assert_eq!(service::reconcile::expire_tokens(&world.services).await.expect("runs"), 1);
    assert_eq!(world.heads().await, (heads.0 + 1, heads.1));
    assert_eq!(service::reconcile::forget_revocations(&world.services).await.expect("runs"), 0);
    assert_eq!(world.heads().await.0, heads.0 + 1, "doing nothing makes no generation");
}

#[tokio::test]
async fn only_a_running_instance_that_accepts_tokens_issues_them() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let tokens = &world.services.tokens;
    world.services.instances.suspend(&tenant.owner, instance.id).await.expect("suspended");
    let refused = tokens.issue(&tenant.owner, instance.id, for_client("car", 60)).await;
    assert!(matches!(refused, Err(IssueTokenError::State(_))));
    world.services.instances.resume(&tenant.owner, instance.id).await.expect("resumed");
    tokens.issue(&tenant.owner, instance.id, for_client("car", 60)).await.expect("a token");
    let unknown = tokens.issue(&tenant.owner, no_instance(), for_client("car", 60)).await;
    assert!(matches!(unknown, Err(IssueTokenError::Access(_))));
}

#[tokio::test]
async fn a_moment_within_a_millisecond_means_the_same_to_rows_and_nodes() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let token = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    let moment = world.services.now() + TimeDelta::microseconds(500);
    world.pass(TimeDelta::seconds(1));
    let revoke = RevokeTokens { issued_before: Some(moment), ..selected(TokenSelector::All) };
    let (revoked, _) =
        world.services.tokens.revoke(&tenant.owner, instance.id, revoke).await.expect("revoked");
    assert_eq!(revoked.revoked, 1);
    let mut connection = world.store.read().await.expect("a connection");
    let id = revoked.revocation.expect("a revocation");
    let made = store::revocations::find(&mut connection, instance.id, id).await.expect("answers");
    let issued = token.token.id.issued_at().expect("it says");
    assert_eq!(made.expect("it is there").issued_before.0, issued.0 + 1);
}

#[tokio::test]
async fn a_revoked_token_that_no_revocation_means_any_more_is_revoked_again() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let tokens = &world.services.tokens;
    let id = issue(&world, &tenant, instance.id, for_client("car", 600)).await.token.id;
    let revoke = async || {
        let (revoked, _) = tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("revoked");
        revoked.revocation.is_some()
    };
    assert!(revoke().await);
    assert!(!revoke().await);
    world.sql("DELETE FROM revocation");
    assert!(revoke().await);
    // A wider one means it too.
    world.sql("DELETE FROM revocation");
    let wider = selected(TokenSelector::ClientId("car".to_owned()));
    tokens.revoke(&tenant.owner, instance.id, wider).await.expect("revoked");
    assert!(!revoke().await);
}

#[tokio::test]
async fn a_merge_leaves_tokens_good_that_are_younger_than_those_it_names() {
    let world = World::new().await;
    world.plan("few", &[("revocations_max", 100)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "few").await;
    let count = async || {
        let mut connection = world.store.read().await.expect("a connection");
        store::revocations::count(&mut connection, instance.id).await.expect("a count")
    };
    let mut pairs = Vec::new();
    for at in 0..101 {
        let old = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
        world.pass(TimeDelta::milliseconds(1));
        let young = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
        world.pass(TimeDelta::milliseconds(1));
        if at == 0 {
            // As one that was issued under a plan of longer lives.
            let id = young.token.id;
            world.sql(&format!("UPDATE token SET expires_at = '2099-01-01' WHERE token_id = '{id}'"));
        }
        let id = old.token.id;
        world.services.tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("revoked");
        pairs.push((old, young));
    }
    assert_eq!(count().await, 91, "eleven were merged into one");
    // It lasts as long as the last token that it means.
    world.holds("SELECT max(expires_at) = '2099-01-01' FROM revocation");
    for (at, (old, young)) in pairs.iter().enumerate() {
        assert_eq!(reason(&world, &tenant, instance.id, old).await, "token_revoked", "{at}");
        let expected = if at < 10 { "token_revoked" } else { "active" };
        assert_eq!(reason(&world, &tenant, instance.id, young).await, expected, "{at}");
    }
}

#[tokio::test]
async fn a_merge_is_bounded_however_many_revocations_there_are() {
    let world = World::new().await;
    world.plan("few", &[("revocations_max", 100)]).await;
    let (tenant, instance) = world.demo().await;
    let token = issue(&world, &tenant, instance.id, for_client("car", 600)).await;
    world.sql(&format!(
        "INSERT INTO revocation (revocation_id, instance_id, selector, issued_before, expires_at, created_at)
         SELECT gen_random_uuid(), '{}', jsonb_build_object('client_id', 'bus-' || at), '2020-01-01',
                '2099-01-01', '2020-01-01'
         FROM generate_series(1, 3000) AS at",
        instance.id
    ));
    let plan = world.services.instances.change_plan(&tenant.owner, instance.id, "few", false).await;
    plan.expect("changed");
    let id = token.token.id;
    world.services.tokens.revoke_one(&tenant.owner, instance.id, id, None).await.expect("revoked");
    let mut connection = world.store.read().await.expect("a connection");
    let count = store::revocations::count(&mut connection, instance.id).await.expect("a count");
    assert_eq!(count, 3_001 - 1_000 + 1);
}
