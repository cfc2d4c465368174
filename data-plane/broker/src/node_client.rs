//! The node's side of `/node/v1` over HTTP: one method a call, bounded in time and in bytes. It decides nothing and
//! retries nothing.

use std::time::Duration;

use contract::base64::Base64;
use contract::feed::{ChangesAnswer, ExportPage, FORMAT_VERSION, Generation, UrgentAnswer, understands};
use contract::node::{EnrolAnswer, EnrolRequest, NodeReport};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::enrol::NodeKey;

/// The most bytes of an answer with changes, urgent entries or a page of an export.
pub(crate) const FEED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes of any other answer, refusals included.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Silence of a peer until the connection is given up is three times this.
const PROBE_PERIOD: Duration = Duration::from_secs(5);
const PROBES_MAX: u32 = 2;

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Until the connection stands.
    pub(crate) connect: Duration,
    /// Until the answer is there whole, beyond the time that the call was asked to wait.
    pub(crate) answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(20) }
    }
}

/// A controller as a node sees it.
#[derive(Clone)]
pub(crate) struct NodeClient {
    http: reqwest::Client,
    controller: Url,
    timeouts: Timeouts,
    /// `Bearer <node id>.<secret>`; none before the node has enrolled.
    bearer: Option<HeaderValue>,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The controller's address is none.
    #[error("the controller's address must be an http URL, not `{url}`")]
    Address {
        /// The address given.
        url: String,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    SetUp(#[source] reqwest::Error),
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The controller cannot be reached, or went away, or took too long.
    #[error("the controller cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The controller refused.
    #[error("the controller refused with status {status} and code `{code}`")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The code of its problem; empty where it gave none.
        code: String,
    },
    /// The answer is larger than is read.
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The answer is not what was asked for.
    #[error("the answer cannot be read")]
    Undecodable(#[source] serde_json::Error),
    /// The controller speaks a format that is too far from this release's.
    #[error(
        "the controller speaks format {theirs}, this node {FORMAT_VERSION}: only one release apart is understood"
    )]
    Format {
        /// The controller's.
        theirs: u32,
    },
}

impl CallError {
    /// A short name that stays the same for the same trouble: what is compared to say it only once.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused { status, .. } if status.is_server_error() => "controller_failed",
            Self::Refused { .. } => "refused",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Undecodable(_) => "answer_undecodable",
            Self::Format { .. } => "format_not_understood",
        }
    }

    /// Whether the controller refused what the call says, so that it would refuse it again.
    pub(crate) fn is_of_content(&self) -> bool {
        const OF_CONTENT: [StatusCode; 3] =
            [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY];
        matches!(self, Self::Refused { status, .. } if OF_CONTENT.contains(status))
    }

    /// Whether the same call may succeed in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::TooLarge { .. } | Self::Undecodable(_) | Self::Format { .. } => false,
        }
    }
}

