//! What was promised and what came: the books that a run is judged by. They know what clients sent and saw and what
//! stands in the log, and nothing of how the node works.

use std::collections::{BTreeMap, BTreeSet};

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::Pos;

/// A client by its place in the run.
pub type ClientAt = usize;

/// A message by its number, counted from 1 in the order in which messages were first sent; its payload says it.
pub type Number = usize;

/// What was wrong, for people.
pub type Wrong = String;

/// A message that some client has sent.
#[derive(Clone, Debug)]
struct Sent {
    instance: usize,
    publisher: ClientAt,
    topic: &'static str,
    qos: Qos,
    /// When it was first sent.
    at: u64,
    acknowledged: bool,
    /// How often it stands in the log, as far as the log has been seen.
    logged: u32,
}

/// A subscription whose SUBACK has come.
#[derive(Clone, Debug)]
struct Held {
    qos: Qos,
    since: u64,
}

/// What one subscriber has had.
#[derive(Clone, Debug, Default)]
struct Had {
    instance: usize,
    lasting: bool,
    /// What is owed on now.
    held: BTreeMap<TopicFilter, Held>,
    /// What was ever asked for.
    asked: BTreeSet<TopicFilter>,
    messages: BTreeSet<Number>,
    /// Those that came at QoS 2, in this session.
    exactly: BTreeSet<Number>,
    /// Retained messages that came as such.
    retained: BTreeMap<String, Number>,
    /// The newest first delivery of each publisher, topic and QoS.
    newest: BTreeMap<(ClientAt, &'static str, Qos), Number>,
}

/// Everything of one run.
#[derive(Debug, Default)]
pub struct Account {
    sent: Vec<Sent>,
    clients: Vec<Had>,
    /// The last message with the retain flag for each topic of each instance, in the order of the log; none when it
    /// was empty.
    retained: BTreeMap<(usize, String), Option<Number>>,
    /// The log was seen up to here.
    seen: u64,
    /// Deliveries that QoS 1 allows to be repeated, and were.
    pub repeated: u64,
    /// First deliveries.
    pub delivered: u64,
}

/// A delivery as its client saw it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS it came with.
    pub qos: Qos,
    /// It is a retained one, and says so.
    pub retain: bool,
}

impl Account {
    /// One more client.
    pub fn add_client(&mut self, instance: usize, lasting: bool) {
        self.clients.push(Had { instance, lasting, ..Had::default() });
    }

    /// A message is sent for the first time; the answer is its number.
    pub fn sent(&mut self, publisher: ClientAt, topic: &'static str, qos: Qos, at: u64) -> Number {
        let instance = self.clients[publisher].instance;
        self.sent.push(Sent { instance, publisher, topic, qos, at, acknowledged: false, logged: 0 });
        self.sent.len()
    }

    /// Its publisher was told that the message is safe.
    pub fn acknowledged(&mut self, number: Number) {
        self.sent[number - 1].acknowledged = true;
    }

    /// How many were.
    #[must_use]
    pub fn acknowledged_messages(&self) -> usize {
        self.sent.iter().filter(|sent| sent.acknowledged).count()
    }

    /// The client asks for a filter.
    pub fn asked(&mut self, client: ClientAt, filter: &TopicFilter) {
        self.clients[client].asked.insert(filter.clone());
    }

    /// SUBACK has come. A filter that was held before is held since then.
    pub fn subscribed(&mut self, client: ClientAt, filter: &TopicFilter, qos: Qos, at: u64) {
        let held = self.clients[client].held.entry(filter.clone()).or_insert(Held { qos, since: at });
        held.qos = qos;
    }

    /// UNSUBSCRIBE is sent: nothing more is owed on the filter.
    pub fn unsubscribing(&mut self, client: ClientAt, filter: &TopicFilter) {
        self.clients[client].held.remove(filter);
    }

    /// The client's session is no more: nothing is owed on it.
    pub fn forgotten(&mut self, client: ClientAt) {
        self.clients[client].held.clear();
        self.clients[client].exactly.clear();
    }

