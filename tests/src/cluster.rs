//! A whole cluster in this process: controller, brokers and a database of their own, every port a free one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::Broker;
use broker::config::{Listener, ListenerKind};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use contract::refusal::Refusal;
use controller::Controller;
use serde_json::{Value, json};
use service::bootstrap::{Bootstrapped, OPERATOR_EMAIL, bootstrap};
use service::seal::MasterKey;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tracing_subscriber::EnvFilter;

use crate::fault::Proxy;
use crate::http_client::Api;
use crate::mqtt_client::ClientBuilder;
use crate::postgres::Database;
use crate::tenant::Tenant;
use crate::wait::wait_for;

/// The password of everybody in a test.
pub const PASSWORD: &str = "a password for tests";

/// A running cluster.
pub struct Cluster {
    /// None once it is stopped.
    controller: Option<Controller>,
    /// A node is none while it is stopped.
    brokers: Vec<Node>,
    /// What was made at the first start.
    pub bootstrapped: Bootstrapped,
    /// Between the brokers and the controller.
    pub feed: Proxy,
    api: Api,
    operator: OnceCell<Api>,
    owners: AtomicU64,
    builder: ClusterBuilder,
    /// Ends after everything that uses it.
    database: Database,
}

struct Node {
    broker: Option<Broker>,
    directory: TempDir,
    /// Kept over restarts, so that clients find it again.
    mqtt_address: SocketAddr,
}

/// What the cluster is to be.
#[derive(Clone, Copy, Debug)]
pub struct ClusterBuilder {
    brokers: usize,
    workers: usize,
    own_postgres: bool,
}

impl ClusterBuilder {
    /// How many brokers; 1 unless told.
    #[must_use]
    pub const fn brokers(self, brokers: usize) -> Self {
        Self { brokers, ..self }
    }

    /// How many workers each broker has; 1 unless told. With several, every instance is spread over all of them.
    #[must_use]
    pub const fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// With a PostgreSQL of its own, which can be stopped.
    #[must_use]
    pub const fn own_postgres(self) -> Self {
        Self { own_postgres: true, ..self }
    }

    /// Starts everything and waits until every broker has its configuration.
    pub async fn start(self) -> Cluster {
        // `RUST_LOG` says how much; errors alone unless told. Another test of this process may have done it.
        let filter = EnvFilter::from_default_env();
        drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
        let create = move || if self.own_postgres { Database::on_own_server() } else { Database::create() };
        let database = tokio::task::spawn_blocking(create).await.expect("a database");
        let controller = controller::start(controller_config(&database), MasterKey::generate())
            .await
            .unwrap_or_else(|error| panic!("the controller does not start: {error:?}"));
        let bootstrapped = bootstrap(controller.services()).await.expect("the bootstrap succeeds");
        let feed = Proxy::start(controller.api_address()).await;
        let mut cluster = Cluster {
            api: Api::new(controller.api_address()),
            controller: Some(controller),
            brokers: Vec::new(),
            bootstrapped,
            feed,
            operator: OnceCell::new(),
            owners: AtomicU64::new(0),
            builder: self,
            database,
        };
        for _ in 0..self.brokers {
            cluster.add_broker().await;
        }
        cluster
    }
}

impl Cluster {
    /// One broker with one worker, unless told.
    #[must_use]
    pub const fn builder() -> ClusterBuilder {
        ClusterBuilder { brokers: 1, workers: 1, own_postgres: false }
    }

    /// The smallest cluster.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A caller who is not signed in.
    #[must_use]
    pub fn anonymous(&self) -> Api {
        self.api.clone()
    }

    /// The first operator, signed in.
    pub async fn operator(&self) -> Api {
        let sign_in = async || {
            let password =
                self.bootstrapped.one_time_password.as_ref().expect("the first start gives a password");
            self.api.sign_in_first_time(OPERATOR_EMAIL, password.expose(), PASSWORD).await
        };
        self.operator.get_or_init(sign_in).await.clone()
    }

    /// A new tenant with an owner of its own, signed in.
    pub async fn tenant(&self, name: &str) -> Tenant {
        let operator = self.operator().await;
        let number = self.owners.fetch_add(1, Ordering::Relaxed);
        let email = format!("owner-{number}@example.com");
        let body = json!({"name": name, "owner": {"email": email, "name": format!("Owner of {name}")}});
        let answer = operator.post("/v1/tenants", body).await;
        answer.created();
        let owner = self.api.sign_in_first_time(&email, &answer.text("one_time_password"), PASSWORD).await;
        Tenant {
            id: answer.text("id"),
            name: name.to_owned(),
            email,
            api: owner,
            mqtt: self.mqtt_addresses(),
        }
    }

    /// A plan with these limits; what is not named has its default.
    pub async fn plan(&self, name: &str, limits: Value) {
        let body = json!({"name": name, "limits": limits});
        self.operator().await.post("/v1/plans", body).await.created();
    }

    /// Where MQTT listens on each broker, running or not.
    #[must_use]
    pub fn mqtt_addresses(&self) -> Vec<SocketAddr> {
        self.brokers.iter().map(|node| node.mqtt_address).collect()
    }

    /// Where a running broker listens for MQTT over WebSocket.
    #[must_use]
    pub fn websocket_address(&self, at: usize) -> SocketAddr {
        self.broker(at).mqtt_addresses()[1]
    }

