//! The statements on WebSocket, which are about frames and not about packets.

use futures_util::{SinkExt as _, StreamExt as _};
use tests::{ClientBuilder, Cluster};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::{WebSocketStream, client_async};

const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];

/// A WebSocket to the broker; it offers `mqtt` among others [MQTT-6.0.0-3].
async fn open(cluster: &Cluster) -> (WebSocketStream<TcpStream>, Response) {
    let stream = TcpStream::connect(cluster.websocket_address(0)).await.expect("it listens");
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    let offered = "chat, mqtt".parse().expect("a value");
    request.headers_mut().insert("sec-websocket-protocol", offered);
    client_async(request, stream).await.expect("a WebSocket")
}

/// The bytes of so many packets of two bytes, however they are put into frames; less at the end.
async fn receive(socket: &mut WebSocketStream<TcpStream>, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count
        && let Some(Ok(Message::Binary(frame))) = socket.next().await
    {
        bytes.extend_from_slice(&frame);
    }
    bytes
}

async fn connect(client: &ClientBuilder, socket: &mut WebSocketStream<TcpStream>) {
    let packet = client.packet();
    // A packet in three frames, the last of which begins the next packet [MQTT-6.0.0-2].
    let (head, tail) = packet.split_at(1);
    let (middle, tail) = tail.split_at(10);
    let last = [tail, &PINGREQ[..1]].concat();
    for frame in [head, middle, &last, &PINGREQ[1..]] {
        socket.send(Message::Binary(frame.to_vec().into())).await.expect("sent");
    }
    assert_eq!(receive(socket, 6).await, [&[0x20, 2, 0, 0][..], &PINGRESP].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_travel_in_binary_frames_of_the_protocol_mqtt() {
    let cluster = Cluster::start().await;
    let cars = cluster.tenant("red").await.open_instance("fleet").await;
    let client = cars.client_with_token("page").await;
    let (mut socket, answer) = open(&cluster).await;
    let selected = answer.headers().get("sec-websocket-protocol").expect("one is selected");
    assert_eq!(selected, "mqtt", "[MQTT-6.0.0-4]");
    connect(&client, &mut socket).await;
    // Several packets in one frame [MQTT-6.0.0-2].
    socket.send(Message::Binary(PINGREQ.repeat(3).into())).await.expect("sent");
    assert_eq!(receive(&mut socket, 6).await, PINGRESP.repeat(3));
    // Any other data frame closes [MQTT-6.0.0-1].
    socket.send(Message::Text("text".into())).await.expect("sent");
    let end = socket.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)) | Err(_)) | None), "{end:?}");
    assert!(matches!(socket.next().await, Some(Err(_)) | None), "the connection is closed");
}
