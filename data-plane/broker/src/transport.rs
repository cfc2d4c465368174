//! What a client's bytes go through: a TCP connection, TLS over it or not, WebSocket frames in that or not. Inward it
//! gives the stream of MQTT, read into and taken apart in the buffer of whoever asks; outward it takes the stream. It
//! holds no buffer of its own but what rustls keeps of a record.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use contract::refusal::Refusal;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::websocket::{CloseCode, Ended, WebSocket};

/// Bytes that rustls may hold encrypted and not yet written, for each connection.
const ENCRYPTED_BYTES_MAX: usize = 64 * 1024;

/// A connection.
pub(crate) struct Transport {
    socket: TcpStream,
    layers: Option<Box<Layers>>,
}

/// A connection on its way from one runtime to another.
pub(crate) struct Parts {
    socket: std::net::TcpStream,
    layers: Option<Box<Layers>>,
}

/// What lies over the socket, where something does.
#[derive(Default)]
pub(crate) struct Layers {
    pub(crate) tls: Option<ServerConnection>,
    pub(crate) websocket: Option<WebSocket>,
    /// What was read of the frames before this was made.
    pub(crate) unread: Vec<u8>,
}

/// What came of a look at a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    /// So many bytes of the stream, at the front of the buffer; whether there may be more.
    Bytes(usize, bool),
    /// Nothing of the stream; there may be more.
    Nothing,
    /// The peer has gone.
    End,
    /// The peer has broken the rules of a layer.
    Broken(Refusal),
}

impl Transport {
    pub(crate) fn new(socket: TcpStream, layers: Layers) -> Self {
        let Layers { mut tls, websocket, unread } = layers;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(Some(ENCRYPTED_BYTES_MAX));
        }
        let is_plain = tls.is_none() && websocket.is_none() && unread.is_empty();
        Self { socket, layers: (!is_plain).then(|| Box::new(Layers { tls, websocket, unread })) }
    }

    /// Takes it out of the runtime that it is in.
    pub(crate) fn into_parts(self) -> io::Result<Parts> {
        Ok(Parts { socket: self.socket.into_std()?, layers: self.layers })
    }

    /// Puts it into the runtime of the caller.
    pub(crate) fn from_parts(parts: Parts) -> io::Result<Self> {
        Ok(Self { socket: TcpStream::from_std(parts.socket)?, layers: parts.layers })
    }

    /// Reads the stream. Ready when something came, be it nothing of the stream; then [`has_more_to_write`] may hold.
    ///
    /// [`has_more_to_write`]: Self::has_more_to_write
    #[inline]
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Received> {
        let Some(layers) = &mut self.layers else {
            return Poll::Ready(received(ready!(poll_read(&mut self.socket, cx, buffer)), buffer.len()));
        };
        if let Some(ended) = layers.websocket.as_ref().and_then(|websocket| websocket.inward.ended()) {
            return Poll::Ready(received_last(ended));
        }
        let received = ready!(layers.poll_read(&mut self.socket, cx, buffer));
        let (Received::Bytes(bytes, more), Some(websocket)) = (received, &mut layers.websocket) else {
            return Poll::Ready(received);
        };
        let unframed = websocket.inward.unframe(&mut buffer[..bytes]);
        if let Some(payload) = unframed.ping {
            websocket.outward.pong(payload);
        }
        match unframed.ended {
            Some(Ended::Broken(code)) => websocket.outward.close(code),
            Some(Ended::Closed) => websocket.outward.close(CloseCode::Normal),
            None => {}
        }
        Poll::Ready(match (unframed.bytes, unframed.ended) {
            (1.., _) => Received::Bytes(unframed.bytes, more),
            (0, Some(ended)) => received_last(ended),
            (0, None) => Received::Nothing,
        })
    }

    #[cfg(test)]
    pub(crate) fn peer_port(&self) -> u16 {
        self.socket.peer_addr().expect("connected").port()
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_write_ready(cx).map(drop)
    }

    /// Whether something waits to be written that is not of the stream.
    #[inline]
    pub(crate) fn has_more_to_write(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| layers.has_more_to_write())
    }

    /// Writes as much of `stream` as is taken, and says how much that was. `Ok`: all of it, and all before it, has gone
    /// to the network. What is not taken comes first the next time, and more may have been added behind it.
    pub(crate) fn write(&mut self, stream: &[u8]) -> (usize, io::Result<()>) {
        let mut taken = 0;
        let result = match &mut self.layers {
            None => write_plain(&self.socket, stream, &mut taken),
            Some(layers) => layers.write(&self.socket, stream, &mut taken),
        };
        (taken, result)
    }

    /// Says what there is to say at the end, as far as it is taken at once.
    pub(crate) fn part(mut self, stream: &[u8], code: CloseCode) {
        let (taken, result) = self.write(stream);
        if result.is_ok() {
            self.begin_close(code);
            let _ = self.write(&stream[taken..]);
            self.end_tls();
            let _ = self.write(&[]);
        }
    }

    /// Writes `stream`, says that it is over, and closes our side.
    pub(crate) async fn close(&mut self, stream: &[u8], code: CloseCode) -> io::Result<()> {
        self.begin_close(code);
        self.send(stream).await?;
        self.end_tls();
        self.send(&[]).await?;
        self.socket.shutdown().await
    }

    /// Reads and throws away what the peer still sends, as it comes over the network.
    pub(crate) async fn drain(&mut self, scrap: &mut [u8]) -> io::Result<()> {
        while tokio::io::AsyncReadExt::read(&mut self.socket, scrap).await? > 0 {}
        Ok(())
    }

    /// Writes all of `stream`, waiting as long as that takes.
    pub(crate) async fn send(&mut self, mut stream: &[u8]) -> io::Result<()> {
        loop {
            let (taken, result) = self.write(stream);
            stream = &stream[taken..];
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.socket.writable().await?,
                result => return result,
            }
        }
    }

    fn begin_close(&mut self, code: CloseCode) {
        if let Some(websocket) = self.layers.as_mut().and_then(|layers| layers.websocket.as_mut()) {
            websocket.outward.close(code);
        }
    }

    fn end_tls(&mut self) {
        if let Some(tls) = self.layers.as_mut().and_then(|layers| layers.tls.as_mut()) {
            tls.send_close_notify();
        }
    }
}

