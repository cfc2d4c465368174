//! Whether the caller can read what the API answers.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Problem, ProblemCode};

/// The layer: refuses, before anything is done, a request whose answer its caller could not read.
pub(crate) async fn acceptable(request: Request, next: Next) -> Response {
    if takes_json(request.headers()) {
        return next.run(request).await;
    }
    Problem::new(ProblemCode::NotAcceptable, "answers are `application/json`").into_response()
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut asked = headers.get_all(ACCEPT).iter().peekable();
    if asked.peek().is_none() {
        return true;
    }
    asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let (essence, parameters) = range.split_once(';').unwrap_or((range, ""));
        let refused =
            parameters.split(';').any(|it| matches!(it.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        let essence = essence.trim().to_ascii_lowercase();
        !refused && matches!(essence.as_str(), "*/*" | "application/*" | "application/json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_must_be_among_what_is_accepted() {
        assert!(takes_json(&HeaderMap::new()));
        for (accept, expected) in [
            ("*/*", true),
            ("application/json", true),
            ("text/html, application/*;q=0.8", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", false),
            ("application/xml, text/*", false),
            ("application/json;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().expect("a value"))]);
            assert_eq!(takes_json(&headers), expected, "{accept}");
        }
    }
}
