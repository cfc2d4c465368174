//! `cargo xtask bench`: the broker's CPU per delivered message beside mosquitto's, in one run on one machine.
//!
//! The load generator is a thread of this process and no MQTT client library: it writes what `mqtt::client` encodes
//! and checks each message that arrives. Everything the product promises is on: the operator makes a plan above the
//! load, and every client proves itself with a temporary token of its own and acts under its grants. What is counted
//! is the whole `iotmq standalone` process, the control plane in it included, its database server not.

mod api;
mod broker;
mod case;
mod connection;
mod dialogue;
mod figure;
mod history;
mod idle;
pub(crate) mod instructions;
mod iotmq;
mod load;
mod mosquitto;
mod offline_drain;
mod one_in_flight;
mod process;
mod publishing;
mod quantile;
mod queue;
mod report;
mod restart;
mod retained;
mod sockets;
mod syncs;
mod topics;

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::qos::Qos;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::{TimeVal, TimeValLike};

use self::broker::Broker;
use self::case::{Case, PAYLOAD_BYTES, Pace, STORED_TOPIC};
use self::connection::{open_all_as, subscribe_as};
use self::figure::{Choice, Figures, Ways};
use self::load::Load;
use self::report::{CaseReport, Report, Run};
use crate::packages::{self, C_COMPILER, MAKE, MOSQUITTO, POSTGRES};

/// Descriptors of each process that connections may not use.
const DESCRIPTORS_KEPT: u64 = 900;

/// By how much less there is of everything in a quick run of a figure.
const QUICK_DIVISOR: usize = 20;

/// Stored messages among which some are looked for.
const HISTORY_MESSAGES: u64 = 10_000_000;

/// What `cargo xtask bench` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// One short round of every case: under 90 seconds.
    #[arg(long)]
    quick: bool,
    /// Only these cases.
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Choice>,
    /// Runs of each case on each broker; the median counts [default: 5, or 3 of those that prepare much, or 1 with
    /// --quick].
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each run is measured [default: 3, or 1.5 with --quick].
    #[arg(long)]
    seconds: Option<f64>,
    /// How many connections to hold idle, several times if wanted; 0 for none [default: 5000 and 19000, or 2000 with
    /// --quick or none with --case of those that prepare much].
    #[arg(long = "idle", value_name = "CONNECTIONS")]
    idle: Vec<usize>,
    /// Store so many messages and measure how long queries of them take; 0: do not [default: 10000000, or 0 with
    /// --quick or --case].
    #[arg(long, value_name = "MESSAGES")]
    history: Option<u64>,
    /// Workers of IoT MQ. With several, the instance is spread over them and messages cross; 0: one a processor.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The binary to measure [default: the release build, which is built first].
    #[arg(long, value_name = "FILE")]
    iotmq: Option<PathBuf>,
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints the table and writes the JSON document.
pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen = if args.cases.is_empty() { Choice::all() } else { args.cases.clone() };
    let (mut cases, mut figures) = (Vec::new(), Vec::new());
    for choice in chosen {
        match choice {
            Choice::Load(case) => cases.push(case),
            Choice::Figure(figure) => figures.push(figure),
        }
    }
    let idle = idle_counts(args, cases.is_empty())?;
    packages::ensure(&[C_COMPILER, MAKE, POSTGRES, MOSQUITTO])?;

    let mut report = Report {
        peer: mosquitto::version()?,
        payload_bytes: PAYLOAD_BYTES,
        workers: args.workers,
        processors: available_parallelism()?.get(),
        ..Report::default()
    };
    let wants_history = args.history.is_some_and(|messages| messages > 0);
    if !(cases.is_empty() && idle.is_empty()) || wants_history {
        measure_loads(args, &cases, &idle, &mut report)?;
    }
    report.figures = Figures::measure(&figures, ways(args))?;
    println!("{}", report.table());
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// How the figures are measured.
fn ways(args: &Args) -> Ways<'_> {
    Ways {
        binary: args.iotmq.as_deref(),
        workers: args.workers,
        rounds: args.rounds.unwrap_or(if args.quick { 1 } else { 3 }),
        divisor: if args.quick { QUICK_DIVISOR } else { 1 },
    }
}

/// What is measured while a load is kept up, and of connections, on one pair of brokers.
fn measure_loads(args: &Args, cases: &[Case], idle: &[usize], report: &mut Report) -> Result<()> {
    let pace = Pace {
        rounds: args.rounds.unwrap_or(if args.quick { 1 } else { 5 }),
        warm_up: Duration::from_millis(300),
        measured: Duration::from_secs_f64(args.seconds.unwrap_or(if args.quick { 1.5 } else { 3.0 })),
    };
    let peer = mosquitto::Mosquitto::start()?;
    let own = iotmq::Iotmq::start(args.iotmq.as_deref(), args.workers)?;
    let mut brokers = [Broker::Mosquitto(peer), Broker::Iotmq(Box::new(own))];
    let (appends, passed_on): (Vec<_>, Vec<_>) = cases.iter().copied().partition(|case| case.is_append());
    let mut reports = measure_cases(&mut brokers, &passed_on, pace)?;
    if !appends.is_empty() {
        let saving = Broker::Mosquitto(mosquitto::Mosquitto::start_saving(&format!("{STORED_TOPIC}/#"))?);
        let relaying = std::mem::replace(&mut brokers[0], saving);
        reports.extend(measure_cases(&mut brokers, &appends, pace)?);
        brokers[0] = relaying;
    }
    report.durable_ratio = report::durable_ratio(&reports);
    report.appends = report::appends(&reports, Case::AppendQos1);
    report.appends_w1 = report::appends(&reports, Case::AppendQos1W1);
    report.cases = reports;
    report.history = measure_history(&mut brokers[1], args)?;
    [report.mosquitto_connections, report.iotmq_connections] =
        measure_connections(&mut brokers, idle, args.quick)?;
    Ok(())
}

