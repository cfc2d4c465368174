//! QoS 2 from a client with a lasting session into the log. One packet identifier and two messages: the client uses the
//! identifier for the second as soon as it has PUBCOMP for the first. The machine may stop between any two steps: what
//! was not committed is gone, and the connection with it; the client then sends again what it has not completed.

use super::{Model, Verdict};

/// How often the machine stops, at most.
const CRASHES_MAX: u8 = 3;

/// Messages of the client.
const MESSAGES: usize = 2;

/// What the broker must do before what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// That the identifier was received is kept in the same record as the message.
    pub received_with_message: bool,
    /// PUBREC is sent after the message was committed.
    pub commit_before_pubrec: bool,
    /// PUBCOMP is sent after the release of the identifier was committed.
    pub release_before_pubcomp: bool,
}

impl Rules {
    /// All of them.
    pub const ALL: Self =
        Self { received_with_message: true, commit_before_pubrec: true, release_before_pubcomp: true };
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Packet {
    Publish(usize),
    PubRec,
    PubRel,
    PubComp,
}

/// One record on its way into the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Record {
    Message(usize),
    MessageReceived(usize),
    Received,
    Release,
}

/// Client, channels, broker and disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    rules: Rules,
    /// The message that the client is at, and whether it has had PUBREC for it.
    at: usize,
    released: bool,
    to_broker: Vec<Packet>,
    to_client: Vec<Packet>,
    /// What the broker's memory says of the identifier.
    received: bool,
    /// What the disk says of it.
    kept: bool,
    /// The oldest first.
    pending: Vec<Record>,
    /// How often each message stands in the log.
    logged: [u8; MESSAGES],
    crashes: u8,
}

impl State {
    /// The client has sent its first message.
    #[must_use]
    pub fn start(rules: Rules) -> Self {
        Self {
            rules,
            at: 0,
            released: false,
            to_broker: vec![Packet::Publish(0)],
            to_client: Vec::new(),
            received: false,
            kept: false,
            pending: Vec::new(),
            logged: [0; MESSAGES],
            crashes: 0,
        }
    }

    fn at_broker(&mut self, packet: Packet) {
        match packet {
            // The answer to the first one is still to come, and answers both.
            Packet::Publish(_) if self.received && !self.pending.is_empty() => {}
            Packet::Publish(_) if self.received => self.to_client.push(Packet::PubRec),
            Packet::Publish(message) => {
                self.received = true;
                if self.rules.received_with_message {
                    self.pending.push(Record::MessageReceived(message));
                } else {
                    self.pending.extend([Record::Message(message), Record::Received]);
                }
                if !self.rules.commit_before_pubrec {
                    self.to_client.push(Packet::PubRec);
                }
            }
            Packet::PubRel => {
                self.received = false;
                self.pending.push(Record::Release);
                if !self.rules.release_before_pubcomp {
                    self.to_client.push(Packet::PubComp);
                }
            }
            Packet::PubRec | Packet::PubComp => unreachable!("a client that publishes sends none"),
        }
    }

    fn commit(&mut self) {
        let record = self.pending.remove(0);
        match record {
            Record::Message(message) => self.logged[message] += 1,
            Record::MessageReceived(message) => {
                self.logged[message] += 1;
                self.kept = true;
            }
            Record::Received => self.kept = true,
            Record::Release => self.kept = false,
        }
        match record {
            Record::MessageReceived(_) | Record::Received if self.rules.commit_before_pubrec => {
                self.to_client.push(Packet::PubRec);
            }
            Record::Release if self.rules.release_before_pubcomp => self.to_client.push(Packet::PubComp),
            Record::Message(_) | Record::MessageReceived(_) | Record::Received | Record::Release => {}
        }
    }

    fn at_client(&mut self, packet: Packet) {
        match packet {
            Packet::PubRec if !self.released && self.at < MESSAGES => {
                self.released = true;
                self.to_broker.push(Packet::PubRel);
            }
            Packet::PubComp if self.released => {
                self.at += 1;
                self.released = false;
                if self.at < MESSAGES {
                    self.to_broker.push(Packet::Publish(self.at));
                }
            }
            Packet::PubRec | Packet::PubComp => {}
            Packet::Publish(_) | Packet::PubRel => unreachable!("the broker sends none here"),
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.pending.clear();
        self.received = self.kept;
        self.to_client.clear();
        self.to_broker.clear();
        self.to_broker.push(if self.released { Packet::PubRel } else { Packet::Publish(self.at) });
    }
}

impl Model for State {
    fn wrong(&self) -> Option<Verdict> {
        if self.logged.iter().any(|&times| times > 1) {
            return Some(Verdict::Doubled);
        }
        // What the client was told is in the log for good: the messages behind it, and the one whose PUBREC it has.
        let told = self.at + usize::from(self.released);
        let is_quiet = self.to_broker.is_empty() && self.to_client.is_empty() && self.pending.is_empty();
        let lost = self.logged[..told.min(MESSAGES)].contains(&0) && is_quiet;
        lost.then_some(Verdict::Lost)
    }

    fn next(&self, into: &mut Vec<Self>) {
        let mut step = |run: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            run(&mut next);
            into.push(next);
        };
        if let Some(&packet) = self.to_broker.first() {
            step(&|next| {
                next.to_broker.remove(0);
                next.at_broker(packet);
            });
        }
        if !self.pending.is_empty() {
            step(&Self::commit);
        }
        if let Some(&packet) = self.to_client.first() {
            step(&|next| {
                next.to_client.remove(0);
                next.at_client(packet);
            });
        }
        if self.crashes < CRASHES_MAX && self.at < MESSAGES {
            step(&Self::crash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::walk;

    #[test]
    fn with_every_rule_each_message_is_logged_once() {
        let verdict = walk(State::start(Rules::ALL));
        assert!(matches!(verdict, Verdict::Holds { states } if states > 50), "{verdict:?}");
    }

    #[test]
    fn each_rule_is_needed() {
        for (rules, found) in [
            (Rules { received_with_message: false, ..Rules::ALL }, Verdict::Doubled),
            (Rules { commit_before_pubrec: false, ..Rules::ALL }, Verdict::Lost),
            (Rules { release_before_pubcomp: false, ..Rules::ALL }, Verdict::Lost),
        ] {
            assert_eq!(walk(State::start(rules)), found, "{rules:?}");
        }
    }
}
