//! What a person reads in the terminal: progress, how to sign in, lines to copy, and why it did not start.
#![expect(clippy::print_stderr, reason = "this file is what speaks to the person at the terminal")]

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::tls::Trust;

/// One step of the start, on standard error so that standard output holds what is to be copied.
pub(crate) fn progress(step: &str) {
    eprintln!("iotmq: {step}");
}

/// Why it did not start or had to end: one line.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("iotmq: error: {error:#}");
}

/// Everything that is told once it runs.
pub(crate) struct Welcome {
    /// Where to be found.
    pub(crate) places: Places,
    /// Where everything is kept.
    pub(crate) data_dir: String,
    /// The operator's address.
    pub(crate) operator_email: String,
    /// Its password, at the very first start.
    pub(crate) one_time_password: Option<String>,
    /// What there is to try, if the demo instance still serves.
    pub(crate) demo: Option<Demo>,
}

/// Where everything is found, and what to trust there.
pub(crate) struct Places {
    /// Where the API and the console are.
    pub(crate) api: SocketAddr,
    /// Whether they are encrypted.
    pub(crate) api_is_tls: bool,
    /// Where devices connect.
    pub(crate) mqtt: SocketAddr,
    /// Whether that is encrypted.
    pub(crate) mqtt_is_tls: bool,
    /// The authority whose certificates are used; none: the operator has given one that clients know.
    pub(crate) trust: Option<Trust>,
}

/// Lines to copy.
pub(crate) struct Demo {
    /// The instance's label.
    pub(crate) label: String,
    /// The topic.
    pub(crate) topic: String,
    /// The token that may subscribe.
    pub(crate) subscribe_token: String,
    /// The token that may publish.
    pub(crate) publish_token: String,
}

/// The client identifier of the copy-paste subscriber.
pub(crate) const SUBSCRIBER: &str = "demo-subscriber";
/// The client identifier of the copy-paste publisher.
pub(crate) const PUBLISHER: &str = "demo-publisher";

impl Welcome {
    /// Prints it, for whoever still reads: a product that runs goes on without them.
    pub(crate) fn print(&self) {
        self.print_to(&mut io::stdout());
    }

    fn print_to(&self, output: &mut impl Write) {
        let _nobody_reads = writeln!(output, "{}", self.text()).and_then(|()| output.flush());
    }

    fn text(&self) -> String {
        let Self { places, data_dir, operator_email, .. } = self;
        let Places { api, mqtt, .. } = places;
        let s = if places.api_is_tls { "s" } else { "" };
        let over = if places.mqtt_is_tls { "   (over TLS)" } else { "" };
        let trust = places.trust.as_ref().map_or_else(String::new, |trust| {
            let Trust { file, fingerprint } = trust;
            format!("trust      {}\n             SHA-256 {fingerprint}\n  ", file.display())
        });
        let password = match &self.one_time_password {
            Some(password) => format!("{password}   (once: choose your own at the first sign-in)"),
            None => "as you chose it, or as the first start printed it".to_owned(),
        };
        let lines = self.demo.as_ref().map_or_else(String::new, |demo| demo.text(places));
        format!(
            "\nIoT MQ is running.\n\n  \
             console    http{s}://{api}/\n  \
             API        http{s}://{api}/v1   (reference: http{s}://{api}/docs/api)\n  \
             MQTT       {mqtt}{over}\n  \
             WebSocket  ws{s}://{api}/mqtt\n  \
             {trust}\
             data       {data_dir}\n  \
             operator   {operator_email}\n  \
             password   {password}\n\n\
             {lines}Ctrl-C stops everything.\n"
        )
    }
}

