//! The server as its user sees it: start, address, databases, end.

use std::thread;
use std::time::Duration;

use crate::cluster::{Layout, SUPERUSER};
use crate::data_directory::DataDirectory;
use crate::databases::{DatabaseError, Databases, quoted};
use crate::error::StartError;
use crate::leftover::{self, PidFile};
use crate::options::{Options, Progress};
use crate::supervisor::{Ended, Supervisor, Watch};

/// How often a starting server is looked at.
const READY_PERIOD: Duration = Duration::from_millis(10);

/// A running PostgreSQL that is nobody else's. Dropping it stops the server, as [`Self::stop`] does.
#[derive(Debug)]
pub struct PostgresServer {
    // Before the directory: the server is gone when the lock is freed.
    supervisor: Supervisor,
    databases: Databases,
    directory: DataDirectory,
    major: u32,
}

impl PostgresServer {
    /// Starts the server, making its cluster at the first time: about a second then, 0.1 s later on.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        Self::start_with_progress(options, &|_| {})
    }

    /// [`Self::start`], telling what it is busy with.
    pub fn start_with_progress(options: &Options, progress: &dyn Fn(Progress)) -> Result<Self, StartError> {
        let directory = DataDirectory::lock(&options.directory)?;
        let layout = Layout::of(directory.path())?;
        let tools = layout.toolchain(options)?;
        let major = tools.major;
        leftover::clear(&layout.data, progress)?;
        if !layout.is_initialised()? {
            progress(Progress::Initialising { major });
            layout.initialise(&tools, options)?;
        }
        layout.write_access(&tools.user, &options.role)?;
        progress(Progress::Starting { major });
        let supervisor = Supervisor::start(layout.server(&tools, options))
            .map_err(|source| StartError::Program { program: tools.programs.path("postgres"), source })?;
        wait_until_ready(&layout, &supervisor, options.start_timeout)?;
        ensure_role(&Databases::on_socket(&layout.socket, SUPERUSER), &options.role)?;
        let databases = Databases::on_socket(&layout.socket, &options.role);
        progress(Progress::Ready);
        Ok(Self { supervisor, databases, directory, major })
    }

    /// The address of a database, as sqlx and the `postgres` crate take it.
    pub fn url(&self, database: &str) -> String {
        self.databases.url(database)
    }

    /// All databases of the server.
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Makes an empty database unless there is one of that name; whether it was made.
    pub fn create_database(&self, name: &str) -> Result<bool, DatabaseError> {
        self.databases.create(name)
    }

    /// Makes a database as a copy of another one, to which nobody may be connected meanwhile.
    pub fn create_database_from_template(&self, name: &str, template: &str) -> Result<(), DatabaseError> {
        self.databases.create_from_template(name, template)
    }

    /// Drops a database if there is one of that name, whoever is connected to it.
    pub fn drop_database(&self, name: &str) -> Result<(), DatabaseError> {
        self.databases.drop(name)
    }

    /// Runs the statements of a file in a database.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<(), DatabaseError> {
        self.databases.run_sql(database, sql)
    }

    /// Tells when the server ends, by itself or stopped.
    pub fn watch(&self) -> Watch {
        self.supervisor.watch().clone()
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.supervisor.pid()
    }

    /// The major version of PostgreSQL.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The directory that is held.
    pub fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// Disconnects everybody and returns when the server is gone: 0.1 s as a rule, at most 40 s. Tells
    /// how it ended, which may have been earlier.
    pub fn stop(mut self) -> Ended {
        self.supervisor.stop();
        self.supervisor.watch().wait()
    }
}

fn wait_until_ready(layout: &Layout, supervisor: &Supervisor, patience: Duration) -> Result<(), StartError> {
    let rounds = patience.as_millis() / READY_PERIOD.as_millis();
    for _ in 0..rounds {
        // PostgreSQL writes the file while we read it: what cannot be read now can be in a moment.
        if let Ok(Some(file)) = PidFile::read(&layout.data)
            && file.is_ready(supervisor.pid())
        {
            return Ok(());
        }
        match supervisor.watch().ended() {
            Some(Ended::Died { status, log }) => return Err(StartError::Died { status, log }),
            Some(Ended::Stopped) | None => thread::sleep(READY_PERIOD),
        }
    }
    Err(StartError::NotReady { secs: patience.as_secs(), log: supervisor.log() })
}

/// The product's role, which also owns the maintenance database: tests keep their book there.
fn ensure_role(server: &Databases, role: &str) -> Result<(), DatabaseError> {
    let quoted = quoted(role)?;
    server.with(SUPERUSER, |client| {
        let failed = |source| DatabaseError::Query { what: format!("create role `{role}`"), source };
        let there = client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role]);
        if there.map_err(failed)?.is_some() {
            return Ok(());
        }
        let sql = format!("CREATE ROLE {quoted} LOGIN CREATEDB; ALTER DATABASE postgres OWNER TO {quoted}");
        client.batch_execute(&sql).map_err(failed)
    })
}