/// Every case on every broker, round by round, so that a slow minute of the machine meets all of them.
fn measure_cases(brokers: &mut [Broker; 2], cases: &[Case], pace: Pace) -> Result<Vec<CaseReport>> {
    let mut runs: Vec<[Vec<Run>; 2]> = cases.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for round in 0..pace.rounds {
        for (case, runs) in cases.iter().zip(&mut runs) {
            // Who goes first changes, so that neither always finds the caches of the other.
            for at in [round % 2, 1 - round % 2] {
                let run = measure(&mut brokers[at], *case, pace)
                    .with_context(|| format!("`{}` on {}", case.name(), brokers[at].name()))?;
                progress(&format!(
                    "round {} {:<30} {:<10} {:>8.3} us",
                    round + 1,
                    case.name(),
                    brokers[at].name(),
                    run.micros_per_message
                ));
                runs[at].push(run);
            }
        }
    }
    Ok(cases
        .iter()
        .zip(runs)
        .map(|(case, [mosquitto, iotmq])| CaseReport::new(*case, mosquitto, iotmq))
        .collect())
}

/// One run of one case on one broker.
fn measure(broker: &mut Broker, case: Case, pace: Pace) -> Result<Run> {
    let identities = broker.identities(case)?;
    let mut streams = open_all_as(case.version(), broker.address(), &identities)?;
    let qos = Qos::from_bits(case.qos()).context("a QoS")?;
    for (at, stream) in streams[case.publishers()..].iter_mut().enumerate() {
        subscribe_as(case.version(), stream, &load::filter(case, at), qos)?;
    }
    let mut load = Load::new(case, streams)?;
    load.run(pace.warm_up)?;
    let before = (broker.process()?.cpu_micros()?, broker.process()?.threads()?);
    let (delivered, own, at) = (load.delivered(), own_time()?, now());
    load.run(pace.measured)?;
    let (micros, threads) = (broker.process()?.cpu_micros()? - before.0, broker.process()?.threads()?);
    let (messages, own, elapsed) =
        (load.delivered() - delivered, own_time()?.saturating_sub(own), now() - at);
    load.drain()?;
    let of_thread = |(name, nanos): (String, u64)| (name, nanos as f64 / 1e3 / messages as f64);
    Ok(Run {
        micros_per_message: micros as f64 / messages as f64,
        messages_per_sec: messages as f64 / elapsed.as_secs_f64(),
        cores: micros as f64 / elapsed.as_micros() as f64,
        threads: threads.since(&before.1).into_iter().map(of_thread).collect(),
        load_cores: own.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

/// CPU time of this thread so far, user and system.
fn own_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = |it: TimeVal| u64::try_from(it.num_microseconds());
    Ok(Duration::from_micros(micros(usage.user_time())? + micros(usage.system_time())?))
}

fn measure_history(broker: &mut Broker, args: &Args) -> Result<Option<history::History>> {
    let all = if args.quick || !args.cases.is_empty() { 0 } else { HISTORY_MESSAGES };
    match (broker, args.history.unwrap_or(all)) {
        (Broker::Mosquitto(_), _) | (_, 0) => Ok(None),
        (Broker::Iotmq(broker), messages) => history::measure(broker, messages).map(Some),
    }
}

fn measure_connections(
    brokers: &mut [Broker; 2],
    counts: &[usize],
    quick: bool,
) -> Result<[Vec<idle::Connections>; 2]> {
    let rest = Duration::from_secs(if quick { 1 } else { 3 });
    let mut figures = [Vec::new(), Vec::new()];
    for &count in counts {
        for (broker, figures) in brokers.iter_mut().zip(&mut figures) {
            let measured = idle::measure(broker, count, rest)
                .with_context(|| format!("{count} connections on {}", broker.name()))?;
            progress(&format!(
                "{count} connections {:<10} {:>8.0} bytes each",
                broker.name(),
                measured.idle_bytes
            ));
            figures.push(measured);
        }
    }
    Ok(figures)
}

/// The counts that were asked for, each bounded by what the descriptor limit of a process leaves.
fn idle_counts(args: &Args, is_figures_only: bool) -> Result<Vec<usize>> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let bound = usize::try_from(hard.saturating_sub(DESCRIPTORS_KEPT))?;
    let wanted = match (args.idle.is_empty(), args.quick) {
        (false, _) => args.idle.clone(),
        (true, _) if is_figures_only => Vec::new(),
        (true, true) => vec![2_000],
        (true, false) => vec![5_000, 19_000],
    };
    Ok(wanted.into_iter().map(|count| count.min(bound)).filter(|&count| count > 0).collect())
}

/// A line that says how far the run is.
fn progress(line: &str) {
    eprintln!("{line}");
}

/// The clock of the load.
#[expect(clippy::disallowed_methods, reason = "a load generator is all shell: it measures real time")]
fn now() -> Instant {
    Instant::now()
}
