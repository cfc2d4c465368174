//! The cases that are measured, as one table: who publishes to whom, how well, and how much may be under way.

use std::time::Duration;

use clap::ValueEnum;
use mqtt::Version;

/// Payload bytes of every message.
pub(crate) const PAYLOAD_BYTES: usize = 64;
/// The topics that are provisioned, first levels both: of one the messages are only passed on, of the other they are
/// stored too.
pub(crate) const TOPIC: &str = "bench";
pub(crate) const STORED_TOPIC: &str = "stored";

/// Messages of one publisher that may be under way, where publishers keep a window open all the time.
///
/// Ten publishers share a subscriber in the fan-in cases, and both brokers hold at least 1 000 messages for a
/// subscriber before they drop one: 96 each never reaches that.
const WINDOW_FULL: u64 = 96;

/// Messages that a client of the mosquitto project has under way at most, unless told otherwise: the window of the
/// publishers whose messages are only stored.
const WINDOW_APPEND: u64 = 20;

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
    /// 50 publishers, 5 subscribers, QoS 2, full.
    FanInQos2,
    /// 100 pairs, QoS 2, full.
    OneToOneQos2,
    /// 100 pairs, QoS 2, one message in flight per pair.
    OneToOneQos2W1,
    /// One publisher, 1 000 subscribers, QoS 0, full.
    FanOutQos0,
    /// One publisher, 1 000 subscribers, QoS 1, full.
    FanOutQos1,
    /// One publisher, 1 000 subscribers, QoS 2, full.
    FanOutQos2,
    /// 100 pairs that speak 5.0, QoS 0, full, every message with properties.
    PropertiesQos0,
    /// 100 pairs that speak 5.0, QoS 1, full, every message with properties.
    PropertiesQos1,
    /// 100 pairs, QoS 1, full, every message stored before it is acknowledged; mosquitto stores none.
    DurableOneToOneQos1,
    /// 1 000 publishers, QoS 1, 20 messages in flight each, every message stored; mosquitto saves on every change.
    AppendQos1,
    /// The same, one message in flight each.
    AppendQos1W1,
}

/// What tells one case from the others.
struct Shape {
    name: &'static str,
    publishers: usize,
    subscribers: usize,
    qos: u8,
    window: u64,
    is_stored: bool,
    /// What the broker may use of mosquitto's CPU for each message; none where the case has a target of its own.
    ratio_max: Option<f64>,
}

/// What the broker may use of mosquitto's CPU for each message at full load, in the other message cases, and with one
/// message in flight.
const RATIO_FULL: f64 = 0.12;
const RATIO_OTHERS: f64 = 0.2;
const RATIO_ONE_IN_FLIGHT: f64 = 1.0;

impl Case {
    /// Every case, in the order of the table.
    pub(crate) const ALL: [Self; 17] = [
        Self::FanInQos0,
        Self::FanInQos1,
        Self::FanInQos2,
        Self::OneToOneQos0,
        Self::OneToOneQos1,
        Self::OneToOneQos2,
        Self::OneToOneQos0W1,
        Self::OneToOneQos1W1,
        Self::OneToOneQos2W1,
        Self::FanOutQos0,
        Self::FanOutQos1,
        Self::FanOutQos2,
        Self::PropertiesQos0,
        Self::PropertiesQos1,
        Self::DurableOneToOneQos1,
        Self::AppendQos1,
        Self::AppendQos1W1,
    ];