impl Demo {
    fn text(&self, places: &Places) -> String {
        let Self { label, topic, .. } = self;
        let (host, port) = (places.mqtt.ip(), places.mqtt.port());
        let trust = match &places.trust {
            _ if !places.mqtt_is_tls => String::new(),
            Some(trust) => format!(" --cafile '{}'", trust.file.display()),
            None => " --tls-use-os-certs".to_owned(),
        };
        let to = |client: &str, token: &str| {
            format!("-h {host} -p {port}{trust} -i {client} -u {client}@{label} -P '{token}' -q 1")
        };
        let subscribe = to(SUBSCRIBER, &self.subscribe_token);
        let publish = to(PUBLISHER, &self.publish_token);
        format!(
            "In one terminal:\n\n  mosquitto_sub {subscribe} -t '{topic}/#' -v\n\n\
             In another:\n\n  mosquitto_pub {publish} -t {topic}/hello -m 'hello, world'\n\n\
             Each token is good for a day; each start prints fresh ones.\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_copy_name_client_instance_and_token() {
        let welcome = Welcome {
            places: Places {
                api: ([127, 0, 0, 1], 8080).into(),
                api_is_tls: false,
                mqtt: ([127, 0, 0, 1], 1884).into(),
                mqtt_is_tls: false,
                trust: None,
            },
            data_dir: "/data".into(),
            operator_email: "operator@localhost".into(),
            one_time_password: Some("s3cret".into()),
            demo: Some(Demo {
                label: "demo-7k2f".into(),
                topic: "demo".into(),
                subscribe_token: "aaa".into(),
                publish_token: "bbb".into(),
            }),
        };
        let text = welcome.text();
        for line in [
            "  mosquitto_sub -h 127.0.0.1 -p 1884 -i demo-subscriber -u demo-subscriber@demo-7k2f -P 'aaa' -q 1 -t 'demo/#' -v",
            "  mosquitto_pub -h 127.0.0.1 -p 1884 -i demo-publisher -u demo-publisher@demo-7k2f -P 'bbb' -q 1 -t demo/hello -m 'hello, world'",
            "  password   s3cret   (once: choose your own at the first sign-in)",
            "  console    http://127.0.0.1:8080/",
            "  WebSocket  ws://127.0.0.1:8080/mqtt",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line:?} in {text}");
        }
        let (reader, mut closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        welcome.print_to(&mut closed); // and goes on, although nobody reads it
        let without = Welcome { demo: None, ..welcome }.text();
        assert!(!without.contains("mosquitto"), "nothing to try where there is no demo: {without}");
    }

    #[test]
    fn what_is_encrypted_says_what_to_trust() {
        let trust = Trust { file: "/data/tls/ca.pem".into(), fingerprint: "AB:CD".into() };
        let places = Places {
            api: ([192, 0, 2, 7], 8443).into(),
            api_is_tls: true,
            mqtt: ([192, 0, 2, 7], 8883).into(),
            mqtt_is_tls: true,
            trust: Some(trust),
        };
        let demo = Demo {
            label: "demo-7k2f".into(),
            topic: "demo".into(),
            subscribe_token: "aaa".into(),
            publish_token: "bbb".into(),
        };
        let lines = demo.text(&places);
        assert!(
            lines.contains("mosquitto_pub -h 192.0.2.7 -p 8883 --cafile '/data/tls/ca.pem' -i"),
            "{lines}"
        );
        let given = Places { trust: None, ..places };
        assert!(demo.text(&given).contains("-p 8883 --tls-use-os-certs -i"));
        let welcome = Welcome {
            places: Places {
                trust: Some(Trust { file: "/ca.pem".into(), fingerprint: "AB:CD".into() }),
                ..given
            },
            data_dir: "/data".into(),
            operator_email: "operator@localhost".into(),
            one_time_password: None,
            demo: None,
        };
        let text = welcome.text();
        for line in [
            "  console    https://192.0.2.7:8443/",
            "  MQTT       192.0.2.7:8883   (over TLS)",
            "  WebSocket  wss://192.0.2.7:8443/mqtt",
            "  trust      /ca.pem",
            "             SHA-256 AB:CD",
            "  data       /data",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line:?} in {text}");
        }
    }
}
