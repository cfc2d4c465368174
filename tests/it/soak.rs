//! A mixed load over a while leaves nothing behind: memory, descriptors and delays are in the end what they were. Seconds
//! in an ordinary run of the tests; `cargo xtask soak` makes it minutes or hours.

use std::env;
use std::path::Path;
use std::time::Duration;

use tests::fault_broker::Installed;
use tests::wait::now;
use tests::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use tokio::time::{Instant, sleep, timeout};
use verify::{Control, ControlError, Plan};

/// For how many minutes the load goes on; `cargo xtask soak` sets it.
const MINUTES: &str = "IOTMQ_TEST_SOAK_MINUTES";

/// How long the load goes on in an ordinary run of the tests.
const ORDINARY: Duration = Duration::from_secs(8);

/// Samples of a run.
const SAMPLES: u32 = 24;

/// What memory may have grown by from the second quarter of a run to the last: a part of it, and what an allocator holds
/// back.
const GROWTH_PART_MAX: u64 = 10;
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// What descriptors may differ by: connections that come and go are seen at any moment.
const DESCRIPTORS_MAX: u64 = 24;

/// Clients that come and go.
const CHURNING: u64 = 40;

/// What a process has at a moment, and how long messages took since the one before.
#[derive(Clone, Debug)]
struct Sample {
    memory_bytes: u64,
    descriptors: u64,
    /// From publishing a message of QoS 1 until its own publisher has it, in order.
    delays: Vec<Duration>,
}

impl Sample {
    fn of(pid: u32, mut delays: Vec<Duration>) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = kib.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").filter_map(Result::ok);
        // Of the history's files, which become more and more, so many are kept open and no more.
        let is_history = |file: &Path| file.to_string_lossy().contains("/history");
        let others = open.filter(|it| std::fs::read_link(it.path()).is_ok_and(|file| !is_history(&file)));
        let descriptors = others.count() as u64;
        delays.sort();
        Self { memory_bytes: kib.expect("Linux tells") * 1024, descriptors, delays }
    }

    fn delay(&self, per_cent: usize) -> Duration {
        let at = self.delays.len().saturating_sub(1) * per_cent / 100;
        self.delays.get(at).copied().unwrap_or_default()
    }

    #[expect(clippy::print_stdout, reason = "whoever runs it for hours wants to see how it goes")]
    fn print(&self, elapsed: Duration) {
        println!(
            "{:>5} s: {:>6.1} MiB, {:>4} descriptors, delay {:?} (median), {:?} (99 %)",
            elapsed.as_secs(),
            self.memory_bytes as f64 / 1024.0 / 1024.0,
            self.descriptors,
            self.delay(50),
            self.delay(99),
        );
    }
}

/// The middle one of the samples' values.
fn median<T: Ord + Copy>(samples: &[Sample], of: impl Fn(&Sample) -> T) -> T {
    let mut values: Vec<T> = samples.iter().map(of).collect();
    values.sort();
    values[values.len() / 2]
}

/// A broker that nobody kills.
struct Unkilled;

impl Control for Unkilled {
    async fn kill(&mut self) -> Result<(), ControlError> {
        Err(ControlError::NotOurs)
    }

    async fn start(&mut self) -> Result<(), ControlError> {
        Err(ControlError::NotOurs)
    }
}

/// Publishes to itself, again and again, and writes down how long it takes.
async fn watch(broker: &Installed, until: Instant) -> Vec<Sample> {
    let (begin, length) = (now(), until - now());
    let mut ear = broker.connect("watch").await.subscribed("watch", AtLeastOnce).await;
    let (mut samples, mut delays, mut number, mut due) = (Vec::new(), Vec::new(), 0_u64, 1);
    while now() < until {
        number += 1;
        let sent = now();
        ear.publish("watch", &number.to_string(), AtLeastOnce).await;
        ear.expect("watch", &number.to_string()).await;
        delays.push(sent.elapsed());
        sleep(Duration::from_millis(20)).await;
        if begin.elapsed() > length * due / SAMPLES {
            due += 1;
            let sample = Sample::of(broker.program().pid(), std::mem::take(&mut delays));
            sample.print(begin.elapsed());
            samples.push(sample);
        }
    }
    samples
}

