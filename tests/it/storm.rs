//! A storm of broken packets: whatever a thousand connections send, a well-behaved client beside them loses nothing, every
//! answer is well-formed, and the memory comes back.

mod attacker;
mod chance;
mod packets;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mqtt::Version;
use tests::fault_broker::Installed;
use tests::wait::now;
use tests::{AtLeastOnce, wait_for};
use tokio::task::JoinSet;
use tokio::time::timeout;

use attacker::{Attacker, Outcome};
use chance::Chance;

/// Repeats the storm of this seed.
const SEED_VARIABLE: &str = "IOTMQ_TEST_STORM_SEED";

/// Storms, each of so many connections and so many packets of each: a hundred thousand altogether.
const STORMS: u32 = 4;
const CONNECTIONS: u32 = 1_000;
const PACKETS_EACH: u32 = 25;

/// The longest that one may take: with other tests beside it, it takes far longer than alone.
const STORM_MAX: Duration = Duration::from_mins(1);

/// What the memory may be more, behind a later storm, than behind the first.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// What descriptors may differ by: files of the log come and go.
const DESCRIPTORS_MAX: usize = 24;

/// What a process has when a storm is over.
#[derive(Debug)]
struct Left {
    memory_bytes: u64,
    descriptors: usize,
}

impl Left {
    fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = kib.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        Self { memory_bytes: kib.expect("Linux tells") * 1024, descriptors }
    }
}

/// Publishes to another client at QoS 1 until the storm is over: each message arrives once and in order. Answers how many.
async fn calm(broker: &Installed, is_over: &AtomicBool) -> u32 {
    let mut ear = broker.connect("calm-ear").await.subscribed("calm", AtLeastOnce).await;
    let mut mouth = broker.connect("calm-mouth").await;
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let payload = number.to_string();
        mouth.publish("calm", &payload, AtLeastOnce).await;
        let message = ear.expect("calm", &payload).await;
        assert!(!message.dup, "sent once");
    }
    mouth.disconnect().await;
    ear.disconnect().await;
    number
}

/// So many packets of each of so many connections, all at once.
async fn storm(broker: &Installed, seed: u64) -> Outcome {
    let mut attackers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let version = if number.is_multiple_of(2) { Version::V5 } else { Version::V311 };
        let chance = Chance::new(seed ^ u64::from(number) << 32);
        let builder = broker.client(&format!("storm-{number}"));
        attackers.spawn(Attacker::new(builder, version, chance).attack(PACKETS_EACH));
    }
    let mut total = Outcome::default();
    while let Some(outcome) = attackers.join_next().await {
        total += outcome.expect("no attacker saw anything that a broker may not do");
    }
    total
}

/// The storm with a well-behaved client beside it. Answers what became of the packets, and how many calm messages came.
async fn blow(broker: &Installed, seed: u64) -> (Outcome, u32) {
    let is_over = Arc::new(AtomicBool::new(false));
    let blowing = async {
        let outcome = timeout(STORM_MAX, storm(broker, seed)).await.expect("it ends");
        is_over.store(true, Ordering::Relaxed);
        outcome
    };
    tokio::join!(blowing, calm(broker, &is_over))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_well_behaved_client_loses_nothing_and_the_broker_keeps_nothing() {
    let seed = env::var(SEED_VARIABLE).ok().map(|text| text.parse::<u64>().expect("a seed"));
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}; {SEED_VARIABLE} repeats it");
    let installing =
        Installed::installing().limit("connects_per_sec", 1_000_000).limit("connections_max", 10_000);
    let installing = installing.limit("connections_per_subject_max", 10_000).limit("sessions_max", 100);
    let mut broker = installing.limit("retained_messages_max", 100).start().await;
    broker.wait_until_serving().await;

    let begun = now();
    let mut total = Outcome::default();
    let mut left = Vec::new();
    for storm in 0..STORMS {
        let (outcome, calm) = blow(&broker, seed ^ u64::from(storm)).await;
        assert!(calm > 0);
        total += outcome;
        wait_for("every connection to be gone", async || broker.metric("broker_connections").await == 0.0)
            .await;
        left.push(Left::of(broker.program().pid()));
        println!("{outcome:?} after {:?}, {calm} calm messages, {:?}", begun.elapsed(), left[left.len() - 1]);
    }
    assert_eq!(total.packets, STORMS * CONNECTIONS * PACKETS_EACH);
    assert!(total.closed > 0 && total.answered > 0, "some were refused, others were not: {total:?}");

    // The first one takes what any load takes. Documents stay in memory until there are enough of them to be written,
    // so that the memory rises and falls; what is left behind for good would be in all of them.
    let (first, rest) = left.split_first().expect("several storms");
    let lowest = rest.iter().map(|left| left.memory_bytes).min().expect("several storms");
    assert!(lowest <= first.memory_bytes + GROWTH_BYTES_MAX, "{left:?}");
    assert!(left[left.len() - 1].descriptors <= first.descriptors + DESCRIPTORS_MAX, "{left:?}");
    broker.connect("after").await.disconnect().await;
    let said = broker.stop().await;
    assert!(!said.contains("panicked"), "{said}");
}
