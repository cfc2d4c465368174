//! What a person reads in the terminal: progress, how to sign in, lines to copy, and why it did not start.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this file is what speaks to the person at the terminal"
)]

use std::net::SocketAddr;

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
    /// Where the API and the console are.
    pub(crate) api: SocketAddr,
    /// Where devices connect.
    pub(crate) mqtt: SocketAddr,
    /// Where everything is kept.
    pub(crate) data_dir: String,
    /// The operator's address.
    pub(crate) operator_email: String,
    /// Its password, at the very first start.
    pub(crate) one_time_password: Option<String>,
    /// What there is to try, if the demo instance still serves.
    pub(crate) demo: Option<Demo>,
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
    /// Prints it.
    pub(crate) fn print(&self) {
        println!("{}", self.text());
    }

    fn text(&self) -> String {
        let Self { api, mqtt, data_dir, operator_email, .. } = self;
        let password = match &self.one_time_password {
            Some(password) => format!("{password}   (once: choose your own at the first sign-in)"),
            None => "as you chose it, or as the first start printed it".to_owned(),
        };
        let lines = self.demo.as_ref().map_or_else(String::new, |demo| demo.text(self.mqtt));
        format!(
            "\nIoT MQ is running.\n\n  \
             console    http://{api}/\n  \
             API        http://{api}/v1   (reference: http://{api}/docs/api)\n  \
             MQTT       {mqtt}\n  \
             data       {data_dir}\n  \
             operator   {operator_email}\n  \
             password   {password}\n\n\
             {lines}Ctrl-C stops everything.\n"
        )
    }
}

impl Demo {
    fn text(&self, mqtt: SocketAddr) -> String {
        let Self { label, topic, .. } = self;
        let (host, port) = (mqtt.ip(), mqtt.port());
        let to = |client: &str, token: &str| {
            format!("-h {host} -p {port} -i {client} -u {client}@{label} -P '{token}' -q 1")
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
            api: ([127, 0, 0, 1], 8080).into(),
            mqtt: ([127, 0, 0, 1], 1884).into(),
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
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line:?} in {text}");
        }
        let without = Welcome { demo: None, ..welcome }.text();
        assert!(!without.contains("mosquitto"), "nothing to try where there is no demo: {without}");
    }
}
