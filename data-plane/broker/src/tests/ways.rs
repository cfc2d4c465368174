//! The same over TLS, over WebSocket and over both; and what is particular to each.

use axum::extract::ConnectInfo;
use contract::qos::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use contract::refusal::Refusal;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mqtt::client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use tower::ServiceExt as _;

use super::WORKERS;
use crate::Mount;
use crate::config::ListenerKind;
use crate::testing::{Fixture, Given, PATIENCE, Peer, claims, connect};
use crate::testing_ways::{TestTls, WAYS, bridge, listener, open};

/// A node with a listener for each way, and a bridge to each.
async fn every_way(workers: usize) -> (Fixture, Vec<std::net::SocketAddr>) {
    let tls = TestTls::new();
    let mut given = Given::workers(workers);
    given.config.listeners = WAYS.map(listener).into();
    given.extras.tls = Some(tls.server.clone());
    let fixture = given.start();
    let mut bridges = Vec::new();
    for (kind, &address) in WAYS.into_iter().zip(fixture.broker.mqtt_addresses()) {
        bridges.push(bridge(kind, address, &tls.client).await);
    }
    (fixture, bridges)
}

async fn client(fixture: &Fixture, address: std::net::SocketAddr, client_id: &str) -> Peer {
    let token = fixture.sign(&claims(1, client_id));
    let mut peer = Peer::at(address).await;
    peer.connect(&connect(client_id, &token)).await;
    assert_eq!(peer.next().await, "connack 0", "{client_id}");
    peer
}

#[tokio::test]
async fn messages_of_every_qos_and_size_pass_in_every_way() {
    for workers in WORKERS {
        let (fixture, bridges) = every_way(workers).await;
        let mut ears = Vec::new();
        for (at, &address) in bridges.iter().enumerate() {
            let mut ear = client(&fixture, address, &format!("ear-{at}")).await;
            assert_eq!(ear.subscribe(&[("#", ExactlyOnce)]).await, "2");
            ears.push(ear);
        }
        let large = "x".repeat(200_000);
        for (at, &address) in bridges.iter().enumerate() {
            let mut mouth = client(&fixture, address, &format!("mouth-{at}")).await;
            mouth.publish("a", "zero", AtMostOnce).await;
            mouth.publish_acknowledged("a", &large).await;
            mouth.publish_exactly_once("a", "two").await;
            for number in 0..100 {
                mouth.publish("b", &number.to_string(), AtMostOnce).await;
            }
            assert_eq!(mouth.ping().await, "pingresp");
            for ear in &mut ears {
                assert_eq!(ear.next().await, "publish 0 a zero");
                assert_eq!(ear.next().await, format!("publish 1 a {large}"));
                assert_eq!(ear.next().await, "publish 2 a two");
                for number in 0..100 {
                    assert_eq!(ear.next().await, format!("publish 0 b {number}"));
                }
            }
        }
    }
}

