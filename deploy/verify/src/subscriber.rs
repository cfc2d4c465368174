//! A subscriber: takes what comes and answers it as a correct client does. One kind is always there, one goes away and
//! comes back, one shares a subscription with others that come and go as it does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client::{self, ServerPacket};
use mqtt::{PacketId, Publish};
use tokio::time::{sleep, timeout};

use crate::chance::Chance;
use crate::client::{Board, Client, Found, Phase, lock};
use crate::clock::now;
use crate::incoming::Incoming;
use crate::ledger::Id;
use crate::run::VerifyError;
use crate::wire::Wire;

/// How long a subscriber of the second or the third kind is there, in milliseconds.
const STAYS_MILLIS: (u64, u64) = (500, 2_500);

/// How long a member of the group is away, in milliseconds; at times all of them are, and a backlog waits.
const MEMBER_AWAY_MILLIS: (u64, u64) = (0, 1_500);

/// How often one that is away looks whether it is time to come back.
const PERIOD: Duration = Duration::from_millis(10);

/// How long the answer to the first SUBSCRIBE may take.
const SUBSCRIBE_TIME_MAX: Duration = Duration::from_secs(10);

/// How a subscriber behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Habit {
    /// Always there.
    Live,
    /// Goes away until it has missed a number of messages.
    Away,
    /// A member of the group; goes away for a while.
    Shared,
}

impl Habit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Away => "away",
            Self::Shared => "shared",
        }
    }
}

/// A subscriber with its session.
#[derive(Debug)]
pub(crate) struct Subscriber {
    board: Arc<Board>,
    client: Client,
    habit: Habit,
    /// Which receiver of the board it is, or belongs to.
    receiver: usize,
    incoming: Incoming,
    chance: Chance,
    out: Vec<u8>,
}

/// Why a connection was left without an error.
enum Left {
    /// It is time to be away.
    OnPurpose,
    /// The run is over.
    AtTheEnd,
}

impl Subscriber {
    pub(crate) fn new(board: &Arc<Board>, habit: Habit, number: usize, receiver: usize) -> Self {
        let seed = board.plan.seed ^ (number as u64 + 1) << 40 ^ (habit as u64 + 1) << 48;
        Self {
            client: Client::new(board.plan.client_id(habit.name(), number)),
            board: Arc::clone(board),
            habit,
            receiver,
            incoming: Incoming::default(),
            chance: Chance::new(seed),
            out: Vec::new(),
        }
    }

    /// Connects for the first time with a session that is new, and subscribes.
    pub(crate) async fn prepare(&mut self) -> Result<Wire, VerifyError> {
        self.client.clear(&self.board.plan).await?;
        let mut wire = self.client.connect_first(&self.board.plan).await?;
        let (client_id, filter, qos) = (self.client.id.clone(), self.filter(), self.qos());
        let subscribing = timeout(SUBSCRIBE_TIME_MAX, subscribe(&mut wire, &filter, qos));
        let granted = subscribing.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match granted {
            Ok(Some(granted)) if granted == qos => Ok(wire),
            Ok(_) => Err(VerifyError::NotGranted { client_id, filter, qos }),
            Err(source) => Err(VerifyError::Subscribe { client_id, source }),
        }
    }

    fn filter(&self) -> String {
        match self.habit {
            Habit::Live | Habit::Away => self.board.plan.topic_filter(),
            Habit::Shared => self.board.plan.shared_filter(),
        }
    }

    fn qos(&self) -> Qos {
        self.board.receivers[self.receiver].qos()
    }

    /// Receives until the end of the run.
    pub(crate) async fn run(mut self, wire: Wire) {
        let mut connected = Some((wire, Found::New));
        while let Some((wire, found)) = connected {
            self.out.clear();
            if found == Found::Lost {
                self.incoming.forget();
                // Nobody waits for the answer: the next connection would subscribe again.
                let filter = self.filter();
                let wanted = (filter.as_str(), self.qos());
                client::subscribe(&mut self.out, PacketId::MIN, &[wanted]).expect("a short filter");
            }
            self.board.has_arrived();
            self.board.connected.fetch_add(1, Ordering::Relaxed);
            let left = self.serve(wire).await;
            self.board.connected.fetch_sub(1, Ordering::Relaxed);
            match left {
                Ok(Left::AtTheEnd) => return,
                Ok(Left::OnPurpose) => self.stay_away().await,
                Err(_) => {}
            }
            connected = self.client.connect(&self.board).await;
        }
    }

