//! Connections that never wait, all on one thread: what comes is taken apart into packets, what goes is written as far as
//! the kernel takes it. They know no message.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Blocking;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use mqtt::{Frame, frame};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Readiness events taken at once.
const EVENTS_MAX: usize = 1_024;
/// The largest packet that a broker has any reason to send here.
const PACKET_BYTES_MAX: usize = 4 * 1024;

struct Connection {
    stream: TcpStream,
    /// The end of what was read: a packet that is not whole yet.
    partial: Vec<u8>,
    out: Vec<u8>,
    /// The kernel takes no more until it says so.
    blocked: bool,
}

/// The connections of one load, each called by its place.
pub(crate) struct Sockets {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// Connections with output, each once.
    to_flush: Vec<usize>,
    buffer: Vec<u8>,
}

impl Sockets {
    /// Takes over connections that were opened.
    pub(crate) fn new(streams: Vec<Blocking>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (at, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            connections.push(Connection { stream, partial: Vec::new(), out: Vec::new(), blocked: false });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            connections,
            to_flush: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.connections.len()
    }

    /// What connection `at` is to send next goes behind what it has; it is marked to be written.
    pub(crate) fn out(&mut self, at: usize) -> &mut Vec<u8> {
        let out = &mut self.connections[at].out;
        if out.is_empty() {
            self.to_flush.push(at);
        }
        out
    }

    /// Writes, waits for something to come and hands each packet on, with the output of its connection.
    pub(crate) fn turn(
        &mut self,
        wait: Duration,
        take: &mut impl FnMut(usize, Frame<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.flush()?;
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &events {
            let at = event.token().0;
            if event.is_writable() && self.connections[at].blocked {
                self.connections[at].blocked = false;
                self.to_flush.push(at);
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(at, take)?;
            }
        }
        self.events = events;
        Ok(())
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        for at in self.to_flush.drain(..) {
            let connection = &mut self.connections[at];
            while !connection.blocked && !connection.out.is_empty() {
                match connection.stream.write(&connection.out) {
                    Ok(written) if written == connection.out.len() => connection.out.clear(),
                    Ok(written) => drop(connection.out.drain(..written)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => connection.blocked = true,
                    Err(error) => return Err(error).context("the broker closed a connection"),
                }
            }
        }
        Ok(())
    }

    /// Reads one connection until the kernel has no more.
    fn read(
        &mut self,
        at: usize,
        take: &mut impl FnMut(usize, Frame<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let connection = &mut self.connections[at];
        let had_output = !connection.out.is_empty();
        loop {
            let kept = connection.partial.len();
            buffer[..kept].copy_from_slice(&connection.partial);
            connection.partial.clear();
            let read = match connection.stream.read(&mut buffer[kept..]) {
                Ok(0) => bail!("the broker closed connection {at}"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    connection.partial.extend_from_slice(&buffer[..kept]);
                    break;
                }
                Err(error) => return Err(error).context("reading failed"),
            };
            let end = kept + read;
            let mut used = 0;
            while let Some(packet) = frame(&buffer[used..end], PACKET_BYTES_MAX)? {
                used += packet.total;
                take(at, packet, &mut connection.out)?;
            }
            connection.partial.extend_from_slice(&buffer[used..end]);
            // Edge-triggered: a short read means that the kernel had no more, and more will be told.
            if end < buffer.len() {
                break;
            }
        }
        if !had_output && !connection.out.is_empty() {
            self.to_flush.push(at);
        }
        self.buffer = buffer;
        Ok(())
    }
}
