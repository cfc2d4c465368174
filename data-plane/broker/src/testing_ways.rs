//! The ways in which a test client reaches the node: plainly, or through a bridge that speaks TLS, WebSocket or both and
//! is a plain connection to the client.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::Tls;
use crate::config::{Listener, ListenerKind};

/// Every way in.
pub(crate) const WAYS: [ListenerKind; 4] =
    [ListenerKind::Tcp, ListenerKind::Tls, ListenerKind::Websocket, ListenerKind::WebsocketTls];

/// How the bytes of a client are cut into frames.
const FRAME_BYTES: [usize; 6] = [1, 2, 130, 7, 40_000, 125];

/// A listener on a free port of loopback.
pub(crate) fn listener(kind: ListenerKind) -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener { address, kind: Some(kind), default_instance: Some("label-1".into()) }
}

/// Certificates of a test, and what trusts them.
pub(crate) struct TestTls {
    pub(crate) server: Tls,
    pub(crate) client: TlsConnector,
}

impl TestTls {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate: CertificateDer<'static> = params.self_signed(&key).expect("signs").der().clone();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = |protocol: &[u8]| {
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .expect("a pair");
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = Tls { mqtt: server(b"mqtt"), http: server(b"http/1.1") };
        Self { server, client: TlsConnector::from(Arc::new(client)) }
    }
}

/// An address at which a plain connection goes to `to` in this way.
pub(crate) async fn bridge(kind: ListenerKind, to: SocketAddr, tls: &TlsConnector) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tls = tls.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move { relay(kind, near, to, &tls).await });
        }
    });
    address
}

async fn relay(kind: ListenerKind, mut near: TcpStream, to: SocketAddr, tls: &TlsConnector) {
    let far = TcpStream::connect(to).await.expect("the node listens");
    far.set_nodelay(true).expect("a socket");
    let server_name = ServerName::try_from("localhost").expect("a name");
    match kind {
        ListenerKind::Tcp => drop(copy_bidirectional(&mut near, &mut { far }).await),
        ListenerKind::Tls => {
            let mut far = tls.connect(server_name, far).await.expect("trusted");
            drop(copy_bidirectional(&mut near, &mut far).await);
        }
        ListenerKind::Websocket => relay_frames(near, open(far).await).await,
        ListenerKind::WebsocketTls => {
            let far = tls.connect(server_name, far).await.expect("trusted");
            relay_frames(near, open(far).await).await;
        }
    }
}

/// Makes a WebSocket of a connection.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().expect("a value"));
    let (socket, answer) = client_async(request, stream).await.expect("upgraded");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
    socket
}

async fn relay_frames<S: AsyncRead + AsyncWrite + Unpin>(near: TcpStream, far: WebSocketStream<S>) {
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_out, mut far_in) = far.split();
    let outward = async {
        let mut sizes = FRAME_BYTES.into_iter().cycle();
        let mut buffer = vec![0; 100_000];
        while let Ok(read @ 1..) = near_in.read(&mut buffer).await {
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                let (frame, behind) = rest.split_at(rest.len().min(sizes.next().expect("endless")));
                rest = behind;
                far_out.feed(Message::Binary(frame.to_vec().into())).await?;
            }
            far_out.flush().await?;
        }
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    };
    let inward = async {
        while let Some(Ok(message)) = far_in.next().await {
            match message {
                Message::Binary(bytes) => near_out.write_all(&bytes).await.expect("the client reads"),
                Message::Close(_) => break,
                other @ (Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                    panic!("{other:?} from the node")
                }
            }
        }
        near_out.shutdown().await
    };
    tokio::select! {
        _ = outward => {}
        _ = inward => {}
    }
}
