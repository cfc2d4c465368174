//! The node's own listener: what the controller asks of this node itself, stored messages and publications of
//! applications. Closed unless an address is given, and on loopback only.
//!
//! Every call is proven by the node's key ([`proof`]) before anything of it is looked at, and every answer to a proven
//! call is signed. Calls at one time, the bytes of a call, and its time are bounded; history is read off the async
//! threads, with a bound of its own.

mod answers;
mod nonces;
mod proof;
mod properties;
mod shared_groups;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::node_call::ANSWER_HEADER;
use contract::time::UnixMillis;
use engine::History;
use replica::Replica;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::answers::Answer;
use self::nonces::Nonces;
pub(crate) use self::proof::CallKey;
use self::proof::ProofError;
use crate::control::Control;
use crate::http_listener::{self, Bounds};

/// Calls at one time; a further one is told to come again.
const CALLS_MAX: usize = 32;
/// Readings of history at one time; a further one waits within its call's time.
const READINGS_MAX: usize = 4;
/// The most bytes of a call's body: a publication of the API, whose own bound is smaller, in base64.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a call may take, from its head to its answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// What the calls are answered from.
pub(crate) struct NodeApi {
    /// The node's key, once it has enrolled.
    pub(crate) call_key: Arc<OnceLock<CallKey>>,
    /// Which messages may be shown.
    pub(crate) replica: Arc<Replica>,
    /// The messages.
    pub(crate) history: Arc<dyn History>,
    /// Publishes.
    pub(crate) control: Control,
    /// The clock.
    pub(crate) now: fn() -> UnixMillis,
}

struct Shared {
    api: NodeApi,
    /// When this began, in Unix seconds: of calls that were signed before, nobody knows whether they were made already.
    since_secs: u64,
    nonces: Mutex<Nonces>,
    calls: Arc<Semaphore>,
    readings: Arc<Semaphore>,
}

/// Answers until the node stops.
pub(crate) async fn run(listener: TcpListener, api: NodeApi, stop: CancellationToken) -> std::io::Result<()> {
    http_listener::serve(listener, router(api), Bounds::USUAL, stop).await
}

fn router(api: NodeApi) -> Router {
    let shared = Shared {
        since_secs: (api.now)().secs(),
        api,
        nonces: Mutex::default(),
        calls: Arc::new(Semaphore::new(CALLS_MAX)),
        readings: Arc::new(Semaphore::new(READINGS_MAX)),
    };
    Router::new().fallback(call).with_state(Arc::new(shared))
}

/// One call: taken in, proven, answered, signed.
async fn call(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Ok(_slot) = Arc::clone(&shared.calls).try_acquire_owned() else {
        return unsigned(StatusCode::SERVICE_UNAVAILABLE, "busy");
    };
    let Some(key) = shared.api.call_key.get() else {
        return unsigned(StatusCode::SERVICE_UNAVAILABLE, "not_enrolled");
    };
    let until = tokio::time::Instant::now() + CALL_TIME_MAX;
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let body = match tokio::time::timeout_at(until, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return unsigned(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        Err(_) => return unsigned(StatusCode::REQUEST_TIMEOUT, "timed_out"),
    };
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now_secs = (shared.api.now)().secs();
    let proven = key.check(parts.method.as_str(), target, &body, header, now_secs, shared.since_secs);
    let proven = proven.and_then(|nonce| {
        let mut nonces = shared.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.take(nonce, now_secs) { Ok(nonce) } else { Err(ProofError::Replayed) }
    });
    let nonce = match proven {
        Ok(nonce) => nonce,
        Err(error) => {
            tracing::warn!(%error, "a call of the node's own listener is not proven");
            return unsigned(StatusCode::UNAUTHORIZED, error.code());
        }
    };
    let answering = answer(&shared, &parts.method, &parts.uri, &body);
    let answer = tokio::time::timeout_at(until, answering).await.unwrap_or_else(|_| Answer::timed_out());
    let signature = key.sign_answer(nonce, answer.status.as_u16(), &answer.body);
    let signature = HeaderValue::try_from(signature).expect("base64 is a header value");
    let json = HeaderValue::from_static("application/json");
    let mut response = (answer.status, [(CONTENT_TYPE, json)], Bytes::from(answer.body)).into_response();
    response.headers_mut().insert(ANSWER_HEADER, signature);
    response
}

async fn answer(shared: &Arc<Shared>, method: &Method, uri: &axum::http::Uri, body: &Bytes) -> Answer {
    match (method, uri.path()) {
        (&Method::GET, "/node/v1/messages") => {
            let query = uri.query().unwrap_or_default().to_owned();
            read(shared, move |api| answers::messages(api, &query)).await
        }
        (&Method::GET, "/node/v1/shared-groups") => {
            let asked = shared_groups::ask(&shared.api.control, uri.query().unwrap_or_default()).await;
            match asked {
                Ok(asked) => read(shared, move |api| shared_groups::count(api, asked)).await,
                Err(problem) => problem,
            }
        }
        (&Method::POST, "/node/v1/publish") => answers::publish(&shared.api.control, body).await,
        _ => Answer::problem(StatusCode::NOT_FOUND, "not_found"),
    }
}

/// Answers from the disk.
async fn read(shared: &Arc<Shared>, answer: impl FnOnce(&NodeApi) -> Answer + Send + 'static) -> Answer {
    // Held until the reading has ended, however long its caller waits.
    let reading = Arc::clone(&shared.readings).acquire_owned().await;
    let reading: OwnedSemaphorePermit = reading.expect("the semaphore is never closed");
    let shared = Arc::clone(shared);
    let read = move || {
        let _reading = reading;
        answer(&shared.api)
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Answer::failed())
}

/// What is said to who has not proven to be the controller: a name for the trouble, and no signature.
fn unsigned(status: StatusCode, code: &'static str) -> Response {
    let Answer { status, body } = Answer::problem(status, code);
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(body)).into_response()
}

#[cfg(test)]
mod tests;
