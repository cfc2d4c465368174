//! What an operator sets for one node. What a tenant feels is not here but among the limits of the instance.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Every setting with its default, beside its comment.
pub const DEFAULTS: &str = include_str!("../broker.default.toml");

/// The most listeners a node has.
pub const LISTENERS_MAX: usize = 16;

/// The most workers a node has: route tables name them by small numbers, sets of them are 64 bits.
pub const WORKERS_MAX: usize = 64;

/// The settings of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the node keeps its copy of the configuration and its own key.
    pub data_dir: PathBuf,
    /// Threads that own clients; 0: one for each processor.
    pub workers: usize,
    /// Connections of one instance that one worker is meant to carry.
    pub connections_per_worker_max: u64,
    /// How long a stop may take, in seconds.
    pub stop_secs_max: u64,
    /// Where clients are accepted.
    pub listeners: Vec<Listener>,
    /// MQTT over WebSocket.
    pub websocket: WebSocket,
    /// Health and metrics.
    pub http: Http,
    /// The node's own listener.
    pub node_api: NodeApi,
    /// What is counted of instances.
    pub metrics: Metrics,
    /// Where the configuration comes from.
    pub controller: Controller,
    /// Where messages are stored.
    pub log: Log,
    /// Lasting sessions.
    pub session: Session,
    /// The bounds of connections that are not yet clients.
    pub front: Front,
    /// The bounds of what one worker holds.
    pub worker: Worker,
}

/// One address on which clients are accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// What is spoken there; unless it is said, MQTT: in the clear on loopback, else over TLS.
    #[serde(default)]
    pub kind: Option<ListenerKind>,
    /// The label of the instance meant by a user name and password that name none.
    #[serde(default)]
    pub default_instance: Option<String>,
}

impl Listener {
    /// What is spoken there.
    #[must_use]
    pub fn kind(&self) -> ListenerKind {
        let on_loopback = self.address.ip().is_loopback();
        self.kind.unwrap_or(if on_loopback { ListenerKind::Tcp } else { ListenerKind::Tls })
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerKind {
    /// MQTT, in the clear.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket at `/mqtt`, in the clear.
    Websocket,
    /// MQTT over WebSocket at `/mqtt`, over TLS.
    WebsocketTls,
}

impl ListenerKind {
    /// Whether it is encrypted.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::WebsocketTls)
    }
}

/// MQTT over WebSocket, on the node's listeners and on others of its process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// Origins whose pages may connect, such as `https://app.example`, besides those of the same host.
    pub allowed_origins: Vec<String>,
    /// The same as of a listener, for connections that come over another listener of the process.
    #[serde(default)]
    pub default_instance: Option<String>,
}

/// Health and metrics of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address; none: closed.
    #[serde(default)]
    pub address: Option<SocketAddr>,
}

/// The node's own listener: where the controller asks it for messages and hands it those of applications.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeApi {
    /// The address; none: closed. It is announced to the controller as it is, with the port that it gets.
    #[serde(default)]
    pub address: Option<SocketAddr>,
}

/// What is counted of instances.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// How many seconds are counted together: a part of a minute, the same on every node.
    pub slot_secs: u64,
}

/// Where the configuration comes from.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// The controller's address as a URL; none: the node serves from the copy it has.
    #[serde(default)]
    pub url: Option<String>,
    /// The one-time right to join; needed until the node has enrolled.
    #[serde(default)]
    pub join_token: Option<String>,
    /// What people call the node.
    #[serde(default)]
    pub name: Option<String>,
}

/// Shows that there is a join token, never which.
impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("url", &self.url)
            .field("join_token", &self.join_token.as_ref().map(|_| "***"))
            .field("name", &self.name)
            .finish()
    }
}

/// The log, where messages of topics with a history are stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Its directory; a relative one is within the data directory.
    pub directory: PathBuf,
    /// Bytes of messages that each worker may have on their way to the disk.
    pub worker_bytes_max: usize,
    /// Bytes of a file before it is closed and put in order.
    pub segment_bytes_max: u64,
    /// Bytes of all files together, above which the oldest messages are dropped; none: only age drops.
    #[serde(default)]
    pub stored_bytes_max: Option<u64>,
    /// Bytes of indexes in memory between queries.
    pub index_bytes_max: usize,
    /// Queries that may run at the same time.
    pub queries_max: usize,
}

/// Lasting sessions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// How long clients have to come back after a start before their wills are published, in seconds.
    pub restart_grace_secs: u64,
}

/// The bounds of connections that are not yet clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// Connections that have not finished CONNECT, on the whole node.
    pub handshakes_max: usize,
    /// The same from one address.
    pub handshakes_per_address_max: usize,
    /// How long CONNECT may take, in seconds.
    pub connect_secs_max: u64,
    /// The largest CONNECT packet, with its header.
    pub connect_bytes_max: usize,
    /// How long a closed connection is read on, in milliseconds.
    pub linger_millis_max: u64,
    /// Verified tokens that are remembered.
    pub tokens_remembered_max: usize,
}

impl Front {
    /// How long CONNECT may take.
    #[must_use]
    pub const fn connect_time_max(&self) -> Duration {
        Duration::from_secs(self.connect_secs_max)
    }

    /// How long a closed connection is read on.
    #[must_use]
    pub const fn linger_time_max(&self) -> Duration {
        Duration::from_millis(self.linger_millis_max)
    }
}

