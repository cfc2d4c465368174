//! The web console: the files of its build, embedded, and how they are served.
//!
//! The user documentation is embedded as well: its pages are there in every build.
//!
//! A binary that was built without the console serves a page that says so and leads to the API reference. This crate
//! holds no logic of the product: the console is a client of the REST API like any other.

mod docs;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// What a page of the console may load: its own files and the API, nothing of others, nothing inline but styles.
pub const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

const PLACEHOLDER: &str = include_str!("placeholder.html");
const PLACEHOLDER_STYLE: &str = include_str!("placeholder.css");

/// Files whose names change with their content.
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
/// Everything else is asked for again, and not sent again when it is the same.
const CACHE_ASK: &str = "no-cache";

/// Whether the console's build is embedded.
#[must_use]
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// Serves the console at every path that it is given.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    docs::router().fallback(serve)
}

async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if !is_built() {
        return placeholder(path);
    }
    if let Some(file) = Dist::get(path) {
        return embedded(path, file, &headers);
    }
    // A path that names no file is a page of the app; a file that is not there is not there.
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) || path.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Dist::get("index.html") {
        Some(file) => embedded("index.html", file, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn placeholder(path: &str) -> Response {
    match path {
        "" | "index.html" => page("text/html; charset=utf-8", PLACEHOLDER),
        "placeholder.css" => page("text/css; charset=utf-8", PLACEHOLDER_STYLE),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static(CACHE_ASK)),
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    ];
    (headers, text).into_response()
}

fn embedded(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = file.metadata.sha256_hash().iter().fold(String::new(), |tag, byte| format!("{tag}{byte:02x}"));
    let tag = HeaderValue::try_from(format!("\"{tag}\"")).expect("hexadecimal digits are a header value");
    let cache = if path.starts_with("assets/") { CACHE_FOREVER } else { CACHE_ASK };
    let mut response = if headers.get(IF_NONE_MATCH) == Some(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.data))
    };
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    answer.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    answer.insert(ETAG, tag);
    response
}

/// The media types of what a build of the console consists of.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str) -> Response {
        let uri: Uri = path.parse().expect("a path");
        serve(Method::GET, uri, HeaderMap::new()).await
    }

    #[tokio::test]
    async fn the_first_page_is_there_in_every_build() {
        let response = get("/").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], CONTENT_POLICY);
        assert_eq!(get("/assets/absent.js").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/absent.js").await.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_placeholder_leads_to_the_reference_and_loads_nothing_of_others() {
        assert!(PLACEHOLDER.contains("href=\"/docs/api\"") && PLACEHOLDER.contains("href=\"/docs\""));
        assert!(PLACEHOLDER.contains("Node.js") && PLACEHOLDER.contains("cargo xtask up"), "how to get it");
        assert!(!PLACEHOLDER.contains("//"), "only paths of this server");
        assert!(!PLACEHOLDER.contains("<script") && !PLACEHOLDER.contains("style="), "nothing inline");
    }

    #[tokio::test]
    async fn only_reading_is_possible() {
        let response = serve(Method::POST, Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
