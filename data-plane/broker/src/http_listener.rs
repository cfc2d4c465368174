//! One HTTP listener of the node in the clear, for operators or for the controller: bounded in connections, in the time
//! for a request's head, and in the time to end. What it answers is decided elsewhere.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The most bytes of a request's head: a query for messages at its longest.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long to wait after a connection could not be accepted: descriptors come back in their own time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at one time; who comes beyond it waits in the system's queue.
    pub(crate) connections_max: usize,
    /// How long the head of a request may take to come; a silent connection is closed after it.
    pub(crate) head_time_max: Duration,
    /// How long what is being asked may go on after a stop.
    pub(crate) end_time_max: Duration,
}

impl Bounds {
    /// Those of every listener.
    pub(crate) const USUAL: Self = Self {
        connections_max: 64,
        head_time_max: Duration::from_secs(10),
        end_time_max: Duration::from_secs(5),
    };
}

/// Serves until stopped; then answers what is being asked, as far as there is time for it.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(bounds.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, slot)) => {
                let conversation = converse(stream, router.clone(), bounds, stop.clone());
                connections.spawn(async move {
                    conversation.await;
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
    let ending = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.end_time_max, ending).await.is_err() {
        tracing::warn!("connections of the HTTP listener did not end in time and are cut");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
    Ok((listener.accept().await?.0, slot))
}

async fn converse(stream: TcpStream, router: Router, bounds: Bounds, stop: CancellationToken) {
    let service = service_fn(|request: Request<Incoming>| answer(router.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head_time_max).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection of the HTTP listener broke off");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    router.oneshot(request.map(Body::new)).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    use super::*;

    const LONG: Duration = Duration::from_mins(10);
    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinHandle<io::Result<()>>,
    }

    fn server(bounds: Bounds) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let router =
            Router::new().route("/", get(async || "here")).route("/never", get(std::future::pending::<()>));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, bounds, stop.clone()));
        Server { address, stop, task }
    }

    impl Server {
        async fn open(&self, beginning: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.expect("connects");
            stream.write_all(beginning.as_bytes()).await.expect("writes");
            stream
        }

        async fn ask(&self) -> String {
            let mut answer = String::new();
            self.open(GET).await.read_to_string(&mut answer).await.expect("an answer");
            answer
        }
    }

    /// Who says nothing, or half of something, has its slot for the time of a head and no longer.
    #[tokio::test]
    async fn silent_connections_hold_no_slot_for_ever() {
        let head_time_max = Duration::from_millis(50);
        let server = server(Bounds { connections_max: 2, head_time_max, end_time_max: LONG });
        let _silent = server.open("").await;
        let _half = server.open("GET / HTTP/1.1\r\nHo").await;
        let answer = server.ask().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn a_stop_waits_neither_for_half_a_head_nor_for_an_answer_without_end() {
        for beginning in ["", "GET / HTTP/1.1\r\nHo", "GET /never HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let end_time_max = Duration::from_millis(50);
            let server = server(Bounds { connections_max: 2, head_time_max: LONG, end_time_max });
            let mut stream = server.open(beginning).await;
            // Connections are accepted in their order, so the first has been when the second is answered.
            assert!(server.ask().await.ends_with("here"));
            server.stop.cancel();
            tokio::time::timeout(LONG, server.task).await.expect("in time").expect("no panic").expect("ends");
            let mut rest = Vec::new();
            let read = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty() && read.is_ok_and(|bytes| bytes == 0), "{beginning:?}: it is closed");
        }
    }
}
