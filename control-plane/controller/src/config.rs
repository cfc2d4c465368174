//! What an operator sets for a controller.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use api::{ApiOptions, RateOptions};
use serde::Deserialize;
use service::platform::PlatformOptions;
use service::webhooks::{Network, WebhookOptions};
use store::PoolOptions;

use crate::app::StartError;

/// The longest period of the evaluation of alarm rules, in milliseconds: what a rule saw last must be young enough to
/// say that it has been wrong all the time.
pub(crate) const ALARM_PERIOD_MILLIS_MAX: u32 = 20_000;

/// Every setting with its default, beside its comment.
pub const DEFAULTS: &str = include_str!("../controller.default.toml");

/// The settings of a controller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The REST API.
    pub api: Api,
    /// Health and metrics of the process.
    pub ops: Ops,
    /// The database.
    pub database: Database,
    /// Where devices find the platform.
    pub platform: Platform,
    /// The evaluation of alarm rules.
    pub alarms: Alarms,
    /// The calls that tenants ask for.
    pub webhooks: Webhooks,
    /// The end.
    pub stop: Stop,
}

/// The REST API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether it is encrypted; unless it is said, it is where others can reach it.
    #[serde(default)]
    pub tls: Option<bool>,
    /// Connections at one time; who comes then waits.
    pub connections_max: NonZeroUsize,
    /// Requests of one caller a second.
    pub requests_per_sec: NonZeroU32,
    /// Requests of one caller at once.
    pub burst: NonZeroU32,
}

impl Api {
    /// Whether it is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.unwrap_or(!self.address.ip().is_loopback())
    }
}

/// Health and metrics of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// The address; none: closed.
    #[serde(default)]
    pub address: Option<SocketAddr>,
}

/// The database.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where it is. It may hold a password, so it is never shown.
    pub url: String,
    /// Connections kept at one time.
    pub connections_max: NonZeroU32,
    /// How long a request waits for one, in seconds.
    pub acquire_secs_max: u64,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("connections_max", &self.connections_max)
            .field("acquire_secs_max", &self.acquire_secs_max)
            .finish_non_exhaustive()
    }
}

/// Where devices find the platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The domain below which each instance has its server name.
    #[serde(default)]
    pub domain: Option<String>,
    /// The host of the MQTT listener, as devices see it.
    pub mqtt_host: String,
    /// Its port.
    pub mqtt_port: u16,
    /// Whether TLS is spoken there.
    #[serde(default)]
    pub mqtt_tls: bool,
}

/// The evaluation of alarm rules.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// How often every rule is evaluated, in milliseconds; at most 20 000.
    pub period_millis: NonZeroU32,
}

/// The calls that tenants ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Networks that may be called although they are not public, plain HTTP included.
    pub allowed_networks: Vec<Network>,
}

/// The end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// How long it may take, in seconds.
    pub secs_max: u64,
}

impl Config {
    /// Whether a controller can be started with it, as far as that can be known before.
    pub fn check(&self) -> Result<(), StartError> {
        let millis = self.alarms.period_millis.get();
        if millis > ALARM_PERIOD_MILLIS_MAX {
            return Err(StartError::AlarmPeriod { millis });
        }
        let plain_api = (!self.api.is_tls()).then_some(self.api.address);
        match [plain_api, self.ops.address].into_iter().flatten().find(|it| !it.ip().is_loopback()) {
            Some(address) => Err(StartError::NotLoopback { address }),
            None => Ok(()),
        }
    }

    pub(crate) fn api_options(&self) -> ApiOptions {
        ApiOptions {
            rate: RateOptions { requests_per_sec: self.api.requests_per_sec, burst: self.api.burst },
            // In the clear a cookie for TLS alone would never come back.
            secure_cookies: self.api.is_tls(),
        }
    }

    pub(crate) fn pool_options(&self) -> PoolOptions {
        PoolOptions {
            connections_max: self.database.connections_max.get(),
            acquire_timeout: Duration::from_secs(self.database.acquire_secs_max),
        }
    }

    pub(crate) fn webhook_options(&self) -> WebhookOptions {
        WebhookOptions { allowed_networks: self.webhooks.allowed_networks.clone() }
    }

    pub(crate) fn platform_options(&self) -> PlatformOptions {
        let Platform { domain, mqtt_host, mqtt_port, mqtt_tls } = self.platform.clone();
        PlatformOptions { domain, mqtt_host, mqtt_port, mqtt_tls }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration_on_loopback() {
        let config: Config = toml::from_str(DEFAULTS).expect("the defaults");
        assert!(config.api.address.ip().is_loopback());
        assert_eq!(config.ops.address, None, "closed unless opened");
    }

    #[test]
    fn alarm_rules_are_evaluated_often_enough() {
        let mut config: Config = toml::from_str(DEFAULTS).expect("the defaults");
        for (millis, is_good) in [(1, true), (20_000, true), (20_001, false), (u32::MAX, false)] {
            config.alarms.period_millis = NonZeroU32::new(millis).expect("not 0");
            assert_eq!(config.check().is_ok(), is_good, "{millis}");
        }
        let error = config.check().expect_err("too long").to_string();
        assert!(error.contains("`[alarms] period_millis`") && error.contains("20000"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_and_a_password_never_shown() {
        assert!(toml::from_str::<Config>(&format!("{DEFAULTS}\nspeed = 1\n")).is_err());
        let mut config: Config = toml::from_str(DEFAULTS).expect("the defaults");
        config.database.url = "postgres://iotmq:hunter2@localhost/iotmq".into();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
