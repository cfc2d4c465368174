//! TLS as the broker is given it: which certificates and when they change is decided outside.

use std::sync::Arc;

use rustls::ServerConfig;

/// One way of encrypting for each kind of listener. Both have the same certificates and differ in what is negotiated.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For MQTT itself: a client that negotiates at all may ask for `mqtt`.
    pub mqtt: Arc<ServerConfig>,
    /// For what begins as a request of HTTP/1.1.
    pub http: Arc<ServerConfig>,
}
