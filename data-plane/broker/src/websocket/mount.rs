//! MQTT over WebSocket on a listener that is not the broker's: a route for it, whose connections are handed to the front.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::handshake;
use crate::front::Front;
use crate::transport::{Layers, Transport};
use crate::websocket::WebSocket;

/// Where MQTT is on every HTTP listener.
pub(crate) const PATH: &str = "/mqtt";

/// Lets clients in over another listener of the process, which may be there before the broker is.
///
/// That listener must be served by hyper, with upgrades, over `TokioIo` of a `TcpStream` or of a server's `TlsStream`
/// of one, and must give each request its peer as axum's `ConnectInfo<SocketAddr>`.
#[derive(Clone, Default)]
pub struct Mount {
    front: Arc<OnceLock<Arc<Front>>>,
}

impl Mount {
    /// The route `/mqtt`. Until a broker is started with this, it answers 503.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, get(upgrade)).with_state(self.clone())
    }

    /// From now on connections go to this front. A mount serves one broker: the first.
    pub(crate) fn open(&self, front: Arc<Front>) {
        let _ = self.front.set(front);
    }
}

async fn upgrade(
    State(mount): State<Mount>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let Some(front) = mount.front.get().filter(|front| !front.node.stop.is_cancelled()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the broker is not running\n").into_response();
    };
    let settings = &front.node.config.websocket;
    let answer = match handshake::accept(request.version(), request.headers(), &settings.allowed_origins) {
        Ok(answer) => answer,
        Err(error) => return error.into_response(),
    };
    let Some(permit) = front.admit(peer.ip()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many connections are being opened\n").into_response();
    };
    let upgrade = hyper::upgrade::on(request);
    let default_instance = settings.default_instance.as_deref().map(Arc::from);
    let (front, opening) = (Arc::clone(front), Arc::clone(front));
    let open = async move { into_transport(upgrade.await.ok()?) };
    front.spawn(async move { opening.shake_hands(open, peer, default_instance, permit).await });
    answer
}

/// The connection that was upgraded, taken out of the runtime that accepted it.
pub(crate) fn into_transport(upgraded: Upgraded) -> Option<Transport> {
    let (socket, tls, unread) = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io.into_inner(), None, parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
            let (socket, tls) = parts.io.into_inner().into_inner();
            (socket, Some(tls), parts.read_buf)
        }
    };
    let socket = TcpStream::from_std(socket.into_std().ok()?).ok()?;
    let layers = Layers { tls, websocket: Some(WebSocket::default()), unread: unread.into() };
    Some(Transport::new(socket, layers))
}
