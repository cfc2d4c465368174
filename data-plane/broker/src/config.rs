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
    /// Health and metrics.
    pub http: Http,
    /// Where the configuration comes from.
    pub controller: Controller,
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
    /// The label of the instance meant by a user name and password that name none.
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
    /// A listener would carry passwords and tokens over a network in the clear.
    #[error("`{0}` is no loopback address: without TLS only loopback addresses are served")]
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
        let bounds: [(&'static str, usize, usize, usize); 8] = [
            ("workers", self.workers, 0, WORKERS_MAX),
            ("listeners", self.listeners.len(), 1, LISTENERS_MAX),
            ("handshakes_max", self.front.handshakes_max, 1, 1_000_000),
            ("connect_bytes_max", self.front.connect_bytes_max, 128, 1_048_576),
            ("tokens_remembered_max", self.front.tokens_remembered_max, 1, 10_000_000),
            ("commands_max", self.worker.commands_max, 1, 1_000_000),
            ("crossing_bytes_max", self.worker.crossing_bytes_max, 65_536, 1_073_741_824),
            ("routes_remembered_max", self.worker.routes_remembered_max, 1, 1_000_000),
        ];
        for (name, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfBounds { name, value, min, max });
            }
        }
        let addresses = self.listeners.iter().map(|listener| listener.address).chain(self.http.address);
        for address in addresses {
            if !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback(address));
            }
        }
        Ok(())
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
            ("listeners = []", "listeners"),
            ("workers = \"many\"", "workers"),
            ("[[listeners]]\naddress = \"0.0.0.0:1883\"", "without TLS"),
            ("[http]\naddress = \"192.0.2.1:80\"", "192.0.2.1:80"),
        ] {
            let error = Config::from_toml(text).expect_err(text);
            assert!(error.to_string().contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_join_token_is_never_shown() {
        let config = Config::from_toml("[controller]\njoin_token = \"secret\"").expect("valid");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
