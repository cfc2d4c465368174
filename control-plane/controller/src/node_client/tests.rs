//! Calls of a node that plays a script over a real connection.

use chrono::{DateTime, Utc};
use contract::ids::{InstanceId, NodeId};
use contract::message::{MessageProperties, Order};
use contract::qos::Qos;
use contract::time::UnixMillis;
use service::clock::FixedClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;

const SECRET_SHA256: [u8; 32] = [9; 32];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn client() -> NodeClient {
    NodeClient::new(Arc::new(FixedClock::new(now()))).expect("a client")
}

fn peer(address: Option<String>) -> Peer {
    Peer {
        id: NodeId(Uuid::nil()),
        number: 0,
        name: "edge-1".to_owned(),
        address,
        secret_sha256: SECRET_SHA256.to_vec(),
        connections: 0,
        last_seen_at: now(),
    }
}

fn query() -> MessageQuery {
    MessageQuery {
        instance: InstanceId(Uuid::nil()),
        topic_filter: Some("a/+/#".to_owned()),
        client_id: None,
        id: None,
        from: UnixMillis(0),
        to: UnixMillis(9),
        order: Order::Newest,
        after: None,
        limit: 5,
        payload_bytes_max: 0,
    }
}

const EMPTY: &str = r#"{"items":[],"covered_from":7,"complete":true}"#;

/// A node that answers one call so, signed with the key of this secret; it gives back what it was asked.
async fn node(
    status: &'static str,
    body: &'static str,
    signed_by: [u8; 32],
) -> (Peer, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a call");
        let mut asked = vec![0; 16 * 1024];
        let length = stream.read(&mut asked).await.expect("reads");
        let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
        let header = asked.lines().find_map(|line| line.strip_prefix("authorization: ")).expect("a header");
        let nonce = contract::node_call::Authorization::parse(header).expect("a proof").nonce.to_owned();
        let number: u16 = status[..3].parse().expect("a status");
        let text = contract::node_call::answer_text(
            &nonce,
            number,
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes()).as_ref(),
        );
        let signature = CallKey::of_secret_sha256(&signed_by).sign(&text);
        let answer = format!(
            "HTTP/1.1 {status}\r\n{ANSWER_HEADER}: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.expect("writes");
        asked
    });
    (peer(Some(format!("http://{address}"))), task)
}

#[tokio::test]
async fn a_call_says_what_is_asked_and_proves_itself() {
    let (node, asked) = node("200 OK", EMPTY, SECRET_SHA256).await;
    let answer = client().messages(&node, &query()).await.expect("an answer");
    assert_eq!((answer.items.len(), answer.covered_from), (0, UnixMillis(7)));
    let asked = asked.await.expect("no panic");
    let target = asked.split(' ').nth(1).expect("a target");
    assert!(target.starts_with("/node/v1/messages?query=%7B%22instance%22"), "{target}");
    let header = asked.lines().find_map(|line| line.strip_prefix("authorization: ")).expect("a header");
    let proof = contract::node_call::Authorization::parse(header).expect("a proof");
    assert_eq!(proof.timestamp, 1_800_000_000);
    let expected =
        CallKey::of_secret_sha256(&SECRET_SHA256).header("GET", target, b"", 1_800_000_000, proof.nonce);
    assert_eq!(header, expected);
}

#[tokio::test]
async fn shared_subscriptions_are_asked_for_by_a_question_of_their_own() {
    let groups = r#"{"items":[{"group":"g","filter":"a/#","members_connected":1,"members_away":2,"in_flight":3,
        "waiting_messages":4,"waiting_bytes":5,"oldest_at":6,"complete":true}],"has_more":true}"#;
    let (node, asked) = node("200 OK", groups, SECRET_SHA256).await;
    let query = SharedGroupsQuery { instance: InstanceId(Uuid::nil()), group: None, after: None, limit: 51 };
    let answer = client().shared_groups(&node, &query).await.expect("an answer");
    assert!(answer.has_more && answer.items[0].oldest_at == Some(UnixMillis(6)));
    let asked = asked.await.expect("no panic");
    assert!(asked.starts_with("GET /node/v1/shared-groups?query=%7B%22instance%22"), "{asked}");
}

#[tokio::test]
async fn only_what_the_node_has_signed_is_believed() {
    let (node, _) = node("200 OK", EMPTY, [8; 32]).await;
    assert_eq!(client().messages(&node, &query()).await, Err(NodeCallError::NotBelieved));
}

#[tokio::test]
async fn a_refusal_is_told_by_its_name() {
    let request = PublishRequest {
        instance: InstanceId(Uuid::nil()),
        topic: "a".to_owned(),
        payload: Base64::default(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_in_secs: None,
        properties: MessageProperties::default(),
    };
    for (status, expected) in [
        ("409 Conflict", NodeCallError::Refused { code: "payload_bytes_max".to_owned() }),
        ("504 Gateway Timeout", NodeCallError::TimedOut),
    ] {
        let (node, _) = node(status, r#"{"code":"payload_bytes_max"}"#, SECRET_SHA256).await;
        assert_eq!(client().publish(&node, &request).await, Err(expected));
    }
}

#[tokio::test]
async fn a_node_that_cannot_be_called_is_told_apart_from_one_that_went_away() {
    assert_eq!(client().messages(&peer(None), &query()).await, Err(NodeCallError::Closed));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let gone = tokio::spawn(async move { drop(listener.accept().await) });
    let node = peer(Some(format!("http://{address}")));
    assert_eq!(client().messages(&node, &query()).await, Err(NodeCallError::Broken));
    gone.await.expect("no panic");
    assert_eq!(client().messages(&node, &query()).await, Err(NodeCallError::NotReached));
}
