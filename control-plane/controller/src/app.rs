//! The process: store, services, router, listeners, reconcilers; and the order in which they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::AppState;
use axum::Router;
use service::clock::SystemClock;
use service::seal::MasterKey;
use service::{Options, Services};
use store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::{reconcilers, serve};

/// The most connections to health and metrics.
const OPS_CONNECTIONS_MAX: usize = 16;

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that others can reach, while nothing is encrypted.
    #[error("cannot listen on {address}: without TLS only loopback addresses are served")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be reached or brought up to date.
    #[error("the database cannot be used")]
    Database(#[from] StoreError),
}

/// A running controller.
pub struct Controller {
    api_address: SocketAddr,
    ops_address: Option<SocketAddr>,
    services: Services,
    store: Store,
    stop: CancellationToken,
    stop_time_max: Duration,
    tasks: JoinSet<()>,
}

/// Starts a controller: listens, brings the database up to date, serves.
pub async fn start(config: Config, master_key: MasterKey) -> Result<Controller, StartError> {
    config.check()?;
    let api_listener = listen(config.api.address).await?;
    let ops_listener = match config.ops.address {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let store = Store::connect(&config.database.url, config.pool_options()).await?;
    store.migrate().await?;
    let options = Options { clock: Arc::new(SystemClock), master_key, platform: config.platform_options() };
    let services = Services::new(store.clone(), options);
    let stop = CancellationToken::new();
    let state = AppState::new(services.clone(), config.api_options(), stop.clone());
    let address_of = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
    let mut controller = Controller {
        api_address: address_of(&api_listener, config.api.address),
        ops_address: ops_listener.as_ref().zip(config.ops.address).map(|(it, asked)| address_of(it, asked)),
        services,
        store,
        stop,
        stop_time_max: Duration::from_secs(config.stop.secs_max),
        tasks: JoinSet::new(),
    };
    let connections_max = config.api.connections_max.get();
    controller.serve(api_listener, api::router(state.clone(), web_console::router()), connections_max);
    if let Some(listener) = ops_listener {
        controller.serve(listener, api::ops::router(state.clone()), OPS_CONNECTIONS_MAX);
    }
    controller.run_in_background(state);
    tracing::info!(address = %controller.api_address, "controller started");
    Ok(controller)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

impl Controller {
    /// Where the API is.
    #[must_use]
    pub const fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Where health and metrics are, if they are served.
    #[must_use]
    pub const fn ops_address(&self) -> Option<SocketAddr> {
        self.ops_address
    }

    /// The services, for the process around.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Stops: accepts nothing more, lets requests end, and drops what has not ended in time.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.stop_time_max, ended).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        self.tasks.shutdown().await;
        self.store.close().await;
    }

    fn serve(&mut self, listener: TcpListener, router: Router, connections_max: usize) {
        self.tasks.spawn(serve::serve(listener, router, connections_max, self.stop.clone()));
    }

    fn run_in_background(&mut self, state: AppState) {
        let (feed, stop) = (self.services.feed.clone(), self.stop.clone());
        self.tasks.spawn(async move { feed.listen(stop).await });
        reconcilers::spawn(&mut self.tasks, &self.services, state, &self.stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(address: SocketAddr) -> StartError {
        let mut config: Config = toml::from_str(crate::DEFAULTS).expect("the defaults");
        config.api.address = address;
        start(config, MasterKey::new([0; 32])).await.err().expect("refused before the database is asked")
    }

    #[tokio::test]
    async fn only_loopback_is_served_without_tls() {
        for address in ["0.0.0.0:0", "192.0.2.1:8080", "[::]:0", "[2001:db8::1]:8080"] {
            let error = refused(address.parse().expect("an address")).await;
            assert!(matches!(error, StartError::NotLoopback { .. }), "{address}: {error}");
            assert!(error.to_string().contains("TLS"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = taken.local_addr().expect("an address");
        let error = refused(address).await;
        assert!(
            matches!(error, StartError::Listen { .. }) && error.to_string().contains(&address.to_string()),
            "{error}"
        );
    }
}
