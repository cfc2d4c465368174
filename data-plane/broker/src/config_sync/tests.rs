//! The lanes against a controller that plays scripts.

mod feed;
mod lane;
mod owed;

use std::sync::Mutex;

use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{
    Change, CredentialDocument, Document, ExportPage, FORMAT_VERSION, InstanceDocument, InstanceState,
    TopicDocument, TopicMode, Urgent, UrgentEntry,
};
use contract::grant::Grants;
use contract::ids::{CredentialId, NodeId, RevocationId, TenantId, TimelineId};
use contract::limits::InstanceLimits;
use contract::revocation::{Revocation, TokenSelector};
use contract::shared_group::SharedStrategy;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::script::{Script, wait_for};
use super::*;
use crate::enrol::NodeKey;
use crate::node_client::Timeouts;

const ONE: InstanceId = InstanceId(Uuid::from_u128(1));
const ROBOT: CredentialId = CredentialId(Uuid::from_u128(101));

/// The connections, as far as configuration is concerned: what they were told, and what each urgent entry closes.
#[derive(Default)]
struct Ears {
    heard: Mutex<Vec<Affected>>,
    urgent: Mutex<Vec<(u64, Affected)>>,
    /// While it is set nothing is taken.
    stuck: watch::Sender<bool>,
}

impl Ears {
    async fn unstuck(&self) {
        self.stuck.subscribe().wait_for(|stuck| !stuck).await.expect("the ears live on");
    }
}

impl Connections for Ears {
    async fn recheck(&self, affected: Affected) {
        self.unstuck().await;
        self.heard.lock().expect("no panic").push(affected);
    }

    async fn recheck_urgent(&self, entries: Vec<(u64, Affected)>) -> BTreeMap<u64, u64> {
        self.unstuck().await;
        let closed = entries.iter().map(|(sequence, _)| (*sequence, 10 * sequence)).collect();
        self.urgent.lock().expect("no panic").extend(entries);
        closed
    }

    async fn sample(&self) -> Sampled {
        Sampled::default()
    }

    async fn count(&self) -> BTreeMap<InstanceId, u64> {
        BTreeMap::from([(ONE, 3)])
    }
}

/// A node that follows a scripted controller.
struct Scene {
    script: Script,
    replica: Arc<Replica>,
    ears: Arc<Ears>,
    health: Arc<SyncHealth>,
    node: JoinHandle<()>,
    _dir: TempDir,
}

impl Scene {
    fn start(script: Script) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        let (ears, health) = (Arc::new(Ears::default()), Arc::new(SyncHealth::default()));
        let sync = ConfigSync {
            replica: Arc::clone(&replica),
            connections: Arc::clone(&ears),
            pace: pace(),
            now: || UnixMillis(1),
            health: Arc::clone(&health),
            slots: Slots::new(60),
        };
        let key = NodeKey { node: NodeId(Uuid::from_u128(7)), secret: [9; 32] };
        let client = NodeClient::new(&script.url(), Timeouts::default()).expect("a client").with_key(&key);
        let node = tokio::spawn(follow(sync, client, None));
        Self { script, replica, ears, health, node, _dir: dir }
    }

    /// With instance 1 and its credential `robot`, at generation 10 and urgent sequence 5.
    async fn exported() -> Self {
        let script = Script::start();
        script.say("export", page(10, vec![instance(), robot(true)], None));
        let scene = Self::start(script);
        scene.reaches(10).await;
        scene
    }

    async fn reaches(&self, number: u64) {
        let reached = || self.replica.position().generation.is_some_and(|it| it.number == number);
        wait_for(&format!("generation {number}"), reached).await;
    }

    fn topics(&self) -> Vec<String> {
        let rules = self.replica.instance(ONE).expect("the instance");
        let mut topics: Vec<String> = rules.topics.keys().map(ToString::to_string).collect();
        topics.sort();
        topics
    }

    fn robot_is_enabled(&self) -> bool {
        self.replica.credential(ONE, "robot").expect("reads").expect("the credential").enabled
    }

    fn heard(&self) -> Vec<Affected> {
        self.ears.heard.lock().expect("no panic").clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.node.abort();
    }
}

fn pace() -> Pace {
    Pace {
        wait_secs: 30,
        pause_min: Duration::from_millis(1),
        pause_max: Duration::from_millis(20),
        jitter: Arc::new(|| 1.0),
    }
}

fn timeline(number: u128) -> TimelineId {
    TimelineId(Uuid::from_u128(number))
}

fn at(number: u64) -> Generation {
    Generation { timeline: timeline(1), number }
}

fn instance() -> Document {
    Document::Instance(InstanceDocument {
        id: ONE,
        tenant: TenantId(Uuid::from_u128(99)),
        label: "red".to_owned(),
        state: InstanceState::Running,
        topic_mode: TopicMode::Open,
        authentication: Vec::new(),
        durability: DurabilityClass::default(),
        queue_overflow: QueueOverflow::default(),
        shared_strategy: SharedStrategy::default(),
        limits: InstanceLimits::default(),
    })
}

fn topic(name: &str) -> Document {
    Document::Topic(TopicDocument {
        instance: ONE,
        name: name.to_owned(),
        payload_bytes_max: None,
        history: None,
        durability: None,
    })
}

