//! JSON bodies, read strictly: one value, no member twice, no member unknown, bounded in bytes and depth.

use std::collections::HashSet;
use std::fmt;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::problem::{Problem, ProblemCode};

/// The most bytes of a body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most levels of arrays and objects in a body.
pub(crate) const BODY_DEPTH_MAX: usize = 64;

/// A JSON body of type `T`.
#[derive(Debug)]
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let media_type = parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if !media_type.is_some_and(is_json) {
            return Err(Problem::new(
                ProblemCode::MediaTypeUnsupported,
                format!("the body must be `application/json`, not `{}`", media_type.unwrap_or_default()),
            ));
        }
        let bytes = read(body).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().size_hint().exact() == Some(0) && !request.headers().contains_key(CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// The whole of a body within [`BODY_BYTES_MAX`].
pub(crate) async fn read(body: axum::body::Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        if is_too_long(&error) {
            let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
            return Problem::new(ProblemCode::BodyTooLarge, detail);
        }
        Problem::new(ProblemCode::MalformedJson, "the body ended early")
    })
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "application/merge-patch+json")
}

/// A text, which is an object, as a `T`; or the problem with where it lies.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| Problem::new(ProblemCode::MalformedJson, error.to_string()))?;
    // A list would pass for a struct whose members it gives in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::field("", "wrong_type", "the body must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| explain(&error))
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let message = error.inner().to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let pointer: String = error
        .path()
        .iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect();
    if let Some(name) = quoted(message, "unknown field `") {
        let tail = format!("/{}", escape(name));
        let pointer = if pointer.ends_with(&tail) { pointer } else { pointer + &tail };
        let detail = format!("there is no member `{name}` here");
        return Problem::new(ProblemCode::UnknownField, detail.clone())
            .with_error(pointer, "unknown", detail);
    }
    if let Some(name) = quoted(message, "missing field `") {
        let detail = format!("the member `{name}` is required");
        return Problem::field(format!("{pointer}/{}", escape(name)), "required", detail);
    }
    let code = if message.starts_with("invalid type") {
        "wrong_type"
    } else if message.starts_with("unknown variant") {
        "unknown_value"
    } else {
        "invalid"
    };
    Problem::field(pointer, code, message)
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

/// One reference token of a JSON Pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Walks over one value and keeps nothing of it.
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == BODY_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {BODY_DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(self.deeper()?)?;
            if let Some(name) = seen.replace(name) {
                return Err(A::Error::custom(format_args!("the member `{name}` is given twice")));
            }
        }
        Ok(())
    }
}

