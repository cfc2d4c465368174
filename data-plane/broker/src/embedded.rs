//! The engine that a node stores messages with when it has no other: files of its own. The one place that names it.

use std::sync::Arc;

use engine::Durability;
use engine_embedded::{OpenError, Options, Writing};

use crate::config::Config;
use crate::durable::{Engine, Health};

/// Opens the log where the settings say. It is closed when the node has let go of it.
pub(crate) fn open(config: &Config) -> Result<Engine, OpenError> {
    let log = &config.log;
    let options = Options {
        segment_bytes: log.segment_bytes_max,
        origin_bytes_max: log.worker_bytes_max,
        stored_bytes_max: log.stored_bytes_max,
        index_bytes_max: log.index_bytes_max,
        queries_max: log.queries_max,
        ..Options::new(config.data_dir.join(&log.directory))
    };
    let engine = engine_embedded::Engine::open(options)?;
    let (log, history, state, replay) = (engine.log(), engine.history(), engine.state(), engine.replay());
    let engine = Arc::new(engine);
    let retained = {
        let engine = Arc::clone(&engine);
        move |instance| {
            let stats = engine.retained_stats(instance);
            (stats.messages, stats.bytes)
        }
    };
    let history_stops = {
        let engine = Arc::clone(&engine);
        // One that is full is not asked to spare room: it refuses.
        move || matches!(engine.health().writing, Writing::NearlyFull { .. })
    };
    Ok(Engine {
        log,
        history,
        state,
        replay,
        retained: Arc::new(retained),
        health: Arc::new(move || health(&engine.health())),
        history_stops: Arc::new(history_stops),
        durability: Durability::Synced,
    })
}

fn health(health: &engine_embedded::Health) -> Health {
    let fails = match &health.writing {
        Writing::Good | Writing::NearlyFull { .. } => None,
        Writing::Full { used_percent } => Some(format!("its disk is full ({used_percent} %)")),
        Writing::Failed { reason } => Some(format!("writing has failed: {reason}")),
        Writing::Stopped => Some("it has stopped".to_owned()),
    };
    if let Some(why) = fails {
        return Health::Fails(why);
    }
    let nearly_full = match health.writing {
        Writing::NearlyFull { used_percent } => Some(format!("its disk is nearly full ({used_percent} %)")),
        Writing::Good | Writing::Full { .. } | Writing::Failed { .. } | Writing::Stopped => None,
    };
    let damage = health.damage.len();
    let damaged = (damage > 0).then(|| format!("{damage} places of it are damaged"));
    let lost = health.documents_lost.last();
    let lost = lost.map(|what| format!("something of its documents is lost: {what}"));
    let sealing = health.sealing_failed.as_ref().map(|reason| format!("it cannot be tidied: {reason}"));
    let warnings: Vec<_> = [nearly_full, damaged, lost, sealing].into_iter().flatten().collect();
    if warnings.is_empty() { Health::Good } else { Health::Warns(warnings.join("; ")) }
}
