//! A process that stands still for a while, and two processes that want the same data.

use std::time::Duration;

use tests::fault_broker::Installed;
use tests::process::Signal;
use tests::{AtLeastOnce, ExactlyOnce};

/// How long the process stands still.
const PAUSE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_costs_time_and_nothing_else() {
    let mut broker = Installed::installing().start().await;
    let mut ear = broker.connect("ear").await.subscribed("kept/#", ExactlyOnce).await;
    let mut mouth = broker.connect("mouth").await;
    mouth.publish("kept/before", "x", ExactlyOnce).await;
    broker.program().signal(Signal::SIGSTOP);
    // What is sent meanwhile waits in the sockets.
    mouth.send_publish("kept/during", "y", AtLeastOnce, false).await;
    tokio::time::sleep(PAUSE).await;
    broker.program().signal(Signal::SIGCONT);
    mouth.publish("kept/after", "z", ExactlyOnce).await;
    for (topic, payload) in [("kept/before", "x"), ("kept/during", "y"), ("kept/after", "z")] {
        ear.expect(topic, payload).await;
    }
    assert_eq!(broker.health().await, "ok\n");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_never_write_one_directory() {
    let mut broker = Installed::installing().start().await;
    let (well, said) = broker.second().ended().await;
    assert!(!well && said.contains("in use") && !said.contains("panicked"), "{said}");
    let errors = said.lines().filter(|line| line.contains("error"));
    assert_eq!(errors.count(), 1, "one clear sentence: {said}");
    // The first goes on as if nothing had been.
    let mut ear = broker.connect("ear").await.subscribed("kept/#", AtLeastOnce).await;
    broker.connect("mouth").await.publish("kept/a", "x", AtLeastOnce).await;
    ear.expect("kept/a", "x").await;
    broker.stop().await;
}
