//! A publisher: keeps a window of messages under way at one QoS, over every kill.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::ServerPacket;
use tokio::time::{MissedTickBehavior, interval};

use crate::chance::Chance;
use crate::client::{Board, Client, Found, Phase, lock};
use crate::ledger::Id;
use crate::outgoing::{Outgoing, Step};
use crate::run::VerifyError;
use crate::wire::Wire;

/// How often a publisher looks whether it may publish.
const TICK: Duration = Duration::from_millis(5);

/// Messages a second of the publisher of retained ones.
const RETAINED_RATE: u32 = 100;

/// What a publisher publishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Messages of the ledger, as this publisher.
    Messages(usize, Qos),
    /// Retained messages.
    Retained,
}

/// A publisher with its session.
#[derive(Debug)]
pub(crate) struct Publisher {
    board: Arc<Board>,
    client: Client,
    what: What,
    outgoing: Outgoing,
    next: u64,
    chance: Chance,
    /// Messages that it may publish by its rate.
    credit: f64,
    /// It publishes when it may publish so many, so that its window is full at times.
    burst: f64,
    out: Vec<u8>,
}

impl Publisher {
    pub(crate) fn new(board: &Arc<Board>, what: What) -> Self {
        let (kind, number) = match what {
            What::Messages(number, _) => ("publisher", number),
            What::Retained => ("retainer", 0),
        };
        let seed = board.plan.seed ^ (number as u64 + 1) << 32 ^ u64::from(what == What::Retained);
        Self {
            client: Client::new(board.plan.client_id(kind, number)),
            board: Arc::clone(board),
            what,
            outgoing: Outgoing::default(),
            next: 0,
            chance: Chance::new(seed),
            credit: 0.0,
            burst: 1.0,
            out: Vec::new(),
        }
    }

    /// Connects for the first time, with a session that is new.
    pub(crate) async fn prepare(&mut self) -> Result<Wire, VerifyError> {
        self.client.clear(&self.board.plan).await?;
        self.client.connect_first(&self.board.plan).await
    }

    /// Publishes until the run is over and all that it has published is finished.
    pub(crate) async fn run(mut self, wire: Wire) {
        let mut connected = Some((wire, Found::New));
        while let Some((wire, found)) = connected {
            self.out.clear();
            self.outgoing.resend(found == Found::Kept, &mut self.out);
            if let Ok(()) = self.serve(wire).await {
                return;
            }
            connected = self.client.connect(&self.board).await;
        }
    }

    /// One connection. An error is its end; without one it is the end of the run.
    async fn serve(&mut self, mut wire: Wire) -> io::Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let board = Arc::clone(&self.board);
        loop {
            if !self.out.is_empty() {
                let out = std::mem::take(&mut self.out);
                wire.send(&out).await?;
            }
            tokio::select! {
                read = wire.fill() => {
                    read?;
                    while let Some(packet) = wire.next()? {
                        self.take(&packet);
                    }
                }
                _ = ticks.tick() => self.publish(),
                () = board.reached(Phase::End) => return Ok(()),
            }
        }
    }

    fn take(&mut self, packet: &ServerPacket<'_>) {
        let under_way = self.outgoing.len();
        let step = match *packet {
            ServerPacket::PubAck(packet_id, _) => self.outgoing.puback(packet_id),
            ServerPacket::PubRec(packet_id, _) => self.outgoing.pubrec(packet_id, &mut self.out),
            ServerPacket::PubComp(packet_id, _) => {
                self.outgoing.pubcomp(packet_id);
                Step::Nothing
            }
            ServerPacket::ConnAck { .. }
            | ServerPacket::Publish(_)
            | ServerPacket::PubRel(..)
            | ServerPacket::SubAck { .. }
            | ServerPacket::UnsubAck { .. }
            | ServerPacket::PingResp
            | ServerPacket::Disconnect(_)
            | ServerPacket::Auth(_) => Step::Nothing,
        };
        let finished = (under_way - self.outgoing.len()) as u64;
        self.board.unfinished.fetch_sub(finished, Ordering::Relaxed);
        if let (Step::Acknowledged(number), What::Messages(publisher, _)) = (step, self.what) {
            lock(&self.board.published[publisher]).acknowledge(number);
        }
    }

    fn publish(&mut self) {
        if self.board.phase() > Phase::Load || !self.board.is_open.load(Ordering::Relaxed) {
            return;
        }
        let window = self.board.plan.window;
        let rate = if self.what == What::Retained { RETAINED_RATE } else { self.board.plan.rate };
        let whole = window as f64;
        self.credit = (self.credit + f64::from(rate) * TICK.as_secs_f64()).min(whole);
        if self.credit < self.burst {
            return;
        }
        while self.credit >= 1.0 && self.outgoing.len() < window {
            self.credit -= 1.0;
            self.publish_next();
        }
        self.burst = self.chance.between(1, window as u64 + 1) as f64;
    }

    fn publish_next(&mut self) {
        let plan = &self.board.plan;
        let number = self.next;
        self.next += 1;
        let message = match self.what {
            What::Messages(publisher, qos) => {
                let sequence = lock(&self.board.published[publisher]).begin();
                self.board.published_count.fetch_add(1, Ordering::Relaxed);
                let payload = Id { publisher, sequence }.payload(plan.payload_bytes);
                (plan.topic(publisher, sequence), payload, qos, false)
            }
            What::Retained => {
                // One QoS for each topic: between two of them there is no order.
                let qos = if number.is_multiple_of(2) { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                // An empty one deletes.
                let payload = if self.chance.between(0, 5) == 0 { Vec::new() } else { number_text(number) };
                let topic = plan.retained_topic(number);
                lock(&self.board.retained).publish(&topic, &payload);
                (topic, payload, qos, true)
            }
        };
        self.outgoing.publish(number, message, &mut self.out);
        self.board.unfinished.fetch_add(1, Ordering::Relaxed);
    }
}

fn number_text(number: u64) -> Vec<u8> {
    format!("retained {number}").into_bytes()
}
