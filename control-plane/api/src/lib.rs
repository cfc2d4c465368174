//! The REST API and its OpenAPI documents. It turns requests into calls of `service` and back, and decides nothing.
//!
//! Every answer passes [`observe`]; below `/v1` a request passes a deadline, the finding of its caller with its rate,
//! and the keeping of idempotent answers, in that order, before it reaches its handler in `v1`.

mod accept;
mod answer;
mod caller;
mod deadline;
mod docs;
mod errors;
mod idempotency;
mod json;
mod labels;
mod metrics;
mod node;
mod observe;
pub mod openapi;
pub mod ops;
mod page;
mod path;
mod preconditions;
pub mod problem;
mod rate;
mod state;
mod time;
mod v1;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use contract::node::WAIT_SECS_MAX;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;

pub use crate::json::BODY_BYTES_MAX;
pub use crate::rate::RateOptions;
pub use crate::state::{ApiOptions, AppState};

/// The longest that a call of a node may take: its wait, and as long as any other call.
const NODE_TIMEOUT: Duration = Duration::from_secs(WAIT_SECS_MAX + deadline::REQUEST_TIMEOUT.as_secs());

/// Where the API and its documents live: what is absent there is no page of the console.
const OURS: [&str; 5] = ["/v1", "/node", "/docs/api", "/docs/errors", "/openapi"];

/// The whole API, its reference, and at every other path `pages`.
pub fn router(state: AppState, pages: Router) -> Router {
    let (v1, _) = openapi::control_plane_router().split_for_parts();
    let v1 = v1
        .layer(from_fn_with_state(state.clone(), idempotency::idempotent))
        .layer(from_fn_with_state(state.clone(), caller::authenticate))
        .layer(from_fn(accept::acceptable))
        .layer(from_fn_with_state(deadline::REQUEST_TIMEOUT, deadline::deadline));
    let (node, _) = openapi::node_router().split_for_parts();
    let node = node.layer(from_fn_with_state(NODE_TIMEOUT, deadline::deadline));
    let metrics = Arc::clone(&state.metrics);
    Router::new()
        .merge(v1)
        .merge(node)
        .merge(docs::router())
        .with_state(state)
        .fallback(move |request| elsewhere(pages, request))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn_with_state(metrics, observe::observe))
}

async fn elsewhere(pages: Router, request: Request) -> Response {
    let path = request.uri().path();
    let ours = OURS.iter().any(|prefix| {
        path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'/')))
    });
    if ours {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    }
    match pages.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
