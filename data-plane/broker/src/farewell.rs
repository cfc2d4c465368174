//! How a connection is closed so that its reason arrives: the last bytes are written, our side is closed, and what the
//! peer still sends is read and thrown away for a moment. Closed at once, unread bytes would make a reset of it, which
//! takes back what the peer had not read yet.

use std::time::Duration;

use contract::refusal::Refusal;
use mqtt::ConnectReturnCode;

use crate::transport::Transport;
use crate::websocket::CloseCode;

/// Bytes thrown away at a time.
const SCRAP_BYTES: usize = 512;

/// Writes `last`, closes our side and reads on until the peer has closed its own, for at most `time_max`. A WebSocket
/// is told `code`.
pub(crate) async fn farewell(mut transport: Transport, last: Vec<u8>, code: CloseCode, time_max: Duration) {
    let close = async {
        transport.close(&last, code).await?;
        drop(last);
        transport.drain(&mut [0; SCRAP_BYTES]).await
    };
    // Whoever goes first, or breaks, ends it.
    let _ = tokio::time::timeout(time_max, close).await;
}

/// How CONNECT is answered in 3.1.1 when it is refused (table 3.1); `None`: not at all [MQTT-3.1.4-1].
pub(crate) const fn connect_return_code(refusal: Refusal) -> Option<ConnectReturnCode> {
    match refusal {
        Refusal::MalformedPacket
        | Refusal::ProtocolError
        | Refusal::ConnectTimeout
        | Refusal::TooManyHandshakes
        | Refusal::TlsHandshakeFailed
        | Refusal::PacketBytesMax => None,
        Refusal::UnsupportedVersion => Some(ConnectReturnCode::UnacceptableProtocolVersion),
        Refusal::ClientIdInvalid | Refusal::ClientIdInUse | Refusal::ClientIdNotAllowed => {
            Some(ConnectReturnCode::IdentifierRejected)
        }
        Refusal::ConnectionsMax
        | Refusal::ConnectsPerSec
        | Refusal::ConnectionsPerSubjectMax
        | Refusal::NodeStopping
        | Refusal::StorageUnavailable
        | Refusal::SessionsMax
        | Refusal::SessionDamaged
        | Refusal::InternalError => Some(ConnectReturnCode::ServerUnavailable),
        Refusal::CredentialsWrong | Refusal::TokenInvalid => Some(ConnectReturnCode::BadUserNameOrPassword),
        Refusal::InstanceUnknown
        | Refusal::InstanceSuspended
        | Refusal::AuthenticationKindRefused
        | Refusal::CredentialDisabled
        | Refusal::TokenNotYetValid
        | Refusal::TokenExpired
        | Refusal::TokenRevoked
        | Refusal::WillNotAuthorized
        | Refusal::NotAuthorized
        | Refusal::TopicNotProvisioned
        | Refusal::PayloadBytesMax
        | Refusal::TopicLevelsMax
        | Refusal::TopicBytesMax
        | Refusal::FiltersPerPacketMax
        | Refusal::ClientSubscriptionsMax
        | Refusal::SubscriptionsMax
        | Refusal::ClientSubscribesPerSec
        | Refusal::InFlightMessagesMax
        | Refusal::QueueOverflow
        | Refusal::RetainedMax
        | Refusal::SharedSubscriptionsMax
        | Refusal::ReplaysMax
        | Refusal::FilterInvalid
        | Refusal::HistoryNotKept
        | Refusal::KeepAliveTimeout
        | Refusal::TakenOver
        | Refusal::RightsWithdrawn => Some(ConnectReturnCode::NotAuthorized),
    }
}

/// The answer to a CONNECT of 3.1.1 that is refused; empty when there is none.
pub(crate) fn refused_connack(refusal: Refusal) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(code) = connect_return_code(refusal) {
        mqtt::connack(&mut bytes, false, code);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::transport::Layers;

    async fn pair() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connects");
        (Transport::new(listener.accept().await.expect("accepts").0, Layers::default()), peer)
    }

    #[tokio::test]
    async fn the_peer_hears_the_last_word_and_is_read_until_it_closes() {
        let (ours, mut peer) = pair().await;
        peer.write_all(&[0; 10_000]).await.expect("is sent");
        let parting =
            tokio::spawn(farewell(ours, b"reason".to_vec(), CloseCode::Normal, Duration::from_mins(1)));
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.expect("no reset");
        assert_eq!(heard, b"reason");
        for _ in 0..100 {
            peer.write_all(&[0; 10_000]).await.expect("somebody reads");
        }
        assert!(!parting.is_finished());
        drop(peer);
        parting.await.expect("it ends with the peer");
    }

    #[tokio::test]
    async fn a_peer_that_stays_is_not_waited_for() {
        let (ours, _peer) = pair().await;
        farewell(ours, Vec::new(), CloseCode::Normal, Duration::from_millis(20)).await;
    }
}