    async fn stay_away(&mut self) {
        let time = self.chance.between(MEMBER_AWAY_MILLIS.0, MEMBER_AWAY_MILLIS.1);
        let (begin, time) = (now(), Duration::from_millis(time));
        let inbox = &self.board.receivers[self.receiver];
        let is_early = || match self.habit {
            Habit::Live => false,
            Habit::Away => self.board.lag(inbox) < self.board.plan.away_messages,
            Habit::Shared => begin.elapsed() < time,
        };
        while self.board.phase() == Phase::Load && is_early() {
            sleep(PERIOD).await;
        }
    }

    /// One connection. An error is its end.
    async fn serve(&mut self, mut wire: Wire) -> io::Result<Left> {
        let stays = Duration::from_millis(self.chance.between(STAYS_MILLIS.0, STAYS_MILLIS.1));
        let board = Arc::clone(&self.board);
        let habit = self.habit;
        let leaves = async {
            match habit {
                Habit::Live => std::future::pending().await,
                Habit::Away | Habit::Shared => sleep(stays).await,
            }
        };
        tokio::pin!(leaves);
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
                () = &mut leaves, if board.phase() == Phase::Load => {
                    // Half of them say so, half are simply gone.
                    if self.chance.between(0, 2) == 0 {
                        client::disconnect(&mut self.out);
                        wire.send(&self.out).await?;
                    }
                    return Ok(Left::OnPurpose);
                }
                () = board.reached(Phase::End) => return Ok(Left::AtTheEnd),
            }
        }
    }

    fn take(&mut self, packet: &ServerPacket<'_>) {
        match packet {
            ServerPacket::Publish(publish) => {
                if self.incoming.publish(publish, &mut self.out) {
                    self.deliver(publish);
                }
            }
            ServerPacket::PubRel(packet_id, _) => self.incoming.pubrel(*packet_id, &mut self.out),
            ServerPacket::ConnAck { .. }
            | ServerPacket::PubAck(..)
            | ServerPacket::PubRec(..)
            | ServerPacket::PubComp(..)
            | ServerPacket::SubAck { .. }
            | ServerPacket::UnsubAck { .. }
            | ServerPacket::PingResp
            | ServerPacket::Disconnect(_)
            | ServerPacket::Auth(_) => {}
        }
    }

    fn deliver(&self, publish: &Publish<'_>) {
        let inbox = &self.board.receivers[self.receiver];
        self.board.has_arrived();
        if publish.topic == self.board.plan.bell() {
            inbox.has_heard_bell.store(true, Ordering::Relaxed);
            return;
        }
        let mut received = lock(&inbox.received);
        let before = received.distinct;
        match Id::read(publish.payload) {
            Some(id) if self.board.plan.topic(id.publisher, id.sequence) == publish.topic => {
                received.take(id);
            }
            Some(_) | None => received.foreign += 1,
        }
        inbox.caught_up.fetch_add(received.distinct - before, Ordering::Relaxed);
    }
}

/// Subscribes and waits for the answer: what was granted.
pub(crate) async fn subscribe(wire: &mut Wire, filter: &str, qos: Qos) -> io::Result<Option<Qos>> {
    let mut out = Vec::new();
    client::subscribe(&mut out, PacketId::MIN, &[(filter, qos)]).map_err(io::Error::other)?;
    wire.send(&out).await?;
    loop {
        while let Some(packet) = wire.next()? {
            if let ServerPacket::SubAck { codes, .. } = packet {
                return Ok(codes.first().and_then(|code| code.granted_qos()));
            }
        }
        wire.fill().await?;
    }
}