/// Clients that come, use a little of everything, and go: with DISCONNECT or without.
async fn churn(broker: &Installed, until: Instant) -> u64 {
    let mut number = 0;
    while now() < until {
        number += 1;
        let client_id = format!("churn-{}", number % CHURNING);
        let mut builder = broker.client(&client_id).will("churn/will", "gone", AtLeastOnce);
        builder.clean_session = number % 3 != 0;
        let mut client = builder.connect().await;
        client.subscribe(&format!("churn/{}", number % 7), ExactlyOnce).await;
        client.subscribe("churn/kept/#", AtMostOnce).await;
        let granted = client.try_subscribe("$share/churn/churn/shared", AtLeastOnce).await;
        assert_eq!(granted, Some(AtLeastOnce));
        let topic = format!("churn/kept/{}", number % CHURNING);
        client
            .retain(&topic, if (number / CHURNING).is_multiple_of(2) { "kept" } else { "" }, AtLeastOnce)
            .await;
        client.publish("churn/shared", "x", AtLeastOnce).await;
        client.publish(&format!("churn/{}", number % 7), "x", ExactlyOnce).await;
        client.unsubscribe("churn/kept/#").await;
        if (number + number / CHURNING).is_multiple_of(2) {
            client.disconnect().await;
        }
    }
    number
}

/// Somebody who looks at what was stored, by the API and by MQTT.
async fn look_back(broker: &Installed, until: Instant) -> u64 {
    let (mut number, instance) = (0, broker.instance().clone());
    while now() < until {
        number += 1;
        instance.api.get(&instance.path("/messages?order=newest&limit=50")).await.ok();
        let mut client = broker.connect("historian").await;
        client.subscribe("$replay/0/kept/m/#", AtLeastOnce).await;
        for _ in 0..200 {
            if timeout(Duration::from_secs(1), client.message()).await.is_err() {
                break;
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_load_leaves_nothing_behind() {
    let minutes = env::var(MINUTES).ok().map(|text| text.parse::<u64>().expect("a number of minutes"));
    let length = minutes.map_or(ORDINARY, |minutes| Duration::from_secs(minutes * 60));
    let mut broker = Installed::installing().small_segments().start().await;
    broker.wait_until_serving().await;
    let until = now() + length;
    let plan = Plan { kills: 0, load: length, prefix: "kept".to_owned(), ..broker.plan() };
    let mut unkilled = Unkilled;
    let (account, samples, churned, looked) = tokio::join!(
        verify::run(plan, &mut unkilled, &|step| println!("{step}")),
        watch(&broker, until),
        churn(&broker, until),
        look_back(&broker, until)
    );
    let account = account.unwrap_or_else(|error| panic!("there is no account: {error:?}"));
    println!("{account}\n{churned} clients came and went, {looked} looks back");
    assert!(account.is_good() && churned > 0 && looked > 0);
    assert_eq!(account.shares, Some(true));
    assert!(samples.len() >= 4, "too few looks to compare: {}", samples.len());

    let quarter = samples.len() / 4;
    let (first, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    let memory = |samples: &[Sample]| median(samples, |sample| sample.memory_bytes);
    let descriptors = |samples: &[Sample]| median(samples, |sample| sample.descriptors);
    let delay = |samples: &[Sample]| median(samples, |sample| sample.delay(50));
    println!(
        "second quarter: {} bytes, {:?}; last: {} bytes, {:?}",
        memory(first),
        delay(first),
        memory(last),
        delay(last)
    );
    let allowed = memory(first) + memory(first) / GROWTH_PART_MAX + GROWTH_BYTES_MAX;
    assert!(memory(last) <= allowed, "memory grows: {} to {}", memory(first), memory(last));
    assert!(descriptors(last) <= descriptors(first) + DESCRIPTORS_MAX, "descriptors grow");
    // Beside other tests, a delay says nothing.
    assert!(minutes.is_none() || delay(last) <= delay(first) * 3 + Duration::from_millis(20), "delays grow");
    broker.stop().await;
}
