//! `iotmq verify durability`: the command line of the proof that acknowledged means kept. The proof is a library.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this file speaks to the person at the terminal"
)]

use std::time::Duration;

use anyhow::{Context as _, bail};
use verify::{Commands, Login, Plan};

/// What can be verified.
#[derive(clap::Subcommand)]
pub(crate) enum Verify {
    /// Kill a broker again and again under load, and count what it acknowledged and then lost.
    ///
    /// Publishers at QoS 1 and 2 and subscribers with lasting sessions (clean session 0) load the broker, whichever
    /// it is. It is killed and started again while they go on; every third time it is killed once more while it
    /// recovers. In the end everything that the broker has acknowledged must have arrived: nothing lost, nothing of
    /// QoS 2 twice, everything in order, every session, subscription and retained message still there. The members of a
    /// shared subscription are one receiver: each message must reach one of them, at QoS 1, which may repeat it. The
    /// account is printed; the exit code is 1 when one of these numbers is not 0.
    ///
    /// All its clients and topics begin with `verify`, and it cleans up after itself; yet the broker IS killed: do not
    /// point it at one that others use.
    ///
    /// A broker that stays in the foreground needs no --kill: it is started here and its process group is killed:
    ///
    ///   iotmq verify durability --address 127.0.0.1:1883 --start 'mosquitto -c mosquitto.conf'
    ///
    /// A service of the system:
    ///
    ///   iotmq verify durability --address 127.0.0.1:1883 --kill 'systemctl kill -s KILL iotmq'
    ///   --start 'systemctl start iotmq' --password "$TOKEN"
    ///
    /// IoT MQ asks every client for a proof: issue a temporary token with a subject (any client identifier may use it)
    /// and grants to publish, retained too, and to subscribe to `#` at QoS 2, and give it as the password. The numbers
    /// of clients here are within what one subject may have connected unless its plan says otherwise.
    #[command(verbatim_doc_comment)]
    Durability(Durability),
}

#[derive(clap::Args)]
pub(crate) struct Durability {
    /// Where the broker listens for MQTT, without TLS
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// The command that starts the broker on the data it has (run by `sh -c`)
    #[arg(long, value_name = "COMMAND")]
    start: String,
    /// The command that kills it, with SIGKILL if the proof is to be worth something; without it, what `--start` has
    /// started is killed, and must stay in the foreground
    #[arg(long, value_name = "COMMAND")]
    kill: Option<String>,
    /// The user name of all clients
    #[arg(long)]
    username: Option<String>,
    /// Their password, or a token for any client identifier; better told by the variable, which no list of processes
    /// shows
    #[arg(long, env = "MQTT_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// How often the broker is killed
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How long the load goes on, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Publishers at QoS 1, and as many at QoS 2
    #[arg(long, default_value_t = 2)]
    publishers: usize,
    /// Messages a second of each publisher
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Messages that a publisher has under way at a time
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Subscribers that are always there
    #[arg(long, default_value_t = 1)]
    live: usize,
    /// Subscribers that go away and come back
    #[arg(long, default_value_t = 1)]
    away: usize,
    /// Messages that a subscriber misses before it comes back; the broker must be willing to keep twice as many for one
    /// session
    #[arg(long, default_value_t = 400)]
    away_messages: u64,
    /// Members of a shared subscription at QoS 1, with lasting sessions, which go away and come back in turn; 0: none
    #[arg(long, default_value_t = 2)]
    shared: usize,
    /// How long a start may take, in seconds
    #[arg(long, default_value_t = 30)]
    patience: u64,
    /// What the times of the kills are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Durability {
    fn plan(&self) -> Plan {
        Plan {
            login: Login {
                // A password never comes without a user name.
                username: self
                    .username
                    .clone()
                    .or_else(|| self.password.as_ref().map(|_| "verify".to_owned())),
                password: self.password.clone(),
            },
            kills: self.kills,
            load: Duration::from_secs(self.seconds),
            publishers: self.publishers,
            rate: self.rate,
            window: self.window,
            live: self.live,
            away: self.away,
            away_messages: self.away_messages,
            shared: self.shared,
            patience: Duration::from_secs(self.patience),
            seed: self.seed,
            ..Plan::new(&self.address)
        }
    }
}

/// Does it, and fails when a promise was broken.
pub(crate) fn run(what: &Verify) -> anyhow::Result<()> {
    let Verify::Durability(asked) = what;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads can be had")?;
    let account = runtime.block_on(async {
        let mut broker = Commands::new(&asked.start, asked.kill.clone());
        let account = verify::run(asked.plan(), &mut broker, &|step| eprintln!("iotmq: {step}")).await;
        broker.stop().await;
        account
    })?;
    println!("{account}");
    if !account.is_good() {
        bail!("the broker did not keep what it acknowledged");
    }
    Ok(())
}
