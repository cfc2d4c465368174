//! The configuration of `iotmq standalone`: its own settings and those of the two processes in it.

use std::net::{IpAddr, SocketAddr};
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
    /// Where to be found: an address of this machine, or 0.0.0.0 for all of them. The console is then at port 8443 and
    /// MQTT at 8883, both encrypted; on loopback at 8080 and 1883 in the clear.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// Where the API and the console listen.
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
    pub(crate) tls: crate::tls::Settings,
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
    if let Some(address) = flags.listen {
        let [api, mqtt] = if address.is_loopback() { [8080, 1883] } else { [8443, 8883] };
        let api = SocketAddr::new(address, api).to_string();
        layers.flag::<Config>("--listen", "controller.api.address", &api)?;
        let listener = listener(&SocketAddr::new(address, mqtt).to_string());
        layers.flag::<Config>("--listen", "broker.listeners", &listener)?;
    }
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
        layers.flag::<Config>("--mqtt-address", "broker.listeners", &listener(address))?;
    }
    Ok(layers.finish()?)
}

/// One listener in place of all.
fn listener(address: &str) -> String {
    format!("[{{ address = {} }}]", Value::String(address.to_owned()))
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

    #[test]
    fn one_flag_opens_it_to_others_encrypted() {
        for (address, api, mqtt, is_tls) in [
            ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1:1883", false),
            ("0.0.0.0", "0.0.0.0:8443", "0.0.0.0:8883", true),
            ("2001:db8::7", "[2001:db8::7]:8443", "[2001:db8::7]:8883", true),
        ] {
            let flags = Flags { listen: Some(address.parse().expect("an address")), ..Flags::default() };
            let config = load(&flags).expect(address);
            let listener = &config.broker.listeners[0];
            assert_eq!(config.controller.api.address.to_string(), api);
            assert_eq!(listener.address.to_string(), mqtt);
            assert_eq!((config.controller.api.is_tls(), listener.kind().is_tls()), (is_tls, is_tls));
            config.controller.check().expect("may be served");
            config.broker.check().expect("may be served");
        }
    }

    #[test]
    fn what_others_reach_is_never_in_the_clear() {
        let plain = "[controller.api]\naddress = \"0.0.0.0:80\"\ntls = false";
        let mut layers = Layers::new(defaults());
        layers.text::<Config>("a file", plain).expect("lawful as such");
        let config: Config = layers.finish().expect("lawful as such");
        let error = config.controller.check().expect_err("refused").to_string();
        assert_eq!(
            error,
            "cannot listen on 0.0.0.0:80 in the clear: without TLS only loopback addresses are served"
        );
    }
}
