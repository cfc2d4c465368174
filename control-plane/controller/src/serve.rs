//! One HTTP listener: bounded in connections, in the time for a request's head, and in the time to end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long the head of a request may take to come; an idle connection is closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait after a connection could not be accepted: descriptors come back in their own time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped; then answers what is being asked and ends.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
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
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, peer, router, stop).await;
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

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "a connection will be slow");
    }
    let service = service_fn(|request: Request<Incoming>| answer(router.clone(), peer, request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
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
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
        let task = tokio::spawn(serve(listener, router, connections_max, stop.clone()));
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
