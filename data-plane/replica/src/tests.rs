//! What the replica promises, as scenes on a directory of its own.

mod disk;
mod export;
mod urgent;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use contract::base64::Base64;
use contract::claims::{AUDIENCE, TokenClaims};
use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{
    Authentication, Change, CredentialDocument, Document, DocumentKey, DocumentKind, Generation,
    InstanceDocument, InstanceState, SigningKeyDocument, TopicDocument, TopicMode,
};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId, RevocationId, TenantId, TimelineId, TokenId};
use contract::limits::InstanceLimits;
use contract::revocation::{Revocation, TokenSelector};
use contract::shared_group::SharedStrategy;
use contract::time::UnixMillis;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Affected, Found, Replica, ReplicaError};

/// Token ids bear their time of issue: this one and tokens count from here.
const NOW: u64 = 1_700_000_000_000;
const TIMELINE: u128 = 1;

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn id(number: u128) -> InstanceId {
    InstanceId(uuid(number))
}

fn generation(number: u64) -> Generation {
    Generation { timeline: TimelineId(uuid(TIMELINE)), number }
}

fn instance(number: u128, label: &str) -> Document {
    Document::Instance(InstanceDocument {
        id: id(number),
        tenant: TenantId(uuid(99)),
        label: label.to_owned(),
        state: InstanceState::Running,
        topic_mode: TopicMode::Provisioned,
        authentication: vec![Authentication::Token],
        durability: DurabilityClass::default(),
        queue_overflow: QueueOverflow::default(),
        shared_strategy: SharedStrategy::default(),
        limits: InstanceLimits::default(),
    })
}

fn topic(number: u128, name: &str) -> Document {
    Document::Topic(TopicDocument {
        instance: id(number),
        name: name.to_owned(),
        payload_bytes_max: None,
        history: None,
        durability: None,
    })
}

fn key(number: u128, kid: &str) -> Document {
    let public_key = Base64(vec![7; 32]);
    let verifies_until = None;
    Document::SigningKey(SigningKeyDocument {
        instance: id(number),
        kid: kid.to_owned(),
        public_key,
        verifies_until,
    })
}

fn credential_document(number: u128, username: &str, credential: u128) -> CredentialDocument {
    CredentialDocument {
        id: CredentialId(uuid(credential)),
        instance: id(number),
        username: username.to_owned(),
        client_id: None,
        enabled: true,
        secrets: Vec::new(),
        grants: Grants::default(),
    }
}

fn credential(number: u128, username: &str, credential: u128) -> Document {
    Document::Credential(credential_document(number, username, credential))
}

fn revocation(number: u128, revocation: u128, selector: TokenSelector) -> Revocation {
    Revocation {
        id: RevocationId(uuid(revocation)),
        instance: id(number),
        selector,
        issued_before: UnixMillis(NOW + 1),
        expires_at: UnixMillis(NOW + 1_000),
    }
}

/// Of a token issued at [`NOW`].
fn claims(number: u128, client_id: &str) -> TokenClaims {
    TokenClaims {
        aud: AUDIENCE.to_owned(),
        jti: token_id(0),
        instance: id(number),
        client_id: Some(client_id.to_owned()),
        subject: None,
        labels: BTreeMap::new(),
        grants: Grants::default(),
        nbf: 0,
        exp: u64::MAX,
        iat: NOW / 1_000,
    }
}

fn token_id(number: u128) -> TokenId {
    TokenId(uuid((u128::from(NOW) << 80) | (7 << 76) | (8 << 60) | number))
}

fn put(document: Document) -> Change {
    Change::Put { document: Box::new(document) }
}

fn delete(kind: DocumentKind, number: u128, name: &str) -> Change {
    Change::Delete { key: DocumentKey { kind, instance: id(number), name: name.to_owned() } }
}

/// A replica in a directory of its own, with an export at generation 10 and urgent sequence 5: instances 1 (`red`)
/// and 2 (`blue`), each with a topic `cars`, a key `k1` and a credential `robot`.
struct Scene {
    dir: TempDir,
    replica: Arc<Replica>,
}

