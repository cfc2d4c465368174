//! What people read about the API: the interactive reference, the problem codes, the documents. All of it is in the
//! binary; no page loads anything from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, Url};

use crate::openapi;
use crate::problem::ProblemCode;

/// What a page may load: only what this server sends; styles may stand inline, scripts may not.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const CONTROL_PLANE: &str = "/openapi/control-plane.v1.json";
const NODE: &str = "/openapi/node.v1.json";

static CONTROL_PLANE_TEXT: LazyLock<String> = LazyLock::new(|| openapi::text(&openapi::control_plane()));
static NODE_TEXT: LazyLock<String> = LazyLock::new(|| openapi::text(&openapi::node()));
static ERRORS_PAGE: LazyLock<String> = LazyLock::new(errors_page);
static REFERENCE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let urls = [Url::new("Control plane", CONTROL_PLANE), Url::new("Node", NODE)];
    let config = Config::new(urls)
        .validator_url("none")
        .deep_linking(true)
        .display_request_duration(true)
        .filter(true)
        .try_it_out_enabled(true);
    Arc::new(config)
});

/// The pages.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs/api", get(|| async { Redirect::to("/docs/api/") }))
        .route("/docs/api/", get(|| async { reference("index.html") }))
        .route("/docs/api/{*file}", get(|Path(file): Path<String>| async move { reference(&file) }))
        .route("/docs/errors", get(|| async { page(ERRORS_PAGE.as_str()) }))
        .route(CONTROL_PLANE, get(|| async { document(CONTROL_PLANE_TEXT.as_str()) }))
        .route(NODE, get(|| async { document(NODE_TEXT.as_str()) }))
}

fn reference(file: &str) -> Response {
    match utoipa_swagger_ui::serve(file, Arc::clone(&REFERENCE)) {
        Ok(Some(file)) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::try_from(file.content_type)),
                (CACHE_CONTROL, Ok(HeaderValue::from_static("no-cache"))),
                (CONTENT_SECURITY_POLICY, Ok(PAGE_POLICY)),
            ];
            let headers =
                headers.map(|(name, value)| (name, value.unwrap_or(HeaderValue::from_static("text/plain"))));
            (headers, named(file.bytes.into_owned())).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(%error, "the reference page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The page under our own title; any other file as it is.
fn named(file: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(file) {
        Ok(text) => {
            text.replace("<title>Swagger UI</title>", "<title>API reference - IoT MQ</title>").into_bytes()
        }
        Err(binary) => binary.into_bytes(),
    }
}

fn page(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, text).into_response()
}

fn document(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

/// Every problem code, from the one table.
fn errors_page() -> String {
    let rows: String = ProblemCode::ALL
        .iter()
        .map(|code| {
            let (name, status, title) = (code.as_str(), code.status(), code.title());
            let (doc, retry) = (code.doc().replace('`', ""), if code.retryable() { "yes" } else { "" });
            format!(
                "<tr id=\"{name}\"><td><code>{name}</code></td><td>{status}</td><td>{title}. {doc}</td><td>{retry}</td></tr>\n"
            )
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Problem codes - IoT MQ</title>\n\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}}\
         td,th{{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0}}tr:target{{background:#fe9}}</style></head>\n\
         <body><h1>Problem codes</h1>\n<p>An answer that is an error is <code>application/problem+json</code> \
         (RFC 9457). Programs switch on <code>code</code>; codes are added, never renamed. \
         <a href=\"/docs/api/\">API reference</a></p>\n\
         <table><tr><th>code</th><th>status</th><th>meaning</th><th>retry</th></tr>\n{rows}</table></body></html>\n"
    )
}

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod problem_codes;

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (parts, body) = router::<()>().oneshot(request).await.expect("answers").into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn the_reference_is_whole_and_runs_under_its_policy() {
        let (status, headers, html) = get("/docs/api/").await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-security-policy"], PAGE_POLICY);
        assert!(html.contains("<title>API reference - IoT MQ</title>"));
        assert!(!html.contains("<script>") && !html.contains("onload="), "no script stands inline");
        for tag in html.split(['<']).filter(|tag| tag.starts_with("script") || tag.starts_with("link")) {
            let attribute = tag.split_once("src=\"").or_else(|| tag.split_once("href=\""));
            let address = attribute.and_then(|(_, rest)| rest.split('"').next()).expect("loads something");
            let file = address.trim_start_matches("./");
            assert!(!file.contains("//"), "{address} is not ours");
            let (status, _, body) = get(&format!("/docs/api/{file}")).await;
            assert_eq!((status.as_u16(), body.is_empty()), (200, false), "{file}");
        }
        let (_, _, initializer) = get("/docs/api/swagger-initializer.js").await;
        assert!(initializer.contains(CONTROL_PLANE) && initializer.contains(NODE), "{initializer}");
        assert!(!initializer.contains("http"), "{initializer}");
    }

    #[tokio::test]
    async fn both_documents_and_every_code_are_served() {
        for path in [CONTROL_PLANE, NODE] {
            let (status, _, text) = get(path).await;
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!((status.as_u16(), &json["openapi"]), (200, &"3.1.0".into()), "{path}");
        }
        let (_, _, html) = get("/docs/errors").await;
        for code in ProblemCode::ALL {
            assert!(html.contains(&format!("<tr id=\"{}\">", code.as_str())), "{code:?}");
        }
        assert_eq!(get("/docs/api/absent.js").await.0, 404);
        assert_eq!(get("/docs/api").await.1["location"], "/docs/api/");
    }
}
