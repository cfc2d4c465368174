//! What the API answers when it cannot do what was asked: `application/problem+json` (RFC 9457).
//!
//! Programs switch on [`ProblemCode`], people read `detail`. A handler returns a [`Problem`]; its body is written by
//! the outermost layer, which knows the request's id.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $status:literal $code:literal $title:literal;)*) => {
        /// What went wrong, for programs. Codes are added, never renamed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode {
            $($(#[doc = $doc])* $name,)*
        }

        impl ProblemCode {
            /// Every code, in the order in which people read them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is written in an answer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            /// The same sentence for every problem of this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// When it is answered.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    /// The body is no JSON, ends early, goes on after its end, names a member twice or nests too deep.
    MalformedJson = 400 "malformed_json" "The body is not well-formed JSON";
    /// A query parameter or a header is unknown or has a bad value.
    InvalidParameter = 400 "invalid_parameter" "A parameter is not valid";
    /// The cursor is not one that this list has given, or not with this order.
    InvalidCursor = 400 "invalid_cursor" "The cursor is not valid";
    /// The text is no MQTT topic filter.
    InvalidTopicFilter = 400 "invalid_topic_filter" "The topic filter is not valid";

    /// There is no session, or it is over.
    NotSignedIn = 401 "not_signed_in" "Sign in first";
    /// The e-mail address or the password is wrong; it is not said which.
    CredentialsWrong = 401 "credentials_wrong" "The e-mail address or the password is wrong";
    /// The password is right; a second factor is asked for, with the challenge.
    SecondFactorRequired = 401 "second_factor_required" "A second factor is required";
    /// The password is right and must be changed, with the challenge.
    PasswordChangeRequired = 401 "password_change_required" "The password must be changed first";
    /// The signature does not fit the request.
    SignatureWrong = 401 "signature_wrong" "The signature is wrong";
    /// The signed time is more than five minutes away.
    SignatureExpired = 401 "signature_expired" "The signature is too old";
    /// The nonce was used before.
    NonceReplayed = 401 "nonce_replayed" "The nonce was used before";
    /// The key's time is over.
    KeyExpired = 401 "key_expired" "The key has expired";

    /// The role of the caller does not allow it; `missing_permission` names what would.
    PermissionDenied = 403 "permission_denied" "The role does not allow this";
    /// The key lacks a scope.
    ScopeMissing = 403 "scope_missing" "The key lacks a scope";
    /// The key may not be used from this address.
    AddressNotAllowed = 403 "address_not_allowed" "The key may not be used from this address";
    /// Only the platform's operators may do this.
    OperatorOnly = 403 "operator_only" "Only operators may do this";
    /// The session came as a cookie and the header `X-CSRF-Token` is absent or wrong.
    CsrfFailed = 403 "csrf_failed" "The CSRF token is missing or wrong";
    /// The tenant is suspended: it may be read, not changed.
    TenantSuspended = 403 "tenant_suspended" "The tenant is suspended";

    /// There is no such thing, or it is somebody else's: the two are answered alike.
    NotFound = 404 "not_found" "There is no such thing";
    /// The path exists and has no such method.
    MethodNotAllowed = 405 "method_not_allowed" "The path has no such method";
    /// None of the accepted media types can be made.
    NotAcceptable = 406 "not_acceptable" "No accepted media type can be made";

    /// The name is in use already.
    NameTaken = 409 "name_taken" "The name is taken";
    /// A limit of the plan is reached; `limit` says which.
    LimitReached = 409 "limit_reached" "A limit is reached";
    /// The thing is not in a state in which this can be done.
    WrongState = 409 "wrong_state" "The state does not allow this";
    /// Something else still needs it.
    InUse = 409 "in_use" "It is still in use";
    /// It is protected against deletion: switch the protection off first.
    DeleteProtected = 409 "delete_protected" "It is protected against deletion";
    /// A tenant has at least one owner.
    LastOwner = 409 "last_owner" "A tenant must keep an owner";
    /// What exists now does not fit the plan asked for.
    WouldExceedLimits = 409 "would_exceed_limits" "What exists would exceed the limits";
    /// The topic keeps no history.
    HistoryDisabled = 409 "history_disabled" "The topic keeps no history";
    /// The first call with this idempotency key is still running.
    IdempotencyInProgress = 409 "idempotency_in_progress" "The first call with this key is still running";

    /// `If-Match` names another revision than the current one.
    RevisionMismatch = 412 "revision_mismatch" "It was changed meanwhile";
    /// The body is larger than 1 MiB.
    BodyTooLarge = 413 "body_too_large" "The body is too large";
    /// The body's media type is not `application/json`.
    MediaTypeUnsupported = 415 "media_type_unsupported" "The media type is not supported";
    /// `If-Match` is required here.
    PreconditionRequired = 428 "precondition_required" "If-Match is required";

    /// A member has a bad value; `errors` points at each.
    ValidationFailed = 422 "validation_failed" "A value is not valid";
    /// The body has a member that this call does not know.
    UnknownField = 422 "unknown_field" "The body has an unknown member";
    /// The life asked for is outside what plan and signing key allow; it is never shortened silently.
    TtlOutOfBounds = 422 "ttl_out_of_bounds" "The time to live is out of bounds";
    /// There are more grants than the plan allows.
    GrantsTooMany = 422 "grants_too_many" "There are too many grants";
    /// The address is one that the platform never calls.
    AddressForbidden = 422 "address_forbidden" "The address may not be called";
    /// The idempotency key was used with another request.
    IdempotencyMismatch = 422 "idempotency_mismatch" "The key was used with another request";

    /// Too many requests; `Retry-After` says when to come again.
    RateLimited = 429 "rate_limited" "Too many requests";
    /// Too many failed sign-ins; `Retry-After` says when to come again.
    LockedOut = 429 "locked_out" "Too many failed attempts";

    /// A fault of ours; the request's id finds it in our logs.
    Internal = 500 "internal" "Something is wrong on our side";
    /// The database does not answer.
    DatabaseUnavailable = 503 "database_unavailable" "The database does not answer";
    /// A node does not answer.
    NodeUnavailable = 503 "node_unavailable" "A node does not answer";
    /// The request took longer than it may.
    QueryTimeout = 504 "query_timeout" "It took too long";
}

impl ProblemCode {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::LockedOut
                | Self::IdempotencyInProgress
                | Self::DatabaseUnavailable
                | Self::NodeUnavailable
                | Self::QueryTimeout
        )
    }
}