fn two_instances() -> Vec<Document> {
    [(1, "red"), (2, "blue")]
        .into_iter()
        .flat_map(|(number, label)| {
            [
                instance(number, label),
                topic(number, "cars"),
                key(number, "k1"),
                credential(number, "robot", 100 + number),
            ]
        })
        .collect()
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        let scene = Self { dir, replica };
        scene.export(&two_instances(), generation(10), 5);
        scene
    }

    fn export(&self, documents: &[Document], generation: Generation, urgent_sequence: u64) -> Affected {
        let mut export = self.replica.begin_export().expect("begins");
        export.put(documents).expect("is put");
        export.finish(generation, urgent_sequence).expect("finishes")
    }

    fn apply(&self, number: u64, changes: &[Change]) -> Affected {
        self.replica.apply(changes, generation(number)).expect("applies")
    }

    /// Ends the node as it should end, and starts it again.
    fn restart(self) -> Self {
        let Self { dir, replica } = self;
        drop(replica);
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        Self { dir, replica }
    }

    /// A node on what a crash at this moment would have left on disk.
    fn crash(&self) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        copy_tree(self.dir.path(), dir.path());
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        Self { dir, replica }
    }

    fn topics(&self, number: u128) -> Vec<String> {
        let rules = self.replica.instance(id(number)).expect("the instance");
        let mut topics: Vec<String> = rules.topics.keys().map(ToString::to_string).collect();
        topics.sort();
        topics
    }

    fn credential(&self, number: u128, username: &str) -> Option<Arc<CredentialDocument>> {
        self.replica.credential(id(number), username).expect("reads")
    }

    fn is_revoked(&self, number: u128, client_id: &str) -> bool {
        let rules = self.replica.instance(id(number)).expect("the instance");
        rules.revocations.find(&claims(number, client_id), "k1").is_some()
    }
}

/// Leaves out the empty tail that a journal is given ahead of its use.
fn copy_file(from: &Path, to: &Path) {
    let bytes = fs::read(from).expect("read");
    fs::write(to, &bytes[..used(&bytes)]).expect("written");
    let file = fs::File::options().write(true).open(to).expect("opened");
    file.set_len(u64::try_from(bytes.len()).expect("fits")).expect("lengthened");
}

fn used(bytes: &[u8]) -> usize {
    const EMPTY: [u8; 4096] = [0; 4096];
    let mut used = bytes;
    while let Some((rest, page)) = used.split_last_chunk()
        && *page == EMPTY
    {
        used = rest;
    }
    used.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

#[test]
fn a_new_replica_knows_nothing_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let replica = Replica::open(dir.path()).expect("opens");
    assert_eq!(replica.found(), Found::Nothing);
    assert_eq!(replica.position(), crate::Position::default());
    assert!(replica.instances().is_empty());
    assert_eq!(replica.credential(id(1), "robot").expect("reads"), None);
    let refused = replica.apply(&[put(instance(1, "red"))], generation(1));
    assert!(matches!(refused, Err(ReplicaError::ExportNeeded)), "{refused:?}");
}

#[test]
fn rows_and_generation_are_there_after_a_restart_and_after_a_crash() {
    let scene = Scene::new();
    scene.apply(
        11,
        &[put(topic(1, "robots")), put(credential(1, "arm", 7)), delete(DocumentKind::Topic, 1, "cars")],
    );
    for after in [scene.crash(), scene.restart()] {
        assert_eq!(after.replica.found(), Found::Copy);
        assert_eq!(after.replica.position().generation, Some(generation(11)));
        assert_eq!(after.replica.position().urgent_sequence, 5);
        assert_eq!(after.topics(1), ["robots"]);
        assert_eq!(after.topics(2), ["cars"]);
        assert_eq!(after.credential(1, "arm").expect("the credential").id, CredentialId(uuid(7)));
        assert_eq!(after.replica.instance_by_label("red"), Some(id(1)));
        assert_eq!(after.replica.instance(id(1)).expect("the instance").keys["k1"].public_key, [7; 32]);
    }
}

