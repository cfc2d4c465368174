//! A caller of the REST API, and what a test says about an answer.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// The longest that one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// One caller: an address, and a session once it is signed in. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    bearer: Option<String>,
    headers: HeaderMap,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request, for messages.
    pub request: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Api {
    /// A caller who is not signed in.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let client = Client::builder().timeout(CALL_TIME_MAX).no_proxy().build().expect("an HTTP client");
        Self { client, base: format!("http://{address}"), bearer: None, headers: HeaderMap::new() }
    }

    /// The same caller with this session or key.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// The same caller who sends this header with every call.
    #[must_use]
    pub fn header(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        Self { headers, ..self.clone() }
    }

    /// The same caller who waits until every reachable node has applied what it writes.
    #[must_use]
    pub fn waiting(&self) -> Self {
        self.header("prefer", "wait=10")
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    /// `POST` without a body.
    pub async fn act(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body.to_string())).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Any method, with the body as it is given.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let request = format!("{method} {path}");
        let mut builder =
            self.client.request(method, format!("{}{path}", self.base)).headers(self.headers.clone());
        if let Some(bearer) = &self.bearer {
            builder = builder.bearer_auth(bearer);
        }
        if let Some(body) = body {
            builder = builder.header("content-type", "application/json").body(body);
        }
        let response = builder.send().await.unwrap_or_else(|error| panic!("{request}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{request}: {error:?}"));
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { request, status, headers, body }
    }

    /// Signs in with a password that must be changed on the way; the caller is then signed in.
    pub async fn sign_in_first_time(&self, email: &str, one_time_password: &str, password: &str) -> Self {
        let answer = self
            .post("/v1/session", serde_json::json!({"email": email, "password": one_time_password}))
            .await;
        let problem = answer.problem(401, "password_change_required");
        let change = serde_json::json!({"challenge": problem["challenge"], "new_password": password});
        self.post("/v1/session", change).await.signed_in(self)
    }

    /// Signs in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let answer =
            self.post("/v1/session", serde_json::json!({"email": email, "password": password})).await;
        answer.signed_in(self)
    }
}

impl Answer {
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}: {}", self.request, self.body);
        &self.body
    }

    /// The body of an answer that says something was made.
    #[track_caller]
    pub fn created(&self) -> &Value {
        self.expect(StatusCode::CREATED.as_u16())
    }

    /// The body of an answer that says all is well.
    #[track_caller]
    pub fn ok(&self) -> &Value {
        self.expect(StatusCode::OK.as_u16())
    }

    /// The body of an answer that must be this problem, in the form that every problem has.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}: {}",
            self.request,
            self.body
        );
        assert_eq!(self.text_header("content-type"), Some("application/problem+json"), "{}", self.request);
        assert_eq!(self.body["status"], status, "{}: {}", self.request, self.body);
        assert_eq!(self.body["type"], format!("/docs/errors#{code}"), "{}: {}", self.request, self.body);
        assert_eq!(self.body["request_id"].as_str(), self.text_header("request-id"), "{}", self.request);
        for member in ["title", "detail"] {
            assert!(
                self.body[member].as_str().is_some_and(|text| !text.is_empty()),
                "{}: {}",
                self.request,
                self.body
            );
        }
        &self.body
    }

    /// A member of the body that is a text.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        text(&self.body, member)
    }

    /// A header, if it is there.
    #[must_use]
    pub fn text_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    fn signed_in(&self, api: &Api) -> Api {
        self.ok();
        api.bearer(&self.text("token"))
    }
}

/// A member of a JSON object that is a text.
#[track_caller]
#[must_use]
pub fn text(value: &Value, member: &str) -> String {
    match value[member].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no text `{member}` in {value}"),
    }
}
