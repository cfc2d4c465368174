//! How long a request may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::preconditions::PreferWait;
use crate::problem::{Problem, ProblemCode};

/// The longest that a request may take, beside what it has asked to wait.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The layer of everything but the long polls of nodes, which are bounded by what they may ask to wait.
pub(crate) async fn deadline(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    // What only reads has done nothing. What changes something may be on its way, or done, when nobody waits any more.
    let is_read = request.method().is_safe();
    let wait = PreferWait::parse(request.headers()).0.unwrap_or_default();
    tokio::time::timeout(limit + wait, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("it took longer than {} s", limit.as_secs());
        let problem = Problem::new(ProblemCode::QueryTimeout, detail);
        if is_read { problem.into_response() } else { problem.uncertain().into_response() }
    })
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_ends_in_time_and_a_preference_adds_to_it() {
        const LIMIT: Duration = Duration::from_millis(20);
        async fn slow() {
            tokio::time::sleep(LIMIT * 5).await;
        }
        let app =
            Router::new().route("/", get(slow)).layer(axum::middleware::from_fn_with_state(LIMIT, deadline));
        for (prefer, status) in [("", 504), ("wait=2", 200)] {
            let request = Request::get("/").header("prefer", prefer).body(Body::empty()).expect("a request");
            let response = app.clone().oneshot(request).await.expect("answers");
            assert_eq!(response.status(), status, "{prefer}");
        }
    }

    #[tokio::test]
    async fn a_change_that_took_too_long_may_be_done() {
        const LIMIT: Duration = Duration::from_millis(20);
        let slow = || tokio::time::sleep(LIMIT * 5);
        let app = Router::new()
            .route("/", get(slow).post(slow))
            .layer(axum::middleware::from_fn_with_state(LIMIT, deadline));
        for (method, uncertain) in [("GET", false), ("POST", true)] {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).expect("a request");
            let response = app.clone().oneshot(request).await.expect("answers");
            assert_eq!(response.status(), 504, "{method}");
            let problem = response.extensions().get::<Problem>().expect("a problem");
            assert_eq!(problem.is_uncertain(), uncertain, "{method}");
        }
    }
}