#[test]
fn configuration_never_moves_backwards() {
    let scene = Scene::new();
    scene.apply(12, &[put(topic(1, "twelve"))]);
    for stale in [12, 11, 1] {
        let affected = scene.apply(stale, &[put(topic(1, "stale")), delete(DocumentKind::Instance, 2, "")]);
        assert!(affected.is_empty(), "{stale}");
        assert_eq!(scene.replica.position().generation, Some(generation(12)));
    }
    assert_eq!(scene.topics(1), ["cars", "twelve"]);
    assert_eq!(scene.topics(2), ["cars"]);
}

#[test]
fn another_timeline_is_refused_whatever_its_number() {
    let scene = Scene::new();
    let other = Generation { timeline: TimelineId(uuid(2)), number: 1_000 };
    let refused = scene.replica.apply(&[put(topic(1, "other"))], other);
    assert!(matches!(refused, Err(ReplicaError::OtherTimeline { .. })), "{refused:?}");
    assert_eq!(scene.topics(1), ["cars"]);
    assert_eq!(scene.replica.position().generation, Some(generation(10)));
}

#[test]
fn the_last_word_on_a_document_within_one_answer_counts() {
    let scene = Scene::new();
    scene.apply(
        11,
        &[
            put(topic(1, "a")),
            delete(DocumentKind::Topic, 1, "a"),
            delete(DocumentKind::Topic, 1, "b"),
            put(topic(1, "b")),
            delete(DocumentKind::Instance, 2, ""),
            put(instance(2, "green")),
            put(topic(2, "new")),
        ],
    );
    assert_eq!(scene.topics(1), ["b", "cars"]);
    for scene in [scene.crash(), scene] {
        assert_eq!(scene.topics(2), ["new"], "nothing of before the deletion is left");
        assert_eq!(scene.credential(2, "robot"), None);
        assert_eq!(scene.replica.instance_by_label("blue"), None);
        assert_eq!(scene.replica.instance_by_label("green"), Some(id(2)));
    }
}

#[test]
fn deleting_an_instance_takes_everything_below_it_and_nothing_beside_it() {
    let scene = Scene::new();
    assert!(scene.credential(1, "robot").is_some(), "so that it is in the cache");
    let affected = scene.apply(11, &[delete(DocumentKind::Instance, 1, "")]);
    assert_eq!(affected, Affected { instances: vec![id(1)], ..Affected::default() });
    for scene in [scene.crash(), scene] {
        assert!(scene.replica.instance(id(1)).is_none());
        assert_eq!(scene.replica.instance_by_label("red"), None);
        assert_eq!(scene.credential(1, "robot"), None);
        assert_eq!(scene.topics(2), ["cars"]);
        assert!(scene.credential(2, "robot").is_some());
        scene.apply(12, &[put(instance(1, "red"))]);
        assert_eq!(scene.topics(1), Vec::<String>::new());
        assert_eq!(scene.credential(1, "robot"), None);
    }
}

#[test]
fn what_this_release_does_not_know_is_passed_over() {
    let scene = Scene::new();
    let affected =
        scene.apply(11, &[put(Document::Unknown), Change::Unknown, delete(DocumentKind::Unknown, 1, "x")]);
    assert!(affected.is_empty());
    assert_eq!(scene.replica.position().generation, Some(generation(11)), "and the place is kept");
    let too_long = "x".repeat(70_000);
    scene.apply(12, &[put(topic(1, &too_long)), put(credential(1, &too_long, 8))]);
    assert_eq!(scene.topics(1), ["cars"]);
    assert_eq!(scene.credential(1, &too_long), None);
}