impl Layers {
    fn has_more_to_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
            || self.websocket.as_ref().is_some_and(|websocket| websocket.outward.has_control())
    }

    /// Reads what lies under the frames.
    fn poll_read(
        &mut self,
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Received> {
        if !self.unread.is_empty() {
            let bytes = self.unread.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&self.unread[..bytes]);
            self.unread.drain(..bytes);
            self.unread.shrink_to_fit();
            return Poll::Ready(Received::Bytes(bytes, true));
        }
        match &mut self.tls {
            None => Poll::Ready(received(ready!(poll_read(socket, cx, buffer)), buffer.len())),
            Some(tls) => poll_decrypt(tls, socket, cx, buffer),
        }
    }

    fn write(&mut self, socket: &TcpStream, stream: &[u8], taken: &mut usize) -> io::Result<()> {
        let Self { tls, websocket, .. } = self;
        let mut lower = Lower { socket, tls: tls.as_mut() };
        match websocket {
            None => {
                while *taken < stream.len() {
                    *taken += lower.write(&[IoSlice::new(&stream[*taken..])])?;
                }
            }
            Some(websocket) => {
                let framer = &mut websocket.outward;
                loop {
                    let control = framer.control(*taken == stream.len());
                    if !control.is_empty() {
                        let written = lower.write(&[IoSlice::new(control)])?;
                        control.drain(..written);
                        continue;
                    }
                    // Behind a close nothing may follow: what there was to say is said.
                    if framer.is_closed() {
                        *taken = stream.len();
                    }
                    if *taken == stream.len() {
                        break;
                    }
                    let written = lower.write(&framer.data(&stream[*taken..]))?;
                    *taken += framer.advance(written);
                }
            }
        }
        lower.flush()
    }
}

/// What frames, or the bare stream, are written to.
struct Lower<'a> {
    socket: &'a TcpStream,
    tls: Option<&'a mut ServerConnection>,
}

impl Lower<'_> {
    /// How much of `slices`, one after the other, was taken: something.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // What rustls holds goes out first, so it has room for what comes.
        self.flush()?;
        match &mut self.tls {
            None => retry(|| self.socket.try_write_vectored(slices)),
            Some(tls) => match tls.writer().write_vectored(slices)? {
                0 => Err(ErrorKind::WriteZero.into()),
                written => Ok(written),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut Socket(self.socket))?;
        }
        Ok(())
    }
}

fn write_plain(socket: &TcpStream, stream: &[u8], taken: &mut usize) -> io::Result<()> {
    while *taken < stream.len() {
        *taken += retry(|| socket.try_write(&stream[*taken..]))?;
    }
    Ok(())
}

fn retry(mut work: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn poll_read(socket: &mut TcpStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(buffer);
    Pin::new(socket).poll_read(cx, &mut room).map_ok(|()| room.filled().len())
}

fn received(read: io::Result<usize>, asked: usize) -> Received {
    match read {
        Ok(0) | Err(_) => Received::End,
        Ok(bytes) => Received::Bytes(bytes, bytes == asked),
    }
}

/// Fills the buffer with what is in the records that are there.
fn poll_decrypt(
    tls: &mut ServerConnection,
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<Received> {
    let mut bytes = 0;
    loop {
        match tls.reader().read(&mut buffer[bytes..]) {
            Ok(0) if bytes == 0 => return Poll::Ready(Received::End),
            Ok(read) if read > 0 && bytes + read < buffer.len() => {
                bytes += read;
                continue;
            }
            Ok(read) => return Poll::Ready(Received::Bytes(bytes + read, true)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The peer has gone without a word: what it has said before still counts.
            Err(_) if bytes > 0 => return Poll::Ready(Received::Bytes(bytes, true)),
            Err(_) => return Poll::Ready(Received::End),
        }
        match tls.read_tls(&mut Polled { socket, cx }) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && bytes == 0 => return Poll::Pending,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Poll::Ready(Received::Bytes(bytes, false));
            }
            Err(_) if bytes == 0 => return Poll::Ready(Received::End),
            Err(_) => return Poll::Ready(Received::Bytes(bytes, true)),
            Ok(_) => {}
        }
        let is_lawful = tls.process_new_packets().is_ok();
        if tls.wants_write() {
            // An alert or an answer: what is not taken now goes with the next output.
            let _ = tls.write_tls(&mut Socket(socket));
        }
        if !is_lawful {
            return Poll::Ready(if bytes == 0 { Received::End } else { Received::Bytes(bytes, true) });
        }
    }
}

/// The socket as rustls reads it.
struct Polled<'a, 'b> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match poll_read(self.socket, self.cx, buffer) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

/// The socket as rustls writes it.
struct Socket<'a>(&'a TcpStream);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| self.0.try_write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| self.0.try_write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn received_last(ended: Ended) -> Received {
    match ended {
        Ended::Closed => Received::End,
        Ended::Broken(CloseCode::TooBig) => Received::Broken(Refusal::PacketBytesMax),
        Ended::Broken(_) => Received::Broken(Refusal::ProtocolError),
    }
}
