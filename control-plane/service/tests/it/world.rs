//! A platform to test in: services over a database of the test's own, with people, tenants and instances.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use chrono::{DateTime, TimeDelta};
use contract::durability::{DurabilityClass, QueueOverflow};
use contract::feed::{Authentication, TopicMode};
use contract::grant::Grants;
use contract::ids::{InstanceId, MemberId, TenantId};
use contract::node::EnrolRequest;
use contract::shared_group::SharedStrategy;
use postgres_server::{Databases, Options as ServerOptions, PostgresServer};
use service::access::{Actor, Caller, Role};
use service::clock::FixedClock;
use service::instances::{Instance, NewInstance};
use service::node_calls::{NoCalls, NodeCalls};
use service::nodes::NodeCaller;
use service::plans::NewPlan;
use service::platform::PlatformOptions;
use service::seal::MasterKey;
use service::tenants::{NewOwner, NewTenant};
use service::webhooks::WebhookOptions;
use service::{Labels, Options, Services, Store};
use store::PoolOptions;
use store::test_database;

/// Names the server to make databases on; unset, each test process starts one of its own.
const SERVER_VARIABLE: &str = "IOTMQ_TEST_DATABASE_URL";
/// How many connections there are, beside the two for nodes alone.
pub(crate) const CONNECTIONS: u32 = 8;
/// The plan of every instance that says none: the table's defaults.
pub(crate) const PLAN: &str = "standard";

/// A server that ends with the last test that uses it.
struct Server {
    server: PostgresServer,
    _directory: tempfile::TempDir,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

fn shared_server() -> Arc<Server> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let directory = tempfile::tempdir().expect("a directory for PostgreSQL");
    let server = PostgresServer::start(&ServerOptions::for_tests(directory.path().join("postgres")))
        .unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}"));
    let server = Arc::new(Server { server, _directory: directory });
    *shared = Arc::downgrade(&server);
    server
}

/// A database that goes with its test.
struct Database {
    databases: Databases,
    name: String,
    _server: Option<Arc<Server>>,
}

impl Drop for Database {
    fn drop(&mut self) {
        // Nothing depends on it: a database that stays behind is in nobody's way.
        drop(self.databases.drop(&self.name));
    }
}

/// A platform of the test's own.
pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) store: Store,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) operator: Caller,
    node_calls: Arc<dyn NodeCalls>,
    master_key: MasterKey,
    database: Database,
}

/// A tenant with a person of each role.
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) owner: Caller,
}

fn options(clock: Arc<FixedClock>, master_key: MasterKey, node_calls: Arc<dyn NodeCalls>) -> Options {
    let mqtt_host = "localhost".to_owned();
    let platform = PlatformOptions { domain: None, mqtt_host, mqtt_port: 1883, mqtt_tls: false };
    let allowed_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    let webhooks = WebhookOptions { allowed_networks };
    Options { clock, master_key, platform, node_calls, webhooks }
}

impl World {
    /// A platform with one plan and nobody but its operator.
    pub(crate) async fn new() -> Self {
        Self::with_nodes(Arc::new(NoCalls)).await
    }

    /// The same with nodes that can be called.
    pub(crate) async fn with_nodes(node_calls: Arc<dyn NodeCalls>) -> Self {
        let (databases, server) = if let Ok(url) = std::env::var(SERVER_VARIABLE) {
            (Databases::at(&url), None)
        } else {
            let server = shared_server();
            (server.server.databases().clone(), Some(server))
        };
        let made = test_database::create(&databases.url("postgres")).await.expect("a database");
        let database = Database { databases, name: made.name, _server: server };
        let pool = PoolOptions { connections_max: CONNECTIONS + 2, ..PoolOptions::default() };
        let store = Store::connect(&made.url, pool).await.expect("the database answers");
        let start = DateTime::from_timestamp_millis(1_800_000_000_123).expect("a time");
        let clock = Arc::new(FixedClock::new(start));
        let master_key = MasterKey::generate();
        let services =
            Services::new(store.clone(), options(clock.clone(), master_key.clone(), node_calls.clone()));
        let operator = Caller::platform("test");
        let world = Self { services, store, clock, operator, node_calls, master_key, database };
        world.plan(PLAN, &[]).await;
        world
    }

    /// Another process over the same database.
    pub(crate) fn another_controller(&self) -> Services {
        let options = options(self.clock.clone(), self.master_key.clone(), self.node_calls.clone());
        Services::new(self.store.clone(), options)
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    /// Fails unless the SQL condition holds.
    #[track_caller]
    pub(crate) fn holds(&self, condition: &str) {
        let sql = format!("DO $$ BEGIN ASSERT ({condition}), 'does not hold'; END $$");
        if let Err(error) = self.database.databases.run_sql(&self.database.name, &sql) {
            panic!("{condition}: {error:?}");
        }
    }

    /// Runs SQL.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) {
        self.database.databases.run_sql(&self.database.name, sql).expect("the SQL runs");
    }

