//! Who asks: a member by session (cookie with CSRF token, or bearer), a node by its key. Rates are taken here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use service::access::Caller;
use service::nodes::NodeCaller;
use service::session::Session;

use crate::observe::RequestId;
use crate::problem::{Problem, ProblemCode};
use crate::rate::{RateKey, RateTicket};
use crate::state::AppState;

/// The cookie that bears a session's token.
pub(crate) const SESSION_COOKIE: &str = "iotmq_session";
/// The header that bears the CSRF token where the session came as a cookie.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
/// Longer than any token of ours: what is longer is not looked up.
const TOKEN_BYTES_MAX: usize = 256;

/// Whom the layer has found behind a request; what it found wrong is told to a handler that needs to know who asks.
#[derive(Clone)]
enum Found {
    Nobody,
    Member(Arc<Proven>),
    Wrong(Problem),
}

/// A session and the token it was found by.
struct Proven {
    session: Session,
    token: String,
}

/// How a session's token came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carrier {
    Cookie,
    Bearer,
}

/// A member who is signed in: what a handler asks for that serves only such.
#[derive(Clone)]
pub(crate) struct SignedIn(Arc<Proven>);

impl SignedIn {
    /// Who asks, for the services.
    #[must_use]
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.session.caller
    }

    /// The session.
    #[must_use]
    pub(crate) fn session(&self) -> &Session {
        &self.0.session
    }

    /// The session's token.
    #[must_use]
    pub(crate) fn token(&self) -> &str {
        &self.0.token
    }

    /// Who is signed in, if somebody is; for layers.
    pub(crate) fn find(extensions: &Extensions) -> Option<Self> {
        match extensions.get::<Found>() {
            Some(Found::Member(found)) => Some(Self(Arc::clone(found))),
            Some(Found::Nobody | Found::Wrong(_)) | None => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Found>() {
            Some(Found::Member(found)) => Ok(Self(Arc::clone(found))),
            Some(Found::Wrong(problem)) => Err(problem.clone()),
            Some(Found::Nobody) | None => Err(Problem::new(ProblemCode::NotSignedIn, "there is no session")),
        }
    }
}

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub IpAddr);

impl PeerAddress {
    fn of(extensions: &Extensions) -> Self {
        let connected = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        Self(connected.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PeerAddress {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(request_id(&parts.extensions))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RateTicket {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Problem::new(ProblemCode::Internal, "the request has no account"))
    }
}

fn request_id(extensions: &Extensions) -> RequestId {
    extensions.get().copied().unwrap_or(RequestId(uuid::Uuid::nil()))
}

/// The layer of `/v1`: finds the session, checks the CSRF token, takes one from the caller's rate.
pub(crate) async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = RateKey::of_address(PeerAddress::of(request.extensions()).0);
    if let Err(problem) = state.addresses.take(address, NonZeroU32::MIN) {
        let mut response = problem.into_response();
        state.addresses.write(0, response.headers_mut());
        return response;
    }
    let id = request_id(request.extensions());
    let found = find(&state, request.method(), request.headers(), id).await;
    let key = match &found {
        Found::Member(found) => found.session.caller.member().map_or(address, RateKey::Member),
        Found::Nobody | Found::Wrong(_) => address,
    };
    request.extensions_mut().insert(found);
    run_counted(&state, key, request, next).await
}

/// Runs a request on the account of `key`.
async fn run_counted(state: &AppState, key: RateKey, mut request: Request, next: Next) -> Response {
    match RateTicket::take(&state.callers, key) {
        Ok(ticket) => {
            request.extensions_mut().insert(ticket.clone());
            let mut response = next.run(request).await;
            ticket.write(response.headers_mut());
            response
        }
        Err(problem) => {
            let mut response = problem.into_response();
            state.callers.write(0, response.headers_mut());
            response
        }
    }
}

async fn find(state: &AppState, method: &Method, headers: &HeaderMap, id: RequestId) -> Found {
    let Some((token, carrier)) = presented(headers) else { return Found::Nobody };
    let not_signed_in =
        || Found::Wrong(Problem::new(ProblemCode::NotSignedIn, "the session is unknown or over"));
    if token.len() > TOKEN_BYTES_MAX {
        return not_signed_in();
    }
    let session = match state.services.session.find_session(token, &id.to_string()).await {
        Ok(Some(session)) => session,
        Ok(None) => return not_signed_in(),
        Err(error) => return Found::Wrong(error.into()),
    };
    if carrier == Carrier::Cookie && changes(method) {
        let given = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !state.services.session.check_csrf(token, given) {
            let detail = "a session in a cookie needs its CSRF token in `X-CSRF-Token`";
            return Found::Wrong(Problem::new(ProblemCode::CsrfFailed, detail));
        }
    }
    Found::Member(Arc::new(Proven { session, token: token.to_owned() }))
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// The token of a request and how it came; a bearer stands before a cookie.
fn presented(headers: &HeaderMap) -> Option<(&str, Carrier)> {
    if let Some(bearer) = bearer(headers) {
        return Some((bearer, Carrier::Bearer));
    }
    let cookie = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)?;
    Some((cookie.1, Carrier::Cookie))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A node, recognised by its key: what a handler of `/node/v1` asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node(pub NodeCaller);

impl FromRequestParts<AppState> for Node {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let wrong =
            || Problem::new(ProblemCode::NotSignedIn, "a node shows its key: `Bearer <node id>.<secret>`");
        let address = RateKey::of_address(PeerAddress::of(&parts.extensions).0);
        state.addresses.take(address, NonZeroU32::MIN)?;
        let bearer =
            bearer(&parts.headers).filter(|bearer| bearer.len() <= TOKEN_BYTES_MAX).ok_or_else(wrong)?;
        let node = state.services.nodes.find_node(bearer).await?.ok_or_else(wrong)?;
        state.callers.take(RateKey::Node(node.node), NonZeroU32::MIN)?;
        Ok(Self(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: Option<(&str, Carrier)>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: axum::http::HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        assert_eq!(presented(&headers), expected, "{pairs:?}");
    }

    #[test]
    fn a_token_comes_as_bearer_or_cookie() {
        check(&[], None);
        check(&[("authorization", "Bearer abc")], Some(("abc", Carrier::Bearer)));
        check(&[("authorization", "bearer abc")], Some(("abc", Carrier::Bearer)));
        check(&[("authorization", "Basic abc")], None);
        check(&[("cookie", "a=b; iotmq_session=abc; c=d")], Some(("abc", Carrier::Cookie)));
        check(&[("cookie", "a=b"), ("cookie", "iotmq_session=abc")], Some(("abc", Carrier::Cookie)));
        check(&[("cookie", "xiotmq_session=abc")], None);
        check(
            &[("cookie", "iotmq_session=abc"), ("authorization", "Bearer x")],
            Some(("x", Carrier::Bearer)),
        );
    }

    #[test]
    fn only_reading_needs_no_csrf_token() {
        for (method, expected) in [
            (Method::GET, false),
            (Method::HEAD, false),
            (Method::POST, true),
            (Method::PATCH, true),
            (Method::DELETE, true),
        ] {
            assert_eq!(changes(&method), expected, "{method}");
        }
    }
}
