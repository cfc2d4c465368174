//! A receiver of webhooks: an HTTP server that answers as it is told, and checks signatures by itself, from the text of
//! Standard Webhooks alone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// One call, as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Names in lower case, and values.
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    /// The value of a header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The body, which is JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The type of the event in it.
    #[must_use]
    pub fn event(&self) -> String {
        crate::http_client::text(&self.json(), "type")
    }

    /// Fails unless it is signed with this secret, as it was shown, and not long ago.
    #[track_caller]
    pub fn must_be_signed(&self, secret: &str, now_secs: i64) {
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let key = secret.strip_prefix("whsec_").expect("a secret begins with `whsec_`");
        let key = STANDARD.decode(key).expect("a secret is base64");
        assert_eq!(key.len(), 32);
        let expected = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &key),
            format!("{id}.{timestamp}.{}", self.body).as_bytes(),
        );
        let expected = format!("v1,{}", STANDARD.encode(expected));
        let mut signatures = self.header("webhook-signature").split(' ');
        assert!(signatures.any(|it| it == expected), "{:?}", self.headers);
        let timestamp: i64 = timestamp.parse().expect("a time in seconds");
        assert!((now_secs - timestamp).abs() < 300, "signed at {timestamp}, it is {now_secs}");
    }
}

#[derive(Default)]
struct Held {
    calls: Vec<Call>,
    /// What the next calls are answered; 204 once there are none.
    statuses: VecDeque<u16>,
}

/// A receiver on loopback; it ends when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Listens.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let held = Arc::new(Mutex::new(Held::default()));
        let kept = Arc::clone(&held);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let held = Arc::clone(&kept);
                // Who hangs up in the middle has not called.
                tokio::spawn(async move { drop(receive(stream, &held).await) });
            }
        });
        Self { address, held, task }
    }

    /// What to call.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next call that nobody has said anything about with this status.
    pub fn answer(&self, status: u16) {
        self.held().statuses.push_back(status);
    }

    /// Every call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.held().calls.clone()
    }

    /// Waits until there are so many calls; there must not be more.
    pub async fn wait_for_calls(&self, count: usize) -> Vec<Call> {
        wait_for(&format!("{count} calls of a webhook"), async || self.held().calls.len() >= count).await;
        let calls = self.calls();
        assert_eq!(calls.len(), count, "{calls:?}");
        calls
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(stream: TcpStream, held: &Mutex<Held>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut call = Call { headers, body: String::new() };
    let length = call.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    call.body = String::from_utf8(body).expect("a body in UTF-8");
    let status = {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        held.calls.push(call);
        held.statuses.pop_front().unwrap_or(204)
    };
    let answer = format!("HTTP/1.1 {status} As Told\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).await?;
    stream.get_mut().shutdown().await
}
