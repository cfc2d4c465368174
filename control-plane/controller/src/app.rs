//! The process: store, services, router, listeners, reconcilers; and the order in which they end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::AppState;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use rustls::ServerConfig;
use service::clock::SystemClock;
use service::seal::MasterKey;
use service::{Options, Services};
use store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::{ALARM_PERIOD_MILLIS_MAX, Config};
use crate::node_client::{ClientError, NodeClient};
use crate::{reconcilers, serve};

/// The most connections to health and metrics.
const OPS_CONNECTIONS_MAX: usize = 16;

/// A free port that no other machine reaches.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that others can reach, where nothing would be encrypted.
    #[error("cannot listen on {address} in the clear: without TLS only loopback addresses are served")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Alarm rules would be evaluated too rarely.
    #[error("`[alarms] period_millis` is {millis}, and {ALARM_PERIOD_MILLIS_MAX} is the most")]
    AlarmPeriod {
        /// What is set.
        millis: u32,
    },
    /// The address is to be encrypted, and there is no certificate.
    #[error("{address} is to be encrypted, but the process has no certificate")]
    NoCertificate {
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
    /// Nodes cannot be called.
    #[error(transparent)]
    Nodes(#[from] ClientError),
    /// The database cannot be reached or brought up to date.
    #[error("the database cannot be used")]
    Database(#[from] StoreError),
}

/// A running controller.
pub struct Controller {
    api_address: SocketAddr,
    ops_address: Option<SocketAddr>,
    node_address: SocketAddr,
    is_tls: bool,
    services: Services,
    store: Store,
    stop: CancellationToken,
    stop_time_max: Duration,
    tasks: JoinSet<()>,
}

/// What a controller is given by the process around it.
#[derive(Clone, Default)]
pub struct Extras {
    /// Certificates, for an API that is encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// Routes beside the API and the console.
    pub routes: Router,
}

/// Starts a controller that needs nothing of the process around it; see [`start_with`].
pub async fn start(config: Config, master_key: MasterKey) -> Result<Controller, StartError> {
    start_with(config, master_key, Extras::default()).await
}

/// Starts a controller: listens, brings the database up to date, serves.
pub async fn start_with(
    config: Config,
    master_key: MasterKey,
    extras: Extras,
) -> Result<Controller, StartError> {
    config.check()?;
    let tls = match (config.api.is_tls(), extras.tls) {
        (true, Some(tls)) => Some(TlsAcceptor::from(tls)),
        (true, None) => return Err(StartError::NoCertificate { address: config.api.address }),
        (false, _) => None,
    };
    let api_listener = listen(config.api.address).await?;
    let node_listener = listen(LOOPBACK).await?;
    let ops_listener = match config.ops.address {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let store = Store::connect(&config.database.url, config.pool_options()).await?;
    store.migrate().await?;
    let options = Options {
        clock: Arc::new(SystemClock),
        master_key,
        platform: config.platform_options(),
        node_calls: Arc::new(NodeClient::new(Arc::new(SystemClock))?),
        webhooks: config.webhook_options(),
    };
    let services = Services::new(store.clone(), options);
    let stop = CancellationToken::new();
    let state = AppState::new(services.clone(), config.api_options(), stop.clone());
    let address_of = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
    let mut controller = Controller {
        api_address: address_of(&api_listener, config.api.address),
        node_address: address_of(&node_listener, LOOPBACK),
        is_tls: tls.is_some(),
        ops_address: ops_listener.as_ref().zip(config.ops.address).map(|(it, asked)| address_of(it, asked)),
        services,
        store,
        stop,
        stop_time_max: Duration::from_secs(config.stop.secs_max),
        tasks: JoinSet::new(),
    };
    let connections_max = config.api.connections_max.get();
    let router = api::router(state.clone(), web_console::router().merge(extras.routes));
    controller.serve(node_listener, router.clone().layer(from_fn(only_nodes)), connections_max, None);
    controller.serve(api_listener, router, connections_max, tls);
    if let Some(listener) = ops_listener {
        controller.serve(listener, api::ops::router(state.clone()), OPS_CONNECTIONS_MAX, None);
    }
    controller.run_in_background(state);
    reconcilers::spawn_alarms(&mut controller.tasks, &controller.services, config.alarms, &controller.stop);
    tracing::info!(address = %controller.api_address, "controller started");
    Ok(controller)
}

/// What is served to nodes of the same process, in the clear: their own calls and nothing else.
async fn only_nodes(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/node/") {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
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

    /// Whether the API is encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Where nodes of the same process find the controller: on loopback, in the clear, whatever the API is.
    #[must_use]
    pub const fn node_address(&self) -> SocketAddr {
        self.node_address
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
        // What nodes have been told is taken, they do not tell again: last of all, when nothing more can come.
        if tokio::time::timeout(self.stop_time_max, reconcilers::flush(&self.services)).await.is_err() {
            tracing::warn!("the metrics of the last minute were not written in time");
        }
        self.store.close().await;
    }

    fn serve(
        &mut self,
        listener: TcpListener,
        router: Router,
        connections_max: usize,
        tls: Option<TlsAcceptor>,
    ) {
        self.tasks.spawn(serve::serve(listener, router, connections_max, tls, self.stop.clone()));
    }

    fn run_in_background(&mut self, state: AppState) {
        let (feed, stop) = (self.services.feed.clone(), self.stop.clone());
        self.tasks.spawn(async move { feed.listen(stop).await });
        reconcilers::spawn(&mut self.tasks, &self.services, state, &self.stop);
        reconcilers::spawn_flush(&mut self.tasks, &self.services, &self.stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(address: SocketAddr) -> StartError {
        let mut config: Config = toml::from_str(crate::DEFAULTS).expect("the defaults");
        (config.api.address, config.api.tls) = (address, Some(false));
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
