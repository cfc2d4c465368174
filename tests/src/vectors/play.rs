//! Plays one vector against a running broker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::actor::Actor;
use super::notation::{Deed, Step, Words, step};
use super::pattern::Kept;
use super::reader::Value;
use super::{Standard, Vector};

/// Where a vector is played.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where MQTT listens.
    pub address: SocketAddr,
    /// What every name of this vector begins with: nobody else has it.
    pub prefix: String,
    /// What is kept from the beginning, such as tokens.
    pub known: BTreeMap<String, String>,
}

/// Plays it; the error says at which step what was wanted and what came, and what came before.
pub async fn play(vector: &Vector, standard: Standard, around: &Surroundings) -> Result<(), String> {
    let known =
        around.known.iter().map(|(name, text)| (name.clone(), Value::Bytes(text.clone().into_bytes())));
    let mut kept: Kept = known.collect();
    let mut actors: Vec<Actor> = Vec::new();
    for (number, text) in vector.steps.iter().enumerate() {
        let played = match step(text) {
            Ok(step) => perform(step, standard, around, &mut actors, &mut kept).await,
            Err(error) => Err(error),
        };
        if let Err(error) = played {
            let seen: Vec<String> = actors.into_iter().flat_map(|actor| actor.seen).collect();
            let seen = seen.join("\n      ");
            return Err(format!("step {} `{text}`: {error}\n      {seen}", number + 1));
        }
    }
    Ok(())
}

async fn perform(
    step: Step,
    standard: Standard,
    around: &Surroundings,
    actors: &mut Vec<Actor>,
    kept: &mut Kept,
) -> Result<(), String> {
    match step {
        Step::Pass(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(())
        }
        Step::Check { left, right, same } => {
            let value = |name: &str| match name.strip_prefix('@') {
                Some(name) => kept.get(name).cloned().ok_or_else(|| format!("`@{name}` was not kept")),
                None => Err(format!("`{name}` is nothing kept")),
            };
            let (left, right) = (value(&left)?, value(&right)?);
            if (left == right) == same { Ok(()) } else { Err(format!("{left} and {right}")) }
        }
        Step::Of(name, deed) => {
            let at = actors.iter().position(|actor| actor.name == name).unwrap_or_else(|| {
                let (level, seen) = (standard.level(), Vec::new());
                actors.push(Actor { name, level, connection: None, seen });
                actors.len() - 1
            });
            actors[at].act(&own(deed, &around.prefix), around, kept).await
        }
    }
}

/// The same with the vector's own prefix wherever it stands.
fn own(deed: Deed, prefix: &str) -> Deed {
    let own = |mut words: Words| {
        for (_, value) in &mut words.pairs {
            *value = value.replace('~', prefix);
        }
        words
    };
    match deed {
        Deed::Connects(words) => Deed::Connects(own(words)),
        Deed::Subscribes(words) => Deed::Subscribes(own(words)),
        Deed::Publishes(words) => Deed::Publishes(own(words)),
        Deed::Gets(words) => Deed::Gets(own(words)),
        Deed::Sends(packets) => Deed::Sends(packets.into_iter().map(own).collect()),
        Deed::Receives(packets) => Deed::Receives(packets.into_iter().map(own).collect()),
        Deed::Leaves | Deed::Nothing | Deed::Closed(_) | Deed::Refused(_) | Deed::Open | Deed::Drop => deed,
    }
}
