//! One connection of the storm: it sends broken packets, looks whether the broker still speaks MQTT, and comes again when
//! it has been sent away.

use std::ops::AddAssign;
use std::time::Duration;

use mqtt::client::{ServerPacket, decode};
use mqtt::{Version, frame};
use tests::ClientBuilder;
use tests::wait::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chance::Chance;
use super::packets::{connect, mutate, packets};

/// How long an answer is waited for: a packet that announces more than it has swallows what comes behind it.
const ANSWER_WAIT: Duration = Duration::from_millis(300);

/// Packets that are sent in one breath, at most.
const BREATH_MAX: usize = 4;

/// One CONNECT in so many is broken too.
const BROKEN_CONNECT_EVERY: usize = 8;

const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What became of packets.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Outcome {
    /// Broken packets that were sent.
    pub(super) packets: u32,
    /// Connections that the broker has closed.
    pub(super) closed: u32,
    /// Breaths of broken packets behind which the broker still answered.
    pub(super) answered: u32,
    /// Connections that said nothing more: the broker waits for the rest of a packet.
    pub(super) silent: u32,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.closed += other.closed;
        self.answered += other.answered;
        self.silent += other.silent;
    }
}

/// How a broker has taken what it was sent.
enum Answer {
    Closed,
    Answered,
    Silent,
}

/// One connection.
pub(super) struct Attacker {
    builder: ClientBuilder,
    version: Version,
    chance: Chance,
    connect: Vec<u8>,
    lawful: Vec<Vec<u8>>,
}

impl Attacker {
    pub(super) fn new(builder: ClientBuilder, version: Version, chance: Chance) -> Self {
        let token = builder.password.as_deref().expect("a token");
        let connect = connect(version, &builder.client_id, token);
        Self { builder, version, chance, connect, lawful: packets(version) }
    }

    /// Sends so many broken packets, over as many connections as it takes.
    pub(super) async fn attack(mut self, packets: u32) -> Outcome {
        let mut outcome = Outcome::default();
        while outcome.packets < packets {
            let stream = within("a TCP connection", TcpStream::connect(self.builder.address)).await;
            let mut stream = stream.expect("the broker listens");
            self.visit(&mut stream, packets, &mut outcome).await;
        }
        outcome
    }

    /// One connection until its end.
    async fn visit(&mut self, stream: &mut TcpStream, packets: u32, outcome: &mut Outcome) {
        let mut out = self.connect.clone();
        if self.chance.below(BROKEN_CONNECT_EVERY) == 0 {
            mutate(&mut out, &self.lawful, &mut self.chance);
            outcome.packets += 1;
        }
        let mut received = Vec::new();
        loop {
            let breath = 1 + self.chance.below(BREATH_MAX);
            for _ in 0..breath {
                if outcome.packets < packets {
                    let mut packet = self.chance.one_of(&self.lawful).clone();
                    mutate(&mut packet, &self.lawful, &mut self.chance);
                    out.extend_from_slice(&packet);
                    outcome.packets += 1;
                }
            }
            out.extend_from_slice(&[0xC0, 0x00]);
            let is_sent = stream.write_all(&out).await.is_ok();
            out.clear();
            match self.answer(stream, &mut received).await {
                Answer::Answered if is_sent && outcome.packets < packets => outcome.answered += 1,
                Answer::Answered => return outcome.answered += 1,
                Answer::Closed => return outcome.closed += 1,
                Answer::Silent => return outcome.silent += 1,
            }
        }
    }

    /// Reads until a PINGRESP, the end or silence. Everything that comes must be a packet of MQTT.
    async fn answer(&self, stream: &mut TcpStream, received: &mut Vec<u8>) -> Answer {
        loop {
            let mut is_answered = false;
            while let Some(packet) = frame(received, PACKET_BYTES_MAX).expect("packets that have an end") {
                let total = packet.total;
                is_answered |= self.is_answer(&received[..total]);
                received.drain(..total);
            }
            if is_answered {
                return Answer::Answered;
            }
            match timeout(ANSWER_WAIT, stream.read_buf(received)).await {
                Ok(Ok(0) | Err(_)) => return Answer::Closed,
                Ok(Ok(_)) => {}
                Err(_) => return Answer::Silent,
            }
        }
    }

    /// Whether it is the PINGRESP.
    fn is_answer(&self, bytes: &[u8]) -> bool {
        let packet = frame(bytes, bytes.len()).expect("framed before").expect("whole");
        // Of the version of a CONNECT that was broken the broker has its own opinion.
        match decode(self.version, packet).or_else(|_| decode(self.other_version(), packet)) {
            Ok(packet) => packet == ServerPacket::PingResp,
            Err(error) => panic!("the broker sent {bytes:02x?}: {error}"),
        }
    }

    const fn other_version(&self) -> Version {
        if self.version.is_v5() { Version::V311 } else { Version::V5 }
    }
}
