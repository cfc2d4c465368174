//! A database of its own for each cluster.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use postgres_server::{Databases, Options, PostgresServer};
use tempfile::TempDir;
use uuid::Uuid;

/// Names the server to make databases on; unset, each test process starts one of its own.
pub const SERVER_VARIABLE: &str = "IOTMQ_TEST_DATABASE_URL";

/// A server that ends with the last of its databases.
struct Server {
    server: PostgresServer,
    _directory: TempDir,
}

/// The one server of this process, while a database is on it.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// An empty database; gone with this value.
pub struct Database {
    databases: Databases,
    name: String,
    /// None on a server that was given, and once it is stopped.
    server: Mutex<Option<Arc<Server>>>,
}

impl Database {
    /// Makes one on the server that all tests share.
    #[must_use]
    pub fn create() -> Self {
        if let Ok(url) = std::env::var(SERVER_VARIABLE) {
            return Self::on(Databases::at(&url), None);
        }
        let server = Server::shared();
        Self::on(server.server.databases().clone(), Some(server))
    }

    /// Makes one on a server of its own, which can be stopped.
    #[must_use]
    pub fn on_own_server() -> Self {
        let server = Arc::new(Server::start());
        Self::on(server.server.databases().clone(), Some(server))
    }

    fn on(databases: Databases, server: Option<Arc<Server>>) -> Self {
        let name = format!("iotmq_it_{}", Uuid::now_v7().simple());
        databases.create(&name).expect("the server makes a database");
        Self { databases, name, server: Mutex::new(server) }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.databases.url(&self.name)
    }

    /// Stops its server, which must be its own.
    pub fn stop_server(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        let server =
            server.and_then(Arc::into_inner).expect("a server that is this database's own, and running");
        server.server.stop();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        if server.is_some() || std::env::var(SERVER_VARIABLE).is_ok() {
            // Nothing depends on it: a database that stays behind is in nobody's way.
            drop(self.databases.drop(&self.name));
        }
    }
}

impl Server {
    fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start());
        *shared = Arc::downgrade(&server);
        server
    }

    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory for PostgreSQL");
        let server = PostgresServer::start(&Options::for_tests(directory.path().join("postgres")))
            .unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}"));
        Self { server, _directory: directory }
    }
}
