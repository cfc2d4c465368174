//! `iotmq standalone` as a child process, and what its API must say before the load may begin: sign-in, a plan above
//! the load, tenant, instance, topic, and a temporary token for every client.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::{Api, text};
use super::case::{Case, STORED_TOPIC, TOPIC};
use super::connection::Identity;
use super::load::{filter, topic};
use super::now;
use super::process::{Lines, Process, free_port, wait_for_listener};
use crate::run::{cargo, root, run, step};

/// The first start makes a database.
const START_WAIT: Duration = Duration::from_mins(2);
/// Requests a second and at once that one caller of the API may make.
const API_RATE: &str = "1000000";
/// Tokens in one call.
const BATCH: usize = 1_000;
/// Longer than any run.
const TOKEN_TTL_SECS: u64 = 6 * 3_600;
/// How long the messages of the stored topic are kept.
const HISTORY_SECS: u64 = 24 * 3_600;
/// An hour, as a distance in time.
const HOUR_SECS: i64 = 3_600;

/// A running IoT MQ with an instance to load.
pub(crate) struct Iotmq {
    /// Always there, but for the moment of a restart. Ends before its directory goes.
    pub(crate) process: Option<Process>,
    setup: Setup,
    api: Api,
    instance: String,
    /// Issued once for each case, so that every round but the first connects with a token the broker has seen.
    issued: Vec<(Case, Vec<Identity>)>,
    /// Clients that have been given tokens only to stay connected.
    idle: usize,
}

/// How the process is started.
struct Setup {
    /// What is put in front of the command line.
    wrapper: Vec<OsString>,
    binary: PathBuf,
    directory: TempDir,
    api_address: SocketAddr,
    mqtt_address: SocketAddr,
    workers: usize,
}

impl Setup {
    fn command(&self) -> Command {
        let mut words = self.wrapper.iter().map(OsString::as_os_str).chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("standalone").arg("--data-dir").arg(self.directory.path());
        command.arg("--api-address").arg(self.api_address.to_string());
        command.arg("--mqtt-address").arg(self.mqtt_address.to_string());
        // Thousands of tokens are issued at once: what the API bears is not the question here.
        command.env("IOTMQ_CONTROLLER__API__REQUESTS_PER_SEC", API_RATE);
        command.env("IOTMQ_CONTROLLER__API__BURST", API_RATE);
        command.env("IOTMQ_BROKER__WORKERS", self.workers.to_string());
        command
    }
}

impl Iotmq {
    /// Starts the binary on a data directory of its own and provisions what the cases need.
    pub(crate) fn start(binary: Option<&Path>, workers: usize) -> Result<Self> {
        Self::start_under(binary, workers, &[])
    }

    /// The same as an argument of the program that these words begin with.
    pub(crate) fn start_under(binary: Option<&Path>, workers: usize, wrapper: &[OsString]) -> Result<Self> {
        let setup = Setup {
            wrapper: wrapper.to_owned(),
            binary: binary.map_or_else(build_release, |path| Ok(path.to_owned()))?,
            directory: tempfile::tempdir()?,
            api_address: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            mqtt_address: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            workers,
        };
        let (process, lines) = Process::start(&mut setup.command())?;
        let password = read_password(&lines)?;
        let mut api = Api::new(setup.api_address);
        api.sign_in(&password)?;
        wait_for_node(&api)?;
        let instance = provision(&api)?;
        Ok(Self { process: Some(process), setup, api, instance, issued: Vec::new(), idle: 0 })
    }

