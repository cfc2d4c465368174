//! `iotmq standalone`, the built binary: it starts, starts again, stops, and fails with one clear sentence.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tests::cluster::PASSWORD;
use tests::place::{Place, Welcome};
use tests::process::{Program, Signal};
use tests::{Api, AtLeastOnce, ClientBuilder, wait_for};

/// The printed lines work: a message goes from one to the other.
async fn exchange(place: &Place, welcome: &Welcome) {
    let client = |flags: &BTreeMap<String, String>| {
        ClientBuilder::new(place.mqtt, &flags["-i"]).login(&flags["-u"], &flags["-P"])
    };
    let mut ear =
        client(&welcome.subscribe).connect().await.subscribed(&welcome.subscribe["-t"], AtLeastOnce).await;
    let topic = &welcome.publish["-t"];
    client(&welcome.publish).connect().await.publish(topic, "hello", AtLeastOnce).await;
    ear.expect(topic, "hello").await;
}

/// Nothing of it runs any more: no listener, and no process that names its directory.
async fn nothing_is_left(place: &Place) {
    wait_for("both ports to be free", async || {
        TcpListener::bind(place.api).is_ok() && TcpListener::bind(place.mqtt).is_ok()
    })
    .await;
    let directory = place.directory.path().display().to_string();
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    for process in processes {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        assert!(!line.contains(&directory), "still running: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_serves_stops_and_starts_again_with_everything() {
    let place = Place::new();
    let mut first = place.start(&[]);
    let welcome = Welcome::read(&mut first).await;
    exchange(&place, &welcome).await;
    let api = Api::new(place.api);
    let operator = api.sign_in_first_time("operator@localhost", &welcome.password, PASSWORD).await;
    for page in ["/docs/en/get-started", "/docs/zh-CN/messages", "/docs/api/", "/docs/errors", "/"] {
        assert_eq!(api.get(page).await.status, 200, "{page}");
    }
    let tenants = operator.get("/v1/tenants").await.ok().clone();
    let demo = tenants["items"][0]["id"].as_str().expect("the demo tenant").to_owned();
    operator.patch(&format!("/v1/tenants/{demo}"), json!({"name": "mine now"})).await.ok();
    first.signal(Signal::SIGINT);
    let (well, said) = first.ended().await;
    assert!(well, "Ctrl-C is no failure: {said}");
    nothing_is_left(&place).await;

    let mut second = place.start(&[]);
    let again = Welcome::read(&mut second).await;
    assert_ne!(again.subscribe["-P"], welcome.subscribe["-P"], "each start prints fresh tokens");
    exchange(&place, &again).await;
    exchange(&place, &welcome).await;
    assert!(!second.heard.join("\n").contains(&welcome.password), "the password is printed once");
    let operator = Api::new(place.api).sign_in("operator@localhost", PASSWORD).await;
    let tenant = operator.get(&format!("/v1/tenants/{demo}")).await;
    assert_eq!(tenant.ok()["name"], "mine now");
    second.signal(Signal::SIGTERM);
    let (well, said) = second.ended().await;
    assert!(well, "SIGTERM is no failure: {said}");
    nothing_is_left(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing() {
    let place = Place::new();
    let mut first = place.start(&[]);
    let welcome = Welcome::read(&mut first).await;
    let operator =
        Api::new(place.api).sign_in_first_time("operator@localhost", &welcome.password, PASSWORD).await;
    first.signal(Signal::SIGKILL);
    first.ended().await;
    drop(operator);
    let mut second = place.start(&[]);
    let again = Welcome::read(&mut second).await;
    exchange(&place, &again).await;
    Api::new(place.api).sign_in("operator@localhost", PASSWORD).await.get("/v1/me").await.ok();
    second.signal(Signal::SIGINT);
    second.ended().await;
    nothing_is_left(&place).await;
}

/// It ends by itself with one line that holds these words, and leaves nothing running.
async fn fails_clearly(place: &Place, program: Program, words: &[&str]) {
    let (well, said) = program.ended().await;
    one_clear_error(well, &said, words);
    nothing_is_left(place).await;
}

#[track_caller]
fn one_clear_error(well: bool, said: &str, words: &[&str]) {
    assert!(!well, "it must fail: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("error")).collect();
    assert_eq!(errors.len(), 1, "one error, not: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} must be in: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let place = Place::new();
    for (taken, flag) in [(place.api, "--api-address"), (place.mqtt, "--mqtt-address")] {
        let holder = TcpListener::bind(taken).expect("the port is free");
        let program = place.start(&[]);
        let address = taken.to_string();
        // What is in use stays in use until it has failed.
        let (well, said) = program.ended().await;
        drop(holder);
        one_clear_error(well, &said, &[&address, flag]);
        nothing_is_left(&place).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_postgresql_is_told_what_to_install() {
    let place = Place::new();
    let mut command = place.command(place.api, place.mqtt);
    let program = Program::start(command.env("IOTMQ_POSTGRES__BIN_DIR", place.directory.path()));
    let directory = place.directory.path().display().to_string();
    fails_clearly(&place, program, &["PostgreSQL", &directory]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_named() {
    let place = Place::new();
    let mut first = place.start(&[]);
    let welcome = Welcome::read(&mut first).await;
    let other = Place::new();
    let program = Program::start(&mut place.command(other.api, other.mqtt));
    let directory = place.data_dir().display().to_string();
    fails_clearly(&other, program, &[&directory, "in use"]).await;
    exchange(&place, &welcome).await;
    first.signal(Signal::SIGINT);
    first.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_named() {
    let place = Place::new();
    // A file where a directory is wanted stops root, too.
    std::fs::write(place.data_dir(), "").expect("written");
    let directory = place.data_dir().display().to_string();
    fails_clearly(&place, place.start(&[]), &[&directory]).await;

    std::fs::remove_file(place.data_dir()).expect("removed");
    std::fs::create_dir(place.data_dir()).expect("made");
    let closed = std::fs::Permissions::from_mode(0o500);
    std::fs::set_permissions(place.data_dir(), closed).expect("closed");
    if std::fs::write(place.data_dir().join("probe"), "").is_err() {
        fails_clearly(&place, place.start(&[]), &[&directory]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_named_with_its_place() {
    let place = Place::new();
    let file = place.directory.path().join("iotmq.toml");
    let path = file.display().to_string();
    for (text, words) in [
        ("[broker]\nspeed = 1\n", &["broker", "speed"][..]),
        ("[broker]\nworkers = \"many\"\n", &["broker.workers"]),
        ("[controller.api]\naddress = \"here\"\n", &["controller.api.address"]),
        ("[broker\n", &["TOML"]),
    ] {
        std::fs::write(&file, text).expect("written");
        let words: Vec<&str> = words.iter().copied().chain([path.as_str()]).collect();
        fails_clearly(&place, place.start(&["--config", &path]), &words).await;
    }
    fails_clearly(&place, place.start(&["--config", "no-such-file.toml"]), &["no-such-file.toml"]).await;
    let mut command = place.command(place.api, place.mqtt);
    let mistyped = "IOTMQ_BROKER__WORKER";
    fails_clearly(&place, Program::start(command.env(mistyped, "3")), &[mistyped, "broker.worker"]).await;
    assert!(!place.data_dir().exists(), "a start that fails so early makes nothing");
}
