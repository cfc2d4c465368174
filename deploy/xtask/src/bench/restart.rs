//! How long clients wait after a crash: from the start of the process to the first CONNACK, with nothing kept and with very
//! much. What the process says on its way divides the time: its database server, its controller, its broker.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::broker::Broker;
use super::case::TOPIC;
use super::connection::{Identity, read_connack, send_connect};
use super::figure::Ways;
use super::iotmq::Iotmq;
use super::process::Lines;
use super::queue::Queue;
use super::report::median;
use super::{now, progress};

/// Lasting sessions whose clients are away.
const SESSIONS: usize = 100_000;
/// Messages that wait for each of them.
const EACH: u64 = 10;
/// How often a client that is refused tries again.
const TRY_PERIOD: Duration = Duration::from_millis(2);
/// How long it tries.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Sessions that are looked at after a start: whether every message waits for them.
const LOOKED_AT: usize = 100;
/// How long a process runs before it is killed again.
const SETTLE: Duration = Duration::from_secs(5);
/// What the process says when its database server runs, and when its controller does.
const DATABASE_RUNS: &str = "bringing the database up to date";
const CONTROLLER_RUNS: &str = "starting the broker";

/// One start after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Start {
    /// From the start of the process to the first CONNACK.
    connack_secs: f64,
    /// Of these, until its private database server runs.
    database_secs: f64,
    /// Until its controller runs.
    controller_secs: f64,
    /// The rest: the node's configuration, its log, its sessions, its listeners, and the CONNECT.
    broker_secs: f64,
    /// CPU seconds of the process until then, the database server not among them.
    cpu_secs: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Restart {
    empty: Vec<Start>,
    sessions: usize,
    messages: u64,
    full: Vec<Start>,
    /// Sessions that were looked at after each start, all at once, and how long they waited for their last message.
    looked_at: usize,
    looked_at_millis: Vec<f64>,
    /// Seconds that making the sessions took, and queuing the messages.
    prepared_secs: [f64; 2],
}

/// Measures.
pub(crate) fn measure(ways: Ways<'_>) -> Result<Restart> {
    let mut broker = ways.iotmq()?;
    let grants = |_| json!([{"actions": ["subscribe"], "topic_filter": format!("{TOPIC}/#")}]);
    let identity = broker.clients("first", 1, &grants)?.pop().context("one client")?;
    let mut empty = Vec::new();
    for round in 0..ways.rounds {
        let (start, _) = restart(&mut broker, &identity, true)?;
        start.tell(round, "empty");
        empty.push(start);
        thread::sleep(SETTLE);
    }
    let broker = Broker::Iotmq(Box::new(broker));
    let sessions = ways.fewer(SESSIONS);
    let begun = now();
    let mut queue = Queue::new(&broker, sessions)?;
    progress(&format!("{sessions} tokens in {:.1} s", begun.elapsed().as_secs_f64()));
    let begun = now();
    queue.leave(broker.address())?;
    let left = begun.elapsed().as_secs_f64();
    progress(&format!("{sessions} lasting sessions in {left:.1} s"));
    let begun = now();
    queue.fill(broker.address(), EACH)?;
    let filled = begun.elapsed().as_secs_f64();
    let messages = EACH * sessions as u64;
    progress(&format!("{messages} messages queued in {filled:.1} s"));
    let Broker::Iotmq(mut broker) = broker else { bail!("it is ours") };
    let looked_at = LOOKED_AT.min(sessions / ways.rounds.max(1));
    let (full, looked_at_millis) = kill_and_look(&mut broker, &queue, looked_at, ways.rounds)?;
    let prepared_secs = [left, filled];
    Ok(Restart { empty, sessions, messages, full, looked_at, looked_at_millis, prepared_secs })
}

/// Kills it at once the first time, when much of what was written is in the log alone, and after a rest later.
fn kill_and_look(
    broker: &mut Iotmq,
    queue: &Queue,
    looked_at: usize,
    rounds: usize,
) -> Result<(Vec<Start>, Vec<f64>)> {
    let (mut starts, mut all_millis) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (start, stream) = restart(broker, queue.session(round * looked_at), false)?;
        drop(stream);
        start.tell(round, "full");
        starts.push(start);
        let drained = queue.drain(broker.mqtt_address(), round * looked_at..(round + 1) * looked_at, 0)?;
        let millis = drained.elapsed.as_secs_f64() * 1e3;
        let messages = drained.messages;
        progress(&format!(
            "  {messages} messages of {looked_at} sessions are all there, after {millis:.0} ms"
        ));
        all_millis.push(millis);
        drained.leave()?;
        thread::sleep(SETTLE);
    }
    Ok((starts, all_millis))
}