    /// Stops it and starts it again on the same data, so that its memory is that of a new process.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process = None;
        let (mut process, lines) = Process::start(&mut self.setup.command())?;
        wait_for_listener(&mut process, self.setup.mqtt_address, START_WAIT)
            .with_context(|| format!("iotmq said {:?}", lines.so_far()))?;
        self.process = Some(process);
        Ok(())
    }

    /// Where MQTT listens.
    pub(crate) const fn mqtt_address(&self) -> SocketAddr {
        self.setup.mqtt_address
    }

    /// The clients of a case, publishers first, each with a token for its own topics.
    pub(crate) fn identities(&mut self, case: Case) -> Result<Vec<Identity>> {
        if let Some((_, identities)) = self.issued.iter().find(|(of, _)| *of == case) {
            return Ok(identities.clone());
        }
        let publishers = (0..case.publishers()).map(|at| {
            (
                format!("{case:?}-publisher-{at}"),
                json!([{"actions": ["publish"], "topic_filter": topic(case, at)}]),
            )
        });
        let subscribers = (0..case.subscribers()).map(|at| {
            (
                format!("{case:?}-subscriber-{at}"),
                json!([{"actions": ["subscribe"], "topic_filter": filter(case, at)}]),
            )
        });
        let identities = self.issue(publishers.chain(subscribers).collect())?;
        self.issued.push((case, identities.clone()));
        Ok(identities)
    }

    /// New clients that only stay connected: the broker has seen none of their tokens.
    pub(crate) fn idle_identities(&mut self, count: usize) -> Result<Vec<Identity>> {
        let from = self.idle;
        self.idle += count;
        let clients = (from..from + count)
            .map(|at| {
                let filter = filter(Case::OneToOneQos0, at);
                (format!("idle-{at}"), json!([{"actions": ["subscribe"], "topic_filter": filter}]))
            })
            .collect();
        self.issue(clients)
    }

    /// One page of a topic's messages of the last hour.
    pub(crate) fn messages(&self, topic: &str, order: &str) -> Result<Value> {
        let (from, to) = (time_of_day(-HOUR_SECS), time_of_day(1));
        let topic = topic.replace('/', "%2F");
        let path = format!(
            "/v1/instances/{}/messages?topic_filter={topic}&order={order}&from={from}&to={to}&limit=50&include=payload",
            self.instance
        );
        let answer = self.api.get(&path)?;
        ensure!(answer.status == 200, "GET {path} answered {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Clients that are called `role`, each with what `grants` gives it.
    pub(crate) fn clients(
        &self,
        role: &str,
        count: usize,
        grants: &dyn Fn(usize) -> Value,
    ) -> Result<Vec<Identity>> {
        self.issue((0..count).map(|at| (format!("{role}-{at}"), grants(at))).collect())
    }

    /// Kills it and starts it again on the same data. The answer is when that began, and what it says.
    pub(crate) fn kill_and_start(&mut self) -> Result<(Instant, Lines)> {
        self.process.take().context("it runs")?.kill()?;
        let started = now();
        let (process, lines) = Process::start(&mut self.setup.command())?;
        self.process = Some(process);
        Ok((started, lines))
    }

    /// Where it keeps everything.
    pub(crate) fn directory(&self) -> &Path {
        self.setup.directory.path()
    }

    fn issue(&self, clients: Vec<(String, Value)>) -> Result<Vec<Identity>> {
        let mut identities = Vec::with_capacity(clients.len());
        for batch in clients.chunks(BATCH) {
            let tokens: Vec<Value> = batch
                .iter()
                .map(|(client_id, grants)| {
                    json!({"client_id": client_id, "ttl_secs": TOKEN_TTL_SECS, "grants": grants})
                })
                .collect();
            let path = format!("/v1/instances/{}/tokens/batch", self.instance);
            let answer = self.api.post(&path, &json!({ "tokens": tokens }))?;
            let results = answer["results"].as_array().context("a batch has results")?;
            ensure!(results.len() == batch.len(), "{} answers for {} tokens", results.len(), batch.len());
            for (result, (client_id, _)) in results.iter().zip(batch) {
                let token =
                    result["token"]["token"].as_str().with_context(|| format!("no token: {result}"))?;
                identities.push(Identity { client_id: client_id.clone(), token: Some(token.to_owned()) });
            }
        }
        Ok(identities)
    }
}

/// Waits for the one-time password among the lines of a first start, and for the line that says all is up.
fn read_password(lines: &Lines) -> Result<String> {
    let mut heard = Vec::new();
    loop {
        let line = lines.next(START_WAIT).with_context(|| format!("iotmq said {heard:?}"))?;
        if let Some(rest) = line.trim().strip_prefix("password ") {
            return rest
                .split_whitespace()
                .next()
                .map(str::to_owned)
                .context("there is a password in its line");
        }
        heard.push(line);
    }
}

/// Waits until the broker has joined and has its first configuration: writes are waited for on it from then on.
fn wait_for_node(api: &Api) -> Result<()> {
    let step = Duration::from_millis(100);
    for _ in 0..START_WAIT.as_millis() / step.as_millis() {
        let nodes = api.get("/v1/nodes")?;
        if nodes.body["items"][0]["generation"].is_object() {
            return Ok(());
        }
        std::thread::sleep(step);
    }
    bail!("the broker has not joined its controller after {START_WAIT:?}")
}

fn provision(api: &Api) -> Result<String> {
    let plan = json!({"name": "bench", "limits": {
        "connections_max": 100_000, "connects_per_sec": 1_000_000, "messages_in_per_sec": 1_000_000_000_u64,
        "bytes_in_per_sec": 1_000_000_000_000_u64, "messages_out_per_sec": 1_000_000_000_u64,
        "bytes_out_per_sec": 1_000_000_000_000_u64, "client_messages_in_per_sec": 100_000_000,
        "client_bytes_in_per_sec": 100_000_000_000_u64, "client_messages_out_per_sec": 100_000_000,
        "client_bytes_out_per_sec": 100_000_000_000_u64, "client_subscribes_per_sec": 1_000_000,
        "subscriptions_max": 1_000_000, "sessions_max": 1_000_000, "queued_messages_max": 10_000_000,
        "queued_bytes_max": 100_000_000_000_u64, "retained_messages_max": 10_000_000,
        "retained_bytes_max": 100_000_000_000_u64,
    }});
    api.post("/v1/plans", &plan)?;
    let tenant = api.post("/v1/tenants", &json!({"name": "bench"}))?;
    let instance = api.post(
        &format!("/v1/tenants/{}/instances", text(&tenant["id"])?),
        &json!({"name": "bench", "plan": "bench", "topic_mode": "provisioned", "authentication": ["token"]}),
    )?;
    let instance = text(&instance["id"])?;
    let topics = format!("/v1/instances/{instance}/topics");
    api.post(&topics, &json!({"name": TOPIC}))?;
    let history = json!({"enabled": true, "retention_secs": HISTORY_SECS});
    api.post(&topics, &json!({"name": STORED_TOPIC, "history": history}))?;
    Ok(instance.to_owned())
}

/// Builds the binary as a user would have it.
fn build_release() -> Result<PathBuf> {
    step("building iotmq");
    let target = root().join("target");
    run(cargo(["build", "--release", "--package", "iotmq"]).env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("release/iotmq"))
}

/// The time of day so many seconds from now, as the API takes it.
#[expect(clippy::disallowed_methods, reason = "a load generator is all shell: it measures real time")]
fn time_of_day(secs: i64) -> String {
    let at = chrono::Utc::now() + chrono::TimeDelta::seconds(secs);
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
