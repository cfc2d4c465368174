//! The PostgreSQL that `standalone` uses: a private one below the data directory, or one given by configuration.

use std::path::Path;

use anyhow::Context as _;
use postgres_server::{Ended, Options, PostgresServer, Progress, Watch};

use crate::announce;
use crate::config::Postgres;

/// The database of the product on the private server.
const DATABASE: &str = "iotmq";

/// The database in use.
pub(crate) enum Database {
    /// Ours: started and stopped with us.
    Private { server: PostgresServer, watch: Watch },
    /// Somebody else's.
    Given { url: String },
}

impl Database {
    /// Starts the private server, unless another is given.
    pub(crate) async fn start(config: &Postgres, data_dir: &Path) -> anyhow::Result<Self> {
        if !config.url.is_empty() {
            return Ok(Self::Given { url: config.url.clone() });
        }
        let mut options = Options::new(data_dir.join("postgres"));
        if !config.bin_dir.is_empty() {
            options = options.bin_dir(&config.bin_dir);
        }
        tokio::task::spawn_blocking(move || {
            let server = PostgresServer::start_with_progress(&options, &told)?;
            server.create_database(DATABASE)?;
            let watch = server.watch();
            Ok(Self::Private { server, watch })
        })
        .await
        .context("the start of PostgreSQL was cut off")?
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Private { server, .. } => server.url(DATABASE),
            Self::Given { url } => url.clone(),
        }
    }

    /// Waits until the private server ends by itself; for ever, for one that is somebody else's.
    pub(crate) async fn ended(&self) -> String {
        let Self::Private { watch, .. } = self else { return std::future::pending().await };
        let watch = watch.clone();
        match tokio::task::spawn_blocking(move || watch.wait()).await {
            Ok(Ended::Died { status, log }) => format!("{status}; its last words: {log}"),
            Ok(Ended::Stopped) => "it was stopped".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Stops the private server and waits until it is gone.
    pub(crate) async fn stop(self) {
        if let Self::Private { server, .. } = self {
            let stopped = tokio::task::spawn_blocking(move || server.stop()).await;
            if let Ok(Ended::Died { status, log }) = stopped {
                tracing::warn!(status, log, "PostgreSQL did not end as asked");
            }
        }
    }
}

fn told(progress: Progress) {
    let step = match progress {
        Progress::StoppingLeftover { pid } => {
            format!("stopping PostgreSQL (process {pid}) that an earlier run left behind")
        }
        Progress::Initialising { major } => format!("making a PostgreSQL {major} cluster"),
        Progress::Starting { major } => format!("starting PostgreSQL {major}"),
        Progress::Ready => return,
    };
    announce::progress(&step);
}
