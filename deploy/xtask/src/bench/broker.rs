//! The two brokers that are compared, behind one face.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::case::Case;
use super::connection::Identity;
use super::iotmq::Iotmq;
use super::mosquitto::Mosquitto;
use super::process::Process;

/// A running broker.
pub(crate) enum Broker {
    Mosquitto(Mosquitto),
    Iotmq(Box<Iotmq>),
}

impl Broker {
    /// Its name in the table.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Mosquitto(_) => "mosquitto",
            Self::Iotmq(_) => "iotmq",
        }
    }

    /// Where MQTT listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        match self {
            Self::Mosquitto(it) => it.address,
            Self::Iotmq(it) => it.mqtt_address(),
        }
    }

    /// Its process; an error after a restart that failed.
    pub(crate) fn process(&self) -> Result<&Process> {
        let process = match self {
            Self::Mosquitto(it) => &it.process,
            Self::Iotmq(it) => &it.process,
        };
        process.as_ref().with_context(|| format!("{} does not run", self.name()))
    }

    /// Stops it and starts it again, so that its memory is that of a new process.
    pub(crate) fn restart(&mut self) -> Result<()> {
        match self {
            Self::Mosquitto(it) => it.restart(),
            Self::Iotmq(it) => it.restart(),
        }
    }

    /// One identity for each client of a case, publishers first. The same in every round.
    pub(crate) fn identities(&mut self, case: Case) -> Result<Vec<Identity>> {
        match self {
            Self::Mosquitto(_) => {
                let publishers = (0..case.publishers()).map(|at| anonymous("publisher", at));
                Ok(publishers.chain((0..case.subscribers()).map(|at| anonymous("subscriber", at))).collect())
            }
            Self::Iotmq(it) => it.identities(case),
        }
    }

    /// `count` clients that are called `role`; where the broker asks, each with what `grants` gives it.
    pub(crate) fn clients(
        &self,
        role: &str,
        count: usize,
        grants: &dyn Fn(usize) -> Value,
    ) -> Result<Vec<Identity>> {
        match self {
            Self::Mosquitto(_) => Ok((0..count).map(|at| anonymous(role, at)).collect()),
            Self::Iotmq(it) => it.clients(role, count, grants),
        }
    }

    /// One identity for each of `count` clients that only stay connected.
    pub(crate) fn idle_identities(&mut self, count: usize) -> Result<Vec<Identity>> {
        match self {
            Self::Mosquitto(_) => Ok((0..count).map(|at| anonymous("idle", at)).collect()),
            Self::Iotmq(it) => it.idle_identities(count),
        }
    }
}

fn anonymous(role: &str, at: usize) -> Identity {
    Identity { client_id: format!("{role}-{at}"), token: None }
}
