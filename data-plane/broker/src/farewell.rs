//! How a connection is closed so that its reason arrives: the last bytes are written, our side is closed, and what the
//! peer still sends is read and thrown away for a moment. Closed at once, unread bytes would make a reset of it, which
//! takes back what the peer had not read yet.

use std::time::Duration;

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