/// A member of a JSON Merge Patch (RFC 7396) that null takes away. To be used with `#[serde(default)]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Patch<T> {
    /// It was left out: what is stays.
    #[default]
    Keep,
    /// It was null: what is goes.
    Clear,
    /// It is this from now on.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T> From<Patch<T>> for Option<Option<T>> {
    fn from(patch: Patch<T>) -> Self {
        match patch {
            Patch::Keep => None,
            Patch::Clear => Some(None),
            Patch::Set(value) => Some(Some(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Example {
        name: String,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        grants: Vec<contract::grant::Grant>,
    }

    #[track_caller]
    fn check(json: &str, code: ProblemCode, pointer: &str, field_code: &str) {
        let problem = parse::<Example>(json.as_bytes()).expect_err("a problem");
        assert_eq!(problem.code(), code, "{json}: {}", problem.detail());
        let first = problem.errors().first().map(|error| (error.pointer.as_str(), error.code.as_str()));
        assert_eq!(first.unwrap_or_default(), (pointer, field_code), "{json}");
    }

    #[test]
    fn a_problem_points_at_its_member() {
        use ProblemCode::{MalformedJson, UnknownField, ValidationFailed};
        check("", MalformedJson, "", "");
        check("{", MalformedJson, "", "");
        check(r#"{"name":"a"} x"#, MalformedJson, "", "");
        check(r#"{"name":"a","name":"b"}"#, MalformedJson, "", "");
        check(r#"{"name":"a","labels":{"x":"1","x":"2"}}"#, MalformedJson, "", "");
        check("{\"name\":\"\u{1}\"}", MalformedJson, "", "");
        check(r"{}", ValidationFailed, "/name", "required");
        check(r#"{"name":1}"#, ValidationFailed, "/name", "wrong_type");
        check(r#"{"name":null}"#, ValidationFailed, "/name", "wrong_type");
        for text in ["[1]", r#"["a",{},[]]"#, "1", "null", "\"a\"", " []"] {
            check(text, ValidationFailed, "", "wrong_type");
        }
        check(r#"{"name":"a","colour":1}"#, UnknownField, "/colour", "unknown");
        check(r#"{"name":"a","a/b":1}"#, UnknownField, "/a~1b", "unknown");
        check(r#"{"name":"a","labels":{"x/y":1}}"#, ValidationFailed, "/labels/x~1y", "wrong_type");
        check(
            r#"{"name":"a","grants":[{"actions":["fly"],"topic_filter":"a"}]}"#,
            ValidationFailed,
            "/grants/0/actions/0",
            "unknown_value",
        );
        check(
            r#"{"name":"a","grants":[{"actions":[],"topic_filter":"a/#/b"}]}"#,
            ValidationFailed,
            "/grants/0/topic_filter",
            "invalid",
        );
        check(
            r#"{"name":"a","grants":[{"actions":[],"topic_filter":"a","qos":1}]}"#,
            UnknownField,
            "/grants/0/qos",
            "unknown",
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse::<serde_json::Value>(nested(BODY_DEPTH_MAX).as_bytes()).is_ok());
        let problem =
            parse::<serde_json::Value>(nested(BODY_DEPTH_MAX + 1).as_bytes()).expect_err("too deep");
        assert_eq!(problem.code(), ProblemCode::MalformedJson);
        let problem = parse::<serde_json::Value>(nested(500_000).as_bytes()).expect_err("too deep");
        assert_eq!(problem.code(), ProblemCode::MalformedJson);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_no_json() {
        let problem = parse::<Example>(b"{\"name\":\"\xff\"}").expect_err("a problem");
        assert_eq!(problem.code(), ProblemCode::MalformedJson);
    }

    #[test]
    fn a_patch_tells_absent_from_null() {
        #[derive(Deserialize)]
        struct Update {
            #[serde(default)]
            payload_bytes_max: Patch<u64>,
        }
        for (json, expected) in [
            ("{}", Patch::Keep),
            (r#"{"payload_bytes_max":null}"#, Patch::Clear),
            (r#"{"payload_bytes_max":5}"#, Patch::Set(5)),
        ] {
            assert_eq!(
                parse::<Update>(json.as_bytes()).expect("parses").payload_bytes_max,
                expected,
                "{json}"
            );
        }
    }

    async fn post(
        media_type: Option<&str>,
        body: impl Into<axum::body::Body>,
    ) -> Result<Body<Example>, ProblemCode> {
        let mut request = Request::post("/");
        if let Some(media_type) = media_type {
            request = request.header(CONTENT_TYPE, media_type);
        }
        let request = request.body(body.into()).expect("a request");
        <Body<Example> as FromRequest<()>>::from_request(request, &()).await.map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn media_type_and_size_are_checked() {
        let json = r#"{"name":"a"}"#;
        assert!(post(Some("application/json"), json).await.is_ok());
        assert!(post(Some("Application/JSON; charset=utf-8"), json).await.is_ok());
        assert!(post(Some("application/merge-patch+json"), json).await.is_ok());
        for wrong in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(post(wrong, json).await.expect_err("refused"), ProblemCode::MediaTypeUnsupported);
        }
        let fits = format!("{json}{}", " ".repeat(BODY_BYTES_MAX - json.len()));
        assert!(post(Some("application/json"), fits.clone()).await.is_ok());
        let none = <Body<Example> as OptionalFromRequest<()>>::from_request(Request::default(), &()).await;
        assert!(none.expect("may be left out").is_none());
        let refused = post(Some("application/json"), fits + " ").await.expect_err("too large");
        assert_eq!(refused, ProblemCode::BodyTooLarge);
    }
}
