//! The configuration of `iotmq standalone`: its own settings and those of the two processes in it.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;
use toml::{Table, Value};

use crate::layers::Layers;

const DEFAULTS: &str = include_str!("standalone.default.toml");

/// What the command line may say.
#[derive(clap::Args, Default)]
pub(crate) struct Flags {
    /// A TOML file whose settings go before the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Where the API listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    api_address: Option<String>,
    /// Where MQTT listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    mqtt_address: Option<String>,
    /// A PostgreSQL to use in place of the private one.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// Everything that can be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: String,
    pub(crate) log: Log,
    pub(crate) postgres: Postgres,
    pub(crate) controller: controller::Config,
    pub(crate) broker: broker::Config,
}

/// What is logged and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The form of a line of the log.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Which PostgreSQL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) bin_dir: String,
}

/// Lays the layers together: defaults, file, environment, flags.
pub(crate) fn load(flags: &Flags) -> anyhow::Result<Config> {
    let mut layers = Layers::new(defaults());
    if let Some(path) = &flags.config {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        layers.text::<Config>(&path.display().to_string(), &text)?;
    }
    layers.environment::<Config>(std::env::vars())?;
    for (flag, key, text) in [
        ("--data-dir", "data_dir", &flags.data_dir),
        ("--api-address", "controller.api.address", &flags.api_address),
        ("--database-url", "postgres.url", &flags.database_url),
    ] {
        if let Some(text) = text {
            layers.flag::<Config>(flag, key, text)?;
        }
    }
    if let Some(address) = &flags.mqtt_address {
        let listener = format!("[{{ address = {} }}]", Value::String(address.clone()));
        layers.flag::<Config>("--mqtt-address", "broker.listeners", &listener)?;
    }
    Ok(layers.finish()?)
}

fn defaults() -> Table {
    let own = |text: &str| toml::from_str::<Table>(text).expect("the defaults are part of the program");
    let mut table = own(DEFAULTS);
    table.insert("controller".into(), Value::Table(own(controller::DEFAULTS)));
    table.insert("broker".into(), Value::Table(own(broker::config::DEFAULTS)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config: Config = Layers::new(defaults()).finish().expect("the defaults");
        assert!(config.data_dir.is_empty() && config.postgres.url.is_empty());
    }
}
