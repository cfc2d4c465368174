//! One run from the first connection to the account.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::qos::Qos;
use mqtt::client;
use mqtt::{PacketId, Publish};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::account::{Account, Receiver};
use crate::client::{Board, Inbox, Phase, lock};
use crate::clock::now;
use crate::commands::ControlError;
use crate::kills::{Control, kill_again_and_again, until_serving};
use crate::plan::Plan;
use crate::publisher::{Publisher, What};
use crate::subscriber::{Habit, Subscriber};
use crate::wire::{ConnectError, Wire};
use crate::{retained, shares};

/// How often it is looked how far everything is.
const PERIOD: Duration = Duration::from_millis(10);

/// What a receiver that is there has not got after so long without any arrival is no longer waited for during the
/// load. It counts as lost in the end if it never comes.
const FORGIVEN_AFTER: Duration = Duration::from_secs(2);

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The plan asks for what cannot be.
    #[error("{0}")]
    Plan(&'static str),
    /// The broker could not be killed or started.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The broker does not serve after a start.
    #[error("the broker does not accept clients at {address}")]
    NotServing {
        /// Where.
        address: String,
        /// What the last attempt met.
        source: ConnectError,
    },
    /// The broker accepts connections and says nothing.
    #[error("the broker at {address} does not answer a CONNECT")]
    Silent {
        /// Where.
        address: String,
    },
    /// A client cannot connect.
    #[error("client `{client_id}` cannot connect")]
    Connect {
        /// Which.
        client_id: String,
        /// Why.
        source: ConnectError,
    },
    /// A client cannot subscribe.
    #[error("client `{client_id}` cannot subscribe")]
    Subscribe {
        /// Which.
        client_id: String,
        /// Why.
        source: io::Error,
    },
    /// The broker does not grant what everything depends on.
    #[error("the broker does not grant client `{client_id}` the filter `{filter}` at QoS {}", qos.bits())]
    NotGranted {
        /// Which.
        client_id: String,
        /// What it asked for.
        filter: String,
        /// And with which QoS.
        qos: Qos,
    },
}

/// Loads the broker, kills it again and again, and answers what it has kept. `progress` is told what happens.
///
/// A broker that does not run is started first. Whatever goes wrong, no client stays connected.
pub async fn run(
    plan: Plan,
    control: &mut (impl Control + Send),
    progress: &(impl Fn(&str) + Sync),
) -> Result<Account, VerifyError> {
    check(&plan)?;
    if let Err(ConnectError::Io(_)) = Wire::connect(&plan, &plan.client_id("probe", 0), true).await {
        progress("starting the broker");
        control.start().await?;
    }
    until_serving(&plan).await?;
    let failed = |source| VerifyError::Connect { client_id: plan.client_id("probe", 0), source };
    let shares = if plan.shared == 0 { None } else { Some(shares::are_served(&plan).await.map_err(failed)?) };
    if shares == Some(false) {
        progress("shared subscriptions are not served; going on without");
    }
    retained::clear(&plan).await.map_err(failed)?;

    let board = Board::new(plan.clone(), receivers(&plan, shares == Some(true)));
    let mut clients = spawn(&board, shares == Some(true)).await?;
    clients.spawn(watch(Arc::clone(&board)));
    progress("the load begins");
    let kills = kill_again_and_again(&board, control, progress).await?;
    progress("the load ends; waiting for what is under way");
    board.enter(Phase::Finish);
    drain(&board).await;
    progress("asking whether every subscription and retained message is there");
    ring(&board).await.map_err(failed)?;
    let held = retained::ask(&plan).await.map_err(failed)?;
    board.enter(Phase::End);
    while clients.join_next().await.is_some() {}
    let retained_wrong = lock(&board.retained).wrong(&held);
    // What has been judged is no longer needed; a broker that fails now changes nothing of it.
    drop(retained::clear(&plan).await);
    Ok(account(&board, Account { kills, shares, retained_wrong, ..Account::default() }))
}

fn check(plan: &Plan) -> Result<(), VerifyError> {
    let wrong = [
        (plan.publishers == 0, "there must be publishers"),
        (plan.live + plan.away + plan.shared == 0, "there must be subscribers"),
        (plan.window == 0 || plan.window > 1_000, "the window must be from 1 to 1 000"),
        (plan.rate == 0, "the rate must not be 0"),
        (plan.away_messages == 0, "the messages that one misses that is away must not be 0"),
        (plan.payload_bytes < Plan::PAYLOAD_BYTES_MIN, "a payload has at least 12 bytes"),
        (
            plan.prefix.is_empty() || plan.prefix.contains(['/', '+', '#', '\0']),
            "the prefix is one topic level",
        ),
    ];
    wrong.into_iter().find(|(is_wrong, _)| *is_wrong).map_or(Ok(()), |(_, why)| Err(VerifyError::Plan(why)))
}

/// The subscribers of the plan in the order of the board; members of the group share the last place.
fn subscribers(plan: &Plan, shares: bool) -> Vec<(Habit, usize, usize)> {
    let of =
        |habit, count: usize, first: usize| (0..count).map(move |number| (habit, number, first + number));
    let mut all: Vec<_> =
        of(Habit::Live, plan.live, 0).chain(of(Habit::Away, plan.away, plan.live)).collect();
    let members = if shares { plan.shared } else { 0 };
    all.extend((0..members).map(|number| (Habit::Shared, number, plan.live + plan.away)));
    all
}

