//! A private PostgreSQL for the standalone product and for tests: find, initialise, start, watch, stop.
//!
//! It listens on a Unix socket in a closed directory and nowhere else; the kernel proves who connects
//! (peer authentication), so there is no password. It is not a connection pool, knows no schema and
//! never restarts a server that died: that is told to the caller, who decides.
//!
//! Every function blocks. All of them may be called from inside an asynchronous runtime as well (no
//! state is tied to the calling thread), at the price of blocking that thread meanwhile.
//!
//! What lies in the directory:
//! ```text
//! <directory>/lock          held while a server runs from here
//! <directory>/pg_hba.conf   who may connect; written anew at each start
//! <directory>/pg_ident.conf which user of the machine is which role; likewise
//! <directory>/data/         PostgreSQL's own; made whole or not at all
//! <directory>/socket/       the private socket, mode 0700
//! ```
//! A process of root starts PostgreSQL, which refuses to run as root, as the owner of an existing
//! `data/`, else as `postgres`, else as `nobody`.

mod cluster;
mod data_directory;
mod databases;
mod error;
mod find;
mod leftover;
mod log;
mod options;
mod server;
mod service_user;
mod supervisor;
#[cfg(test)]
mod tests;

pub use data_directory::{DataDirectory, LockError};
pub use databases::{DatabaseError, Databases};
pub use error::StartError;
pub use find::is_installed;
pub use options::{Options, Progress};
pub use server::PostgresServer;
pub use supervisor::{Ended, Watch};
