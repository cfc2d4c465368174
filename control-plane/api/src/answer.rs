//! Answers of handlers that do more than show something: revisions, generations, how far a write has come.

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use service::rollout::Applied;
use service::write::Written;

use crate::preconditions::{PreferWait, etag};
use crate::state::AppState;

/// The generation of a write.
pub(crate) static GENERATION: HeaderName = HeaderName::from_static("iotmq-generation");
/// How many of the reachable nodes have applied a write.
pub(crate) static APPLIED: HeaderName = HeaderName::from_static("iotmq-applied");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// An answer with a body of type `T`, or without one.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<T>,
}

impl<T> Answer<T> {
    /// 200 with this body.
    pub(crate) fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: Some(body) }
    }

    /// 201 with this body, which can be read again at `location`.
    pub(crate) fn created(location: &str, body: T) -> Self {
        let mut answer = Self { status: StatusCode::CREATED, ..Self::ok(body) };
        if let Ok(location) = HeaderValue::try_from(location) {
            answer.headers.insert(LOCATION, location);
        }
        answer
    }

    /// Another status: for what was made and cannot be read again.
    #[must_use]
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: None }
    }

    /// Says which revision the body shows: `ETag`.
    #[must_use]
    pub(crate) fn revision(mut self, revision: i64) -> Self {
        self.headers.insert(ETAG, etag(revision));
        self
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Says what was written, and waits for the nodes if the caller wants that.
    pub(crate) async fn written(mut self, state: &AppState, prefer: PreferWait, written: Written) -> Self {
        if let Some(applied) = wait_applied(state, prefer, written).await {
            self = self.applied(prefer, applied);
        }
        self.generation(written)
    }

    /// Says in which generation the write is.
    #[must_use]
    pub(crate) fn generation(mut self, written: Written) -> Self {
        if let Some(generation) = written.generation {
            self.headers.insert(GENERATION.clone(), generation.number.into());
        }
        self
    }

    /// Says how far the write has come.
    #[must_use]
    pub(crate) fn applied(mut self, prefer: PreferWait, applied: Applied) -> Self {
        let text = format!("{}/{}", applied.applied, applied.reachable);
        self.headers.insert(APPLIED.clone(), HeaderValue::try_from(text).expect("digits are a header value"));
        if let Some(wait) = prefer.0 {
            let text = format!("wait={}", wait.as_secs());
            let value = HeaderValue::try_from(text).expect("letters and digits are a header value");
            self.headers.insert(PREFERENCE_APPLIED.clone(), value);
        }
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match self.body {
            Some(body) => (self.status, self.headers, Json(body)).into_response(),
            None => (self.status, self.headers).into_response(),
        }
    }
}

/// How far a write has come once every reachable node has it or the caller's patience is over; none when the caller
/// did not ask or the write goes to no node. A write that is done stays done, so a failure here is only logged.
pub(crate) async fn wait_applied(state: &AppState, prefer: PreferWait, written: Written) -> Option<Applied> {
    let wait = prefer.0?;
    if written == Written::default() {
        return None;
    }
    match state.services.rollout.wait_applied(written, wait).await {
        Ok(applied) => Some(applied),
        Err(error) => {
            tracing::warn!(?error, "cannot tell how far a write has come");
            None
        }
    }
}
