//! One connection to the broker: packets out of a socket, bytes into it. It knows no session.

use std::io::{self, ErrorKind};

use mqtt::client::{self, ServerPacket};
use mqtt::{Connect, ConnectReturnCode, ReasonCode, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::plan::Plan;

/// The largest packet that is received.
const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes read at once, at least.
const READ_BYTES: usize = 16 * 1024;

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
    /// Of `received`, what has been looked at.
    taken: usize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network says no, the connection has ended, or what came is no MQTT.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The broker says no.
    #[error("the broker refuses the connection (`{0:?}`)")]
    Refused(ConnectReturnCode),
}

impl Wire {
    /// Connects with this client identifier; answers whether the broker has a session of it.
    pub(crate) async fn connect(
        plan: &Plan,
        client_id: &str,
        clean_session: bool,
    ) -> Result<(Self, bool), ConnectError> {
        let stream = TcpStream::connect(&plan.address).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, received: Vec::new(), taken: 0 };
        let connect = Connect {
            clean_start: clean_session,
            keep_alive_secs: 0,
            client_id,
            will: None,
            username: plan.login.username.as_deref(),
            password: plan.login.password.as_deref().map(str::as_bytes),
            ..Connect::default()
        };
        let mut out = Vec::new();
        client::connect(&mut out, &connect).map_err(io::Error::other)?;
        wire.send(&out).await?;
        wire.fill().await?;
        loop {
            if let Some(packet) = wire.next()? {
                let ServerPacket::ConnAck { session_present, reason, .. } = packet else {
                    return Err(
                        io::Error::new(ErrorKind::InvalidData, "the first packet is no CONNACK").into()
                    );
                };
                return if reason == ReasonCode::Success {
                    Ok((wire, session_present))
                } else {
                    Err(ConnectError::Refused(ConnectReturnCode::of_reason(reason)))
                };
            }
            wire.fill().await?;
        }
    }

    /// The next packet of what has been received; none: more has to be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<ServerPacket<'_>>> {
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        let Some(frame) = frame(&self.received[self.taken..], PACKET_BYTES_MAX).map_err(invalid)? else {
            return Ok(None);
        };
        self.taken += frame.total;
        client::decode(mqtt::Version::V311, frame).map(Some).map_err(invalid)
    }

    /// Reads more. May be dropped before it is done: then nothing was read. The end of the connection is an error.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.received.drain(..std::mem::take(&mut self.taken));
        self.received.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }
}
