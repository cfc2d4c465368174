//! One HTTP listener, in the clear or over TLS: bounded in connections, in the time for TLS and for a request's head, and
//! in the time to end. A connection may be upgraded; it is then no longer this listener's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{HOST, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long the head of a request may take to come; an idle connection is closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long TLS may take to be agreed on.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// What TLS begins with: a record of its handshake.
const TLS_HANDSHAKE: u8 = 22;
/// What is answered to HTTP where HTTPS is spoken.
const SPEAK_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: use https:// in place of http://.\n";
/// How long a browser that has come over TLS insists on it (RFC 6797).
const TRANSPORT_SECURITY: &str = "max-age=31536000";
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait after a connection could not be accepted: descriptors come back in their own time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped; then answers what is being asked and ends.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
                connections.spawn(async move {
                    open(stream, peer, router, tls, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection, once there is a slot for it: who finds none waits in the system's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// Agrees on TLS, if that is spoken here, and answers.
async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "a connection will be slow");
    }
    let Some(tls) = tls else { return converse(stream, peer, false, router, stop).await };
    let agreed = tokio::time::timeout(TLS_TIMEOUT, agree(tls, stream));
    match stop.run_until_cancelled(agreed).await {
        Some(Ok(Ok(stream))) => converse(stream, peer, true, router, stop).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, %peer, "no TLS"),
        Some(Err(_)) => tracing::debug!(%peer, "TLS took too long"),
        None => {}
    }
}

async fn agree(
    tls: TlsAcceptor,
    mut stream: TcpStream,
) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        stream.write_all(SPEAK_TLS.as_bytes()).await?;
        stream.shutdown().await?;
        // Unread, the request would make a reset of the answer.
        // What it said does not matter: it is told what to do instead.
        let _said = stream.read(&mut [0; 4096]).await?;
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the peer does not speak TLS"));
    }
    tls.accept(stream).await
}

async fn converse<S>(stream: S, peer: SocketAddr, is_tls: bool, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| answer(router.clone(), peer, is_tls, request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    is_tls: bool,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    // A name that means every machine is not to be remembered: another program there may speak no TLS.
    let is_local = request.headers().get(HOST).is_some_and(|host| host.as_bytes().starts_with(b"localhost"));
    let mut response = router.oneshot(request).await?;
    if is_tls && !is_local {
        let insist = HeaderValue::from_static(TRANSPORT_SECURITY);
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, insist);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::task::JoinHandle;

    use super::*;

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn server(connections_max: usize) -> Server {
        async fn who(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
            peer.ip().to_string()
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(who));
        let task = tokio::spawn(serve(listener, router, connections_max, None, stop.clone()));
        Server { address, stop, task }
    }

    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.expect("reads");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn a_handler_knows_the_peer_and_a_connection_serves_many_requests() {
        let server = server(4).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        for _ in 0..3 {
            let answer = ask(&mut stream, GET).await;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n127.0.0.1"),
                "{answer}"
            );
        }
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_and_the_listener() {
        let server = server(4).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        ask(&mut stream, GET).await;
        server.stop.cancel();
        server.task.await.expect("ends");
        assert_eq!(stream.read(&mut [0; 1]).await.expect("the end"), 0);
        assert!(TcpStream::connect(server.address).await.is_err(), "nothing listens any more");
    }

    #[tokio::test]
    async fn who_finds_no_slot_waits_for_one() {
        let server = server(1).await;
        let mut first = TcpStream::connect(server.address).await.expect("connects");
        ask(&mut first, GET).await;
        let mut second = TcpStream::connect(server.address).await.expect("connects");
        second.write_all(GET.as_bytes()).await.expect("writes");
        // The first is served while the second waits, so the second's answer is not there yet.
        ask(&mut first, GET).await;
        assert_eq!(second.try_read(&mut [0; 1]).expect_err("waits").kind(), std::io::ErrorKind::WouldBlock);
        drop(first);
        let mut answer = [0; 8];
        second.read_exact(&mut answer).await.expect("is served at last");
        assert_eq!(&answer, b"HTTP/1.1");
    }

    /// The two servers of a chain must not read the end of a body at different places: what follows such a body is
    /// not taken for a request (RFC 9112, 6.1).
    #[tokio::test]
    async fn a_body_with_two_lengths_ends_the_connection() {
        for lengths in
            ["Content-Length: 44\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6"]
        {
            let server = server(1).await;
            let mut stream = TcpStream::connect(server.address).await.expect("connects");
            let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n0\r\n\r\n{GET}");
            stream.write_all(request.as_bytes()).await.expect("writes");
            let mut answers = String::new();
            stream.read_to_string(&mut answers).await.expect("the end");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
            assert!(answers.starts_with("HTTP/1.1 4"), "{answers}");
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let server = server(1).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX * 16));
        // The rest is not read, so writing it may fail, and the answer may be lost with it.
        let written = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 431 ") || written.is_err() || read.is_err(), "{answer}");
    }
}