    /// A running broker.
    #[must_use]
    pub fn broker(&self, at: usize) -> &Broker {
        self.brokers[at].broker.as_ref().expect("the broker runs")
    }

    /// Adds a broker; it enrols, takes its configuration and then serves.
    pub async fn add_broker(&mut self) -> SocketAddr {
        let join_token = self.operator().await.act("/v1/nodes/join-tokens").await.created()["token"].clone();
        let directory = tempfile::tempdir().expect("a directory for the broker");
        let config = self.broker_config(&directory, None, join_token.as_str());
        let broker = start_broker(config).await;
        let mqtt_address = broker.mqtt_address();
        self.brokers.push(Node { broker: Some(broker), directory, mqtt_address });
        self.wait_until_synced().await;
        mqtt_address
    }

    /// Stops a broker.
    pub async fn stop_broker(&mut self, at: usize) {
        self.brokers[at].broker.take().expect("the broker runs").stop().await;
    }

    /// Starts a stopped broker again on the data it has, at the same address. It waits for nobody.
    pub async fn start_broker(&mut self, at: usize) {
        let node = &self.brokers[at];
        let config = self.broker_config(&node.directory, Some(node.mqtt_address), None);
        let broker = start_broker(config).await;
        self.brokers[at].broker = Some(broker);
    }

    /// Stops the controller, and with it the API and the feed.
    pub async fn stop_controller(&mut self) {
        self.controller.take().expect("the controller runs").stop().await;
    }

    /// Stops PostgreSQL, which must be this cluster's own.
    pub fn stop_postgres(&self) {
        tokio::task::block_in_place(|| self.database.stop_server());
    }

    /// Waits until every running broker has what was last written.
    pub async fn wait_until_synced(&self) {
        let operator = self.operator().await;
        let running = self.brokers.iter().filter(|node| node.broker.is_some()).count();
        wait_for("every broker to have its configuration", async || {
            let answer = operator.get("/v1/nodes").await;
            let nodes = answer.ok()["items"].as_array().expect("a list").clone();
            let synced =
                nodes.iter().filter(|node| node["reachable"] == true && !node["generation"].is_null());
            synced.count() >= running
        })
        .await;
    }

    /// How often the brokers have refused something for this reason.
    pub async fn refused(&self, refusal: Refusal) -> u64 {
        let mut sum = 0;
        for broker in self.brokers.iter().filter_map(|node| node.broker.as_ref()) {
            sum += broker.metrics().await.total.refused.get(&refusal).copied().unwrap_or(0);
        }
        sum
    }

    /// Waits until something has been refused for this reason more than `before` times.
    pub async fn wait_for_refusal(&self, refusal: Refusal, before: u64) {
        let what = format!("a refusal counted as `{}`", refusal.name());
        wait_for(&what, async || self.refused(refusal).await > before).await;
    }

    /// Connects, must be refused with this return code, and counted under this reason.
    pub async fn expect_refused(&self, client: &ClientBuilder, code: u8, refusal: Refusal) {
        let before = self.refused(refusal).await;
        let refused = client.refusal().await;
        assert_eq!(refused, Some(code), "client `{}`, expected `{}`", client.client_id, refusal.name());
        self.wait_for_refusal(refusal, before).await;
    }

    /// The controller's time, plus so many seconds, as the API writes times.
    pub async fn time(&self, plus_secs: i64) -> String {
        let now = self.api.get("/v1/time").await.text("now");
        let now = DateTime::parse_from_rfc3339(&now).expect("the API writes RFC 3339");
        (now + TimeDelta::seconds(plus_secs)).to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn broker_config(
        &self,
        directory: &TempDir,
        address: Option<SocketAddr>,
        join_token: Option<&str>,
    ) -> broker::Config {
        let defaults = broker::Config::default();
        let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        broker::Config {
            data_dir: directory.path().join("broker"),
            workers: self.builder.workers,
            // As narrow as can be: with several workers, every instance crosses them.
            connections_per_worker_max: 1,
            // Nobody waits for the usual ten seconds.
            metrics: broker::config::Metrics { slot_secs: 1 },
            listeners: vec![
                Listener { address, kind: None, default_instance: None },
                Listener {
                    address: SocketAddr::from(([127, 0, 0, 1], 0)),
                    kind: Some(ListenerKind::Websocket),
                    default_instance: None,
                },
            ],
            // Where the controller asks for stored messages.
            node_api: broker::config::NodeApi { address: Some(SocketAddr::from(([127, 0, 0, 1], 0))) },
            controller: broker::config::Controller {
                url: Some(format!("http://{}", self.feed.address)),
                join_token: join_token.map(str::to_owned),
                ..defaults.controller
            },
            ..defaults
        }
    }
}

async fn start_broker(config: broker::Config) -> Broker {
    tokio::task::spawn_blocking(move || broker::start(config))
        .await
        .expect("the start does not panic")
        .unwrap_or_else(|error| panic!("the broker does not start: {error:?}"))
}

fn controller_config(database: &Database) -> controller::Config {
    let mut config: controller::Config =
        toml::from_str(controller::DEFAULTS).expect("the defaults are valid");
    config.api.address = SocketAddr::from(([127, 0, 0, 1], 0));
    config.database.url = database.url();
    // Nobody waits for the usual ten seconds, and receivers of webhooks are on loopback.
    config.alarms.period_millis = 200.try_into().expect("not 0");
    config.webhooks.allowed_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    config.database.connections_max = 8.try_into().expect("not 0");
    config
}
