//! What the threads of one node share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::FollowError;
use replica::Replica;
use router::WorkerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::authenticate::Authenticator;
use crate::clock::Clock;
use crate::command::Command;
use crate::config::Config;
use crate::crossing::Crossing;
use crate::decoy::Decoy;
use crate::durable::{Durable, Engine};
use crate::instances::Instances;
use crate::lookups::Lookups;
use crate::restore::Dormant;
use crate::sampling::Refusals;

/// Everything that more than one thread of the node sees.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) replica: Arc<Replica>,
    pub(crate) instances: Instances,
    pub(crate) authenticator: Authenticator,
    pub(crate) crossing: Arc<Crossing>,
    pub(crate) durable: Durable,
    /// What is looked up in the log for clients.
    pub(crate) lookups: Arc<Lookups>,
    /// Sessions of instances that are not known yet.
    pub(crate) dormant: Dormant,
    /// Each worker's command queue.
    pub(crate) commands: Box<[mpsc::Sender<Command>]>,
    /// How often live connections have been told to look at the configuration again: who authenticated meanwhile
    /// may have seen the one before.
    pub(crate) rechecks: AtomicU64,
    /// What was refused before there was a client.
    pub(crate) refused: Refusals,
    /// Cancelled when the node is to stop, or when a thread of it has failed.
    pub(crate) stop: CancellationToken,
}

impl Node {
    /// The node and the receiving end of each worker's command queue. `run` tells this run of it from every other.
    pub(crate) fn new(
        config: Config,
        replica: Arc<Replica>,
        engine: Engine,
        run: [u8; 8],
    ) -> Result<(Arc<Self>, Vec<mpsc::Receiver<Command>>), FollowError> {
        let workers = config.worker_count();
        let instances = Instances::new(workers, config.connections_per_worker_max);
        let crossing = Arc::new(Crossing::new(workers, config.worker.crossing_bytes_max));
        let durable = Durable::new(engine, run, Arc::clone(&crossing), instances.epochs())?;
        let (commands, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(config.worker.commands_max)).unzip();
        let decoy = Decoy::open(&config.data_dir.join("decoy.key"));
        let node = Self {
            clock: Clock::start(),
            instances,
            authenticator: Authenticator::new(
                Arc::clone(&replica),
                config.front.tokens_remembered_max,
                decoy,
            ),
            crossing,
            durable,
            lookups: Arc::default(),
            dormant: Dormant::default(),
            commands: commands.into(),
            rechecks: AtomicU64::new(0),
            refused: Refusals::default(),
            stop: CancellationToken::new(),
            replica,
            config,
        };
        Ok((Arc::new(node), receivers))
    }

    /// The command queue of a worker.
    pub(crate) fn commands_of(&self, worker: WorkerId) -> &mpsc::Sender<Command> {
        &self.commands[worker.index()]
    }
}
