//! The outermost layer: gives every request its id, writes problems, guards headers, logs and counts.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::problem::{Problem, ProblemCode};

static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The id of one request: in its answer, in every log line about it, in the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestId(pub Uuid);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The layer itself.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId(Uuid::now_v7());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let trace = trace_id(request.headers()).unwrap_or_default().to_owned();
    request.extensions_mut().insert(id);
    let running = metrics.begin();
    let started = now();
    let span = tracing::info_span!("request", %id, method, route, trace);
    let mut response = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let duration_ms = started.elapsed().as_millis();
        tracing::debug!(status, duration_ms, "answered");
        response
    }
    .instrument(span)
    .await;
    if let Some(problem) = take_problem(&mut response) {
        metrics.problem(problem.code().as_str());
        response = write_problem(&problem, id, response);
    }
    metrics.answered(method, &route, response.status().as_u16(), started.elapsed());
    drop(running);
    guard(response.headers_mut());
    let id = HeaderValue::try_from(id.to_string()).expect("a UUID is a header value");
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    response
}

#[expect(clippy::disallowed_methods, reason = "this layer is the shell that measures")]
fn now() -> Instant {
    Instant::now()
}

/// The problem of a response: its own, or the one that a bare error status of the router means.
fn take_problem(response: &mut Response) -> Option<Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    if response.headers().contains_key(CONTENT_TYPE) && !is_plain_text(response.headers()) {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Problem::new(ProblemCode::NotFound, "there is no such path")),
        StatusCode::METHOD_NOT_ALLOWED => {
            Some(Problem::new(ProblemCode::MethodNotAllowed, "`Allow` names the methods of this path"))
        }
        StatusCode::BAD_REQUEST => {
            Some(Problem::new(ProblemCode::InvalidParameter, "the request is malformed"))
        }
        _ => None,
    }
}

fn is_plain_text(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

fn write_problem(problem: &Problem, id: RequestId, response: Response) -> Response {
    let mut headers = std::mem::take(&mut response.into_parts().0.headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(secs) = problem.retry_after_secs() {
        headers.insert(RETRY_AFTER, secs.into());
    }
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut written = (status, Json(problem.body(&id.to_string()))).into_response();
    written.headers_mut().extend(headers);
    written
}

/// What keeps an answer from being read as something else, framed, or kept by others. What a handler has set stays.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
        (VARY, "Authorization, Cookie"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The trace that a caller follows: the second part of a `traceparent` (W3C Trace Context).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get(&TRACEPARENT)?.to_str().ok()?.split('-');
    let hexadecimal = |part: &&str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    parts.next().filter(|version| hexadecimal(version, 2) && *version != "ff")?;
    let trace = parts.next().filter(|trace| hexadecimal(trace, 32) && trace.bytes().any(|b| b != b'0'))?;
    parts.next().filter(|parent| hexadecimal(parent, 16))?;
    Some(trace)
}

/// The method, as a label with few values.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// What a handler that panicked answers.
pub(crate) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let cause = cause
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(cause, "a handler panicked");
    Problem::new(ProblemCode::Internal, "the fault is logged under this request's id").into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    fn app() -> Router {
        Router::new()
            .route("/fine", get(|| async { "fine" }))
            .route(
                "/limited",
                get(|| async { Problem::new(ProblemCode::LockedOut, "x").with_retry_after_secs(7) }),
            )
            .route("/panic", get(panics))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(axum::middleware::from_fn_with_state(Arc::new(Metrics::default()), observe))
    }

    async fn panics() -> Response {
        panic!("secret detail")
    }

    async fn call(method: Method, path: &str) -> (Response, serde_json::Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let response = app().oneshot(request).await.expect("answers");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 100_000).await.expect("a body");
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        (Response::from_parts(parts, Body::empty()), json)
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_guarding_headers() {
        for path in ["/fine", "/limited", "/panic", "/absent"] {
            let (response, json) = call(Method::GET, path).await;
            let headers = response.headers();
            let id = headers["request-id"].to_str().expect("text");
            assert!(id.parse::<Uuid>().is_ok(), "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(
                headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'",
                "{path}"
            );
            assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
            if path != "/fine" {
                assert_eq!(json["request_id"], id, "{path}");
                assert_eq!(headers["content-type"], "application/problem+json", "{path}");
            }
        }
    }

    #[tokio::test]
    async fn what_the_router_refuses_is_a_problem_too() {
        for (method, path, status, code) in [
            (Method::GET, "/absent", 404, "not_found"),
            (Method::POST, "/fine", 405, "method_not_allowed"),
            (Method::TRACE, "/fine", 405, "method_not_allowed"),
            (Method::OPTIONS, "/fine", 405, "method_not_allowed"),
        ] {
            let (response, json) = call(method.clone(), path).await;
            assert_eq!(response.status(), status, "{method} {path}");
            assert_eq!(json["code"], code, "{method} {path}");
            assert_eq!(json["status"], status, "{method} {path}");
        }
        let (response, _) = call(Method::POST, "/fine").await;
        assert_eq!(response.headers()["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_problem_that_tells_nothing() {
        let (response, json) = call(Method::GET, "/panic").await;
        assert_eq!(response.status(), 500);
        assert_eq!(json["code"], "internal");
        assert!(!json.to_string().contains("secret detail"));
    }

    #[tokio::test]
    async fn a_problem_with_a_time_says_when_to_come_again() {
        let (response, json) = call(Method::GET, "/limited").await;
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!((json["retryable"].as_bool(), response.status().as_u16()), (Some(true), 429));
    }

    #[test]
    fn only_a_well_formed_trace_is_followed() {
        let trace = |text: &str| {
            let headers = HeaderMap::from_iter([(TRACEPARENT.clone(), text.parse().expect("a value"))]);
            trace_id(&headers).map(str::to_owned)
        };
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace(&format!("00-{id}-b7ad6b7169203331-01")).as_deref(), Some(id));
        assert_eq!(
            trace(&format!("01-{id}-b7ad6b7169203331-01-more")).as_deref(),
            Some(id),
            "a later version"
        );
        for bad in [
            "",
            "00",
            &format!("ff-{id}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
        ] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }
}
