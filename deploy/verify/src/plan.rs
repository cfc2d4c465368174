//! What a run does: how many clients of each kind, how fast, how often the broker is killed. And how topics and client
//! identifiers are called, which is the same for every run, so that what one run has left behind the next one clears.

use std::time::Duration;

use contract::qos::Qos;

/// Topics that one publisher publishes to, in turn.
pub(crate) const TOPICS_PER_PUBLISHER: usize = 2;

/// Topics that the retained messages of one run go to; an even number, since they are of two kinds in turn.
pub(crate) const RETAINED_TOPICS: usize = 8;

/// How a client proves who it is; the same for all of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub username: Option<String>,
    /// The password, or a token.
    pub password: Option<String>,
}

/// Shows that there is a password, never which.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a run does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Where the broker listens for MQTT without TLS: host and port.
    pub address: String,
    /// How clients prove who they are.
    pub login: Login,
    /// What client identifiers and topics begin with. No `/`, `+` or `#`.
    pub prefix: String,
    /// How often the broker is killed. Every third kill is followed by another one while the broker recovers, which
    /// counts as one more.
    pub kills: u32,
    /// How long the load goes on. The kills are spread over it.
    pub load: Duration,
    /// Publishers at QoS 1, and as many at QoS 2.
    pub publishers: usize,
    /// Messages that a publisher has under way at a time.
    pub window: usize,
    /// Messages a second that a publisher publishes at most.
    pub rate: u32,
    /// Bytes of a payload, at least [`Plan::PAYLOAD_BYTES_MIN`].
    pub payload_bytes: usize,
    /// Subscribers that are always there.
    pub live: usize,
    /// Subscribers that go away and come back.
    pub away: usize,
    /// Messages that are published while a subscriber is away, until it comes back. Brokers keep a bounded number.
    pub away_messages: u64,
    /// Members of a shared subscription at QoS 1, which go away and come back in turn; 0: it is not tried.
    pub shared: usize,
    /// How long nothing may arrive until what has not arrived counts as lost.
    pub silence: Duration,
    /// How long the broker may take to serve after a start, and to answer what is under way at the end.
    pub patience: Duration,
    /// What the times of kills are drawn from.
    pub seed: u64,
}

impl Plan {
    /// Bytes that name a message: the fewest that a payload can have.
    pub const PAYLOAD_BYTES_MIN: usize = 12;

    /// A run of a minute with 20 kills and 10 connections: as many as IoT MQ admits with one token unless it is told.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            login: Login::default(),
            prefix: "verify".to_owned(),
            kills: 20,
            load: Duration::from_mins(1),
            publishers: 2,
            window: 16,
            rate: 200,
            payload_bytes: 64,
            live: 1,
            away: 1,
            away_messages: 400,
            shared: 2,
            silence: Duration::from_secs(5),
            patience: Duration::from_secs(30),
            seed: 1,
        }
    }

    /// The QoS of each publisher: as many at 1 as at 2.
    pub(crate) fn publisher_qos(&self) -> Vec<Qos> {
        let of = |qos: Qos| std::iter::repeat_n(qos, self.publishers);
        of(Qos::AtLeastOnce).chain(of(Qos::ExactlyOnce)).collect()
    }

    pub(crate) fn client_id(&self, kind: &str, number: usize) -> String {
        format!("{}-{kind}-{number}", self.prefix)
    }

    /// Where a publisher publishes its message of this number.
    pub(crate) fn topic(&self, publisher: usize, sequence: u64) -> String {
        format!("{}/m/{publisher}/{}", self.prefix, topic_of(sequence))
    }

    pub(crate) fn topic_filter(&self) -> String {
        format!("{}/m/#", self.prefix)
    }

    pub(crate) fn shared_filter(&self) -> String {
        format!("$share/{}/{}", self.prefix, self.topic_filter())
    }

    /// Where it is tried whether a broker shares.
    pub(crate) fn probe_topic(&self) -> String {
        format!("{}/p", self.prefix)
    }

    pub(crate) fn shared_probe_filter(&self) -> String {
        format!("$share/{}-probe/{}", self.prefix, self.probe_topic())
    }

    /// Where the last message of all goes, which proves that a subscription is there.
    pub(crate) fn bell(&self) -> String {
        format!("{}/m/bell", self.prefix)
    }

    pub(crate) fn retained_topic(&self, sequence: u64) -> String {
        format!("{}/r/{}", self.prefix, sequence % RETAINED_TOPICS as u64)
    }

    pub(crate) fn retained_filter(&self) -> String {
        format!("{}/r/#", self.prefix)
    }
}

/// Which of its topics a publisher's message goes to.
pub(crate) const fn topic_of(sequence: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "smaller than the number of topics")]
    let at = (sequence % TOPICS_PER_PUBLISHER as u64) as usize;
    at
}
