//! Clients of other projects, in other languages: where they are on this machine, and a cluster for them to talk to.
//!
//! What they do stands in the scripts of `clients/`, which check what they see themselves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cluster::Cluster;
use crate::process::Program;
use crate::tenant::Instance;

/// The Python of Debian, for which Debian's `python3-paho-mqtt` is.
const PYTHON: &str = "/usr/bin/python3";

/// Where Node.js is; `cargo xtask test` sets it where the machine has one.
const NODE_VARIABLE: &str = "IOTMQ_TEST_NODE";

/// The user name of every client here: a token says who it is.
pub const USERNAME: &str = "device";

/// An instance that takes any topic, and two tokens for any number of clients.
pub struct Workshop {
    /// The broker and everything behind it.
    pub cluster: Cluster,
    /// The instance.
    pub instance: Instance,
    /// May do everything.
    pub token: String,
    /// May publish and subscribe below `open` alone, at QoS 2 and retained.
    pub narrow_token: String,
}

impl Workshop {
    /// A new one.
    pub async fn open() -> Self {
        let cluster = Cluster::start().await;
        let limits = json!({
            "connections_per_subject_max": 1_000, "client_messages_in_per_sec": 100_000, "connects_per_sec": 10_000,
            "client_subscribes_per_sec": 10_000,
        });
        cluster.plan("roomy", limits).await;
        let instance = cluster.tenant("red").await.instance_on_plan("fleet", "roomy").await;
        let token = instance.token_of(json!({"subject": "everybody"})).await.text;
        let below_open = json!([
            {"actions": ["publish", "subscribe"], "topic_filter": "open/#", "qos_max": 2, "retain": true}
        ]);
        let narrow_token = instance.token_of(json!({"subject": "narrow", "grants": below_open})).await.text;
        Self { cluster, instance, token, narrow_token }
    }

    /// Runs a script of `paho-mqtt` to its end: it must succeed. `version` is that of MQTT, `way` `tcp` or `websocket`.
    pub async fn run_python(&self, script: &str, version: &str, way: &str) {
        let mut command = Command::new(PYTHON);
        // It leaves no compiled files in the tree.
        command.arg("-B").arg(scripts().join(script));
        self.run(command, version, way).await;
    }

    /// Runs a script of `mqtt` for JavaScript to its end: it must succeed. Without Node.js it is skipped.
    #[expect(
        clippy::print_stdout,
        reason = "whoever reads the output of the tests wants to know what was left out"
    )]
    pub async fn run_javascript(&self, script: &str, version: &str, way: &str) {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-console/node_modules");
        let Some(node) = node().filter(|_| modules.join("mqtt").is_dir()) else {
            println!("skipped: {NODE_VARIABLE} is not set, or the console's packages are not installed");
            return;
        };
        let mut command = Command::new(node);
        command.arg(scripts().join(script)).env("IOTMQ_TEST_NODE_MODULES", modules);
        self.run(command, version, way).await;
    }

    #[expect(clippy::print_stdout, reason = "a script says what it has done and how long it took")]
    async fn run(&self, mut command: Command, version: &str, way: &str) {
        let (tcp, websocket) = (self.instance.mqtt[0], self.cluster.websocket_address(0));
        command
            .env("IOTMQ_TEST_HOST", tcp.ip().to_string())
            .env("IOTMQ_TEST_PORT", tcp.port().to_string())
            .env("IOTMQ_TEST_WEBSOCKET_PORT", websocket.port().to_string())
            .env("IOTMQ_TEST_USERNAME", USERNAME)
            .env("IOTMQ_TEST_TOKEN", &self.token)
            .env("IOTMQ_TEST_NARROW_TOKEN", &self.narrow_token)
            .env("IOTMQ_TEST_VERSION", version)
            .env("IOTMQ_TEST_WAY", way);
        let (well, said) = Program::start(&mut command).ended().await;
        println!("MQTT {version} over {way}:\n{said}");
        assert!(well, "a script of a real client failed: {said}");
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn node() -> Option<OsString> {
    std::env::var_os(NODE_VARIABLE)
}
