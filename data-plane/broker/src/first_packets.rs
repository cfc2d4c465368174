//! What a connection says before it is a client: CONNECT, and with a method of several steps AUTH. Read here, decided
//! about in `connect`.

use std::future::poll_fn;

use contract::refusal::Refusal;
use mqtt::{Packet, ReasonCode, Version, kind};

use crate::connect::{Asking, Rejection, Welcome, reject_bytes};
use crate::enhanced::Method;
use crate::node::Node;
use crate::transport::{Received, Transport};
use crate::turn::refusal_of;

/// What is read of a CONNECT at first: most are shorter.
const CONNECT_BYTES: usize = 512;

/// Reads CONNECT, and what its method of authentication needs besides, and decides about it; `None`: the peer has gone.
pub(crate) async fn read_connect(
    node: &Node,
    transport: &mut Transport,
    default_instance: Option<&str>,
) -> Result<Option<(Welcome, Vec<u8>)>, Rejection> {
    let bytes_max = node.config.front.connect_bytes_max;
    let mut unread = Unread { bytes: vec![0; CONNECT_BYTES], received: 0 };
    let total = match unread.packet(transport, &[kind::CONNECT], bytes_max).await {
        Ok(Some(total)) => total,
        Ok(None) => return Ok(None),
        Err(refusal) => return Err(unread.reject(refusal)),
    };
    let Unread { mut bytes, received } = unread;
    let mut unread = Unread { bytes: bytes[total..received].to_vec(), received: received - total };
    bytes.truncate(total);
    let Ok(Some(frame)) = mqtt::frame(&bytes, bytes_max) else {
        return Err(Rejection::silent(Refusal::InternalError));
    };
    let asking = Asking::read(node, frame, default_instance)?;
    let welcome = match asking.method() {
        Some(Method::Scram) => match by_scram(asking, transport, &mut unread, bytes_max).await? {
            Some(welcome) => welcome,
            None => return Ok(None),
        },
        Some(Method::Token) | None => asking.decide()?,
    };
    unread.bytes.truncate(unread.received);
    Ok(Some((welcome, unread.bytes)))
}

/// Takes the steps of SCRAM with a client: at most two answers of ours and two messages beside CONNECT. `None`: it has
/// gone.
async fn by_scram(
    asking: Asking<'_>,
    transport: &mut Transport,
    unread: &mut Unread,
    bytes_max: usize,
) -> Result<Option<Welcome>, Rejection> {
    let first = match asking.auth_data() {
        Some(first) => first.to_vec(),
        None => match ask(&asking, None, transport, unread, bytes_max).await {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(None),
            Err(refusal) => return Err(asking.reject(refusal)),
        },
    };
    let challenge = asking.challenge(&first)?;
    match ask(&asking, Some(challenge.1.data()), transport, unread, bytes_max).await {
        Ok(Some(last)) => asking.finish(challenge, &last).map(Some),
        Ok(None) => Ok(None),
        Err(refusal) => Err(asking.reject(refusal)),
    }
}

/// Has a client go on with its authentication; the answer is what it says. Until it is let in it may say nothing else
/// [MQTT-3.1.2-30].
fn ask<'a>(
    asking: &Asking<'_>,
    data: Option<&[u8]>,
    transport: &'a mut Transport,
    unread: &'a mut Unread,
    bytes_max: usize,
) -> impl Future<Output = Result<Option<Vec<u8>>, Refusal>> + Send + use<'a> {
    let method = asking.method().map_or("", Method::name);
    let mut challenge = Vec::new();
    mqtt::auth(&mut challenge, ReasonCode::ContinueAuthentication, method, data);
    let is_taken = asking.takes(challenge.len());
    async move {
        if !is_taken {
            return Err(Refusal::PacketBytesMax); // [MQTT-3.1.2-24]
        }
        if transport.send(&challenge).await.is_err() {
            return Ok(None);
        }
        let Some(total) = unread.packet(transport, &[kind::AUTH, kind::DISCONNECT], bytes_max).await? else {
            return Ok(None);
        };
        let frame = mqtt::frame(&unread.bytes[..total], bytes_max).map_err(refusal_of)?;
        let frame = frame.ok_or(Refusal::InternalError)?;
        // The only other kind is DISCONNECT.
        let Packet::Auth(auth) = mqtt::decode(Version::V5, frame).map_err(refusal_of)? else {
            return Ok(None);
        };
        if auth.reason != ReasonCode::ContinueAuthentication {
            return Err(Refusal::ProtocolError);
        }
        if auth.method != Some(method) {
            return Err(Refusal::AuthenticationMethodInvalid); // [MQTT-4.12.0-5]
        }
        let said = auth.data.unwrap_or_default().to_vec();
        unread.bytes.drain(..total);
        unread.received -= total;
        Ok(Some(said))
    }
}

/// What has come of a peer that is not yet a client.
struct Unread {
    /// As much as there is room for.
    bytes: Vec<u8>,
    received: usize,
}

impl Unread {
    /// Reads until a packet is whole, of one of these kinds; the answer is how long it is. `None`: the peer has gone.
    async fn packet(
        &mut self,
        transport: &mut Transport,
        kinds: &[u8],
        bytes_max: usize,
    ) -> Result<Option<usize>, Refusal> {
        loop {
            let so_far = &self.bytes[..self.received];
            // Before CONNECT nobody is listened to for long: another packet is refused at its first byte.
            if so_far.first().is_some_and(|first| !kinds.contains(&(first >> 4))) {
                return Err(Refusal::ProtocolError);
            }
            if let Some(frame) = mqtt::frame(so_far, bytes_max).map_err(refusal_of)? {
                return Ok(Some(frame.total));
            }
            if self.received == self.bytes.len() {
                self.bytes.resize((2 * self.received).max(CONNECT_BYTES), 0);
            }
            let read = poll_fn(|cx| transport.poll_receive(cx, &mut self.bytes[self.received..])).await;
            if transport.has_more_to_write() {
                // What is not taken at once goes with the next output.
                let _ = transport.write(&[]);
            }
            match read {
                Received::Bytes(read, _) => self.received += read,
                Received::Nothing => {}
                Received::End => return Ok(None),
                Received::Broken(refusal) => return Err(refusal),
            }
        }
    }

    /// Refuses what has come in front of a CONNECT that is whole.
    fn reject(&self, refusal: Refusal) -> Rejection {
        let so_far = &self.bytes[..self.received];
        // Behind a length that is too long there may be enough of it to know its version.
        let header = so_far.iter().skip(1).take_while(|byte| **byte >= 0x80).count() + 2;
        reject_bytes(
            so_far.get(header..).filter(|_| so_far[0] >> 4 == kind::CONNECT).unwrap_or_default(),
            refusal,
        )
    }
}
