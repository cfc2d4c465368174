//! A controller for tests that says what its script says: per call a queue of answers. With nothing left to say it
//! lets the caller wait, as a long poll does, except that a report is always welcome.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What a test waits for at most: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One question as it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Lines {
    answers: BTreeMap<String, VecDeque<(StatusCode, String)>>,
    asked: BTreeMap<String, Vec<Asked>>,
}

struct Shared {
    lines: Mutex<Lines>,
    changed: watch::Sender<()>,
}

/// The controller. It can be taken down and brought back on the same port.
pub(crate) struct Script {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Its own: ending it ends every connection.
    runtime: Option<Runtime>,
}

impl Script {
    pub(crate) fn start() -> Self {
        let shared =
            Arc::new(Shared { lines: Mutex::new(Lines::default()), changed: watch::Sender::new(()) });
        let mut script = Self { shared, address: ([127, 0, 0, 1], 0).into(), runtime: None };
        script.up();
        script
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn up(&mut self) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind(self.address).expect("the port");
        self.address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("set");
        let router = Router::new().route("/node/v1/{call}", any(answer)).with_state(Arc::clone(&self.shared));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("registered");
            axum::serve(listener, router).await.expect("serves");
        });
        self.runtime = Some(runtime);
    }

    pub(crate) fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits until nothing of it is left: the port is free and no connection speaks on.
            std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE)).join().expect("ends");
        }
    }

    /// The next answer to `call`.
    pub(crate) fn say(&self, call: &str, answer: impl Serialize) {
        self.say_raw(call, StatusCode::OK, &serde_json::to_string(&answer).expect("serializes"));
    }

    pub(crate) fn say_raw(&self, call: &str, status: StatusCode, body: &str) {
        self.with(|lines| {
            lines.answers.entry(call.to_owned()).or_default().push_back((status, body.to_owned()));
        });
        self.shared.changed.send_replace(());
    }

    /// Every question of this call so far.
    pub(crate) fn asked(&self, call: &str) -> Vec<Asked> {
        self.with(|lines| lines.asked.get(call).cloned().unwrap_or_default())
    }

    /// One member of the query of each question.
    pub(crate) fn asked_for(&self, call: &str, name: &str) -> Vec<String> {
        self.asked(call).iter().map(|asked| asked.query.get(name).cloned().unwrap_or_default()).collect()
    }

    fn with<T>(&self, read: impl FnOnce(&mut Lines) -> T) -> T {
        read(&mut self.shared.lines.lock().expect("no panic"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(call): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let authorization = headers.get("authorization").and_then(|it| it.to_str().ok()).map(str::to_owned);
    let body = serde_json::from_str(&body).unwrap_or(Value::Null);
    let mut changed = shared.changed.subscribe();
    let lines = || shared.lines.lock().expect("no panic");
    lines().asked.entry(call.clone()).or_default().push(Asked { query, authorization, body });
    loop {
        let said = lines().answers.get_mut(&call).and_then(VecDeque::pop_front);
        if let Some((status, body)) = said {
            return (status, body).into_response();
        }
        if call == "report" {
            return StatusCode::NO_CONTENT.into_response();
        }
        changed.changed().await.expect("the script lives on");
    }
}

/// Waits until the condition holds; says which did not.
pub(crate) async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
