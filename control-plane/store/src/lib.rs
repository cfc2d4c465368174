//! PostgreSQL: rows in, rows out. It knows no permission and no rule.
//!
//! One file per family of tables. Every function that touches a tenant's things takes the tenant's or the instance's
//! id first; the few that read across tenants are named `…_of_all_tenants` or serve nodes and reconcilers. Static
//! statements are checked against the schema when they are compiled; only the filters of lists are put together at
//! run time ([`page`]).

pub mod actor;
pub mod alarm_rules;
pub mod alarms;
pub mod audit;
pub mod channels;
pub mod credentials;
pub mod deliveries;
pub mod documents;
pub mod error;
pub mod feed;
pub mod idempotency;
pub mod instances;
pub mod listener;
pub mod members;
pub mod metrics;
pub mod named;
pub mod nodes;
pub mod page;
pub mod plans;
pub mod platform;
pub mod revocations;
pub mod sessions;
pub mod signing_keys;
pub mod tenants;
pub mod test_database;
pub mod throttle;
pub mod tokens;
pub mod topics;
pub mod urgent;

use std::collections::BTreeMap;
use std::time::Duration;

pub use error::StoreError;
pub use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

/// What people sort their things by: names and values of their own.
pub type Labels = BTreeMap<String, String>;

/// The longest that one statement may take: less than a request has, so that the answer says what was slow.
const STATEMENT_TIMEOUT: &str = "9s";
/// The longest that one statement waits for a lock.
const LOCK_TIMEOUT: &str = "5s";
/// The longest that one statement of a reconciler may take.
const LONG_STATEMENT_TIMEOUT: &str = "10min";
/// How many connections are for nodes alone, where the configured number has room for them: what people ask must not
/// keep nodes from hearing of a revocation.
const NODE_CONNECTIONS: u32 = 4;

/// A transaction; dropped without [`Transaction::commit`] it has never happened.
pub struct Transaction(sqlx::Transaction<'static, sqlx::Postgres>);

impl Transaction {
    /// Lets the statements that follow take minutes: for reconcilers, for whom nobody waits.
    pub async fn allow_long(&mut self) -> Result<(), StoreError> {
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(LONG_STATEMENT_TIMEOUT)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Makes it so.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}

impl std::ops::Deref for Transaction {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl std::ops::DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// A connection of the pool, for statements that need no transaction.
pub struct Connection(sqlx::pool::PoolConnection<sqlx::Postgres>);

impl std::ops::Deref for Connection {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl std::ops::DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// How many connections to keep, and how long to wait for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolOptions {
    /// The most connections at one time; a quarter of them, four at most and one at least, is for nodes alone.
    pub connections_max: u32,
    /// The longest to wait for a free connection, after which the database counts as unavailable.
    pub acquire_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { connections_max: 16, acquire_timeout: Duration::from_secs(5) }
    }
}

/// The database. Clones share the pools.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    node_pool: PgPool,
}

impl Store {
    /// Connects to the database at `url` (`postgres://…`), and fails if that does not work.
    pub async fn connect(url: &str, options: PoolOptions) -> Result<Self, StoreError> {
        let bounded: PgConnectOptions = url.parse()?;
        let bounded =
            bounded.options([("statement_timeout", STATEMENT_TIMEOUT), ("lock_timeout", LOCK_TIMEOUT)]);
        let for_nodes = NODE_CONNECTIONS.min(options.connections_max / 4).max(1);
        let for_all = options.connections_max.saturating_sub(for_nodes).max(1);
        let pool = |connections| {
            PgPoolOptions::new().max_connections(connections).acquire_timeout(options.acquire_timeout)
        };
        let node_pool = pool(for_nodes).connect_lazy_with(bounded.clone());
        Ok(Self { pool: pool(for_all).connect_with(bounded).await?, node_pool })
    }

    /// Brings the schema up to this release's. Several controllers may do so at one time.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // A connection of its own: a migration takes as long as it takes, and waits for the one of another controller.
        let mut connection = self.pool.acquire().await?.detach();
        sqlx::query(
            "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)",
        )
        .execute(&mut connection)
        .await?;
        sqlx::migrate!("../../migrations").run(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction(self.pool.begin().await?))
    }

    /// A connection for single statements.
    pub async fn read(&self) -> Result<Connection, StoreError> {
        Ok(Connection(self.pool.acquire().await?))
    }

    /// A connection for single statements that serve nodes.
    pub async fn read_for_node(&self) -> Result<Connection, StoreError> {
        Ok(Connection(self.node_pool.acquire().await?))
    }

    /// Closes every connection; what still runs is waited for.
    pub async fn close(&self) {
        self.node_pool.close().await;
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A count as the database keeps it; none of ours comes near the end.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as the database gives it; the schema lets none be negative.
pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
