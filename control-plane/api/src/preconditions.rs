//! `If-Match` and `Prefer`: what a caller asks of a write beside its body.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use crate::problem::{Problem, ProblemCode};

/// The longest that a write may be asked to wait for the nodes.
pub(crate) const PREFER_WAIT_SECS_MAX: u64 = 10;

/// The revision that the caller last saw, from `If-Match: "<revision>"`; none when it does not care.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct IfMatch(pub Option<i64>);

impl IfMatch {
    /// Reads the header. `*` asks only that the thing exists, which every write needs anyway.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        text.strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|revision| revision.parse().ok())
            .filter(|revision| *revision >= 0)
            .map(|revision| Self(Some(revision)))
            .ok_or_else(|| Problem::parameter("If-Match", format_args!("`{text}` is no `\"<revision>\"`")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(&parts.headers)
    }
}

/// `ETag` of a thing with this revision.
#[must_use]
pub(crate) fn etag(revision: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits in quotes are a header value")
}

/// The answer when `If-Match` named another revision.
pub(crate) fn revision_mismatch(current: i64) -> Problem {
    Problem::new(ProblemCode::RevisionMismatch, format!("the current revision is `{current}`"))
        .with_revision(current)
}

/// How long the answer may be held until every reachable node has applied the write: `Prefer: wait=<seconds>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PreferWait(pub Option<Duration>);

impl PreferWait {
    /// Reads the header; preferences that are not understood are passed over (RFC 7240), and more than
    /// [`PREFER_WAIT_SECS_MAX`] counts as that.
    #[must_use]
    pub(crate) fn parse(headers: &HeaderMap) -> Self {
        let secs = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.trim().split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
            .find_map(|(_, secs)| secs.trim().parse::<u64>().ok());
        Self(secs.map(|secs| Duration::from_secs(secs.min(PREFER_WAIT_SECS_MAX))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PreferWait {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))])
    }

    #[test]
    fn if_match_is_one_strong_revision() {
        assert_eq!(IfMatch::parse(&HeaderMap::new()).expect("parses"), IfMatch(None));
        for (text, expected) in [(r#""7""#, Some(7)), (r#" "0" "#, Some(0)), ("*", None)] {
            assert_eq!(
                IfMatch::parse(&headers("if-match", text)).expect("parses"),
                IfMatch(expected),
                "{text}"
            );
        }
        for text in ["7", r#""x""#, r#"W/"7""#, r#""7","8""#, "", r#""-1""#, r#"""#] {
            let problem = IfMatch::parse(&headers("if-match", text)).expect_err("a problem");
            assert_eq!(problem.code(), ProblemCode::InvalidParameter, "{text}");
        }
    }

    #[test]
    fn prefer_wait_is_bounded_and_tolerant() {
        for (text, secs) in [
            ("wait=2", Some(2)),
            ("return=minimal, Wait=3", Some(3)),
            ("respond-async; wait = 4", Some(4)),
            ("wait=99", Some(10)),
            ("wait=0", Some(0)),
            ("wait=soon", None),
            ("", None),
        ] {
            assert_eq!(
                PreferWait::parse(&headers("prefer", text)).0,
                secs.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
