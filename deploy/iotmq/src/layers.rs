//! Configuration in layers: the defaults that are in the binary, then the operator's file, then the environment, then
//! flags. Each layer is checked as it is laid on, so that an error names the layer that brought it. Reads nothing itself.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What every variable of the environment that configures the product begins with.
pub(crate) const ENVIRONMENT_PREFIX: &str = "IOTMQ_";
/// What variables for the project's own tests begin with; they configure nothing.
const TEST_PREFIX: &str = "IOTMQ_TEST_";

/// Why a layer is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayerError {
    /// It is no TOML.
    #[error("{layer} is no TOML: {reason}")]
    Syntax { layer: String, reason: String },
    /// A key is unknown or a value is of the wrong kind.
    #[error("{layer}: `{key}`: {reason}")]
    Value { layer: String, key: String, reason: String },
}

/// The configuration while it is laid together.
pub(crate) struct Layers {
    table: Table,
}

impl Layers {
    /// Begins with the defaults, which are part of the program.
    pub(crate) fn new(defaults: Table) -> Self {
        Self { table: defaults }
    }

    /// Lays a TOML text over what is there.
    pub(crate) fn text<C: DeserializeOwned>(&mut self, layer: &str, text: &str) -> Result<(), LayerError> {
        let table = toml::from_str::<Table>(text).map_err(|error| LayerError::Syntax {
            layer: layer.to_owned(),
            reason: error.to_string().trim_end().replace('\n', "\n  "),
        })?;
        merge(&mut self.table, table);
        self.checked::<C>(layer).map(drop)
    }

    /// Lays the variables of the environment over what is there: `IOTMQ_BROKER__MQTT__ADDRESS` is
    /// `broker.mqtt.address`.
    pub(crate) fn environment<C: DeserializeOwned>(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), LayerError> {
        for (name, text) in variables {
            if name.starts_with(TEST_PREFIX) {
                continue;
            }
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            self.set::<C>(&name, &path, &text)?;
        }
        Ok(())
    }

    /// Lays one value over what is there: a flag's.
    pub(crate) fn flag<C: DeserializeOwned>(
        &mut self,
        flag: &str,
        key: &str,
        text: &str,
    ) -> Result<(), LayerError> {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.set::<C>(flag, &path, text)
    }

    /// The finished configuration.
    pub(crate) fn finish<C: DeserializeOwned>(self) -> Result<C, LayerError> {
        self.checked("the defaults")
    }

    fn set<C: DeserializeOwned>(
        &mut self,
        layer: &str,
        path: &[String],
        text: &str,
    ) -> Result<(), LayerError> {
        let value = match find(&self.table, path) {
            Some(Value::String(_)) => Value::String(text.to_owned()),
            _ => toml::from_str::<Table>(&format!("value = {text}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::String(text.to_owned())),
        };
        let mut layer_table = Value::Table(Table::new());
        let mut at = &mut layer_table;
        for key in path {
            let Value::Table(table) = at else { unreachable!("made a table just now") };
            at = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        }
        *at = value;
        if let Value::Table(table) = layer_table {
            merge(&mut self.table, table);
        }
        self.checked::<C>(layer).map(drop)
    }

    fn checked<C: DeserializeOwned>(&self, layer: &str) -> Result<C, LayerError> {
        serde_path_to_error::deserialize(Value::Table(self.table.clone())).map_err(|error| {
            LayerError::Value {
                layer: layer.to_owned(),
                key: error.path().to_string(),
                reason: error.inner().message().to_owned(),
            }
        })
    }
}

fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (last, above) = path.split_last()?;
    let mut at = table;
    for key in above {
        at = at.get(key)?.as_table()?;
    }
    at.get(last)
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Config {
        data_dir: String,
        mqtt: Mqtt,
    }

    #[derive(serde::Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Mqtt {
        address: std::net::SocketAddr,
        workers: u16,
    }

    fn layers() -> Layers {
        let defaults = "data_dir = \"\"\n[mqtt]\naddress = \"127.0.0.1:1883\"\nworkers = 1\n";
        Layers::new(toml::from_str(defaults).expect("defaults"))
    }

    #[test]
    fn a_later_layer_wins_key_by_key() {
        let mut layers = layers();
        layers.text::<Config>("iotmq.toml", "[mqtt]\nworkers = 2").expect("a file");
        let variables =
            [("IOTMQ_MQTT__WORKERS", "3"), ("IOTMQ_TEST_X", "1"), ("HOME", "/"), ("IOTMQ_DATA_DIR", "7")];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        layers.environment::<Config>(variables.into_iter()).expect("variables");
        layers.flag::<Config>("--mqtt-address", "mqtt.address", "127.0.0.1:0").expect("a flag");
        let config: Config = layers.finish().expect("a configuration");
        assert_eq!(config.data_dir, "7", "a text stays a text");
        assert_eq!(config.mqtt, Mqtt { address: "127.0.0.1:0".parse().expect("an address"), workers: 3 });
    }

    #[track_caller]
    fn refused(text: &str, contains: &[&str]) {
        let error = layers().text::<Config>("iotmq.toml", text).expect_err("refused").to_string();
        for part in contains {
            assert!(error.contains(part), "{error:?} must speak of {part:?}");
        }
    }

    #[test]
    fn an_error_names_the_layer_and_the_key() {
        refused("[mqtt]\nadress = 1", &["iotmq.toml", "mqtt.adress", "unknown field"]);
        refused("[mqtt]\nworkers = \"many\"", &["iotmq.toml", "mqtt.workers", "invalid type"]);
        refused("[mqtt]\naddress = \"here\"", &["mqtt.address", "invalid socket address"]);
        refused("[mqtt\n", &["iotmq.toml is no TOML", "line 1"]);
    }

    #[test]
    fn a_mistyped_variable_is_refused() {
        let variables = [("IOTMQ_MQTT__WORKER".to_owned(), "3".to_owned())];
        let error = layers().environment::<Config>(variables.into_iter()).expect_err("refused").to_string();
        assert!(error.starts_with("IOTMQ_MQTT__WORKER: `mqtt.worker`: unknown field"), "{error}");
    }
}
