//! The built binary as somebody has installed it, with everything that can happen to it: kills, power cuts, disks that
//! fail, files that change while it is stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use verify::{Account, Control, ControlError, Login, Plan};

use crate::cluster::PASSWORD;
use crate::http_client::Api;
use crate::mosquitto::mosquitto;
use crate::mqtt_client::{Client, ClientBuilder};
use crate::place::{Place, Welcome, free_address};
use crate::postgres::Database;
use crate::process::Program;
use crate::tenant::Instance;
use crate::wait::wait_for;

/// How often the kill loops kill; a few times unless it is set.
const KILLS_VARIABLE: &str = "IOTMQ_TEST_KILLS";

/// Kills of a loop, unless it is said.
const KILLS: u32 = 3;

/// How much of a load's time there is for each kill: the broker must be up again before the next.
const KILL_PERIOD: Duration = Duration::from_millis(2_500);

/// What the binary says when it was built for tests like these and has heard what is asked of it.
const HEARD: &str = "as a test has asked";

/// An installed broker. Dropped, it is killed.
pub struct Installed {
    place: Place,
    http: SocketAddr,
    variables: BTreeMap<&'static str, String>,
    program: Option<Program>,
    /// An instance that takes any topic and keeps the history of those below `kept`.
    pub instance: Option<Instance>,
    token: String,
    /// Ends after the program.
    database: Database,
}

/// What is to be installed.
#[derive(Default)]
pub struct Installing {
    variables: BTreeMap<&'static str, String>,
    limits: Vec<(&'static str, u64)>,
    with_faults: bool,
}

impl Installing {
    /// A kill is a power cut: what the log has not synced is lost.
    #[must_use]
    pub fn drop_unsynced(mut self) -> Self {
        self.variables.insert("IOTMQ_TEST_DROP_UNSYNCED", "1".to_owned());
        self
    }

    /// The log's disk fails when it is told to.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self { with_faults: true, ..self }
    }

    /// With a setting, by the name of its variable.
    #[must_use]
    pub fn setting(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.insert(variable, value.to_owned());
        self
    }

    /// With another limit of the instance than the usual one.
    #[must_use]
    pub fn limit(mut self, name: &'static str, value: u64) -> Self {
        self.limits.push((name, value));
        self
    }

    /// Files of the log are closed and put in order as early as may be: after a MiB.
    #[must_use]
    pub fn small_segments(self) -> Self {
        self.setting("IOTMQ_BROKER__LOG__SEGMENT_BYTES_MAX", "1048576")
    }

    /// Starts it for the first time and makes what the tests need.
    pub async fn start(self) -> Installed {
        let database = tokio::task::spawn_blocking(Database::create).await.expect("a database");
        let (place, http) = (Place::new(), free_address());
        let mut variables = self.variables;
        variables.insert("IOTMQ_BROKER__HTTP__ADDRESS", http.to_string());
        if self.with_faults {
            let told = place.directory.path().join("faults");
            variables.insert("IOTMQ_TEST_FAULTS", told.display().to_string());
        }
        let is_special = variables.keys().any(|name| name.starts_with("IOTMQ_TEST_"));
        let mut installed = Installed {
            place,
            http,
            variables,
            program: None,
            instance: None,
            token: String::new(),
            database,
        };
        installed.spawn();
        let program = installed.program.as_mut().expect("spawned");
        let welcome = Welcome::read(program).await;
        assert!(
            !is_special || program.heard.iter().any(|line| line.contains(HEARD)),
            "the binary is not built for this test: `cargo build --bin iotmq --features drop-unsynced`",
        );
        installed.furnish(&welcome.password, &self.limits).await;
        installed
    }
}

impl Installed {
    /// One with everything as it comes.
    #[must_use]
    pub fn installing() -> Installing {
        Installing::default()
    }

    async fn furnish(&mut self, password: &str, others: &[(&str, u64)]) {
        let api = Api::new(self.place.api);
        let operator = api.sign_in_first_time("operator@localhost", password, PASSWORD).await;
        let mut limits = json!({
            "connections_per_subject_max": 1_000, "client_messages_in_per_sec": 100_000,
            "queued_messages_max": 100_000, "queued_bytes_max": 1_000_000_000,
        });
        for (name, value) in others {
            limits[*name] = json!(value);
        }
        operator.post("/v1/plans", json!({"name": "roomy", "limits": limits})).await.created();
        let owner = json!({"email": "owner@example.com", "name": "Owner"});
        let tenant = operator.post("/v1/tenants", json!({"name": "red", "owner": owner})).await;
        tenant.created();
        let password = tenant.text("one_time_password");
        let owner = api.sign_in_first_time("owner@example.com", &password, PASSWORD).await;
        let body = json!({
            "name": "fleet", "plan": "roomy", "topic_mode": "open", "authentication": ["password", "token"],
        });
        let path = format!("/v1/tenants/{}/instances", tenant.text("id"));
        let answer = owner.waiting().post(&path, body).await;
        answer.created();
        let instance = Instance {
            id: answer.text("id"),
            label: answer.text("label"),
            api: owner,
            mqtt: vec![self.place.mqtt],
        };
        instance.topic(json!({"name": "kept", "history": {"enabled": true}})).await;
        self.token = instance.token_of(json!({"subject": "everybody"})).await.text;
        self.instance = Some(instance);
    }

