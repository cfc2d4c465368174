//! Shared subscriptions: the members of a group get each message once together, and what waits for them survives the
//! broker. Debian's clients, which speak 3.1.1.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::fault_broker::Installed;
use tests::process::{Program, Signal};
use tests::{AtLeastOnce, AtMostOnce, Client, Cluster, ExactlyOnce, Instance, wait_for};

const FILTER: &str = "$share/workers/jobs/#";

/// A member of the group with a lasting session.
async fn member(broker: &Installed, client_id: &str) -> Program {
    let mut command = broker.mosquitto("mosquitto_sub", client_id);
    let mut member = Program::start(command.args(["-c", "-q", "1", "-t", FILTER, "-v", "-d"]));
    // What waits for its session may come before the answer.
    member.line_with("Subscribed").await;
    member
}

/// The topics that a member has printed.
fn jobs(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|line| line.starts_with("jobs/"));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Ends it as Ctrl-C does; the topics that it has printed.
async fn leave(member: Program) -> Vec<String> {
    member.signal(Signal::SIGTERM);
    jobs(&member.ended().await.1)
}

/// The groups of an instance, as the API shows them.
async fn groups(instance: &Instance) -> Vec<Value> {
    let answer = instance.api.get(&instance.path("/shared-groups")).await;
    answer.ok()["items"].as_array().expect("a list").clone()
}

/// The number of this name that the API shows for the one group.
async fn number(instance: &Instance, name: &str) -> u64 {
    let groups = groups(instance).await;
    groups.first().and_then(|group| group[name].as_u64()).unwrap_or_else(|| panic!("no `{name}`: {groups:?}"))
}

async fn wait_until_nothing_waits(instance: &Instance) {
    wait_for("the group to have everything", async || {
        number(instance, "waiting_messages").await == 0 && number(instance, "in_flight").await == 0
    })
    .await;
}

async fn publish(mouth: &mut Client, numbers: std::ops::Range<u64>) -> BTreeSet<String> {
    let topics: BTreeSet<String> = numbers.map(|number| format!("jobs/{number}")).collect();
    for topic in &topics {
        mouth.publish(topic, "x", AtLeastOnce).await;
    }
    topics
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_goes_to_one_member_and_what_waits_survives_a_kill() {
    let mut broker = Installed::installing().start().await;
    let instance = broker.instance().clone();
    let (one, two) = (member(&broker, "one").await, member(&broker, "two").await);
    let mut mouth = broker.connect("mouth").await;
    let first = publish(&mut mouth, 0..20).await;
    wait_until_nothing_waits(&instance).await;
    assert_eq!(number(&instance, "members_connected").await, 2);
    let (one, two) = (leave(one).await, leave(two).await);
    assert!(!one.is_empty() && !two.is_empty(), "they take turns: {one:?} {two:?}");
    let mut all = [one, two].concat();
    all.sort();
    assert_eq!(all, first.into_iter().collect::<Vec<_>>(), "each once");

    let waiting = publish(&mut mouth, 100..150).await;
    assert_eq!(number(&instance, "waiting_messages").await, 50);
    wait_for("both to be away", async || number(&instance, "members_away").await == 2).await;
    broker.kill().await;
    broker.start().await;
    broker.wait_until_serving().await;
    // What the members had acknowledged may come again, which QoS 1 allows.
    let lag = number(&instance, "waiting_messages").await;
    assert!((50..=70).contains(&lag), "{lag}");

    let mut back = member(&broker, "two").await;
    let has_all = |back: &Program| {
        let got: BTreeSet<String> = jobs(&back.heard.join("\n")).into_iter().collect();
        got.is_superset(&waiting)
    };
    while !has_all(&back) {
        back.line().await.expect("it goes on until it has all");
    }
    wait_until_nothing_waits(&instance).await;
    leave(back).await;

    // Who comes with a clean session leaves the group; the last one ends it.
    for client_id in ["one", "two"] {
        broker.connect(client_id).await.disconnect().await;
    }
    wait_for("the group to be gone", async || groups(&instance).await.is_empty()).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_group_and_every_other_subscriber_gets_everything() {
    for workers in [1, 2] {
        let cluster = Cluster::builder().workers(workers).start().await;
        let fleet = cluster.tenant("red").await.open_instance("fleet").await;
        let mut mouth = fleet.connect("mouth").await;
        mouth.send_publish("jobs/retained", "old", AtLeastOnce, true).await;
        mouth.ping().await;
        let mut members = Vec::new();
        for (client_id, filter) in
            [("a-1", FILTER), ("a-2", FILTER), ("b-1", "$share/others/jobs/#"), ("c-1", "$share/workers/#")]
        {
            let mut member = fleet.connect(client_id).await;
            assert_eq!(member.try_subscribe(filter, ExactlyOnce).await, Some(AtLeastOnce), "never QoS 2");
            members.push(member);
        }
        let mut ear = fleet.connect("ear").await.subscribed("jobs/new/#", ExactlyOnce).await;
        let topics: Vec<String> = (0..10).map(|number| format!("jobs/new/{number}")).collect();
        for topic in &topics {
            mouth.publish(topic, "x", ExactlyOnce).await;
            let message = ear.expect(topic, "x").await;
            assert_eq!(message.qos, ExactlyOnce);
        }
        let [a_1, a_2, b_1, c_1] = &mut members[..] else { unreachable!("four were connected") };
        for alone in [b_1, c_1] {
            for topic in &topics {
                let message = alone.expect(topic, "x").await;
                assert_eq!((message.qos, message.retain), (AtLeastOnce, false), "no retained ones");
            }
        }
        let mut shared = Vec::new();
        while shared.len() < topics.len() {
            let message = tokio::select! {
                message = a_1.message() => message,
                message = a_2.message() => message,
            };
            shared.push(message.topic);
        }
        shared.sort();
        assert_eq!(shared, topics, "{workers} workers: each once");
        // Nothing more has been under way to either.
        for (member, bell) in [(a_1, "bell-1"), (a_2, "bell-2")] {
            member.subscribe(bell, AtMostOnce).await;
            mouth.publish(bell, "", AtLeastOnce).await;
            assert_eq!(member.topics_until(bell).await, [bell]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_what_is_shared_is_asked_for() {
    let cluster = Cluster::start().await;
    let fleet = cluster.tenant("red").await.open_instance("fleet").await;
    let grants = tests::tenant::subscribe_only("jobs/#");
    let mut member = fleet.connect_with_grants("one", grants).await;
    for (filter, granted) in [
        (FILTER, Some(AtLeastOnce)),
        ("$share/workers/secret", None),
        ("$share/workers/#", None),
        ("$share/workers", None),
        ("$share//jobs", None),
    ] {
        assert_eq!(member.try_subscribe(filter, AtLeastOnce).await, granted, "{filter}");
    }
    let token = fleet.token("two").await;
    let mut command = tests::mosquitto::mosquitto("mosquitto_sub", fleet.mqtt[0], "two", &token.text);
    let refused = Program::start(command.args(["-q", "1", "-t", "$share/workers/", "-W", "10"]));
    let (_, said) = refused.ended().await;
    assert!(said.contains("denied"), "{said}");
}
