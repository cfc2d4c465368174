//! What the workers do not take in time.

use super::*;

fn lanes(ears: &Arc<Ears>, dir: &TempDir) -> Lanes<Ears> {
    Lanes {
        replica: Arc::new(Replica::open(dir.path()).expect("opens")),
        connections: Arc::clone(ears),
        pace: pace(),
        health: Arc::default(),
        client: NodeClient::new("http://127.0.0.1:9", Timeouts::default()).expect("a client"),
        closings: Closings::default(),
        overrides: tokio::sync::Mutex::new(0),
        export_wanted: Notify::new(),
        copies: watch::Sender::new(0),
        owed: Owed::default(),
        recheck_max: Duration::from_millis(10),
    }
}

#[tokio::test]
async fn workers_that_were_too_slow_get_all_of_it_later() {
    let (ears, dir) = (Arc::new(Ears::default()), tempfile::tempdir().expect("a directory"));
    let lanes = lanes(&ears, &dir);
    let instances = Affected { instances: vec![ONE], ..Affected::default() };
    let credentials = Affected { credentials: vec![(ONE, ROBOT)], ..Affected::default() };
    let revocations = Affected { revocations: vec![revocation()], ..Affected::default() };
    ears.stuck.send_replace(true);
    let urgent = vec![(6, credentials.clone()), (7, revocations.clone())];
    assert_eq!(lanes.recheck_urgent(urgent).await, BTreeMap::new(), "the lane goes on");
    lanes.recheck(instances.clone()).await;
    assert!(!lanes.owed.is_empty());
    assert_eq!(*ears.heard.lock().expect("no panic"), []);
    let settled = async {
        wait_for("the debt taken up", || lanes.owed.is_empty()).await;
        ears.stuck.send_replace(false);
        wait_for("what is owed", || !ears.heard.lock().expect("no panic").is_empty()).await;
    };
    tokio::select! {
        () = lanes.owed.settle(ears.as_ref()) => {}
        () = settled => {}
    }
    let all = Affected::merged([&instances, &credentials, &revocations]);
    assert_eq!(*ears.heard.lock().expect("no panic"), [all]);
    assert_eq!(lanes.recheck_urgent(vec![(8, revocations)]).await, BTreeMap::from([(8, 80)]));
}