    const fn shape(self) -> Shape {
        let pairs = Shape {
            name: "",
            publishers: 100,
            subscribers: 100,
            qos: 0,
            window: WINDOW_FULL,
            is_stored: false,
            ratio_max: Some(RATIO_FULL),
        };
        let fan_in = Shape { publishers: 50, subscribers: 5, ..pairs };
        let fan_out = Shape { publishers: 1, subscribers: 1_000, ..pairs };
        let one = Shape { window: 1, ratio_max: Some(RATIO_ONE_IN_FLIGHT), ..pairs };
        let properties = Shape { ratio_max: Some(RATIO_OTHERS), ..pairs };
        let stored = Shape { is_stored: true, ratio_max: None, qos: 1, ..pairs };
        let append = Shape { publishers: 1_000, subscribers: 0, window: WINDOW_APPEND, ..stored };
        match self {
            Self::FanInQos0 => Shape { name: "fan-in 50->5, QoS 0, full", ..fan_in },
            Self::FanInQos1 => Shape { name: "fan-in 50->5, QoS 1, full", qos: 1, ..fan_in },
            Self::FanInQos2 => Shape { name: "fan-in 50->5, QoS 2, full", qos: 2, ..fan_in },
            Self::OneToOneQos0 => Shape { name: "one-to-one x100, QoS 0, full", ..pairs },
            Self::OneToOneQos1 => Shape { name: "one-to-one x100, QoS 1, full", qos: 1, ..pairs },
            Self::OneToOneQos2 => Shape { name: "one-to-one x100, QoS 2, full", qos: 2, ..pairs },
            Self::OneToOneQos0W1 => Shape { name: "one-to-one x100, QoS 0, w1", ..one },
            Self::OneToOneQos1W1 => Shape { name: "one-to-one x100, QoS 1, w1", qos: 1, ..one },
            Self::OneToOneQos2W1 => Shape { name: "one-to-one x100, QoS 2, w1", qos: 2, ..one },
            Self::FanOutQos0 => Shape { name: "fan-out 1->1000, QoS 0, full", ..fan_out },
            Self::FanOutQos1 => Shape { name: "fan-out 1->1000, QoS 1, full", qos: 1, ..fan_out },
            Self::FanOutQos2 => Shape { name: "fan-out 1->1000, QoS 2, full", qos: 2, ..fan_out },
            Self::PropertiesQos0 => Shape { name: "5.0, properties, x100, QoS 0", ..properties },
            Self::PropertiesQos1 => Shape { name: "5.0, properties, x100, QoS 1", qos: 1, ..properties },
            Self::DurableOneToOneQos1 => Shape { name: "durable one-to-one x100, QoS 1", ..stored },
            Self::AppendQos1 => Shape { name: "append x1000, QoS 1, full", ..append },
            Self::AppendQos1W1 => Shape { name: "append x1000, QoS 1, w1", window: 1, ..append },
        }
    }

    /// Its name in the table and in the JSON output.
    pub(crate) const fn name(self) -> &'static str {
        self.shape().name
    }

    /// Publishers.
    pub(crate) const fn publishers(self) -> usize {
        self.shape().publishers
    }

    /// Subscribers. Publisher `p` is heard by subscriber `p % subscribers()` alone, or by all where there is one publisher.
    pub(crate) const fn subscribers(self) -> usize {
        self.shape().subscribers
    }

    /// What the broker may use of mosquitto's CPU for each message.
    pub(crate) const fn ratio_max(self) -> Option<f64> {
        self.shape().ratio_max
    }

    /// The version that its clients speak.
    pub(crate) const fn version(self) -> Version {
        if self.has_properties() { Version::V5 } else { Version::V311 }
    }

    /// Whether its messages have properties.
    pub(crate) const fn has_properties(self) -> bool {
        matches!(self, Self::PropertiesQos0 | Self::PropertiesQos1)
    }

    /// Whether every subscriber gets every message.
    pub(crate) const fn is_fan_out(self) -> bool {
        self.publishers() == 1
    }

    /// The QoS of publications and subscriptions.
    pub(crate) const fn qos(self) -> u8 {
        self.shape().qos
    }

    /// Messages of one publisher that may be under way: sent, and not yet delivered and acknowledged.
    pub(crate) const fn window(self) -> u64 {
        self.shape().window
    }

    /// Whether nobody subscribes: what counts is how many messages are acknowledged, and each side stores them.
    pub(crate) const fn is_append(self) -> bool {
        self.subscribers() == 0
    }

    /// The first level of its topics.
    pub(crate) const fn first_level(self) -> &'static str {
        if self.shape().is_stored { STORED_TOPIC } else { TOPIC }
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
