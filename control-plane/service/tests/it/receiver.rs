//! A receiver of webhooks: answers as it is told, remembers what came, and checks signatures by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The first line and the headers, in lower case.
    head: String,
    body: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    pub(crate) fn event(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Whether one of its signatures is of this secret, as it was shown.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let signatures = self.header("webhook-signature").split(' ').filter_map(|it| it.strip_prefix("v1,"));
        let mut signatures = signatures.map(|it| STANDARD.decode(it).expect("base64"));
        signatures.any(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
    }

    /// How many signatures it bears.
    pub(crate) fn signatures(&self) -> usize {
        self.header("webhook-signature").split(' ').count()
    }
}

#[derive(Default)]
struct Held {
    calls: Vec<Call>,
    answers: VecDeque<String>,
}

/// Listens on loopback until it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    held: Arc<Mutex<Held>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let held = Arc::new(Mutex::new(Held::default()));
        let task = tokio::spawn({
            let held = Arc::clone(&held);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // Who hangs up is none of our business.
                    drop(receive(stream, &held).await);
                }
            }
        });
        Self { url, held, task }
    }

    /// Answers the next call not yet promised an answer with this status line, headers and body; 204 without.
    pub(crate) fn answer(&self, answer: &str) {
        self.lock().answers.push_back(answer.to_owned());
    }

    /// Takes what has come so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().calls)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(mut stream: TcpStream, held: &Mutex<Held>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let call = loop {
        if let Some(call) = whole(&bytes) {
            break call;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let answer = {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        held.calls.push(call);
        held.answers.pop_front()
    };
    let answer = answer.unwrap_or_else(|| "204 No Content\r\n\r\n".to_owned());
    stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await?;
    stream.shutdown().await
}

fn whole(bytes: &[u8]) -> Option<Call> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let call = Call { head: lower_names(head), body: body.to_owned() };
    let length: usize = call.header("content-length").parse().expect("a length");
    (body.len() >= length).then_some(call)
}

fn lower_names(head: &str) -> String {
    let lines = head.lines().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
