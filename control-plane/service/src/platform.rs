//! What the services know of the deployment around them.

/// Where devices find the platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlatformOptions {
    /// The domain below which each instance has its server name; none where there is no such domain.
    pub domain: Option<String>,
    /// The host name or address of the MQTT listener, as devices see it.
    pub mqtt_host: String,
    /// The port of the MQTT listener.
    pub mqtt_port: u16,
    /// Whether TLS is spoken there.
    pub mqtt_tls: bool,
}

/// Where the devices of one instance connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoints {
    /// The instance's server name, where the platform has a domain.
    pub server_name: Option<String>,
    /// The host to connect to.
    pub host: String,
    /// The port for MQTT.
    pub mqtt_port: u16,
    /// The same as a URL.
    pub mqtt: String,
    /// What to append to a user name where no server name says which instance is meant: `@<label>`.
    pub username_suffix: String,
}

impl PlatformOptions {
    /// Where the devices of the instance with this label connect.
    #[must_use]
    pub fn endpoints(&self, label: &str) -> Endpoints {
        let server_name = self.domain.as_ref().map(|domain| format!("{label}.{domain}"));
        let host = server_name.clone().unwrap_or_else(|| self.mqtt_host.clone());
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        Endpoints {
            mqtt: format!(
                "{}://{bracketed}:{}",
                if self.mqtt_tls { "mqtts" } else { "mqtt" },
                self.mqtt_port
            ),
            server_name,
            host,
            mqtt_port: self.mqtt_port,
            username_suffix: format!("@{label}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_the_domain_where_there_is_one() {
        let mqtt_host = "::1".to_owned();
        let mut options = PlatformOptions { domain: None, mqtt_host, mqtt_port: 1883, mqtt_tls: false };
        assert_eq!(options.endpoints("cars-7k2f").mqtt, "mqtt://[::1]:1883");
        options.mqtt_tls = true;
        options.domain = Some("mq.example.com".to_owned());
        let endpoints = options.endpoints("cars-7k2f");
        assert_eq!(endpoints.mqtt, "mqtts://cars-7k2f.mq.example.com:1883");
        assert_eq!(endpoints.username_suffix, "@cars-7k2f");
    }
}
