//! What was promised and what came: the books that a run is judged by. They know what clients sent and saw and what
//! stands in the log, and nothing of how the node works.

mod absence;
mod passed_over;
mod shares;
mod wills;

use std::collections::{BTreeMap, BTreeSet};

use contract::qos::Qos;
use contract::topic::TopicFilter;
use engine::Pos;
use mqtt::PacketId;

use super::groups::{Text, wants};
use super::surroundings::Name;
use absence::Presence;
use passed_over::Entry;
use wills::Wills;

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
    /// It is published for its client, if at all.
    is_will: bool,
    /// The session that it was sent in is over.
    may_repeat: bool,
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
    name: Name,
    lasting: bool,
    presence: Presence,
    /// What is owed on now.
    held: BTreeMap<TopicFilter, Held>,
    /// What was ever asked for.
    asked: BTreeSet<TopicFilter>,
    messages: BTreeSet<Number>,
    /// Those that it has at QoS 1 and has not acknowledged.
    under: BTreeMap<PacketId, Number>,
    /// Those that it has acknowledged at QoS 1.
    answered: BTreeSet<Number>,
    /// What it need not have any more, because that was said.
    void: BTreeSet<Number>,
    /// Where the messages stand that it was given from the log.
    taken: BTreeSet<Pos>,
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
    /// So long a session lasts without a connection.
    pub session_expiry_millis: u64,
    last_wills: Wills,
    /// What stands in the log, in its order.
    log: Vec<Entry>,
    /// The last message with the retain flag for each topic of each instance, in the order of the log; none when it
    /// was empty.
    retained: BTreeMap<(usize, String), Option<Retained>>,
    /// The log was seen up to here.
    seen: u64,
    /// Deliveries that QoS 1 allows to be repeated, and were.
    pub repeated: u64,
    /// First deliveries.
    pub delivered: u64,
    /// Messages that were passed over, and said to be.
    pub passed_over: u64,
    /// Wills that were published.
    pub wills: u64,
    /// Messages that were owed to groups.
    pub shared: u64,
    /// What groups need not have any more, because that was said.
    share_voids: BTreeMap<Text, BTreeSet<Number>>,
    /// The first thing that was found wrong where nobody could be told.
    wrong: Option<Wrong>,
}

/// A message that is kept for its topic.
#[derive(Clone, Copy, Debug)]
struct Retained {
    number: Number,
    expires_at: Option<u64>,
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
    pub fn add_client(&mut self, name: Name, lasting: bool) {
        self.clients.push(Had { name, lasting, ..Had::default() });
    }

    /// What was found wrong where nobody could be told.
    pub fn check(&mut self) -> Result<(), Wrong> {
        self.wrong.take().map_or(Ok(()), Err)
    }

    fn complain(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    fn find(&self, name: &Name) -> Option<ClientAt> {
        self.clients.iter().position(|had| had.name == *name)
    }

    /// A message is sent for the first time; the answer is its number.
    pub fn sent(&mut self, publisher: ClientAt, topic: &'static str, qos: Qos, at: u64) -> Number {
        let instance = self.clients[publisher].name.0;
        self.sent.push(Sent {
            instance,
            publisher,
            topic,
            qos,
            at,
            acknowledged: false,
            logged: 0,
            is_will: false,
            may_repeat: false,
        });
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
        if !had.asked.iter().any(|filter| wants(filter, topic)) {
            return Err(format!("client {client} got `{topic}`, for which it never asked"));
        }
        let Some(number) = number_of(payload) else { return Ok(()) };
        let sent = self.sent.get(number - 1).ok_or_else(|| format!("{number} was never sent"))?;
        if sent.instance != had.name.0 {
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
        // A will comes when it comes. Of what was passed over, what its publisher sends again may come late.
        if sent.is_will || had.void.contains(&number) {
            return Ok(());
        }
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

    /// A message of the log, as it was seen `at` this time of the run. In their order.
    pub fn logged(
        &mut self,
        instance: usize,
        pos: Pos,
        envelope: &engine::Envelope<'_>,
        at: u64,
    ) -> Result<(), Wrong> {
        let number = number_of(envelope.payload);
        let expires_at = envelope.expires_at.map(|at| at.0);
        if envelope.retain {
            let retained = number.map(|number| Retained { number, expires_at });
            self.retained.insert((instance, envelope.topic.to_owned()), retained);
        }
        self.log.push(Entry::new(instance, pos, envelope, number));
        let Some(number) = number else { return Ok(()) };
        let sent = self.sent.get_mut(number - 1).ok_or_else(|| format!("{number} was never sent"))?;
        sent.logged += 1;
        if sent.instance != instance {
            return Err(format!("{number} is at {pos} in the log of another instance"));
        }
        let is_once = sent.is_will || sent.qos == Qos::ExactlyOnce && !sent.may_repeat;
        if is_once && sent.logged > 1 {
            return Err(format!("{number}, of QoS {}, is in the log again at {pos}", sent.qos.bits()));
        }
        if sent.is_will {
            (sent.acknowledged, sent.at) = (true, at);
            self.will_published(number);
        }
        Ok(())
    }

    /// What a topic's retained message should be: the last of the log, unless it has expired.
    #[must_use]
    pub fn retained(&self, instance: usize, now: u64) -> BTreeMap<String, Number> {
        let of_instance = self.retained.iter().filter(|((of, _), _)| *of == instance);
        let stands = of_instance.filter_map(|((_, topic), retained)| Some((topic, (*retained)?)));
        let stands = stands.filter(|(_, retained)| retained.expires_at.is_none_or(|at| at > now));
        stands.map(|(topic, retained)| (topic.clone(), retained.number)).collect()
    }

    /// What a client got as retained messages, the last of each topic.
    #[must_use]
    pub fn retained_had(&self, client: ClientAt) -> BTreeMap<String, Number> {
        self.clients[client].retained.clone()
    }

    /// The instance of a client.
    #[must_use]
    pub fn instance_of(&self, client: ClientAt) -> usize {
        self.clients[client].name.0
    }

    /// At the quiet end: everything that was acknowledged has reached everyone whom it was owed.
    pub fn settled(&mut self) -> Result<(), Wrong> {
        self.shares_settled()?;
        for (at, had) in self.clients.iter().enumerate().filter(|(_, had)| had.lasting) {
            for (filter, held) in had.held.iter().filter(|(_, held)| held.qos != Qos::AtMostOnce) {
                for (number, sent) in (1..).zip(&self.sent) {
                    let is_owed = sent.acknowledged
                        && sent.qos != Qos::AtMostOnce
                        && sent.instance == had.name.0
                        && sent.at > held.since
                        && filter.matches(sent.topic);
                    let has_it = had.messages.contains(&number) || had.void.contains(&number);
                    if is_owed && !has_it {
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