    /// The instance.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        self.instance.as_ref().expect("made at the first start")
    }

    /// Starts it, and waits for nothing.
    pub fn spawn(&mut self) {
        let mut command = self.place.command(self.place.api, self.place.mqtt);
        command.args(["--database-url", &self.database.url()]).envs(&self.variables);
        self.program = Some(Program::start(&mut command));
    }

    /// Starts it, and waits until it serves; answers what it has said so far.
    pub async fn start(&mut self) -> String {
        self.spawn();
        let program = self.program.as_mut().expect("spawned");
        program.line_with("Ctrl-C stops everything").await;
        program.heard.join("\n")
    }

    /// The running program.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("it runs")
    }

    /// Kills it; answers everything that it had said.
    pub async fn kill(&mut self) -> String {
        self.end(Signal::SIGKILL).await
    }

    /// Stops it in order; answers everything that it had said.
    pub async fn stop(&mut self) -> String {
        self.end(Signal::SIGTERM).await
    }

    async fn end(&mut self, signal: Signal) -> String {
        let program = self.program.take().expect("it runs");
        program.signal(signal);
        program.ended().await.1
    }

    /// Lets the log's disk fail in this way from now on; an empty word: in no way.
    pub fn fail(&self, word: &str) {
        // In one step, for the file is read all the time.
        let (told, beside) =
            (self.place.directory.path().join("faults"), self.place.directory.path().join("new"));
        std::fs::write(&beside, word).and_then(|()| std::fs::rename(&beside, told)).expect("written");
    }

    /// What it says of its health.
    pub async fn health(&self) -> String {
        self.ask("/healthz").await
    }

    /// The value of a metric, its labels included in the name; 0 while there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.ask("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    async fn ask(&self, path: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let asking = client.get(format!("http://{}{path}", self.http)).send().await.expect("it answers");
        asking.text().await.expect("text")
    }

    /// A client that may do everything.
    #[must_use]
    pub fn client(&self, client_id: &str) -> ClientBuilder {
        ClientBuilder::new(self.place.mqtt, client_id).token(&self.token)
    }

    /// Debian's client of this name, which may do everything.
    #[must_use]
    pub fn mosquitto(&self, program: &str, client_id: &str) -> Command {
        mosquitto(program, self.place.mqtt, client_id, &self.token)
    }

    /// A connected client that may do everything.
    pub async fn connect(&self, client_id: &str) -> Client {
        self.client(client_id).connect().await
    }

    /// Waits until a client is accepted: what a start answers first is its listener.
    pub async fn wait_until_serving(&self) {
        wait_for("the broker to serve", async || {
            tokio::net::TcpStream::connect(self.place.mqtt).await.is_ok()
                && self.client("probe").try_connect().await.is_ok()
        })
        .await;
    }

    /// Where the broker keeps its data.
    #[must_use]
    pub fn broker_directory(&self) -> PathBuf {
        self.place.data_dir().join("broker")
    }

    /// A place beside its data that goes with it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.place.directory.path().join(name)
    }

    /// Starts a second one on the same data, at other addresses.
    #[must_use]
    pub fn second(&self) -> Program {
        let mut command = self.place.command(free_address(), free_address());
        command.args(["--database-url", &self.database.url()]);
        Program::start(&mut command)
    }

    /// A load for it, with every kind of publisher and subscriber.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            login: Login { username: Some("device".to_owned()), password: Some(self.token.clone()) },
            publishers: 2,
            rate: 100,
            live: 2,
            away: 2,
            shared: 3,
            ..Plan::new(self.place.mqtt.to_string())
        }
    }

    /// Kills it again and again under load and answers what it has kept.
    #[expect(clippy::print_stdout, reason = "whoever reads the output of a failed test wants to know when")]
    pub async fn verify(&mut self, change: impl FnOnce(Plan) -> Plan) -> Account {
        let kills = std::env::var(KILLS_VARIABLE).ok().map(|text| text.parse().expect("a number of kills"));
        let kills = kills.unwrap_or(KILLS);
        let plan = Plan { kills, load: KILL_PERIOD * (kills + 1), ..self.plan() };
        self.wait_until_serving().await;
        let account = verify::run(change(plan), self, &|step| println!("{step}")).await;
        let account = account.unwrap_or_else(|error| panic!("there is no account: {error:?}"));
        println!("{account}");
        account
    }
}

impl Control for Installed {
    async fn kill(&mut self) -> Result<(), ControlError> {
        let mut program = self.program.take().expect("it runs");
        program.signal(Signal::SIGKILL);
        while program.runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<(), ControlError> {
        self.spawn();
        Ok(())
    }
}

/// Every file below a directory, with its path from there, in order.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(at) = directories.pop() {
        for entry in std::fs::read_dir(&at).expect("a directory").map(|it| it.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                directories.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(directory).expect("below it").to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Makes `to` a copy of the directory `from`, whatever it was.
pub fn copy_directory(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("removed");
    }
    std::fs::create_dir_all(to).expect("made");
    for file in files_below(from) {
        std::fs::create_dir_all(to.join(&file).parent().expect("it has one")).expect("made");
        std::fs::copy(from.join(&file), to.join(&file)).expect("copied");
    }
}
