//! Making and dropping databases on a server, and running SQL files there. It reads no rows for anyone.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::thread;
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use crate::cluster::PORT;

/// PostgreSQL cuts longer names silently.
const NAME_BYTES_MAX: usize = 63;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The database that every server has; made for the likes of us.
const MAINTENANCE: &str = "postgres";

/// The databases of one server.
#[derive(Clone, Debug)]
pub struct Databases {
    /// Up to the database's name, and what follows it.
    parts: (String, String),
}

/// Why something could not be done with a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// PostgreSQL would cut it.
    #[error("`{name}` cannot name a database: 1 to {NAME_BYTES_MAX} bytes")]
    Name {
        /// The name.
        name: String,
    },
    /// No connection.
    #[error("cannot connect to database `{name}`")]
    Connect {
        /// The database.
        name: String,
        /// Why.
        source: postgres::Error,
    },
    /// The server refuses.
    #[error("cannot {what}")]
    Query {
        /// What was tried.
        what: String,
        /// Why.
        source: postgres::Error,
    },
}

impl Databases {
    /// Those of the server at `url`, whichever database it names. The role must be allowed to create
    /// databases. There is no TLS: the server is on this machine.
    pub fn at(url: &str) -> Self {
        let (url, query) =
            url.split_once('?').map_or((url, String::new()), |(url, query)| (url, format!("?{query}")));
        let authority = url.find("://").map_or(0, |scheme| scheme + 3);
        let end = url[authority..].find('/').map_or(url.len(), |slash| authority + slash);
        Self { parts: (format!("{}/", &url[..end]), query) }
    }

    /// Those behind a socket in a folder.
    pub(crate) fn on_socket(socket: &Path, role: &str) -> Self {
        let host = percent_encoded(socket.as_os_str().as_encoded_bytes());
        Self::at(&format!("postgres://{}@{host}:{PORT}", percent_encoded(role.as_bytes())))
    }

    /// The address of one of them.
    pub fn url(&self, name: &str) -> String {
        format!("{}{}{}", self.parts.0, percent_encoded(name.as_bytes()), self.parts.1)
    }

    /// Makes an empty database unless there is one of that name; whether it was made.
    pub fn create(&self, name: &str) -> Result<bool, DatabaseError> {
        let quoted = quoted(name)?;
        self.with(MAINTENANCE, |client| {
            let failed = |source| DatabaseError::Query { what: format!("create database `{name}`"), source };
            let there = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]);
            if there.map_err(failed)?.is_some() {
                return Ok(false);
            }
            client.batch_execute(&format!("CREATE DATABASE {quoted}")).map_err(failed)?;
            Ok(true)
        })
    }

    /// Makes a database as a copy of `template`, to which nobody may be connected meanwhile. The
    /// quickest way to a migrated database for each of many tests.
    pub fn create_from_template(&self, name: &str, template: &str) -> Result<(), DatabaseError> {
        let sql = format!("CREATE DATABASE {} TEMPLATE {}", quoted(name)?, quoted(template)?);
        self.execute(MAINTENANCE, &sql, || format!("create database `{name}` like `{template}`"))
    }

    /// Drops a database if there is one of that name, whoever is connected to it.
    pub fn drop(&self, name: &str) -> Result<(), DatabaseError> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)?);
        self.execute(MAINTENANCE, &sql, || format!("drop database `{name}`"))
    }

    /// Runs statements, as those of a migration, in a database; without a transaction of their own they
    /// stand or fall together.
    pub fn run_sql(&self, name: &str, sql: &str) -> Result<(), DatabaseError> {
        self.execute(name, sql, || format!("run SQL in database `{name}`"))
    }

    fn execute(&self, name: &str, sql: &str, what: impl Fn() -> String + Sync) -> Result<(), DatabaseError> {
        self.with(name, |client| {
            client.batch_execute(sql).map_err(|source| DatabaseError::Query { what: what(), source })
        })
    }

    /// Connects for one action. The client drives a runtime of its own, which would panic on a thread
    /// that is inside another one: so it gets its own thread.
    pub(crate) fn with<T: Send>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Client) -> Result<T, DatabaseError> + Send,
    ) -> Result<T, DatabaseError> {
        let url = self.url(name);
        thread::scope(|scope| {
            let action = scope.spawn(|| {
                let failed = |source| DatabaseError::Connect { name: name.to_owned(), source };
                let mut config = Config::from_str(&url).map_err(failed)?;
                config.connect_timeout(CONNECT_TIMEOUT);
                let mut client = config.connect(NoTls).map_err(failed)?;
                act(&mut client)
            });
            action.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// As an SQL identifier.
pub(crate) fn quoted(name: &str) -> Result<String, DatabaseError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(DatabaseError::Name { name: name.to_owned() });
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes all");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (given, other) in [
            ("postgres://me@%2Frun%2Fpg:5432", "postgres://me@%2Frun%2Fpg:5432/a%20b"),
            ("postgres://me@%2Frun%2Fpg:5432/", "postgres://me@%2Frun%2Fpg:5432/a%20b"),
            ("postgres://me:x@host/one?sslmode=disable", "postgres://me:x@host/a%20b?sslmode=disable"),
            ("postgres:///one?host=/run/pg&user=me", "postgres:///a%20b?host=/run/pg&user=me"),
        ] {
            assert_eq!(Databases::at(given).url("a b"), other, "{given}");
        }
        assert_eq!(
            Databases::on_socket(Path::new("/run/a b/socket"), "iotmq").url("x"),
            "postgres://iotmq@%2Frun%2Fa%20b%2Fsocket:5432/x"
        );
    }

    #[test]
    fn names() {
        assert_eq!(quoted("a\"b").expect("valid"), "\"a\"\"b\"");
        quoted(&"x".repeat(NAME_BYTES_MAX)).expect("at the bound");
        quoted(&"x".repeat(NAME_BYTES_MAX + 1)).expect_err("over the bound");
        quoted("").expect_err("empty");
    }
}
