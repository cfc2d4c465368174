//! The REST API, as far as the bench needs it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Times that one call is said again.
const TRIES_MAX: usize = 100;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The operator's password from the first sign-in on.
const PASSWORD: &str = "only for this run of the bench";

/// A caller of the API of one process.
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

impl Api {
    /// Nobody yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into(), base: format!("http://{address}"), authorization: None }
    }

    /// Signs the operator in with the one-time password, which must be changed on the way.
    pub(crate) fn sign_in(&mut self, one_time_password: &str) -> Result<()> {
        let credentials = json!({"email": "operator@localhost", "password": one_time_password});
        let first = self.call("/v1/session", &credentials)?;
        ensure!(
            first.body["code"] == "password_change_required",
            "sign-in answered {} {}",
            first.status,
            first.body
        );
        let change = json!({"challenge": first.body["challenge"], "new_password": PASSWORD});
        let second = self.call("/v1/session", &change)?;
        ensure!(second.status == 200, "the new password answered {} {}", second.status, second.body);
        self.authorization = Some(format!("Bearer {}", text(&second.body["token"])?));
        Ok(())
    }

    /// A POST that must succeed; said again when its rate limit allows.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        for _ in 0..TRIES_MAX {
            let answer = self.call(path, body)?;
            match answer.status {
                200..300 => return Ok(answer.body),
                429 => std::thread::sleep(Duration::from_secs(answer.retry_after_secs)),
                status => bail!("POST {path} answered {status} {}", answer.body),
            }
        }
        bail!("POST {path} stays rate limited")
    }

    /// A GET, whatever it answers.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let response = self.authorized(request).call().with_context(|| format!("GET {path}"))?;
        Ok(Answer::read(response))
    }

    fn call(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("Prefer", "wait=10");
        let response = self.authorized(request).send_json(body).with_context(|| format!("POST {path}"))?;
        Ok(Answer::read(response))
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }
}

/// What the API answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    retry_after_secs: u64,
    pub(crate) body: Value,
}

impl Answer {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let retry_after = response.headers().get("retry-after").and_then(|it| it.to_str().ok());
        let retry_after_secs = retry_after.and_then(|it| it.parse().ok()).unwrap_or(1);
        // A token is half a kilobyte and a batch has a thousand.
        let body =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json().unwrap_or(Value::Null);
        Self { status: response.status().as_u16(), retry_after_secs, body }
    }
}

/// The text that a value is.
pub(crate) fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}
