//! A TCP proxy that can be cut: the network between two processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way to one address. Cut, it ends every connection and lets none through until it is resumed.
pub struct Proxy {
    /// Where to connect instead.
    pub address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
    refused: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A way to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::new(watch::Sender::new(true));
        let gate = Arc::clone(&open);
        let refused = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&refused);
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let mut state = gate.subscribe();
                if *state.borrow() {
                    tokio::spawn(async move {
                        tokio::select! {
                            () = carry(from, target) => {}
                            _ = state.wait_for(|open| !open) => {}
                        }
                    });
                } else {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { address, open, refused, accepting }
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// How many connections have been refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Lets connections through again.
    pub fn resume(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn carry(mut from: TcpStream, target: SocketAddr) {
    if let Ok(mut to) = TcpStream::connect(target).await {
        drop(copy_bidirectional(&mut from, &mut to).await);
    }
}
