//! Ways to a broker that a plain client does not speak: whoever connects to a bridge goes on over TLS, WebSocket or both.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How the bytes of a client are cut into frames: packets are split and joined.
const FRAME_BYTES: [usize; 5] = [3, 200, 1, 50_000, 17];

/// One way to a listener.
#[derive(Clone)]
pub struct Way {
    /// Where it listens.
    pub to: SocketAddr,
    /// The TLS that is spoken there, if any.
    pub tls: Option<TlsConnector>,
    /// Whether MQTT is in frames of WebSocket, at `/mqtt`.
    pub websocket: bool,
}

/// A client's TLS that trusts the certificates in this file.
#[must_use]
pub fn trusting(file: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).expect("a file in PEM");
    for certificate in certificates {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// TLS to an address, which must prove to be that address.
pub async fn connect_tls(to: SocketAddr, tls: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    tls.connect(ServerName::from(to.ip()), stream).await
}

impl Way {
    /// An address at which a plain client is brought this way, as long as the test lasts.
    pub async fn bridge(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(self.clone().relay(near));
            }
        });
        address
    }

    async fn relay(self, near: TcpStream) {
        if let Some(tls) = &self.tls {
            let far = connect_tls(self.to, tls).await.expect("the certificate is trusted");
            self.carry(near, far).await;
        } else {
            let far = TcpStream::connect(self.to).await.expect("the listener is there");
            far.set_nodelay(true).expect("a socket");
            self.carry(near, far).await;
        }
    }

    async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&self, mut near: TcpStream, mut far: S) {
        if self.websocket {
            carry_frames(near, open(far).await).await;
        } else {
            // It ends with either end.
            drop(copy_bidirectional(&mut near, &mut far).await);
        }
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().expect("a value"));
    client_async(request, stream).await.expect("a WebSocket").0
}

async fn carry_frames<S: AsyncRead + AsyncWrite + Unpin>(near: TcpStream, far: WebSocketStream<S>) {
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
        while let Some(Ok(Message::Binary(bytes))) = far_in.next().await {
            near_out.write_all(&bytes).await?;
        }
        near_out.shutdown().await
    };
    tokio::select! {
        _ = outward => {}
        _ = inward => {}
    }
}
