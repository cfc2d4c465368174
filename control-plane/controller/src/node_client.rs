//! The controller's calls of nodes over HTTP: signed, bounded in time and in bytes, and no answer believed that the node
//! has not signed. It decides nothing and retries nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use contract::base64::Base64;
use contract::message::{MessageQuery, MessagesAnswer, PublishAnswer, PublishRequest};
use contract::node_call::{ANSWER_HEADER, NONCE_BYTES};
use contract::shared_group::{SharedGroupsAnswer, SharedGroupsQuery};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service::clock::Clock;
use service::node_calls::{Call, NodeCallError, NodeCalls, Peer};

use crate::node_proof::CallKey;

/// How long it may take until a connection stands.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a call may take in all: longer than a node lets one take, less than the API does.
const CALL_TIME_MAX: Duration = Duration::from_secs(6);
/// The most bytes of an answer: a page of messages at their longest topics, or one large payload in base64.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why nodes cannot be called at all.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for calls of nodes cannot be set up")]
pub struct ClientError(#[source] reqwest::Error);

/// Calls nodes over HTTP.
pub(crate) struct NodeClient {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl NodeClient {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(CALL_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(ClientError)?;
        Ok(Self { http, clock })
    }

    /// One call of a node.
    fn call<T: DeserializeOwned + 'static>(
        &self,
        node: &Peer,
        method: Method,
        path: &str,
        query: Option<(&str, &str)>,
        body: Vec<u8>,
    ) -> Call<T> {
        let prepared = self.prepare(node, method, path, query, body);
        Box::pin(async move {
            let Prepared { call, key, nonce } = prepared?;
            let response = call.send().await.map_err(|error| not_sent(&error))?;
            let status = response.status();
            let signature = response.headers().get(ANSWER_HEADER).and_then(|it| it.to_str().ok());
            let signature = signature.unwrap_or_default().to_owned();
            let body = read(response).await?;
            if !key.believes(&nonce, status.as_u16(), &body, &signature) {
                let code = code(&body);
                tracing::warn!(%status, code, "a node's answer is not signed by it");
                return Err(NodeCallError::NotBelieved);
            }
            match status {
                StatusCode::OK => serde_json::from_slice(&body).map_err(|_| NodeCallError::NotBelieved),
                StatusCode::GATEWAY_TIMEOUT => Err(NodeCallError::TimedOut),
                _ => Err(NodeCallError::Refused { code: code(&body) }),
            }
        })
    }

    fn prepare(
        &self,
        node: &Peer,
        method: Method,
        path: &str,
        query: Option<(&str, &str)>,
        body: Vec<u8>,
    ) -> Result<Prepared, NodeCallError> {
        let address = node.address.as_deref().ok_or(NodeCallError::Closed)?;
        let mut url = Url::parse(address).map_err(|_| NodeCallError::NotReached)?;
        url.set_path(path);
        if let Some((name, value)) = query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut nonce = [0; NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| NodeCallError::NotReached)?;
        let nonce = Base64(nonce.to_vec()).encode();
        let now = u64::try_from(self.clock.now().timestamp()).unwrap_or(0);
        let key = CallKey::of_secret_sha256(&node.secret_sha256);
        let header = key.header(method.as_str(), &target, &body, now, &nonce);
        let mut call = self.http.request(method, url).header(AUTHORIZATION, header);
        if !body.is_empty() {
            call = call.header(CONTENT_TYPE, "application/json").body(body);
        }
        Ok(Prepared { call, key, nonce })
    }
}

struct Prepared {
    call: reqwest::RequestBuilder,
    key: CallKey,
    nonce: String,
}

impl NodeCalls for NodeClient {
    fn messages(&self, node: &Peer, query: &MessageQuery) -> Call<MessagesAnswer> {
        let query = String::from_utf8(json(query)).unwrap_or_default();
        self.call(node, Method::GET, "/node/v1/messages", Some(("query", &query)), Vec::new())
    }

    fn publish(&self, node: &Peer, request: &PublishRequest) -> Call<PublishAnswer> {
        self.call(node, Method::POST, "/node/v1/publish", None, json(request))
    }

    fn shared_groups(&self, node: &Peer, query: &SharedGroupsQuery) -> Call<SharedGroupsAnswer> {
        let query = String::from_utf8(json(query)).unwrap_or_default();
        self.call(node, Method::GET, "/node/v1/shared-groups", Some(("query", &query)), Vec::new())
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain values have a JSON form")
}

/// The name that a node gives its trouble.
fn code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    serde_json::from_slice::<Problem>(body).map_or_else(|_| String::new(), |problem| problem.code)
}

/// A call that did not come to an answer.
fn not_sent(error: &reqwest::Error) -> NodeCallError {
    if error.is_connect() {
        NodeCallError::NotReached
    } else if error.is_timeout() {
        NodeCallError::TimedOut
    } else {
        NodeCallError::Broken
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, NodeCallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| not_sent(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(NodeCallError::NotBelieved);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