fn robot_document(enabled: bool) -> CredentialDocument {
    CredentialDocument {
        id: ROBOT,
        instance: ONE,
        username: "robot".to_owned(),
        client_id: None,
        enabled,
        secrets: Vec::new(),
        grants: Grants::default(),
    }
}

fn robot(enabled: bool) -> Document {
    Document::Credential(robot_document(enabled))
}

fn page(number: u64, documents: Vec<Document>, next: Option<&str>) -> ExportPage {
    ExportPage {
        format_version: FORMAT_VERSION,
        generation: at(number),
        urgent_sequence: 5,
        documents,
        next: next.map(str::to_owned),
    }
}

fn changes(number: u64, documents: Vec<Document>) -> ChangesAnswer {
    let changes =
        documents.into_iter().map(|document| Change::Put { document: Box::new(document) }).collect();
    ChangesAnswer::Changes { format_version: FORMAT_VERSION, generation: at(number), changes }
}

fn export_needed() -> ChangesAnswer {
    ChangesAnswer::ExportNeeded { format_version: FORMAT_VERSION }
}

fn urgent(sequence: u64, urgent: Urgent) -> UrgentAnswer {
    let entry = UrgentEntry { sequence, instance: ONE, at: UnixMillis(1), urgent };
    UrgentAnswer { format_version: FORMAT_VERSION, timeline: timeline(1), entries: vec![entry], sequence }
}

fn robot_disabled() -> Urgent {
    Urgent::CredentialChanged {
        credential: ROBOT,
        document: Some(robot_document(false)),
        username: "robot".to_owned(),
    }
}

fn revocation() -> Revocation {
    Revocation {
        id: RevocationId(Uuid::from_u128(500)),
        instance: ONE,
        selector: TokenSelector::All,
        issued_before: UnixMillis(u64::MAX),
        expires_at: UnixMillis(u64::MAX),
    }
}

#[test]
fn a_pause_grows_is_bounded_and_is_cut_by_chance() {
    let pace = |jitter: f64| Pace {
        wait_secs: 1,
        pause_min: Duration::from_millis(100),
        pause_max: Duration::from_secs(5),
        jitter: Arc::new(move || jitter),
    };
    for (failures, jitter, millis) in [
        (0, 1.0, 100),
        (1, 1.0, 200),
        (3, 1.0, 800),
        (3, 0.5, 600),
        (3, 0.0, 400),
        (6, 1.0, 5_000),
        (u32::MAX, 1.0, 5_000),
        (u32::MAX, 0.0, 2_500),
        (0, 7.0, 100),
    ] {
        assert_eq!(pace(jitter).pause(failures), Duration::from_millis(millis), "{failures} {jitter}");
    }
}

/// A node that has not enrolled, and what it needs to begin.
fn unenrolled(script: &Script, dir: &TempDir, join_token: Option<&str>) -> Start {
    let client = NodeClient::new(&script.url(), Timeouts::default()).expect("a client");
    let sync = ConfigSync {
        replica: Arc::new(Replica::open(&dir.path().join("replica")).expect("opens")),
        connections: Arc::new(Ears::default()),
        pace: pace(),
        now: || UnixMillis(1),
        health: Arc::new(SyncHealth::default()),
        slots: Slots::new(60),
    };
    let joining = Joining {
        key_path: dir.path().join("node.key"),
        join_token: join_token.map(str::to_owned),
        name: "one".to_owned(),
        address: Some("http://127.0.0.1:9466".to_owned()),
        call_key: Arc::default(),
    };
    (sync, client, joining)
}

type Start = (ConfigSync<Ears>, NodeClient, Joining);

#[tokio::test]
async fn a_node_enrols_as_soon_as_it_can_follows_and_stops_when_told() {
    let (script, dir, stop) =
        (Script::start(), tempfile::tempdir().expect("a directory"), CancellationToken::new());
    let (sync, client, joining) = unenrolled(&script, &dir, Some("right"));
    let (replica, health) = (Arc::clone(&sync.replica), Arc::clone(&sync.health));
    script.say_raw("enrol", axum::http::StatusCode::SERVICE_UNAVAILABLE, "");
    script.say("enrol", json!({ "node": Uuid::from_u128(7) }));
    script.say("export", page(10, vec![instance()], None));
    let node = tokio::spawn(run(sync, client, joining, stop.clone()));
    wait_for("the configuration", || replica.position().generation == Some(at(10))).await;
    assert_eq!((health.enrolment.complaints(), health.enrolment.trouble()), (1, None));
    let authorization = script.asked("export")[0].authorization.clone().expect("a key");
    assert!(authorization.starts_with(&format!("Bearer {}.", Uuid::from_u128(7))));
    stop.cancel();
    node.await.expect("no panic").expect("stops");
}

#[tokio::test]
async fn a_node_that_only_a_person_can_help_says_why_and_is_done() {
    let (script, dir) = (Script::start(), tempfile::tempdir().expect("a directory"));
    let (sync, client, joining) = unenrolled(&script, &dir, None);
    let outcome = run(sync, client, joining, CancellationToken::new()).await;
    assert!(matches!(outcome, Err(EnrolError::NoJoinToken)), "{outcome:?}");
}
