//! Joining, against a controller that plays a script.

use axum::http::StatusCode;
use contract::node::EnrolAnswer;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::config_sync::script::Script;
use crate::node_client::Timeouts;

const NODE: NodeId = NodeId(Uuid::from_u128(7));

struct Scene {
    script: Script,
    client: NodeClient,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let script = Script::start();
        let client = NodeClient::new(&script.url(), Timeouts::default()).expect("a client");
        Self { script, client, dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("node").join("node.key")
    }

    async fn enrol(&self, join_token: Option<&str>, draw: Draw) -> Result<NodeKey, EnrolError> {
        let address = Some("http://127.0.0.1:9465");
        enrol(&self.path(), &self.client, Candidate { join_token, name: "one", address }, draw).await
    }

    fn mode(&self) -> u32 {
        fs::metadata(self.path()).expect("the file").permissions().mode() & 0o777
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands for a source that can fail")]
fn nines(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    bytes.fill(9);
    Ok(())
}

fn never(_: &mut [u8]) -> Result<(), NoRandomness> {
    panic!("nothing is to be drawn")
}

#[tokio::test]
async fn a_node_enrols_once() {
    let scene = Scene::new();
    scene.script.say("enrol", EnrolAnswer { node: NODE });
    let key = scene.enrol(Some("right"), nines).await.expect("enrols");
    assert_eq!((key.node, key.secret), (NODE, [9; 32]));
    assert_eq!(scene.mode(), 0o600);
    let asked = scene.script.asked("enrol").remove(0);
    assert_eq!(asked.authorization, None);
    assert_eq!((&asked.body["join_token"], &asked.body["name"]), (&"right".into(), &"one".into()));
    assert_eq!(asked.body["address"], "http://127.0.0.1:9465");
    let hash = Base64(digest::digest(&digest::SHA256, &[9; 32]).as_ref().to_vec());
    assert_eq!(asked.body["secret_sha256"], hash.encode(), "the secret stays here");
    let key = scene.enrol(None, never).await.expect("from the file");
    assert_eq!((key.node, key.secret), (NODE, [9; 32]));
    assert_eq!(scene.script.asked("enrol").len(), 1);
}

#[tokio::test]
async fn the_secret_is_on_disk_before_it_is_used_and_the_same_when_enrolling_again() {
    let scene = Scene::new();
    scene.script.say_raw("enrol", StatusCode::SERVICE_UNAVAILABLE, "");
    let error = scene.enrol(Some("right"), nines).await.map(|_| ()).expect_err("fails");
    assert!(error.is_passing(), "{error:?}");
    assert_eq!(scene.mode(), 0o600);
    fs::write(scene.path().with_extension("new"), "left by a crash").expect("written");
    scene.script.say("enrol", EnrolAnswer { node: NODE });
    scene.enrol(Some("right"), never).await.expect("enrols");
    let hashes: Vec<_> =
        scene.script.asked("enrol").iter().map(|asked| asked.body["secret_sha256"].clone()).collect();
    assert_eq!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn what_only_a_person_can_help_is_not_tried_again() {
    let scene = Scene::new();
    let error = scene.enrol(None, never).await.map(|_| ()).expect_err("no token");
    assert!(matches!(error, EnrolError::NoJoinToken) && !error.is_passing());
    assert!(!scene.path().exists());

    scene.script.say_raw("enrol", StatusCode::FORBIDDEN, r#"{"code":"join_token_used"}"#);
    let error = scene.enrol(Some("used"), nines).await.map(|_| ()).expect_err("refused");
    assert!(!error.is_passing());
    let EnrolError::Call(call) = error else { panic!("{error:?}") };
    assert_eq!(
        call.to_string(),
        "the controller refused with status 403 Forbidden and code `join_token_used`"
    );
}

#[tokio::test]
async fn a_key_file_that_is_open_to_others_or_no_key_is_refused() {
    let scene = Scene::new();
    scene.script.say("enrol", EnrolAnswer { node: NODE });
    scene.enrol(Some("right"), nines).await.expect("enrols");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o640)).expect("set");
    let error = scene.enrol(None, never).await.map(|_| ()).expect_err("refused");
    assert!(matches!(error, EnrolError::Exposed { .. }), "{error:?}");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o600)).expect("set");
    for text in ["", "{}", r#"{"secret":"c2hvcnQ"}"#] {
        fs::write(scene.path(), text).expect("written");
        let error = scene.enrol(Some("right"), never).await.map(|_| ()).expect_err("refused");
        assert!(matches!(error, EnrolError::NotAKey { .. }), "{text}: {error:?}");
    }
}

#[test]
fn the_systems_randomness_is_not_the_same_twice() {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    draw(&mut first).and_then(|()| draw(&mut second)).expect("draws");
    assert_ne!(first, second);
}
