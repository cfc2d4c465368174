//! `Idempotency-Key`: a `POST` that is sent again gets the first answer again.
//!
//! What was done is remembered, and so is what may have been done: an answer that is uncertain is given again, and the
//! request does not run again. A request that was refused has changed nothing, so its key is free again and the
//! mended request may bear it. A request with a key runs to its end even when its caller has gone away: whoever
//! comes again for the answer finds it.

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::base64::Base64;
use service::idempotency::{ANSWER_BYTES_MAX, Begun, Claim, RUN_MAX, StoredAnswer};
use tracing::Instrument as _;

use crate::answer::{APPLIED, GENERATION};
use crate::caller::SignedIn;
use crate::json;
use crate::observe::{PROBLEM_JSON, RequestId};
use crate::problem::{Problem, ProblemCode};
use crate::state::AppState;

/// The least characters of a key.
pub(crate) const KEY_LENGTH_MIN: usize = 16;
/// The most characters of a key.
pub(crate) const KEY_LENGTH_MAX: usize = 64;

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The layer of `/v1`, inside the one that finds the caller.
pub(crate) async fn idempotent(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if *request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return next.run(request).await;
    }
    // Without a caller there is nobody whose key it could be; the handler says what it thinks of that.
    let Some(signed_in) = SignedIn::find(request.extensions()) else { return next.run(request).await };
    match run(state, signed_in, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn run(
    state: AppState,
    signed_in: SignedIn,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = parse_key(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = json::read(body).await?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let hash = hash(parts.method.as_str(), target, &body);
    let claim = match state.services.idempotency.begin(signed_in.caller(), &key, hash).await? {
        Begun::Fresh(claim) => claim,
        Begun::Replay(answer) => return Ok(replay(answer)),
        Begun::Mismatch => {
            let detail = "the key was used with another path or body";
            return Err(Problem::new(ProblemCode::IdempotencyMismatch, detail));
        }
        Begun::InProgress => {
            let detail = "come again for the answer";
            return Err(Problem::new(ProblemCode::IdempotencyInProgress, detail).with_retry_after_secs(1));
        }
    };
    let id = parts.extensions.get::<RequestId>().map(RequestId::to_string).unwrap_or_default();
    let request = Request::from_parts(parts, Body::from(body));
    let kept = claim.clone();
    let idempotency = state.services.idempotency.clone();
    let task = async move {
        // Its caller's deadline does not reach it here, and it must not outlive its claim on the key.
        let response = tokio::time::timeout(RUN_MAX, next.run(request)).await.unwrap_or_else(|_| {
            let detail = format!("it took longer than {} s", RUN_MAX.as_secs());
            Problem::new(ProblemCode::QueryTimeout, detail).uncertain().into_response()
        });
        finish(&state, claim, response, &id).await
    };
    match tokio::spawn(task.in_current_span()).await {
        Ok(response) => Ok(response),
        Err(error) => {
            if let Err(error) = idempotency.abandon(kept).await {
                tracing::warn!(?error, "an idempotency key stays taken until its time is over");
            }
            match error.try_into_panic() {
                Ok(cause) => std::panic::resume_unwind(cause),
                Err(error) => Err(Problem::internal(&error)),
            }
        }
    }
}

/// Keeps the answer of what was, or may have been, done; frees the key of what was not.
async fn finish(state: &AppState, claim: Claim, response: Response, request_id: &str) -> Response {
    let (answer, response) = to_keep(response, request_id).await;
    let settled = match answer {
        Some(answer) => state.services.idempotency.finish(claim, &answer).await,
        None => state.services.idempotency.abandon(claim).await,
    };
    if let Err(error) = settled {
        tracing::warn!(?error, "an idempotency key was not settled");
    }
    response
}

/// The answer as it is to be given again, if it is, and the response as it was.
async fn to_keep(response: Response, request_id: &str) -> (Option<StoredAnswer>, Response) {
    if let Some(problem) = response.extensions().get::<Problem>().filter(|problem| problem.is_uncertain()) {
        // As the outermost layer writes it.
        let body = serde_json::to_vec(&problem.body(request_id)).expect("a problem has a JSON form");
        let headers = vec![(CONTENT_TYPE.as_str().to_owned(), PROBLEM_JSON.to_owned())];
        let status = response.status().as_u16();
        return (Some(StoredAnswer { status, headers, body: Base64(body) }), response);
    }
    let small = response.body().size_hint().upper().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX as u64);
    if !response.status().is_success() || !small {
        return (None, response);
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
        return (None, Problem::new(ProblemCode::Internal, "the answer broke off").into_response());
    };
    let answer = StoredAnswer {
        status: parts.status.as_u16(),
        headers: kept_headers(&parts.headers),
        body: Base64(bytes.to_vec()),
    };
    (Some(answer), Response::from_parts(parts, Body::from(bytes)))
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    [CONTENT_TYPE, ETAG, LOCATION, GENERATION.clone(), APPLIED.clone()]
        .into_iter()
        .filter_map(|name| {
            let value = headers.get(&name)?.to_str().ok()?.to_owned();
            Some((name.as_str().to_owned(), value))
        })
        .collect()
}

fn replay(answer: StoredAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body.0));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    response
}

