//! A place of its own for the built binary: a data directory, addresses, and what it prints when it has started.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::process::{Program, iotmq};

/// A data directory and two addresses of its own.
pub struct Place {
    /// The directory that goes with it.
    pub directory: TempDir,
    /// Where the API is to be.
    pub api: SocketAddr,
    /// Where MQTT is to be.
    pub mqtt: SocketAddr,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            api: free_address(),
            mqtt: free_address(),
        }
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it with these further arguments.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Program {
        Program::start(self.command(self.api, self.mqtt).args(arguments))
    }

    /// The command, with its data here and these addresses.
    #[must_use]
    pub fn command(&self, api: SocketAddr, mqtt: SocketAddr) -> Command {
        let mut command = iotmq();
        command.arg("standalone").arg("--data-dir").arg(self.data_dir());
        command.args(["--api-address", &api.to_string(), "--mqtt-address", &mqtt.to_string()]);
        command
    }
}

/// An address that nobody listens on. Its port is below those that the kernel gives to whoever asks for any, so that
/// no other test has it by the time it is used.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(64);
    loop {
        let port = FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("below 30 000")));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// What a started process prints: the lines to copy, and the password of a first start.
pub struct Welcome {
    /// The operator's one-time password.
    pub password: String,
    /// The flags of `mosquitto_sub`.
    pub subscribe: BTreeMap<String, String>,
    /// The flags of `mosquitto_pub`.
    pub publish: BTreeMap<String, String>,
}

impl Welcome {
    /// Reads it from what the program says.
    pub async fn read(program: &mut Program) -> Self {
        let password = program.line_beginning("password ").await;
        let subscribe = program.line_beginning("mosquitto_sub ").await;
        let publish = program.line_beginning("mosquitto_pub ").await;
        let password = password.split_whitespace().nth(1).expect("a password").to_owned();
        Self { password, subscribe: flags(&subscribe), publish: flags(&publish) }
    }
}

/// The flags of a printed command and their values.
fn flags(line: &str) -> BTreeMap<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0].starts_with('-'));
    pairs.map(|pair| (pair[0].to_owned(), pair[1].trim_matches('\'').to_owned())).collect()
}
