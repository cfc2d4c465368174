//! The wire vectors of both versions, played against a running broker, and what they cannot say: WebSocket.

mod websocket;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tests::vectors::{Standard, Surroundings, Vector, chapters, play};
use tests::{Cluster, Instance, Tenant, wait};
use tokio::sync::Semaphore;

/// The variable that names one vector, or some, by a part of its name or its file's.
const ONLY: &str = "IOTMQ_TEST_VECTORS";

/// Vectors that are played at one time.
const AT_ONCE: usize = 32;

/// A cluster for vectors: one instance for most of them, and others for those that want one for themselves.
struct Ground {
    tenant: Tenant,
    shared: BTreeMap<String, String>,
    _cluster: Cluster,
}

impl Ground {
    async fn new() -> Self {
        let cluster = Cluster::builder().workers(2).start().await;
        // What is not named has its default; what is, the vectors speak of, or it would be in their way.
        let limits = json!({
            "connections_max": 100_000, "connects_per_sec": 100_000, "connections_per_subject_max": 10_000,
            "client_subscribes_per_sec": 1_000, "sessions_max": 10_000, "topic_bytes_max": 65_535,
            "client_id_bytes_max": 1_024, "receive_max": 20,
        });
        cluster.plan("vectors", limits).await;
        let tenant = cluster.tenant("red").await;
        let shared = known(&tenant.instance_on_plan("shared", "vectors").await).await;
        Self { tenant, shared, _cluster: cluster }
    }

    async fn surroundings(&self, vector: &Vector, number: usize) -> Surroundings {
        let known = if vector.alone {
            let name = format!("alone-{number}");
            known(&self.tenant.instance_on_plan(&name, "vectors").await).await
        } else {
            self.shared.clone()
        };
        Surroundings { address: self.tenant.mqtt[0], prefix: format!("v{number}"), known }
    }
}

/// What vectors find under names: tokens of several rights, a user name and its password.
async fn known(instance: &Instance) -> BTreeMap<String, String> {
    let everything = json!([
        {"actions": ["publish", "subscribe", "replay"], "topic_filter": "#", "qos_max": 2, "retain": true},
        {"actions": ["subscribe"], "topic_filter": "$SYS/#"},
    ]);
    let narrow = json!([{"actions": ["publish", "subscribe"], "topic_filter": "+/open/#", "qos_max": 1}]);
    let token = async |subject: &str, grants: &serde_json::Value| {
        instance.token_of(json!({"subject": subject, "grants": grants})).await.text
    };
    let secret = instance.credential("device-1", json!({})).await.text("secret");
    let pairs = [
        ("token", token("everybody", &everything).await),
        ("narrow", token("somebody", &narrow).await),
        ("other", token("another", &everything).await),
        ("username", format!("device-1@{}", instance.label)),
        ("secret", secret),
        ("scram", format!("n,,n=nobody@{},r=abcdefghijklmnopqrstuvwx", instance.label)),
    ];
    pairs.map(|(name, text)| (name.to_owned(), text)).into()
}

/// Plays every vector of a version; panics with all that failed.
async fn run(standard: Standard) {
    let begin = wait::now();
    let ground = Ground::new().await;
    let only = std::env::var(ONLY).unwrap_or_default();
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = Vec::new();
    for chapter in chapters(standard) {
        let is_asked_for = chapter.file.contains(&only);
        for vector in chapter.vectors {
            if !is_asked_for && !vector.name.contains(&only) {
                continue;
            }
            let around = ground.surroundings(&vector, playing.len()).await;
            let (file, at_once) = (chapter.file.clone(), Arc::clone(&at_once));
            playing.push(tokio::spawn(async move {
                let _turn = at_once.acquire().await.expect("it is never closed");
                let played = play(&vector, standard, &around).await;
                played.err().map(|error| format!("{file}, «{}»: {error}", vector.name))
            }));
        }
    }
    let count = playing.len();
    let mut failed = Vec::new();
    for vector in playing {
        failed.extend(vector.await.expect("a vector does not panic"));
    }
    wait::measured(&format!("{count} vectors of {}", standard.folder()), begin.elapsed());
    assert!(count > 0, "no vector is named like `{only}`");
    assert!(failed.is_empty(), "{} of {count} vectors failed:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_1() {
    run(Standard::V311).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_0() {
    run(Standard::V5).await;
}