fn parse_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(&KEY).iter();
    let key = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits = (KEY_LENGTH_MIN..=KEY_LENGTH_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && values.next().is_none() {
        return Ok(key.to_owned());
    }
    let detail = format!("one key of {KEY_LENGTH_MIN} to {KEY_LENGTH_MAX} visible ASCII characters");
    Err(Problem::parameter("Idempotency-Key", detail))
}

/// SHA-256 over method, target and body, told apart by their lengths.
fn hash(method: &str, target: &str, body: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [method.as_bytes(), target.as_bytes(), body] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_16_to_64_visible_characters() {
        let parse = |keys: &[&str]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(KEY.clone(), key.parse().expect("a value"));
            }
            parse_key(&headers)
        };
        for key in ["0123456789abcdef", &"x".repeat(64), "7c9e6679-7425-40de-944b-e07fc1f90ae7"] {
            assert_eq!(parse(&[key]).expect("a key"), key);
        }
        for keys in [
            &["0123456789abcde"][..],
            &[&"x".repeat(65)],
            &["0123456789 abcdef"],
            &[""],
            &["0123456789abcdef"; 2],
        ] {
            assert_eq!(parse(keys).expect_err("no key").code(), ProblemCode::InvalidParameter, "{keys:?}");
        }
    }

    #[test]
    fn requests_that_differ_anywhere_hash_apart() {
        let first = hash("POST", "/v1/a", b"{}");
        assert_eq!(first, hash("POST", "/v1/a", b"{}"));
        for other in
            [hash("PUT", "/v1/a", b"{}"), hash("POST", "/v1/a{", b"}"), hash("POST", "/v1/a", b"{} ")]
        {
            assert_ne!(first, other);
        }
    }

    #[tokio::test]
    async fn an_answer_is_replayed_as_it_was() {
        let answer = StoredAnswer {
            status: 201,
            headers: vec![("etag".into(), "\"1\"".into()), ("location".into(), "/v1/x".into())],
            body: Base64(b"{}".to_vec()),
        };
        let response = replay(answer);
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["etag"], "\"1\"");
        assert_eq!(response.headers()["idempotency-replayed"], "true");
        assert_eq!(axum::body::to_bytes(response.into_body(), 10).await.expect("a body"), "{}");
    }

    #[tokio::test]
    async fn what_was_or_may_have_been_done_is_kept_and_what_was_refused_is_not() {
        let problem = |code| Problem::new(code, "x");
        let unknown = || problem(ProblemCode::QueryTimeout).uncertain();
        for (response, status) in [
            (StatusCode::CREATED.into_response(), Some(201)),
            (unknown().into_response(), Some(504)),
            (problem(ProblemCode::NodeUnavailable).uncertain().into_response(), Some(503)),
            (problem(ProblemCode::QueryTimeout).into_response(), None),
            (problem(ProblemCode::NodeUnavailable).into_response(), None),
            (problem(ProblemCode::ValidationFailed).into_response(), None),
        ] {
            let (kept, _) = to_keep(response, "r").await;
            assert_eq!(kept.map(|answer| answer.status), status);
        }
        let (kept, first) = to_keep(unknown().into_response(), "r").await;
        assert!(first.extensions().get::<Problem>().is_some(), "the first is written as any problem is");
        let again = replay(kept.expect("kept"));
        assert_eq!(
            (again.status(), &again.headers()["content-type"]),
            (first.status(), &HeaderValue::from_static(PROBLEM_JSON))
        );
        let body = axum::body::to_bytes(again.into_body(), 1_000).await.expect("a body");
        assert_eq!(body, serde_json::to_vec(&unknown().body("r")).expect("serializes"));
    }

    #[test]
    fn cookies_are_never_kept() {
        let headers = HeaderMap::from_iter([
            (axum::http::header::SET_COOKIE, HeaderValue::from_static("iotmq_session=x")),
            (ETAG, HeaderValue::from_static("\"1\"")),
        ]);
        assert_eq!(kept_headers(&headers), [("etag".to_owned(), "\"1\"".to_owned())]);
    }
}
