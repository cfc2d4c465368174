//! Debian's MQTT clients, whose words come line by line.

use std::net::SocketAddr;
use std::process::Command;

/// `mosquitto_sub` or `mosquitto_pub`, for a client with this token as its password. It speaks MQTT 3.1.1.
#[must_use]
pub fn mosquitto(program: &str, address: SocketAddr, client_id: &str, token: &str) -> Command {
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program, "-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(["-i", client_id, "-u", client_id, "-P", token]);
    command
}
