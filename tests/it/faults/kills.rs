//! Kills and power cuts under load: whatever was acknowledged arrives, nothing of QoS 2 twice, everything in order, with
//! its sessions, subscriptions and retained messages.

use tests::fault_broker::{Installed, Installing};
use verify::Plan;

/// So large that a small segment is full after a second or two.
const PAYLOAD_BYTES: usize = 2_048;

async fn kept(installing: Installing, seed: u64) {
    let mut broker = installing.start().await;
    let account = broker.verify(|plan| Plan { seed, payload_bytes: PAYLOAD_BYTES, ..plan }).await;
    assert!(account.is_good(), "{account}");
    assert_eq!(account.shares, Some(true), "the group is one of its receivers");
    assert!(account.kills.while_recovering >= account.kills.count / 3);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills() {
    kept(Installed::installing(), 1).await;
}

/// Small segments: closing and sealing them happens between the cuts and during them.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_power_cuts() {
    kept(Installed::installing().drop_unsynced().small_segments(), 2).await;
}