impl NodeClient {
    /// A client of the controller at `url`, without a key.
    pub(crate) fn new(url: &str, timeouts: Timeouts) -> Result<Self, ClientError> {
        let address = || ClientError::Address { url: url.to_owned() };
        let controller = Url::parse(url).map_err(|_| address())?;
        if !matches!(controller.scheme(), "http" | "https") || controller.host().is_none() {
            return Err(address());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .tcp_keepalive(PROBE_PERIOD)
            .tcp_keepalive_interval(PROBE_PERIOD)
            .tcp_keepalive_retries(PROBES_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(ClientError::SetUp)?;
        Ok(Self { http, controller, timeouts, bearer: None })
    }

    /// The same client, as the node with this key.
    pub(crate) fn with_key(self, key: &NodeKey) -> Self {
        let bearer = format!("Bearer {}.{}", key.node, Base64(key.secret.to_vec()).encode());
        let mut bearer = HeaderValue::try_from(bearer).expect("a UUID and base64 are fit for a header");
        bearer.set_sensitive(true);
        Self { bearer: Some(bearer), ..self }
    }

    /// Asks to join.
    pub(crate) async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAnswer, CallError> {
        let call = self.http.post(self.url("enrol", &[])).json(request);
        decode(&self.call(call, Duration::ZERO, SMALL_BYTES_MAX).await?, |_: &EnrolAnswer| FORMAT_VERSION)
    }

    /// Asks for the changes after `after`, waiting up to `wait_secs` for one.
    pub(crate) async fn changes(
        &self,
        after: Generation,
        wait_secs: u64,
    ) -> Result<ChangesAnswer, CallError> {
        let url = self.url(
            "changes",
            &[
                ("timeline", &after.timeline.to_string()),
                ("after", &after.number.to_string()),
                ("wait_secs", &wait_secs.to_string()),
                ("format_version", &FORMAT_VERSION.to_string()),
            ],
        );
        let body = self.call(self.http.get(url), Duration::from_secs(wait_secs), FEED_BYTES_MAX).await?;
        decode(&body, |answer: &ChangesAnswer| match answer {
            ChangesAnswer::Changes { format_version, .. }
            | ChangesAnswer::ExportNeeded { format_version } => *format_version,
        })
    }

    /// Asks for the urgent entries after `after`, waiting up to `wait_secs` for one.
    pub(crate) async fn urgent(&self, after: u64, wait_secs: u64) -> Result<UrgentAnswer, CallError> {
        let url = self.url(
            "urgent",
            &[
                ("after", &after.to_string()),
                ("wait_secs", &wait_secs.to_string()),
                ("format_version", &FORMAT_VERSION.to_string()),
            ],
        );
        let body = self.call(self.http.get(url), Duration::from_secs(wait_secs), FEED_BYTES_MAX).await?;
        decode(&body, |answer: &UrgentAnswer| answer.format_version)
    }

    /// Asks for a page of an export: the first, or the one that the page before named.
    pub(crate) async fn export(&self, cursor: Option<&str>) -> Result<ExportPage, CallError> {
        let cursor: Vec<(&str, &str)> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        let url = self.url("export", &cursor);
        let body = self.call(self.http.get(url), Duration::ZERO, FEED_BYTES_MAX).await?;
        decode(&body, |page: &ExportPage| page.format_version)
    }

    /// Says how the node is.
    pub(crate) async fn report(&self, report: &NodeReport) -> Result<(), CallError> {
        let call = self.http.post(self.url("report", &[])).json(report);
        self.call(call, Duration::ZERO, SMALL_BYTES_MAX).await.map(|_| ())
    }

    fn url(&self, call: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.controller.clone();
        let path = format!("{}/node/v1/{call}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn call(
        &self,
        call: RequestBuilder,
        wait: Duration,
        bytes_max: usize,
    ) -> Result<Vec<u8>, CallError> {
        let call = match &self.bearer {
            Some(bearer) => call.header(AUTHORIZATION, bearer.clone()),
            None => call,
        };
        let response =
            call.timeout(wait + self.timeouts.answer).send().await.map_err(CallError::Unreachable)?;
        let status = response.status();
        if status.is_success() {
            return read(response, bytes_max).await;
        }
        // What it says about it is read if it can be; the status counts.
        let problem = read(response, SMALL_BYTES_MAX).await.unwrap_or_default();
        let code = serde_json::from_slice::<Problem>(&problem).map_or_else(|_| String::new(), |it| it.code);
        Err(CallError::Refused { status, code })
    }
}

/// What is read of a refusal.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, CallError> {
    let too_large = |length: usize| length > bytes_max;
    if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, too_large)) {
        return Err(CallError::TooLarge { bytes_max });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CallError::Unreachable)? {
        if too_large(body.len() + chunk.len()) {
            return Err(CallError::TooLarge { bytes_max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Decodes, and refuses a format that is too far away: by name, where the version can be read at all.
fn decode<T: DeserializeOwned>(body: &[u8], version: impl FnOnce(&T) -> u32) -> Result<T, CallError> {
    #[derive(Deserialize)]
    struct Versioned {
        format_version: u32,
    }
    let decoded = serde_json::from_slice::<T>(body);
    let theirs = match &decoded {
        Ok(answer) => version(answer),
        Err(_) => {
            serde_json::from_slice::<Versioned>(body).map_or(FORMAT_VERSION, |answer| answer.format_version)
        }
    };
    if !understands(theirs) {
        return Err(CallError::Format { theirs });
    }
    decoded.map_err(CallError::Undecodable)
}

#[cfg(test)]
mod tests {
    use contract::ids::TimelineId;
    use uuid::Uuid;

    use super::*;
    use crate::config_sync::script::Script;

    fn client(script: &Script) -> NodeClient {
        let timeouts = Timeouts { connect: Duration::from_secs(5), answer: Duration::from_millis(200) };
        NodeClient::new(&script.url(), timeouts).expect("a client")
    }

    #[test]
    fn an_address_is_an_http_url() {
        for (url, good) in [
            ("http://127.0.0.1:8080", true),
            ("http://controller/below/", true),
            ("controller:8080", false),
            ("ftp://controller", false),
            ("", false),
        ] {
            assert_eq!(NodeClient::new(url, Timeouts::default()).is_ok(), good, "{url}");
        }
        let client = NodeClient::new("http://c/below/", Timeouts::default()).expect("a client");
        assert_eq!(
            client.url("export", &[("cursor", "a b&c")]).as_str(),
            "http://c/below/node/v1/export?cursor=a+b%26c"
        );
        assert_eq!(client.url("report", &[]).as_str(), "http://c/below/node/v1/report");
    }

    #[tokio::test]
    async fn an_answer_has_a_largest_size() {
        let script = Script::start();
        let client = client(&script);
        let report = NodeReport::default();
        script.say_raw("report", StatusCode::OK, &"x".repeat(SMALL_BYTES_MAX));
        client.report(&report).await.expect("at the bound");
        script.say_raw("report", StatusCode::OK, &"x".repeat(SMALL_BYTES_MAX + 1));
        let error = client.report(&report).await.expect_err("past the bound");
        assert!(matches!(error, CallError::TooLarge { bytes_max: SMALL_BYTES_MAX }), "{error:?}");
        script.say_raw("report", StatusCode::BAD_REQUEST, &"x".repeat(SMALL_BYTES_MAX + 1));
        let error = client.report(&report).await.expect_err("refused");
        assert!(matches!(error, CallError::Refused { status: StatusCode::BAD_REQUEST, .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_controller_that_does_not_answer_in_time_is_unreachable() {
        let script = Script::start();
        let after = Generation { timeline: TimelineId(Uuid::nil()), number: 1 };
        let error = client(&script).changes(after, 0).await.expect_err("times out");
        assert!(matches!(&error, CallError::Unreachable(source) if source.is_timeout()), "{error:?}");
    }

    #[tokio::test]
    async fn a_redirection_is_not_followed() {
        let script = Script::start();
        script.say_raw("urgent", StatusCode::FOUND, "");
        let error = client(&script).urgent(1, 0).await.expect_err("refused");
        assert_eq!(error.name(), "refused");
    }
}