    /// A message has come. Of QoS 2, only what is no repetition.
    pub fn delivered(&mut self, client: ClientAt, delivery: Delivery<'_>) -> Result<(), Wrong> {
        let Delivery { topic, payload, qos, retain } = delivery;
        let had = &mut self.clients[client];
        if !had.asked.iter().any(|filter| filter.matches(topic)) {
            return Err(format!("client {client} got `{topic}`, for which it never asked"));
        }
        let Some(number) = number_of(payload) else { return Ok(()) };
        let sent = self.sent.get(number - 1).ok_or_else(|| format!("{number} was never sent"))?;
        if sent.instance != had.instance {
            return Err(format!("client {client} got {number} of another instance"));
        }
        if sent.topic != topic {
            return Err(format!("client {client} got {number} on `{topic}` and not on `{}`", sent.topic));
        }
        if retain {
            had.retained.insert(topic.to_owned(), number);
            return Ok(());
        }
        if qos == Qos::ExactlyOnce && !had.exactly.insert(number) {
            return Err(format!("client {client} got {number} twice, at QoS 2"));
        }
        if !had.messages.insert(number) {
            self.repeated += 1;
            return Ok(());
        }
        self.delivered += 1;
        // What is older than the subscription may come late, when its publisher sends it again.
        let is_held = |(filter, held): (&TopicFilter, &Held)| held.since < sent.at && filter.matches(topic);
        if !had.held.iter().any(is_held) {
            return Ok(());
        }
        let newest = had.newest.entry((sent.publisher, sent.topic, sent.qos)).or_default();
        if *newest > number {
            return Err(format!("client {client} got {number} after {newest}, of one publisher and topic"));
        }
        *newest = number;
        Ok(())
    }

    /// The record behind the last one of the log that was seen.
    #[must_use]
    pub const fn next_record(&self) -> u64 {
        self.seen + 1
    }

    /// A record of the log was seen, with all its messages after this.
    pub fn saw_record(&mut self, record: u64) {
        self.seen = self.seen.max(record);
    }

    /// A message of the log. In their order.
    pub fn logged(
        &mut self,
        instance: usize,
        pos: Pos,
        envelope: &engine::Envelope<'_>,
    ) -> Result<(), Wrong> {
        let number = number_of(envelope.payload);
        if envelope.retain {
            self.retained.insert((instance, envelope.topic.to_owned()), number);
        }
        let Some(number) = number else { return Ok(()) };
        let sent = self.sent.get_mut(number - 1).ok_or_else(|| format!("{number} was never sent"))?;
        sent.logged += 1;
        if sent.instance != instance {
            return Err(format!("{number} is at {pos} in the log of another instance"));
        }
        if sent.qos == Qos::ExactlyOnce && sent.logged > 1 {
            return Err(format!("{number}, of QoS 2, is in the log again at {pos}"));
        }
        Ok(())
    }

    /// What a topic's retained message should be: the last of the log.
    #[must_use]
    pub fn retained(&self, instance: usize) -> BTreeMap<String, Number> {
        let of_instance = self.retained.iter().filter(|((of, _), _)| *of == instance);
        of_instance.filter_map(|((_, topic), number)| Some((topic.clone(), (*number)?))).collect()
    }

    /// What a client got as retained messages, the last of each topic.
    #[must_use]
    pub fn retained_had(&self, client: ClientAt) -> BTreeMap<String, Number> {
        self.clients[client].retained.clone()
    }

    /// The instance of a client.
    #[must_use]
    pub fn instance_of(&self, client: ClientAt) -> usize {
        self.clients[client].instance
    }

    /// At the quiet end: everything that was acknowledged has reached everyone whom it was owed.
    pub fn settled(&self) -> Result<(), Wrong> {
        for (at, had) in self.clients.iter().enumerate().filter(|(_, had)| had.lasting) {
            for (filter, held) in had.held.iter().filter(|(_, held)| held.qos != Qos::AtMostOnce) {
                for (number, sent) in (1..).zip(&self.sent) {
                    let is_owed = sent.acknowledged
                        && sent.qos != Qos::AtMostOnce
                        && sent.instance == had.instance
                        && sent.at > held.since
                        && filter.matches(sent.topic);
                    if is_owed && !had.messages.contains(&number) {
                        return Err(format!(
                            "client {at} never got {number} (`{}`, QoS {}, logged {} times) on `{filter}`",
                            sent.topic,
                            sent.qos.bits(),
                            sent.logged
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The payload that a message of this number has.
#[must_use]
pub fn payload_of(number: Number) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// The number that a payload says; none when it is empty.
#[must_use]
pub fn number_of(payload: &[u8]) -> Option<Number> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}