    /// Returns once a statement waits for a lock that another holds.
    pub(crate) async fn until_one_waits(&self) {
        let (databases, name) = (self.database.databases.clone(), self.database.name.clone());
        let sql = "DO $$ BEGIN
            FOR round IN 1..1000 LOOP
              PERFORM pg_stat_clear_snapshot();
              IF EXISTS (SELECT FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock')
              THEN RETURN; END IF;
              PERFORM pg_sleep(0.01);
            END LOOP;
            RAISE 'nobody waits';
          END $$";
        let waited = tokio::task::spawn_blocking(move || databases.run_sql(&name, sql)).await;
        waited.expect("no panic").expect("somebody waits");
    }

    pub(crate) async fn plan(&self, name: &str, limits: &[(&str, u64)]) {
        let limits = limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let new = NewPlan { name: name.to_owned(), description: String::new(), limits };
        self.services.plans.create(&self.operator, new).await.expect("a plan");
    }

    /// A tenant with its owner.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let owner = NewOwner { email: format!("owner@{name}.example"), name: format!("Owner of {name}") };
        let new = NewTenant { name: name.to_owned(), labels: Labels::new(), owner: Some(owner) };
        let made = self.services.tenants.create(&self.operator, new).await.expect("a tenant");
        let owner = made.owner.expect("an owner");
        Tenant { id: made.tenant.id, owner: caller(owner.id, made.tenant.id, Role::Owner) }
    }

    /// An instance of a tenant on the usual plan.
    pub(crate) async fn instance(&self, tenant: &Tenant, name: &str) -> Instance {
        self.instance_on(tenant, name, PLAN).await
    }

    pub(crate) async fn instance_on(&self, tenant: &Tenant, name: &str, plan: &str) -> Instance {
        let made = self.services.instances.create(&tenant.owner, tenant.id, new_instance(name, plan)).await;
        made.expect("an instance").0
    }

    /// A tenant with one instance.
    pub(crate) async fn demo(&self) -> (Tenant, Instance) {
        let tenant = self.tenant("demo").await;
        let instance = self.instance(&tenant, "demo").await;
        (tenant, instance)
    }

    /// A node that has joined.
    pub(crate) async fn node(&self, name: &str) -> NodeCaller {
        let token = self.services.nodes.create_join_token(&self.operator).await.expect("a join token");
        let request = EnrolRequest {
            join_token: token.token.expose().to_owned(),
            secret_sha256: contract::base64::Base64(vec![7; 32]),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            address: None,
        };
        NodeCaller { node: self.services.nodes.enrol(request).await.expect("joined").node }
    }

    /// The last generation's number and the last urgent sequence.
    pub(crate) async fn heads(&self) -> (u64, u64) {
        let mut connection = self.store.read().await.expect("a connection");
        let head = store::feed::head(&mut connection).await.expect("a head");
        (head.number, store::urgent::head(&mut connection).await.expect("a head"))
    }
}

/// What an instance usually is to be.
pub(crate) fn new_instance(name: &str, plan: &str) -> NewInstance {
    NewInstance {
        name: name.to_owned(),
        plan: plan.to_owned(),
        topic_mode: TopicMode::Provisioned,
        durability: DurabilityClass::default(),
        queue_overflow: QueueOverflow::default(),
        shared_strategy: SharedStrategy::default(),
        authentication: vec![Authentication::Password, Authentication::Token],
        delete_protection: false,
        labels: Labels::new(),
    }
}

/// A person as its session would give it.
pub(crate) fn caller(member: MemberId, tenant: TenantId, role: Role) -> Caller {
    Caller {
        actor: Actor::Member(member),
        operator: false,
        memberships: vec![(tenant, role)],
        request_id: "request-1".to_owned(),
    }
}

/// The grants of a JSON text.
pub(crate) fn grants(json: &str) -> Grants {
    serde_json::from_str(json).expect("grants")
}

/// Labels from pairs.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An id that nothing has.
pub(crate) fn nothing<T>(of: impl FnOnce(uuid::Uuid) -> T) -> T {
    of("01900000-0000-7000-8000-00000000dead".parse().expect("an id"))
}

/// The instance's id of an unknown instance.
pub(crate) fn no_instance() -> InstanceId {
    nothing(InstanceId)
}
