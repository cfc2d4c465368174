//! What others can reach is encrypted, without anything having been set up.

use std::net::SocketAddr;
use std::path::Path;

use tests::bridge::{Way, connect_tls, trusting};
use tests::place::{Place, Welcome};
use tests::process::{Program, Signal};
use tests::{AtLeastOnce, ClientBuilder};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn anywhere(address: SocketAddr) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], address.port()))
}

/// The answer to a request, to the end of the connection.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: iotmq.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("is sent");
    let mut answer = Vec::new();
    // A peer that closes without a last word of TLS has said everything before.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_is_encrypted_from_the_first_start() {
    let place = Place::new();
    let mut program = Program::start(&mut place.command(anywhere(place.api), anywhere(place.mqtt)));
    let welcome = Welcome::read(&mut program).await;
    let said = program.heard.join("\n");
    for words in ["https://", "wss://", "SHA-256 "] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    let file = Path::new(&welcome.publish["--cafile"]).to_owned();
    assert!(file.starts_with(place.data_dir()), "{}", file.display());
    let tls = trusting(&file);

    let topic = &welcome.publish["-t"];
    let mqtt = Way { to: place.mqtt, tls: Some(tls.clone()), websocket: false }.bridge().await;
    let page = Way { to: place.api, tls: Some(tls.clone()), websocket: true }.bridge().await;
    let client = |flags: &std::collections::BTreeMap<String, String>, address| {
        ClientBuilder::new(address, &flags["-i"]).login(&flags["-u"], &flags["-P"])
    };
    let ear = client(&welcome.subscribe, page).connect().await;
    let mut ear = ear.subscribed(&welcome.subscribe["-t"], AtLeastOnce).await;
    client(&welcome.publish, mqtt).connect().await.publish(topic, "hello", AtLeastOnce).await;
    ear.expect(topic, "hello").await;

    let answer = ask(connect_tls(place.api, &tls).await.expect("trusted"), "/v1/time").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("strict-transport-security: max-age="), "{answer}");
    let plain = ask(TcpStream::connect(place.api).await.expect("listens"), "/").await;
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("https://"), "{plain}");
    program.signal(Signal::SIGINT);
    let (well, said) = program.ended().await;
    assert!(well, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_others_reach_is_served_in_the_clear() {
    let place = Place::new();
    let file = place.directory.path().join("iotmq.toml");
    let mqtt = format!("[[broker.listeners]]\naddress = \"{}\"\nkind = \"tcp\"\n", anywhere(place.mqtt));
    let api = format!("[controller.api]\naddress = \"{}\"\ntls = false\n", anywhere(place.api));
    for text in [mqtt, api] {
        std::fs::write(&file, &text).expect("is written");
        let mut command = tests::process::iotmq();
        command.args(["standalone", "--data-dir"]).arg(place.data_dir()).arg("--config").arg(&file);
        let (well, said) = Program::start(&mut command).ended().await;
        assert!(!well && said.contains("loopback") && said.contains("TLS"), "{text}: {said}");
    }
}
