//! Credentials: generated secrets, their two slots, and what nodes hear.

use aws_lc_rs::hmac;
use contract::feed::{CredentialDocument, Document, DocumentKind, Urgent};
use contract::ids::InstanceId;
use service::credentials::{CreateCredentialError, Credential, CredentialPatch, NewCredential, SecretSlot};
use service::secret::Secret;

use crate::replicator::Replica;
use crate::world::{Tenant, World, grants};

fn named(username: &str) -> NewCredential {
    NewCredential { username: username.to_owned(), ..NewCredential::default() }
}

async fn create(world: &World, tenant: &Tenant, instance: InstanceId) -> (Credential, Secret) {
    let made = world.services.credentials.create(&tenant.owner, instance, named("car-001")).await;
    let (credential, secret, _) = made.expect("a credential");
    (credential, secret)
}

/// The credential as a node has it.
async fn told(world: &World) -> Option<CredentialDocument> {
    let node = world.node("n").await;
    let replica = Replica::export(&world.services, node, async || ()).await;
    match replica.of_kind(DocumentKind::Credential).first() {
        Some(Document::Credential(document)) => Some(document.clone()),
        _ => None,
    }
}

/// Whether a node lets this secret in, by the verifiers that it has.
fn lets_in(document: &CredentialDocument, secret: &Secret) -> bool {
    document.secrets.iter().any(|known| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &known.verifier.salt.0);
        hmac::verify(&key, secret.expose().as_bytes(), &known.verifier.hash.0).is_ok()
    })
}

#[tokio::test]
async fn nodes_recognise_the_secret_that_was_shown() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (credential, secret) = create(&world, &tenant, instance.id).await;
    let document = told(&world).await.expect("a document");
    assert_eq!((document.id, document.username.as_str()), (credential.id, "car-001"));
    assert!(document.enabled && lets_in(&document, &secret));
    assert!(!lets_in(&document, &Secret::new("guess".to_owned())));
    assert!(document.secrets[0].scram.iterations >= 4_096);
}

#[tokio::test]
async fn a_device_changes_over_from_one_slot_to_the_other() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (credential, first) = create(&world, &tenant, instance.id).await;
    let rotate = async |slot| {
        let rotated =
            world.services.credentials.rotate(&tenant.owner, instance.id, credential.id, slot).await;
        rotated.expect("rotated").1
    };
    let second = rotate(SecretSlot::Secondary).await;
    let document = told(&world).await.expect("a document");
    assert!(lets_in(&document, &first) && lets_in(&document, &second));
    let is_one_salt = |document: &CredentialDocument| {
        document.secrets.len() == 2 && document.secrets[0].scram.salt == document.secrets[1].scram.salt
    };
    assert!(is_one_salt(&document), "SCRAM knows one salt of a user");
    let third = rotate(SecretSlot::Primary).await;
    let document = told(&world).await.expect("a document");
    assert!(!lets_in(&document, &first) && lets_in(&document, &second) && lets_in(&document, &third));
    assert!(is_one_salt(&document));
}

#[tokio::test]
async fn what_takes_rights_away_travels_in_the_urgent_lane() {
    let world = World::new().await;
    let (tenant, instance) = world.demo().await;
    let (credential, _) = create(&world, &tenant, instance.id).await;
    let credentials = &world.services.credentials;
    let by = &tenant.owner;
    let patch = CredentialPatch {
        grants: Some(grants(r#"[{"actions":["publish"],"topic_filter":"up/#"}]"#)),
        ..CredentialPatch::default()
    };
    let (_, written) =
        credentials.update(by, instance.id, credential.id, None, patch).await.expect("changed");
    assert!(written.urgent_sequence.is_some());
    let (disabled, written) = credentials.disable(by, instance.id, credential.id).await.expect("disabled");
    assert!(!disabled.enabled && written.urgent_sequence.is_some());
    let (_, again) = credentials.disable(by, instance.id, credential.id).await.expect("disabled twice");
    assert_eq!(again, service::write::Written::default());
    let node = world.node("n").await;
    let after = written.urgent_sequence.expect("a place") - 1;
    let answer = world.services.feed.urgent_after(node, after, std::time::Duration::ZERO).await;
    let answer = answer.expect("an answer");
    let [entry] = answer.entries.as_slice() else { panic!("one entry") };
    let Urgent::CredentialChanged { document: Some(document), username, .. } = &entry.urgent else {
        panic!("{entry:?}")
    };
    assert_eq!((username.as_str(), document.enabled), ("car-001", false));
    credentials.enable(by, instance.id, credential.id).await.expect("enabled");
    credentials.delete(by, instance.id, credential.id, None).await.expect("deleted");
    assert_eq!(told(&world).await, None);
    // An entry read late tells what is so now, not what was so then.
    let late = world.services.feed.urgent_after(node, after, std::time::Duration::ZERO).await;
    let late = late.expect("an answer");
    assert!(
        late.entries
            .iter()
            .all(|entry| { matches!(&entry.urgent, Urgent::CredentialChanged { document: None, .. }) })
    );
}

#[tokio::test]
async fn user_names_are_unique_and_bounded() {
    let world = World::new().await;
    world.plan("tiny", &[("credentials_max", 2), ("grants_max", 1)]).await;
    let tenant = world.tenant("demo").await;
    let instance = world.instance_on(&tenant, "cars", "tiny").await;
    let grant = r#"{"actions":["publish"],"topic_filter":"a"}"#;
    let two = NewCredential { grants: grants(&format!("[{grant},{grant}]")), ..named("c") };
    for (new, expected) in [
        (named("a"), "ok"),
        (named("a"), "`a` is taken"),
        (named("a@b"), "/username of the request is no good"),
        (named(""), "/username of the request is no good"),
        (two, "at most 1 grants, not 2"),
        (named("b"), "ok"),
        (named("c"), "instance `cars` has 2 of 2 in `credentials_max`"),
    ] {
        let outcome = world.services.credentials.create(&tenant.owner, instance.id, new.clone()).await;
        let said = outcome.map_or_else(|error: CreateCredentialError| error.to_string(), |_| "ok".to_owned());
        assert_eq!(said, expected, "{}", new.username);
    }
}
