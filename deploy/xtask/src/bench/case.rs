//! The cases that are measured, as one table: who publishes to whom, how well, and how much may be under way.

use std::time::Duration;

use clap::ValueEnum;

/// Payload bytes of every message.
pub(crate) const PAYLOAD_BYTES: usize = 64;
/// The first level of every topic: the one topic that is provisioned.
pub(crate) const TOPIC: &str = "bench";

/// Messages of one publisher that may be under way, where publishers keep a window open all the time.
///
/// Ten publishers share a subscriber in the fan-in cases, and both brokers hold at least 1 000 messages for a
/// subscriber before they drop one: 96 each never reaches that.
const WINDOW_FULL: u64 = 96;

/// One case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Case {
    /// 50 publishers, 5 subscribers, QoS 0, full.
    FanInQos0,
    /// 50 publishers, 5 subscribers, QoS 1, full.
    FanInQos1,
    /// 100 pairs, QoS 0, full.
    OneToOneQos0,
    /// 100 pairs, QoS 1, full.
    OneToOneQos1,
    /// 100 pairs, QoS 0, one message in flight per pair.
    OneToOneQos0W1,
    /// 100 pairs, QoS 1, one message in flight per pair.
    OneToOneQos1W1,
}

impl Case {
    /// Every case, in the order of the table.
    pub(crate) const ALL: [Self; 6] = [
        Self::FanInQos0,
        Self::FanInQos1,
        Self::OneToOneQos0,
        Self::OneToOneQos1,
        Self::OneToOneQos0W1,
        Self::OneToOneQos1W1,
    ];

    /// Its name in the table and in the JSON output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FanInQos0 => "fan-in 50->5, QoS 0, full",
            Self::FanInQos1 => "fan-in 50->5, QoS 1, full",
            Self::OneToOneQos0 => "one-to-one x100, QoS 0, full",
            Self::OneToOneQos1 => "one-to-one x100, QoS 1, full",
            Self::OneToOneQos0W1 => "one-to-one x100, QoS 0, w1",
            Self::OneToOneQos1W1 => "one-to-one x100, QoS 1, w1",
        }
    }

    /// Publishers.
    pub(crate) const fn publishers(self) -> usize {
        match self {
            Self::FanInQos0 | Self::FanInQos1 => 50,
            Self::OneToOneQos0 | Self::OneToOneQos1 | Self::OneToOneQos0W1 | Self::OneToOneQos1W1 => 100,
        }
    }

    /// Subscribers. Publisher `p` is heard by subscriber `p % subscribers()` alone.
    pub(crate) const fn subscribers(self) -> usize {
        match self {
            Self::FanInQos0 | Self::FanInQos1 => 5,
            Self::OneToOneQos0 | Self::OneToOneQos1 | Self::OneToOneQos0W1 | Self::OneToOneQos1W1 => 100,
        }
    }

    /// The QoS of publications and subscriptions, 0 or 1.
    pub(crate) const fn qos(self) -> u8 {
        match self {
            Self::FanInQos0 | Self::OneToOneQos0 | Self::OneToOneQos0W1 => 0,
            Self::FanInQos1 | Self::OneToOneQos1 | Self::OneToOneQos1W1 => 1,
        }
    }

    /// Messages of one publisher that may be under way: sent, and not yet delivered and acknowledged.
    pub(crate) const fn window(self) -> u64 {
        match self {
            Self::FanInQos0 | Self::FanInQos1 | Self::OneToOneQos0 | Self::OneToOneQos1 => WINDOW_FULL,
            Self::OneToOneQos0W1 | Self::OneToOneQos1W1 => 1,
        }
    }
}

/// How long and how often one case is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Runs of each case on each broker; the median counts.
    pub(crate) rounds: usize,
    /// Load before the measurement begins.
    pub(crate) warm_up: Duration,
    /// Load while it lasts.
    pub(crate) measured: Duration,
}
