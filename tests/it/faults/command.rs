//! `iotmq verify durability`, as somebody types it: it says what it found, and its exit code is the verdict.

use std::path::Path;

use tests::place::Place;
use tests::process::{Program, iotmq};

/// Runs it against a broker that this command starts.
async fn verify(place: &Place, start: &str, further: &[&str]) -> (bool, String) {
    let mut command = iotmq();
    command.args(["verify", "durability", "--address", &place.mqtt.to_string(), "--start", start]);
    Program::start(command.args(further)).ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_keeps_its_word_passes() {
    let place = Place::new();
    let config = place.directory.path().join("mosquitto.conf");
    let lines = format!("listener {} 127.0.0.1\nallow_anonymous true\n", place.mqtt.port());
    std::fs::write(&config, lines).expect("written");
    // Debian keeps it where not everybody looks.
    let debian = Path::new("/usr/sbin/mosquitto");
    let program = if debian.exists() { debian } else { Path::new("mosquitto") };
    let start = format!("exec {} -c {}", program.display(), config.display());
    let stays = ["--kills", "0", "--seconds", "2", "--live", "2", "--away", "0", "--shared", "0"];
    let (well, said) = verify(&place, &start, &stays).await;
    assert!(well && said.contains("KEPT: what was acknowledged is there"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_start_is_named() {
    let place = Place::new();
    let (well, said) = verify(&place, "exit 7", &["--patience", "1"]).await;
    let address = place.mqtt.to_string();
    assert!(!well && said.contains(&address) && said.contains("does not accept clients"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("error")).count(), 1, "one sentence: {said}");
}