/// The bounds of what one worker holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Commands waiting: new clients, takeovers, revocations.
    pub commands_max: usize,
    /// Bytes waiting from one worker for one other.
    pub crossing_bytes_max: usize,
    /// Topics whose receivers are remembered, for each instance.
    pub routes_remembered_max: usize,
    /// Closed connections that are read on.
    pub lingering_max: usize,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no TOML, names an unknown setting, or a value has the wrong kind.
    #[error("the configuration is not valid: {0}")]
    Invalid(#[source] toml::de::Error),
    /// A number that cannot work.
    #[error("`{name}` may be {min} to {max}, not {value}")]
    OutOfBounds {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest that works.
        min: usize,
        /// The largest that works.
        max: usize,
    },
    /// Slots of metrics that do not end with the minute.
    #[error("`slot_secs` is a part of a minute, as 10 and 60 are, and not {0}")]
    SlotSecs(u64),
    /// A listener would carry passwords and tokens over a network in the clear.
    #[error(
        "`{0}` is no loopback address: without TLS only loopback addresses are served (`kind` `tls` or `websocket_tls`)"
    )]
    NotLoopback(SocketAddr),
}

impl Config {
    /// The defaults, overridden by what `text` (TOML) names.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let mut table: toml::Table = DEFAULTS.parse().map_err(ConfigError::Invalid)?;
        overlay(&mut table, text.parse().map_err(ConfigError::Invalid)?);
        let config: Self = table.try_into().map_err(ConfigError::Invalid)?;
        config.check()?;
        Ok(config)
    }

    /// Whether a node can be started with these settings.
    pub fn check(&self) -> Result<(), ConfigError> {
        let segment_bytes = usize::try_from(self.log.segment_bytes_max).unwrap_or(usize::MAX);
        let bounds: [(&'static str, usize, usize, usize); 12] = [
            ("workers", self.workers, 0, WORKERS_MAX),
            ("listeners", self.listeners.len(), 1, LISTENERS_MAX),
            ("handshakes_max", self.front.handshakes_max, 1, 1_000_000),
            ("connect_bytes_max", self.front.connect_bytes_max, 128, 1_048_576),
            ("worker_bytes_max", self.log.worker_bytes_max, engine::BATCH_BYTES_MAX, 1_073_741_824),
            ("segment_bytes_max", segment_bytes, 1_048_576, 1_073_741_824),
            ("index_bytes_max", self.log.index_bytes_max, 1_048_576, 1_099_511_627_776),
            ("queries_max", self.log.queries_max, 1, 1_024),
            ("tokens_remembered_max", self.front.tokens_remembered_max, 1, 10_000_000),
            ("commands_max", self.worker.commands_max, 1, 1_000_000),
            ("crossing_bytes_max", self.worker.crossing_bytes_max, 65_536, 1_073_741_824),
            ("routes_remembered_max", self.worker.routes_remembered_max, 1, 1_000_000),
        ];
        let slot_secs = self.metrics.slot_secs;
        if slot_secs == 0 || !60_u64.is_multiple_of(slot_secs) {
            return Err(ConfigError::SlotSecs(slot_secs));
        }
        for (name, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfBounds { name, value, min, max });
            }
        }
        let plain = self.listeners.iter().filter(|listener| !listener.kind().is_tls());
        let plain = plain.map(|listener| listener.address);
        let addresses = plain.chain(self.http.address).chain(self.node_api.address);
        for address in addresses {
            if !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback(address));
            }
        }
        Ok(())
    }

    /// How long a stop may take.
    #[must_use]
    pub const fn stop_time_max(&self) -> Duration {
        Duration::from_secs(self.stop_secs_max)
    }

    /// How many workers there are to be.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if self.workers == 0 { processors().min(WORKERS_MAX) } else { self.workers }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from_toml("").expect("the defaults are tested")
    }
}

/// Puts the entries of `over` into `base`, tables entry by entry.
fn overlay(base: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => overlay(base, over),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_file_overrides_what_it_names() {
        let config = Config::from_toml("workers = 3\n[front]\nconnect_secs_max = 2\n").expect("valid");
        assert_eq!((config.workers, config.front.connect_secs_max), (3, 2));
        assert_eq!(config.front.handshakes_max, Config::default().front.handshakes_max);
        assert_eq!(config.listeners[0].address.port(), 1883);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, named) in [
            ("speed = 1", "speed"),
            ("[front]\nspeed = 1", "speed"),
            ("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true", "tls"),
            ("workers = 65", "workers"),
            ("[metrics]\nslot_secs = 7", "slot_secs"),
            ("[metrics]\nslot_secs = 0", "slot_secs"),
            ("listeners = []", "listeners"),
            ("workers = \"many\"", "workers"),
            ("[[listeners]]\naddress = \"0.0.0.0:1883\"\nkind = \"tcp\"", "without TLS"),
            ("[[listeners]]\naddress = \"0.0.0.0:1883\"\nkind = \"websocket\"", "without TLS"),
            ("[[listeners]]\naddress = \"127.0.0.1:0\"\nkind = \"quic\"", "quic"),
            ("[http]\naddress = \"192.0.2.1:80\"", "192.0.2.1:80"),
            ("[node_api]\naddress = \"0.0.0.0:9466\"", "0.0.0.0:9466"),
        ] {
            let error = Config::from_toml(text).expect_err(text);
            assert!(error.to_string().contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn others_are_reached_over_tls_unless_it_is_refused() {
        for (text, kind) in [
            ("address = \"127.0.0.1:0\"", ListenerKind::Tcp),
            ("address = \"0.0.0.0:0\"", ListenerKind::Tls),
            ("address = \"127.0.0.1:0\"\nkind = \"tls\"", ListenerKind::Tls),
            ("address = \"[::]:0\"\nkind = \"websocket_tls\"", ListenerKind::WebsocketTls),
        ] {
            let config = Config::from_toml(&format!("[[listeners]]\n{text}")).expect(text);
            assert_eq!(config.listeners[0].kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_join_token_is_never_shown() {
        let config = Config::from_toml("[controller]\njoin_token = \"secret\"").expect("valid");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