/// Kills, starts and connects as soon as it can be.
fn restart(broker: &mut Iotmq, identity: &Identity, is_clean: bool) -> Result<(Start, TcpStream)> {
    let (started, lines) = broker.kill_and_start()?;
    let stream = first_connack(broker.mqtt_address(), identity, is_clean, started)
        .with_context(|| format!("iotmq said {:?}", lines.so_far()))?;
    let answered = now();
    let cpu_nanos = broker.process.as_ref().context("it runs")?.cpu_micros()? * 1_000;
    let start = Start::of(started, answered, &said(&lines, started)?, cpu_nanos)?;
    Ok((start, stream))
}

/// Connects again and again until it is accepted.
fn first_connack(
    address: SocketAddr,
    identity: &Identity,
    is_clean: bool,
    started: Instant,
) -> Result<TcpStream> {
    while now() - started < WAIT_MAX {
        // Nobody listens yet, or only to see whether the port is free.
        let connected = send_connect(address, identity, is_clean)
            .and_then(|mut stream| read_connack(&mut stream).map(|is_present| (stream, is_present)));
        match connected {
            Ok((stream, is_present)) => {
                ensure!(is_present != is_clean, "the session of `{}` is gone", identity.client_id);
                return Ok(stream);
            }
            Err(_) => thread::sleep(TRY_PERIOD),
        }
    }
    bail!("no CONNACK after {WAIT_MAX:?}")
}

/// What it has said, each with how long after its start.
fn said(lines: &Lines, started: Instant) -> Result<Vec<(Duration, String)>> {
    let said: Vec<_> = lines.stamped().into_iter().map(|(at, line)| (at - started, line)).collect();
    ensure!(!said.is_empty(), "it says how far it is");
    Ok(said)
}

impl Start {
    fn of(started: Instant, answered: Instant, said: &[(Duration, String)], cpu_nanos: u64) -> Result<Self> {
        let when = |what: &str| {
            let line = said.iter().find(|(_, line)| line.contains(what));
            line.map(|(at, _)| at.as_secs_f64()).with_context(|| format!("`{what}` is not in {said:?}"))
        };
        let connack_secs = (answered - started).as_secs_f64();
        let (database, controller) = (when(DATABASE_RUNS)?, when(CONTROLLER_RUNS)?);
        Ok(Self {
            connack_secs,
            database_secs: database,
            controller_secs: controller - database,
            broker_secs: connack_secs - controller,
            cpu_secs: cpu_nanos as f64 / 1e9,
        })
    }

    fn tell(&self, round: usize, how: &str) {
        progress(&format!("round {} {how:<6} {self}", round + 1));
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CONNACK after {:.2} s: database server {:.2}, controller {:.2}, broker {:.2}; CPU of the process {:.2} s",
            self.connack_secs, self.database_secs, self.controller_secs, self.broker_secs, self.cpu_secs
        )
    }
}

impl Restart {
    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |name: &str, starts: &[Start], target: &str| {
            let of = |part: fn(&Start) -> f64| median(starts.iter().map(part).collect());
            let middle = Start {
                connack_secs: of(|it| it.connack_secs),
                database_secs: of(|it| it.database_secs),
                controller_secs: of(|it| it.controller_secs),
                broker_secs: of(|it| it.broker_secs),
                cpu_secs: of(|it| it.cpu_secs),
            };
            format!("  {name}: {middle} (target {target} s, without the database server)")
        };
        let full = format!("{} sessions, {} messages", self.sessions, self.messages);
        vec![
            "\nrestart: killed and started again, medians".to_owned(),
            line("empty", &self.empty, "0.5"),
            line(&full, &self.full, "3"),
            format!(
                "  {} of these sessions at once, all their messages: after {:.0} ms",
                self.looked_at,
                median(self.looked_at_millis.clone())
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_says_divides_the_time() {
        let started = now();
        let said = [
            (100, "iotmq: starting PostgreSQL 15"),
            (600, "iotmq: bringing the database up to date and starting the controller"),
            (800, "iotmq: starting the broker"),
        ];
        let said = said.map(|(millis, line)| (Duration::from_millis(millis), line.to_owned()));
        let answered = started + Duration::from_secs(1);
        let start = Start::of(started, answered, &said, 250_000_000).expect("all was said");
        let close = |left: f64, right: f64| (left - right).abs() < 1e-6;
        assert!(close(start.database_secs, 0.6) && close(start.controller_secs, 0.2));
        assert!(close(start.broker_secs, 0.2) && close(start.cpu_secs, 0.25));
        assert!(Start::of(started, answered, &said[..2], 0).is_err(), "not said yet");
    }
}
