//! Whether a broker shares a subscription among clients of 3.1.1: it may refuse, or take the filter for an ordinary one,
//! which then brings nothing, or everything to each member. It is tried, not asked.

use std::io;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish};
use tokio::time::timeout;

use crate::plan::Plan;
use crate::subscriber::subscribe;
use crate::wire::{ConnectError, Wire};

/// Messages that two members are to share.
const MESSAGES: usize = 8;

/// How long an answer may take: a broker that stays silent shares nothing.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long nothing may come until all has come.
const SILENCE: Duration = Duration::from_millis(400);

/// Whether two members of a group get each message once together, at QoS 1.
pub(crate) async fn are_served(plan: &Plan) -> Result<bool, ConnectError> {
    let mut members = Vec::new();
    for number in 0..2 {
        let (wire, _) = Wire::connect(plan, &plan.client_id("probe", number), true).await?;
        members.push(wire);
    }
    // A broker that closes the connection or stays silent grants nothing either.
    for member in &mut members {
        let granted =
            timeout(ANSWER_TIME_MAX, subscribe(member, &plan.shared_probe_filter(), Qos::AtLeastOnce)).await;
        if !matches!(granted, Ok(Ok(Some(Qos::AtLeastOnce)))) {
            return Ok(false);
        }
    }
    publish(&mut members[0], &plan.probe_topic()).await?;
    let mut arrived = 0;
    loop {
        let [first, second] = members.as_mut_slice() else { unreachable!("two were connected") };
        let more = async {
            tokio::select! {
                more = messages(first) => more,
                more = messages(second) => more,
            }
        };
        let patience = if arrived < MESSAGES { ANSWER_TIME_MAX } else { SILENCE };
        match timeout(patience, more).await {
            Ok(Ok(more)) => arrived += more,
            Ok(Err(_)) => return Ok(false),
            Err(_) => return Ok(arrived == MESSAGES),
        }
    }
}

async fn publish(wire: &mut Wire, topic: &str) -> io::Result<()> {
    let mut out = Vec::new();
    for packet_id in (1..).filter_map(PacketId::new).take(MESSAGES) {
        let (qos, packet_id) = (Qos::AtLeastOnce, Some(packet_id));
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            payload: b"shared?",
            ..Publish::default()
        };
        client::publish(&mut out, &publish).map_err(io::Error::other)?;
    }
    wire.send(&out).await
}

/// Reads once and answers how many messages that has brought. May be dropped before it is done: then nothing was read.
async fn messages(wire: &mut Wire) -> io::Result<usize> {
    wire.fill().await?;
    let (mut arrived, mut out) = (0, Vec::new());
    while let Some(packet) = wire.next()? {
        let ServerPacket::Publish(publish) = packet else { continue };
        arrived += 1;
        if let Some(packet_id) = publish.packet_id {
            client::puback(&mut out, packet_id);
        }
    }
    wire.send(&out).await?;
    Ok(arrived)
}

#[cfg(test)]
mod tests {
    use mqtt::{ConnackProperties, ReasonCode, Version};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Reads so many packets and answers.
    async fn answer(stream: &mut TcpStream, packets: usize, answer: &[u8]) -> io::Result<()> {
        let (mut received, mut taken) = (Vec::new(), 0);
        for _ in 0..packets {
            let frame = loop {
                match mqtt::frame(&received[taken..], 1_000).expect("lawful") {
                    Some(frame) => break frame.total,
                    None => stream.read_buf(&mut received).await?,
                };
            };
            taken += frame;
        }
        stream.write_all(answer).await
    }

    /// A broker for the two members, which grants and brings to each what it is told to.
    async fn broker(listener: TcpListener, granted: Option<Qos>, brings: [usize; 2]) -> io::Result<()> {
        let (mut connack, mut suback) = (Vec::new(), Vec::new());
        let said = ConnackProperties::default();
        mqtt::connack(&mut connack, Version::V311, false, ReasonCode::Success, &said);
        let code = granted.map_or(ReasonCode::UnspecifiedError, ReasonCode::granted);
        mqtt::suback(&mut suback, Version::V311, PacketId::MIN, [code].into_iter());
        let mut members = Vec::new();
        for _ in 0..2 {
            let (mut member, _) = listener.accept().await?;
            answer(&mut member, 1, &connack).await?;
            members.push(member);
        }
        for member in &mut members {
            answer(member, 1, &suback).await?;
        }
        let (qos, topic, payload) = (Qos::AtMostOnce, "verify/p", b"shared?");
        let message =
            Publish { dup: false, qos, retain: false, topic, packet_id: None, payload, ..Publish::default() };
        let mut out = Vec::new();
        mqtt::client::publish(&mut out, &message).map_err(io::Error::other)?;
        answer(&mut members[0], MESSAGES, &out.repeat(brings[0])).await?;
        members[1].write_all(&out.repeat(brings[1])).await?;
        // Until the client has seen enough and goes.
        drop(members[1].read_buf(&mut Vec::new()).await);
        Ok(())
    }

    #[tokio::test]
    async fn to_share_is_to_bring_each_message_to_one() {
        let once = Some(Qos::AtLeastOnce);
        for (granted, brings, are_shared) in [
            (once, [5, 3], true),
            (once, [MESSAGES, 0], true),
            (once, [MESSAGES, MESSAGES], false),
            (Some(Qos::AtMostOnce), [5, 3], false),
            (None, [0, 0], false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let plan = Plan::new(listener.local_addr().expect("an address").to_string());
            let serving = tokio::spawn(broker(listener, granted, brings));
            let found = are_served(&plan).await.expect("an answer");
            assert_eq!(found, are_shared, "{granted:?} {brings:?}");
            serving.abort();
        }
    }
}
