//! A PostgreSQL for the time of one task: in a temporary directory, fast, gone afterwards.

use anyhow::{Context as _, Result};
use postgres_server::{Options, PostgresServer};
use tempfile::TempDir;

use crate::run::step;

pub(crate) struct PrivatePostgres {
    // Before its directory: the server is gone when its files are removed.
    pub(crate) server: PostgresServer,
    _directory: TempDir,
}

impl PrivatePostgres {
    pub(crate) fn start() -> Result<Self> {
        step("starting a private PostgreSQL");
        // The default prefix is hidden and anonymous; after a kill -9 a person should know what it is.
        let directory = tempfile::Builder::new().prefix("iotmq-postgres-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        let server = PostgresServer::start(&Options::for_tests(directory.path()))?;
        Ok(Self { server, _directory: directory })
    }
}
