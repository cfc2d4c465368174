//! How fast lasting sessions take what has waited for them: every client comes back at once, beside mosquitto with
//! persistence on.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::broker::Broker;
use super::figure::Ways;
use super::mosquitto::Mosquitto;
use super::queue::Queue;
use super::report::median;
use super::{own_time, progress};

/// Clients that come back.
const SESSIONS: usize = 100;
/// Messages that wait for all of them.
const MESSAGES: usize = 100_000;
/// How long a broker may use CPU for what has come, acknowledgements above all, before it is looked at.
const SETTLE: Duration = Duration::from_secs(1);

/// One drain of everything by one broker.
#[derive(Clone, Debug, Serialize)]
struct Drain {
    /// From the first CONNECT to the last message.
    messages_per_sec: f64,
    /// From the first CONNECT to the first message.
    first_millis: f64,
    /// CPU microseconds of the broker's process for each message, its acknowledgement and the CONNECTs included.
    micros_per_message: f64,
    /// Share of one core that the clients took: near 1 it is they who bound the rate.
    load_cores: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct OfflineDrain {
    messages: u64,
    sessions: usize,
    mosquitto: Vec<Drain>,
    iotmq: Vec<Drain>,
    /// IoT MQ's messages a second by mosquitto's, medians.
    rate_ratio: f64,
    /// IoT MQ's CPU for each message by mosquitto's, medians.
    cpu_ratio: f64,
}

/// Measures both, round by round.
pub(crate) fn measure(ways: Ways<'_>) -> Result<OfflineDrain> {
    let mut brokers = [Broker::Mosquitto(Mosquitto::start_keeping()?), ways.own_broker()?];
    let mut queues = Vec::new();
    for broker in &brokers {
        let queue = Queue::new(broker, SESSIONS)?;
        queue.leave(broker.address())?;
        queues.push(queue);
    }
    let each = ways.fewer(MESSAGES) / SESSIONS;
    let mut drains = [Vec::new(), Vec::new()];
    for round in 0..ways.rounds {
        for at in [round % 2, 1 - round % 2] {
            let drain = drain(&mut brokers[at], &mut queues[at], (round * each) as u64, each as u64)
                .with_context(|| brokers[at].name())?;
            progress(&format!(
                "round {} {:<10} {:.0} messages/s, first after {:.1} ms, {:.2} us CPU each, clients {:.2} cores",
                round + 1,
                brokers[at].name(),
                drain.messages_per_sec,
                drain.first_millis,
                drain.micros_per_message,
                drain.load_cores,
            ));
            drains[at].push(drain);
        }
    }
    let [mosquitto, iotmq] = drains;
    Ok(OfflineDrain {
        messages: (each * SESSIONS) as u64,
        sessions: SESSIONS,
        rate_ratio: rate(&iotmq) / rate(&mosquitto),
        cpu_ratio: micros(&iotmq) / micros(&mosquitto),
        mosquitto,
        iotmq,
    })
}

fn drain(broker: &mut Broker, queue: &mut Queue, from: u64, each: u64) -> Result<Drain> {
    queue.fill(broker.address(), each)?;
    thread::sleep(SETTLE);
    let (before, own) = (broker.process()?.threads()?, own_time()?);
    let drained = queue.drain(broker.address(), 0..SESSIONS, from)?;
    let own = own_time()?.saturating_sub(own);
    thread::sleep(SETTLE);
    let cpu = broker.process()?.threads()?.nanos_since(&before);
    let messages = drained.messages as f64;
    let run = Drain {
        messages_per_sec: messages / drained.elapsed.as_secs_f64(),
        first_millis: drained.first.as_secs_f64() * 1e3,
        micros_per_message: cpu as f64 / 1e3 / messages,
        load_cores: own.as_secs_f64() / drained.elapsed.as_secs_f64(),
    };
    drained.leave()?;
    // Whoever is still leaving is not away yet.
    thread::sleep(SETTLE);
    Ok(run)
}

impl OfflineDrain {
    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |name: &str, drains: &[Drain]| {
            let rates: Vec<_> = drains.iter().map(|it| it.messages_per_sec).collect();
            let (low, high) =
                (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
            format!(
                "  {name:<10} {:.0} messages/s ({low:.0}-{high:.0}), CPU {:.2} us each, clients {:.2} cores",
                median(rates),
                micros(drains),
                median(drains.iter().map(|it| it.load_cores).collect())
            )
        };
        vec![
            format!(
                "\noffline-drain: {} messages of QoS 1, {} sessions, all back at once",
                self.messages, self.sessions
            ),
            line("mosquitto", &self.mosquitto),
            line("iotmq", &self.iotmq),
            format!(
                "  rate {:.2} times mosquitto's (target 4 at least), CPU each {:.2} times (target 0.2 at most); the first round alone, when nobody \
                 has asked for stored messages for a while: rate {:.2} times",
                self.rate_ratio,
                self.cpu_ratio,
                rate(self.iotmq.get(..1).unwrap_or_default())
                    / rate(self.mosquitto.get(..1).unwrap_or_default())
            ),
        ]
    }
}

fn rate(drains: &[Drain]) -> f64 {
    median(drains.iter().map(|it| it.messages_per_sec).collect())
}

fn micros(drains: &[Drain]) -> f64 {
    median(drains.iter().map(|it| it.micros_per_message).collect())
}