/// One bad value in the body.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where it stands in the body: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong with it, for programs.
    pub code: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

/// The limit that was reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct LimitReached {
    /// Its name, as in the plan.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// How much of it is used.
    pub used: u64,
    /// What it bounds: `instance` or `tenant`.
    pub scope: String,
}

/// A problem as it is answered (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same sentence for every problem of this code.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What went wrong, for programs.
    pub code: ProblemCode,
    /// What went wrong this time, for people.
    pub detail: String,
    /// The id of this request, as in `Request-Id`.
    pub request_id: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether what was asked may have been done all the same. It is then not retryable; under its `Idempotency-Key`,
    /// if it had one, the same answer comes again and nothing is done again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// The permission that the caller's role lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<String>,
    /// What a second step of sign-in must bring back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The current revision, when `If-Match` named another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitReached>,
    /// The bad values of the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// Why a request was not done. Small to return; written by the outermost layer.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: ProblemCode,
    detail: String,
    missing_permission: Option<String>,
    challenge: Option<String>,
    revision: Option<i64>,
    limit: Option<LimitReached>,
    errors: Vec<FieldProblem>,
    retry_after_secs: Option<u64>,
    uncertain: bool,
}

impl Problem {
    /// A problem with its code and what it was this time: lower case, no full stop.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            missing_permission: None,
            challenge: None,
            revision: None,
            limit: None,
            errors: Vec::new(),
            retry_after_secs: None,
            uncertain: false,
        }))
    }

    /// The answer for what is not there and for what is somebody else's.
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "there is no such thing")
    }

    /// A fault of ours. It is logged here, with its causes; the answer says nothing of them.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed");
        Self::new(ProblemCode::Internal, "the fault is logged under this request's id")
    }

    /// The database does not answer. Logged here, with its causes.
    pub fn database_unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = %chain(error), "database unavailable");
        Self::new(ProblemCode::DatabaseUnavailable, "the database does not answer")
    }

    /// One bad value of the body.
    pub fn field(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ProblemCode::ValidationFailed, detail.clone()).with_error(pointer, code, detail)
    }

    /// One bad query parameter or header.
    pub fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(ProblemCode::InvalidParameter, format!("`{name}`: {detail}"))
    }

    /// Points at a bad value of the body.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldProblem {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
        });
        self
    }

    /// Names the permission that is missing.
    #[must_use]
    pub fn with_missing_permission(mut self, permission: impl Into<String>) -> Self {
        self.0.missing_permission = Some(permission.into());
        self
    }

    /// Gives the challenge of the second step.
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl Into<String>) -> Self {
        self.0.challenge = Some(challenge.into());
        self
    }

    /// Gives the current revision.
    #[must_use]
    pub fn with_revision(mut self, revision: i64) -> Self {
        self.0.revision = Some(revision);
        self
    }

    /// Names the limit that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: LimitReached) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// Says when to come again: `Retry-After`.
    #[must_use]
    pub fn with_retry_after_secs(mut self, secs: u64) -> Self {
        self.0.retry_after_secs = Some(secs);
        self
    }

    /// Says that what was asked may have been done all the same. Saying the same again is then no remedy.
    #[must_use]
    pub fn uncertain(mut self) -> Self {
        self.0.uncertain = true;
        self
    }

    /// Whether what was asked may have been done all the same.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.0.uncertain
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// What it was this time.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The bad values it points at.
    #[must_use]
    pub fn errors(&self) -> &[FieldProblem] {
        &self.0.errors
    }

    /// When to come again.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.0.retry_after_secs
    }

    /// The body of the answer to the request with this id.
    #[must_use]
    pub fn body(&self, request_id: &str) -> ProblemBody {
        let parts = &*self.0;
        ProblemBody {
            kind: format!("/docs/errors#{}", parts.code.as_str()),
            title: parts.code.title().to_owned(),
            status: parts.code.status(),
            code: parts.code,
            detail: parts.detail.clone(),
            request_id: request_id.to_owned(),
            retryable: parts.code.retryable() && !parts.uncertain,
            uncertain: parts.uncertain,
            missing_permission: parts.missing_permission.clone(),
            challenge: parts.challenge.clone(),
            revision: parts.revision,
            limit: parts.limit.clone(),
            errors: parts.errors.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_its_name_says() {
        for code in ProblemCode::ALL {
            let json = serde_json::to_value(code).expect("serializes");
            assert_eq!(json, code.as_str(), "{code:?}");
            assert!(code.doc().ends_with('.') && !code.title().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn every_code_has_a_status_that_http_knows_as_an_error() {
        for code in ProblemCode::ALL {
            let status = StatusCode::from_u16(code.status()).expect("a status");
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert!(!code.retryable() || matches!(code.status(), 409 | 429 | 503 | 504), "{code:?}");
        }
    }

    #[test]
    fn a_problem_says_what_it_has_and_nothing_else() {
        let problem =
            Problem::new(ProblemCode::LimitReached, "instance `cars` has 100 of 100 topics").with_limit(
                LimitReached { name: "topics_max".into(), value: 100, used: 100, scope: "instance".into() },
            );
        let json = serde_json::to_value(problem.body("01")).expect("serializes");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/docs/errors#limit_reached", "title": "A limit is reached", "status": 409,
                "code": "limit_reached", "detail": "instance `cars` has 100 of 100 topics", "request_id": "01",
                "retryable": false, "limit": {"name": "topics_max", "value": 100, "used": 100, "scope": "instance"},
            })
        );
    }
}