#[tokio::test]
async fn who_is_refused_or_sent_away_hears_it_in_every_way() {
    let (fixture, bridges) = every_way(1).await;
    for (at, &address) in bridges.iter().enumerate() {
        let mut stranger = Peer::at(address).await;
        stranger.connect(&connect("stranger", "no token")).await;
        assert_eq!(stranger.next().await, "connack 4");
        assert_eq!(stranger.next().await, "closed");

        let mut first = client(&fixture, address, "car").await;
        let mut second = client(&fixture, bridges[0], "car").await;
        assert_eq!(first.next().await, "closed", "taken over");
        second.send(&[0xE0, 0]).await;
        assert_eq!(second.next().await, "closed");

        let mut rude = client(&fixture, address, "rude").await;
        rude.send(&[0xF0, 0]).await;
        assert_eq!(rude.next().await, "closed");
        fixture.wait_refused(Refusal::MalformedPacket, at as u64 + 1).await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order_in_every_way() {
    let tls = TestTls::new();
    let mut given = Given::workers(1);
    given.config.listeners = WAYS.map(listener).into();
    given.extras.tls = Some(tls.server.clone());
    let fixture = given.limits(|limits| limits.outbox_bytes_max = 64 * 1024 * 1024).start();
    for (kind, &address) in WAYS.into_iter().zip(fixture.broker.mqtt_addresses()) {
        let bridge = bridge(kind, address, &tls.client).await;
        let mut ear = client(&fixture, bridge, "ear").await;
        assert_eq!(ear.subscribe(&[("a", AtMostOnce)]).await, "0");
        let mut mouth = client(&fixture, fixture.broker.mqtt_address(), "mouth").await;
        let filler = "x".repeat(100_000);
        for number in 0..60 {
            // Each is answered before the next, while nobody reads what comes of it.
            mouth.publish_acknowledged("a", &format!("{number} {filler}")).await;
        }
        for number in 0..60 {
            assert_eq!(ear.next().await, format!("publish 0 a {number} {filler}"), "{kind:?}");
        }
    }
}

/// A WebSocket to a node, on which nothing has been said.
async fn socket(fixture: &Fixture) -> WebSocketStream<TcpStream> {
    open(TcpStream::connect(fixture.broker.mqtt_address()).await.expect("connects")).await
}

fn websocket_node() -> Fixture {
    let mut given = Given::workers(1);
    given.config.listeners = vec![listener(ListenerKind::Websocket)];
    given.start()
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time");
    next.expect("something").expect("lawful")
}

fn connect_packet(fixture: &Fixture, client_id: &str) -> Vec<u8> {
    let token = fixture.sign(&claims(1, client_id));
    let mut packet = Vec::new();
    client::connect(&mut packet, &connect(client_id, &token)).expect("is written");
    packet
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is() {
    let fixture = websocket_node();
    for is_client in [false, true] {
        let mut socket = socket(&fixture).await;
        if is_client {
            let packet = connect_packet(&fixture, "car");
            socket.send(Message::Binary(packet.into())).await.expect("is sent");
            assert_eq!(next(&mut socket).await, Message::Binary(vec![0x20, 2, 0, 0].into()));
        }
        socket.send(Message::Ping(b"there?".to_vec().into())).await.expect("is sent");
        assert_eq!(next(&mut socket).await, Message::Pong(b"there?".to_vec().into()));
        socket.close(None).await.expect("is sent");
        let Message::Close(Some(close)) = next(&mut socket).await else { panic!("a close with a code") };
        assert_eq!(close.code, CloseCode::Normal);
    }
}

/// [MQTT-6.0.0-1]; RFC 6455, sections 5.1 and 7.4.1.
#[tokio::test]
async fn frames_that_break_the_rules_close_with_a_code() {
    let fixture = websocket_node();
    let text = Frame::message(b"text".to_vec(), OpCode::Data(Data::Text), true);
    let mut reserved = Frame::message(b"x".to_vec(), OpCode::Data(Data::Binary), true);
    reserved.header_mut().rsv1 = true;
    let packet = Frame::message(vec![0xF0, 0], OpCode::Data(Data::Binary), true);
    for (frame, code, refusal) in [
        (text, CloseCode::Unsupported, Refusal::ProtocolError),
        (reserved, CloseCode::Protocol, Refusal::ProtocolError),
        (packet, CloseCode::Protocol, Refusal::MalformedPacket),
    ] {
        let before = fixture.refused(refusal).await;
        let mut socket = socket(&fixture).await;
        let connect = connect_packet(&fixture, "car");
        socket.send(Message::Binary(connect.into())).await.expect("is sent");
        assert_eq!(next(&mut socket).await, Message::Binary(vec![0x20, 2, 0, 0].into()));
        socket.send(Message::Frame(frame)).await.expect("is sent");
        let Message::Close(Some(close)) = next(&mut socket).await else { panic!("a close with a code") };
        assert_eq!(close.code, code);
        fixture.wait_refused(refusal, before + 1).await;
    }
    // A frame that is not masked, from a client that has not said CONNECT.
    let mut stream = socket(&fixture).await.into_inner();
    stream.write_all(&[0x82, 1, 0x10]).await.expect("is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("is closed");
    assert_eq!(answer, [0x88, 2, 0x03, 0xEA]);
}

/// The answer to a request, to the end of the connection.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}

#[tokio::test]
async fn what_is_no_websocket_is_told_what_is_wrong() {
    let fixture = websocket_node();
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    for (request, status, said) in [
        ("GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: close".to_owned(), "426", "WebSocket"),
        (format!("GET /elsewhere HTTP/1.1\r\n{upgrade}"), "404", "/mqtt"),
        (format!("GET /mqtt HTTP/1.1\r\n{upgrade}\r\nSec-WebSocket-Key: {key}"), "400", "sub-protocol"),
        (
            format!(
                "GET /mqtt HTTP/1.1\r\n{upgrade}\r\nSec-WebSocket-Key: {key}\r\n\
                 Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://evil.example"
            ),
            "403",
            "origin",
        ),
    ] {
        let answer = ask(fixture.broker.mqtt_address(), &format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(said), "{answer}");
    }
}

/// A server of another part of the process, as [`Mount`] wants it.
async fn serve(listener: TcpListener, router: axum::Router) {
    while let Ok((stream, peer)) = listener.accept().await {
        let router = router.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: axum::http::Request<Incoming>| {
                let mut request = request.map(axum::body::Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().oneshot(request)
            });
            let io = TokioIo::new(stream);
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await
        });
    }
}

#[tokio::test]
async fn a_connection_over_another_listener_of_the_process_becomes_a_client() {
    let mount = Mount::default();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = elsewhere.local_addr().expect("an address");
    tokio::spawn(serve(elsewhere, mount.router()));
    let plain = "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(ask(address, plain).await.starts_with("HTTP/1.1 503 "), "the broker is not there yet");

    let mut given = Given::workers(1);
    given.config.websocket.default_instance = Some("label-1".into());
    given.extras.mount = Some(mount);
    let fixture = given.start();
    crate::testing::wait_for("the front", async || ask(address, plain).await.starts_with("HTTP/1.1 426 "))
        .await;
    let through = bridge(ListenerKind::Websocket, address, &TestTls::new().client).await;
    let mut browser = client(&fixture, through, "browser").await;
    assert_eq!(browser.subscribe(&[("a", AtLeastOnce)]).await, "1");
    fixture.client(1, "car").await.publish_acknowledged("a", "seen").await;
    assert_eq!(browser.next().await, "publish 1 a seen");
    drop(browser);
    crate::testing::wait_for("it to be gone", async || fixture.broker.connections() == 0).await;
}

#[tokio::test]
async fn without_tls_nobody_is_heard_where_it_is_spoken() {
    let (fixture, _) = every_way(1).await;
    let mut plain = Peer::at(fixture.broker.mqtt_addresses()[1]).await;
    let token = fixture.sign(&claims(1, "car"));
    plain.connect(&connect("car", &token)).await;
    fixture.wait_refused(Refusal::TlsHandshakeFailed, 1).await;
    assert_eq!(fixture.broker.connections(), 0);
}

#[tokio::test]
async fn handshakes_of_every_way_have_one_time_bound() {
    let tls = TestTls::new();
    let mut given = Given::workers(1);
    given.config.listeners = WAYS.map(listener).into();
    given.config.front.connect_secs_max = 1;
    given.extras.tls = Some(tls.server);
    let fixture = given.start();
    let mut silent = Vec::new();
    for &address in fixture.broker.mqtt_addresses() {
        silent.push(TcpStream::connect(address).await.expect("connects"));
    }
    fixture.wait_refused(Refusal::ConnectTimeout, 4).await;
}

#[test]
fn an_encrypted_listener_needs_certificates() {
    let mut given = Given::workers(1);
    given.config.listeners = vec![listener(ListenerKind::Tls)];
    let dir = tempfile::tempdir().expect("a directory");
    given.config.data_dir = dir.path().to_owned();
    let error = crate::start(given.config).err().expect("refused").to_string();
    assert!(error.contains("certificates"), "{error}");
}