fn receivers(plan: &Plan, shares: bool) -> Vec<Inbox> {
    let publishers = plan.publisher_qos().len();
    let mut inboxes = Vec::new();
    for (habit, number, receiver) in subscribers(plan, shares) {
        if receiver == inboxes.len() {
            let is_group = habit == Habit::Shared;
            let name =
                if is_group { "shared group".to_owned() } else { format!("{}-{number}", habit.name()) };
            inboxes.push(Inbox::new(name, publishers, is_group));
        }
    }
    inboxes
}

/// Every client connects and subscribes before the first message is published, so that each is owed all of them.
async fn spawn(board: &Arc<Board>, shares: bool) -> Result<JoinSet<()>, VerifyError> {
    let mut clients = JoinSet::new();
    for (habit, number, receiver) in subscribers(&board.plan, shares) {
        let mut subscriber = Subscriber::new(board, habit, number, receiver);
        let wire = subscriber.prepare().await?;
        clients.spawn(subscriber.run(wire));
    }
    let messages = board.plan.publisher_qos().into_iter().enumerate();
    let whats = messages.map(|(number, qos)| What::Messages(number, qos)).chain([What::Retained]);
    let mut publishers = Vec::new();
    for what in whats {
        let mut publisher = Publisher::new(board, what);
        publishers.push((publisher.prepare().await?, publisher));
    }
    for (wire, publisher) in publishers {
        clients.spawn(publisher.run(wire));
    }
    Ok(clients)
}

/// Keeps publishers from running ahead of receivers: a broker keeps a bounded number of messages for each, and what it
/// drops beyond that is not what is asked here.
async fn watch(board: Arc<Board>) {
    let lag_max = board.plan.away_messages + board.plan.away_messages / 2;
    while board.phase() < Phase::End {
        let is_open = board.receivers.iter().all(|inbox| board.lag(inbox) < lag_max);
        board.is_open.store(is_open, Ordering::Relaxed);
        let is_quiet = board.connected.load(Ordering::Relaxed) > 0 && board.silent_for() > FORGIVEN_AFTER;
        if !is_open && is_quiet {
            for inbox in &board.receivers {
                inbox.caught_up.fetch_add(board.lag(inbox), Ordering::Relaxed);
            }
        }
        sleep(PERIOD).await;
    }
}

/// Waits until everything is finished and has arrived, or nothing more comes.
async fn drain(board: &Board) {
    let begin = now();
    while board.unfinished.load(Ordering::Relaxed) > 0 && begin.elapsed() < board.plan.patience {
        sleep(PERIOD).await;
    }
    board.has_arrived();
    let has_all =
        |inbox: &Inbox| lock(&inbox.received).distinct >= board.published_count.load(Ordering::Relaxed);
    while !board.receivers.iter().all(has_all) && board.silent_for() < board.plan.silence {
        sleep(PERIOD).await;
    }
}

/// Publishes the last message of all and waits until every receiver has it, or nothing more comes.
async fn ring(board: &Board) -> Result<(), ConnectError> {
    let plan = &board.plan;
    let (mut wire, _) = Wire::connect(plan, &plan.client_id("bell", 0), true).await?;
    let (topic, mut out) = (plan.bell(), Vec::new());
    let (qos, packet_id) = (Qos::AtLeastOnce, Some(PacketId::MIN));
    let publish = Publish {
        dup: false,
        qos,
        retain: false,
        topic: &topic,
        packet_id,
        payload: b"",
        ..Publish::default()
    };
    client::publish(&mut out, &publish).map_err(io::Error::other)?;
    wire.send(&out).await?;
    board.has_arrived();
    let heard = |inbox: &Inbox| inbox.has_heard_bell.load(Ordering::Relaxed);
    while !board.receivers.iter().all(heard) && board.silent_for() < plan.silence {
        sleep(PERIOD).await;
    }
    // What comes twice comes late.
    sleep(plan.silence / 5).await;
    Ok(())
}

fn account(board: &Board, mut account: Account) -> Account {
    let qos = board.plan.publisher_qos();
    for (published, qos) in board.published.iter().zip(&qos) {
        let published = lock(published);
        account.add_published(*qos, published.count(), published.acknowledged_count);
    }
    account.unfinished = board.unfinished.load(Ordering::Relaxed);
    account.sessions_lost = board.sessions_lost.load(Ordering::Relaxed);
    account.receivers = board.receivers.iter().map(|inbox| receiver(board, inbox, &qos)).collect();
    account
}

fn receiver(board: &Board, inbox: &Inbox, qos: &[Qos]) -> Receiver {
    let received = lock(&inbox.received);
    let mut receiver = Receiver {
        name: inbox.name.clone(),
        received: received.distinct,
        out_of_order: received.out_of_order,
        foreign: received.foreign,
        is_deaf: !inbox.has_heard_bell.load(Ordering::Relaxed),
        ..Receiver::default()
    };
    for (publisher, (published, qos)) in board.published.iter().zip(qos).enumerate() {
        let compared = received.compare(publisher, &lock(published));
        receiver.lost += compared.lost;
        receiver.foreign += compared.unknown;
        // To a group everything is delivered at QoS 1.
        match qos.min(&inbox.qos()) {
            Qos::ExactlyOnce => receiver.doubled_exactly_once += compared.doubled,
            Qos::AtLeastOnce | Qos::AtMostOnce => receiver.doubled_at_least_once += compared.doubled,
        }
    }
    receiver
}