#[test]
fn things_may_come_in_any_order() {
    let scene = Scene::new();
    scene.apply(11, &[put(topic(3, "early")), put(key(3, "k9"))]);
    assert!(scene.replica.instance(id(3)).is_none(), "no instance, no rules");
    assert_eq!(scene.credential(3, "robot"), None);
    scene.apply(12, &[put(instance(3, "late"))]);
    assert_eq!(scene.topics(3), ["early"]);
    assert!(scene.replica.instance(id(3)).expect("the instance").keys.contains_key("k9"));
}

#[test]
fn affected_names_what_changed_and_no_more() {
    let scene = Scene::new();
    let instances = |numbers: &[u128]| numbers.iter().map(|number| id(*number)).collect::<Vec<_>>();
    let credentials =
        |ids: &[u128]| ids.iter().map(|it| (id(1), CredentialId(uuid(*it)))).collect::<Vec<_>>();
    let taken_back = revocation(1, 500, TokenSelector::All);
    for (number, changes, expected) in [
        (11, vec![put(topic(1, "t"))], Affected { instances: instances(&[1]), ..Affected::default() }),
        (12, vec![put(instance(2, "blue"))], Affected::default()),
        (13, vec![put(credential(1, "robot", 101))], Affected::default()),
        (
            14,
            vec![put(credential(1, "robot", 102))],
            Affected { credentials: credentials(&[101, 102]), ..Affected::default() },
        ),
        (
            15,
            vec![delete(DocumentKind::Credential, 1, "robot")],
            Affected { credentials: credentials(&[102]), ..Affected::default() },
        ),
        (
            16,
            vec![put(Document::Revocation(taken_back.clone()))],
            Affected { revocations: vec![taken_back], ..Affected::default() },
        ),
        (
            17,
            vec![put(key(2, "k2")), put(topic(1, "u")), put(topic(2, "u"))],
            Affected { instances: instances(&[1, 2]), ..Affected::default() },
        ),
    ] {
        assert_eq!(scene.apply(number, &changes), expected, "generation {number}");
    }
}

#[test]
fn an_epoch_stands_for_one_set_of_rules() {
    let scene = Scene::new();
    let epoch = |number| scene.replica.instance(id(number)).expect("the instance").epoch;
    let (red, blue) = (epoch(1), epoch(2));
    assert_ne!(red, blue);
    scene.apply(11, &[put(topic(1, "t"))]);
    assert_ne!(epoch(1), red);
    assert_eq!(epoch(2), blue);
    let red = epoch(1);
    scene.apply(12, &[put(Document::Revocation(revocation(1, 500, TokenSelector::All)))]);
    assert_eq!(epoch(1), red, "a revocation decides about connections, not about messages");
    scene.apply(13, &[delete(DocumentKind::Topic, 1, "t")]);
    assert_ne!(epoch(1), red);
}

#[test]
fn instances_are_apart() {
    let scene = Scene::new();
    scene.apply(
        11,
        &[
            put(credential(1, "arm", 7)),
            put(topic(1, "secret")),
            put(Document::Revocation(revocation(1, 500, TokenSelector::All))),
        ],
    );
    assert_eq!(scene.credential(2, "arm"), None);
    assert_eq!(scene.topics(2), ["cars"]);
    assert!(scene.is_revoked(1, "car") && !scene.is_revoked(2, "car"));
    let red = scene.credential(1, "robot").expect("the credential");
    let blue = scene.credential(2, "robot").expect("the credential");
    assert_ne!(red.id, blue.id, "the same name in two instances is two credentials");
    let one = scene.replica.instance(id(1)).expect("the instance");
    assert!(one.revocations.find(&claims(2, "car"), "k1").is_none());
}

#[test]
fn a_credential_is_read_as_it_is_now() {
    let scene = Scene::new();
    assert!(scene.credential(1, "robot").expect("the credential").enabled);
    let disabled = CredentialDocument { enabled: false, ..credential_document(1, "robot", 101) };
    scene.apply(11, &[put(Document::Credential(disabled))]);
    assert!(!scene.credential(1, "robot").expect("the credential").enabled);
    scene.apply(12, &[delete(DocumentKind::Credential, 1, "robot")]);
    assert_eq!(scene.credential(1, "robot"), None);
}
