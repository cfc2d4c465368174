//! A client's connection until it is ready: CONNECT and SUBSCRIBE with plain blocking sockets. The load itself is in
//! `load.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::qos::Qos;
use mqtt::client::{ServerPacket, connect, decode, subscribe, subscribe_v5};
use mqtt::{Connect, Options, PacketId, ReasonCode, UserProperties, Version, frame};

/// How long a broker may take to answer CONNECT or SUBSCRIBE.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Connections that are opened side by side.
const GROUP: usize = 50;
/// No connection of the bench goes silent on purpose.
const KEEP_ALIVE_SECS: u16 = 3_600;

/// Who a client says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The client identifier.
    pub(crate) client_id: String,
    /// A temporary token for the password field, where the broker wants one.
    pub(crate) token: Option<String>,
}

/// Connections of clients that only say that they want to be remembered, side by side.
const LEAVING: usize = 200;

/// Opens one connection for each identity, in groups that wait for their answers together. The connections come in
/// the order of the identities.
pub(crate) fn open_all(address: SocketAddr, identities: &[Identity]) -> Result<Vec<TcpStream>> {
    open_all_as(Version::V311, address, identities)
}

/// The same in a version of MQTT.
pub(crate) fn open_all_as(
    version: Version,
    address: SocketAddr,
    identities: &[Identity],
) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(identities.len());
    for group in identities.chunks(GROUP) {
        let from = streams.len();
        for identity in group {
            streams.push(send_connect_as(version, address, identity, true)?);
        }
        for (stream, identity) in streams[from..].iter_mut().zip(group) {
            read_connack_as(version, stream).with_context(|| format!("client `{}`", identity.client_id))?;
        }
    }
    Ok(streams)
}

/// Opens a connection and sends CONNECT of 3.1.1. Nothing is read yet.
pub(crate) fn send_connect(
    address: SocketAddr,
    identity: &Identity,
    clean_session: bool,
) -> Result<TcpStream> {
    send_connect_as(Version::V311, address, identity, clean_session)
}

fn send_connect_as(
    version: Version,
    address: SocketAddr,
    identity: &Identity,
    clean_start: bool,
) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    let mut out = Vec::new();
    let packet = Connect {
        version,
        clean_start,
        keep_alive_secs: KEEP_ALIVE_SECS,
        client_id: &identity.client_id,
        will: None,
        username: identity.token.as_ref().map(|_| "bench"),
        password: identity.token.as_deref().map(str::as_bytes),
        ..Connect::default()
    };
    connect(&mut out, &packet)?;
    stream.write_all(&out)?;
    Ok(stream)
}

/// Reads CONNACK, which must accept. The answer is whether the broker had a session of the client.
pub(crate) fn read_connack(stream: &mut TcpStream) -> Result<bool> {
    read_connack_as(Version::V311, stream)
}

fn read_connack_as(version: Version, stream: &mut TcpStream) -> Result<bool> {
    let packet = read_packet(stream)?;
    let answer = decode(version, frame(&packet, packet.len())?.context("a whole packet")?)?;
    let ServerPacket::ConnAck { reason: ReasonCode::Success, session_present, .. } = answer else {
        bail!("CONNECT was answered with {answer:?}")
    };
    Ok(session_present)
}

/// Subscribes to one filter and waits for the answer. A broker may deliver only what comes after it.
pub(crate) fn subscribe_to(stream: &mut TcpStream, filter: &str, qos: Qos) -> Result<()> {
    subscribe_as(Version::V311, stream, filter, qos)
}

/// The same on a connection of this version.
pub(crate) fn subscribe_as(version: Version, stream: &mut TcpStream, filter: &str, qos: Qos) -> Result<()> {
    send_subscribe(version, stream, filter, qos)?;
    read_suback(version, stream, filter, qos)
}

fn send_subscribe(version: Version, stream: &mut TcpStream, filter: &str, qos: Qos) -> Result<()> {
    let mut out = Vec::new();
    if version.is_v5() {
        let filters = [(filter, Options::of(qos))];
        subscribe_v5(&mut out, PacketId::MIN, &filters, None, UserProperties::default())?;
    } else {
        subscribe(&mut out, PacketId::MIN, &[(filter, qos)])?;
    }
    stream.write_all(&out)?;
    Ok(())
}

fn read_suback(version: Version, stream: &mut TcpStream, filter: &str, qos: Qos) -> Result<()> {
    let packet = read_packet(stream)?;
    let answer = decode(version, frame(&packet, packet.len())?.context("a whole packet")?)?;
    let ServerPacket::SubAck { codes, .. } = answer else { bail!("SUBSCRIBE was answered with {answer:?}") };
    ensure!(codes == [ReasonCode::granted(qos)], "`{filter}` at {qos:?} was granted {codes:?}");
    Ok(())
}

/// Connects a client that is to be remembered, subscribes and leaves: the broker keeps messages for it.
pub(crate) fn leave_subscribed(address: SocketAddr, filter: &str, qos: Qos) -> Result<()> {
    let identity = Identity { client_id: "remembered".to_owned(), token: None };
    leave_all_subscribed(address, &[identity], &|_| filter.to_owned(), qos)
}

/// The same for many clients, each with a filter of its own.
pub(crate) fn leave_all_subscribed(
    address: SocketAddr,
    identities: &[Identity],
    filter: &dyn Fn(usize) -> String,
    qos: Qos,
) -> Result<()> {
    for (group_at, group) in identities.chunks(LEAVING).enumerate() {
        let streams = group.iter().map(|identity| send_connect(address, identity, false));
        let mut streams = streams.collect::<Result<Vec<_>>>()?;
        for (at, stream) in streams.iter_mut().enumerate() {
            read_connack(stream).with_context(|| format!("client `{}`", group[at].client_id))?;
            send_subscribe(Version::V311, stream, &filter(group_at * LEAVING + at), qos)?;
        }
        for (at, stream) in streams.iter_mut().enumerate() {
            read_suback(Version::V311, stream, &filter(group_at * LEAVING + at), qos)?;
            let mut out = Vec::new();
            mqtt::client::disconnect(&mut out);
            stream.write_all(&out)?;
        }
        for stream in &mut streams {
            // The broker closes first, so that it has the session to itself before anything else happens.
            ensure!(stream.read(&mut [0])? == 0, "something came behind DISCONNECT");
        }
    }
    Ok(())
}

/// One packet, and not a byte of what comes behind it.
fn read_packet(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).context("the broker closed the connection or did not answer")?;
    let mut rest = usize::from(packet[1] & 0x7F);
    if packet[1] >= 0x80 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        ensure!(byte[0] < 0x80, "the answer is longer than any answer to CONNECT or SUBSCRIBE");
        packet.push(byte[0]);
        rest |= usize::from(byte[0]) << 7;
    }
    let head = packet.len();
    packet.resize(head + rest, 0);
    stream.read_exact(&mut packet[head..])?;
    Ok(packet)
}
