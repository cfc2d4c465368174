//! Shared subscriptions: each message for one member, whoever comes, goes or is slow.

mod bounds;
mod churn;
mod sharing;
mod stored;

use std::time::{Duration, Instant};

use contract::limits::{InstanceLimits, LIMITS};
use contract::qos::Qos::AtLeastOnce;

use crate::testing::{Fixture, Given, PATIENCE, Peer};

/// What the groups of these tests are called.
const SHARED: &str = "$share/work/a/#";

fn without_rates(limits: &mut InstanceLimits) {
    for limit in LIMITS.iter().filter(|limit| limit.name.ends_with("_per_sec")) {
        limits.set(limit.name, limit.max).expect("within its bounds");
    }
}

fn given(workers: usize) -> Given {
    Given::workers(workers).limits(without_rates)
}

/// A node with so many workers.
fn fixture(workers: usize) -> Fixture {
    given(workers).start()
}

/// So many connected members of the group, none of which is kept.
async fn members(fixture: &Fixture, count: usize) -> Vec<Peer> {
    let mut members = Vec::new();
    for at in 0..count {
        let mut member = fixture.client(1, &format!("member-{at}")).await;
        assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
        members.push(member);
    }
    members
}

/// A member whose session is kept.
async fn lasting_member(fixture: &Fixture, client_id: &str) -> Peer {
    let mut member = fixture.lasting_client(client_id, false).await;
    assert_eq!(member.subscribe(&[(SHARED, AtLeastOnce)]).await, "1");
    member
}

/// Publishes messages with the numbers as their payloads, and waits until all are acknowledged.
async fn publish(mouth: &mut Peer, numbers: std::ops::Range<usize>) {
    for at in numbers {
        mouth.publish_acknowledged("a/x", &at.to_string()).await;
    }
}

/// What a packet says, if it is a message at QoS 1 to the topic of these tests.
fn number(packet: &str) -> usize {
    let payload = packet.rsplit_once(' ').map(|(_, payload)| payload);
    assert!(packet.contains("publish 1 a/"), "`{packet}`");
    payload.and_then(|payload| payload.parse().ok()).unwrap_or_else(|| panic!("`{packet}`"))
}

/// The next `count` messages, whichever of the members gets them, acknowledged; each with who had it.
async fn take_all(members: &mut [Peer], count: usize) -> Vec<(usize, usize)> {
    let mut taken = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "how long a test waits")]
    let until = Instant::now() + PATIENCE;
    while taken.len() < count {
        for (at, member) in members.iter_mut().enumerate() {
            while taken.len() < count
                && let Some(packet) = member.next_within(Duration::from_millis(1)).await
            {
                taken.push((at, number(&packet)));
                member.answer(mqtt::client::puback).await;
            }
        }
        #[expect(clippy::disallowed_methods, reason = "how long a test waits")]
        let is_late = Instant::now() > until;
        assert!(!is_late, "{} of {count} came: {taken:?}", taken.len());
    }
    taken
}

/// The numbers of what was taken, in their order.
fn numbers(taken: &[(usize, usize)]) -> Vec<usize> {
    let mut numbers: Vec<_> = taken.iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    numbers
}

/// Proves that nothing more is on its way to members: each of them leaves the group, and nothing came before it had.
async fn nothing_more(members: &mut [Peer]) {
    for member in members.iter_mut() {
        assert_eq!(member.unsubscribe(SHARED).await, [""; 0]);
    }
}
