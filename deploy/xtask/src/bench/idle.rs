//! What a connection costs: the CPU of connecting it and the memory of keeping it.

use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::broker::Broker;
use super::connection::open_all;

/// How long a broker may use CPU and memory for what it has just answered before it is looked at.
const SETTLE: Duration = Duration::from_millis(500);

/// The costs of `connections` connections on one broker.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Connections {
    /// How many were open at once.
    pub(crate) connections: usize,
    /// Resident memory that each of them added, in bytes.
    pub(crate) idle_bytes: f64,
    /// CPU microseconds for each of them, connecting for the first time.
    pub(crate) connect_micros: f64,
    /// CPU microseconds for each of them, connecting again with the same proof.
    pub(crate) connect_again_micros: f64,
    /// CPU microseconds a second for all of them while nothing happens.
    pub(crate) idle_micros_per_sec: f64,
}

/// On a broker that has just been started: connects `count` clients, leaves them idle for `rest`, disconnects them and connects them again.
pub(crate) fn measure(broker: &mut Broker, count: usize, rest: Duration) -> Result<Connections> {
    let identities = broker.idle_identities(count)?;
    broker.restart()?;
    thread::sleep(SETTLE);
    let micros_each = |micros: u64| micros as f64 / count as f64;

    let memory = broker.process()?.memory_bytes()?;
    let cpu = broker.process()?.cpu_micros()?;
    let streams = open_all(broker.address(), &identities)?;
    thread::sleep(SETTLE);
    let connected = broker.process()?.cpu_micros()?;
    thread::sleep(rest);
    let rested = broker.process()?.cpu_micros()?;
    let idle_bytes = broker.process()?.memory_bytes()?.saturating_sub(memory);
    for mut stream in streams {
        let mut out = Vec::new();
        mqtt::client::disconnect(&mut out);
        stream.write_all(&out)?;
    }
    thread::sleep(SETTLE);

    let cpu_again = broker.process()?.cpu_micros()?;
    let streams = open_all(broker.address(), &identities)?;
    thread::sleep(SETTLE);
    let connected_again = broker.process()?.cpu_micros()?;
    drop(streams);
    thread::sleep(SETTLE);
    Ok(Connections {
        connections: count,
        idle_bytes: idle_bytes as f64 / count as f64,
        connect_micros: micros_each(connected - cpu),
        connect_again_micros: micros_each(connected_again - cpu_again),
        idle_micros_per_sec: (rested - connected) as f64 / rest.as_secs_f64(),
    })
}
