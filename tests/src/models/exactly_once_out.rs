//! QoS 2 from the log to a client with a lasting session. Two messages and two packet identifiers; the client remembers
//! an identifier from PUBLISH until PUBREL and takes what comes under it meanwhile for a repetition. The machine may
//! stop between any two steps; then what the disk says is sent again.

use super::{Model, Verdict};

/// How often the machine stops, at most.
const CRASHES_MAX: u8 = 3;

/// Messages to be delivered, and as many packet identifiers.
const MESSAGES: usize = 2;

/// What the broker keeps before what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// Which message an identifier is for is committed before the first PUBLISH.
    pub assign_before_publish: bool,
    /// That PUBREC has come is committed before PUBREL.
    pub pubrec_before_pubrel: bool,
    /// That PUBCOMP has come is committed at once; otherwise at any time later, or never.
    pub completes_at_once: bool,
    /// No identifier is used again before its completion is committed.
    pub complete_before_reuse: bool,
}

impl Rules {
    /// What the broker does.
    pub const ALL: Self = Self {
        assign_before_publish: true,
        pubrec_before_pubrel: true,
        completes_at_once: false,
        complete_before_reuse: true,
    };
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stage {
    New,
    Published,
    Released,
    Done,
}

impl Stage {
    const fn is_under_way(self) -> bool {
        matches!(self, Self::Published | Self::Released)
    }
}

/// A packet of the broker: its identifier and, of a PUBLISH, which message it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum ToClient {
    Publish(usize, usize),
    PubRel(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum ToBroker {
    PubRec(usize),
    PubComp(usize),
}

/// Each message's stage and identifier.
type Exchanges = [(Stage, usize); MESSAGES];

/// Broker, disk, channels and client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    rules: Rules,
    memory: Exchanges,
    disk: Exchanges,
    to_client: Vec<ToClient>,
    to_broker: Vec<ToBroker>,
    /// Identifiers that the client remembers.
    known: [bool; MESSAGES],
    delivered: [u8; MESSAGES],
    crashes: u8,
}

impl State {
    /// Nothing is sent.
    #[must_use]
    pub fn start(rules: Rules) -> Self {
        Self {
            rules,
            memory: [(Stage::New, 0); MESSAGES],
            disk: [(Stage::New, 0); MESSAGES],
            to_client: Vec::new(),
            to_broker: Vec::new(),
            known: [false; MESSAGES],
            delivered: [0; MESSAGES],
            crashes: 0,
        }
    }

    /// The lowest identifier that may be used for a message.
    fn free(&self, message: usize) -> Option<usize> {
        (0..MESSAGES).find(|&id| {
            let in_memory = self.memory.iter().any(|&(stage, used)| stage.is_under_way() && used == id);
            let on_disk = (self.disk.iter().enumerate())
                .any(|(other, &(stage, used))| other != message && stage.is_under_way() && used == id);
            !(in_memory || self.rules.complete_before_reuse && on_disk)
        })
    }

    fn publish(&mut self, message: usize, id: usize) {
        self.memory[message] = (Stage::Published, id);
        if self.rules.assign_before_publish {
            self.disk[message] = self.memory[message];
        }
        self.to_client.push(ToClient::Publish(id, message));
    }

    fn at_client(&mut self, packet: ToClient) {
        match packet {
            ToClient::Publish(id, message) => {
                if !std::mem::replace(&mut self.known[id], true) {
                    self.delivered[message] += 1;
                }
                self.to_broker.push(ToBroker::PubRec(id));
            }
            ToClient::PubRel(id) => {
                self.known[id] = false;
                self.to_broker.push(ToBroker::PubComp(id));
            }
        }
    }

    /// The message that an identifier is under way for.
    fn message_of(&self, id: usize) -> Option<usize> {
        self.memory.iter().position(|&(stage, used)| stage.is_under_way() && used == id)
    }

    fn on_pubrec(&mut self, id: usize) {
        if let Some(message) = self.message_of(id) {
            self.memory[message].0 = Stage::Released;
            if self.rules.pubrec_before_pubrel {
                self.disk[message] = self.memory[message];
            }
        }
        self.to_client.push(ToClient::PubRel(id));
    }

    fn on_pubcomp(&mut self, id: usize, kept: bool) {
        if let Some(message) = self.message_of(id) {
            self.memory[message].0 = Stage::Done;
            if kept {
                self.disk[message].0 = Stage::Done;
            }
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.memory = self.disk;
        self.to_broker.clear();
        self.to_client.clear();
        for (message, &(stage, id)) in self.memory.iter().enumerate() {
            match stage {
                Stage::Published => self.to_client.push(ToClient::Publish(id, message)),
                Stage::Released => self.to_client.push(ToClient::PubRel(id)),
                Stage::New | Stage::Done => {}
            }
        }
    }
}

impl Model for State {
    fn wrong(&self) -> Option<Verdict> {
        if self.delivered.iter().any(|&times| times > 1) {
            return Some(Verdict::Doubled);
        }
        let is_quiet = self.to_client.is_empty() && self.to_broker.is_empty();
        let is_over = self.memory.iter().all(|&(stage, _)| stage != Stage::New);
        (is_quiet && is_over && self.delivered.contains(&0)).then_some(Verdict::Lost)
    }

    fn next(&self, into: &mut Vec<Self>) {
        let mut step = |run: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            run(&mut next);
            into.push(next);
        };
        for message in (0..MESSAGES).filter(|&it| self.memory[it].0 == Stage::New) {
            if let Some(id) = self.free(message) {
                step(&|next| next.publish(message, id));
            }
        }
        if let Some(&packet) = self.to_client.first() {
            step(&|next| {
                next.to_client.remove(0);
                next.at_client(packet);
            });
        }
        match self.to_broker.first() {
            Some(&ToBroker::PubRec(id)) => step(&|next| {
                next.to_broker.remove(0);
                next.on_pubrec(id);
            }),
            Some(&ToBroker::PubComp(id)) => {
                for kept in [true, false] {
                    if kept || !self.rules.completes_at_once {
                        step(&|next| {
                            next.to_broker.remove(0);
                            next.on_pubcomp(id, kept);
                        });
                    }
                }
            }
            None => {}
        }
        // What was left for later is done at some time: then its identifier is free again.
        for message in (0..MESSAGES).filter(|&it| self.memory[it].0 == Stage::Done) {
            if self.disk[message].0 != Stage::Done && self.rules.complete_before_reuse {
                step(&|next| next.disk[message].0 = Stage::Done);
            }
        }
        if self.crashes < CRASHES_MAX {
            step(&Self::crash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::walk;

    #[test]
    fn with_every_rule_each_message_comes_once() {
        let verdict = walk(State::start(Rules::ALL));
        assert!(matches!(verdict, Verdict::Holds { states } if states > 100), "{verdict:?}");
    }

    #[test]
    fn without_laziness_reuse_needs_no_rule() {
        let rules = Rules { completes_at_once: true, complete_before_reuse: false, ..Rules::ALL };
        assert!(walk(State::start(rules)).holds());
    }

    #[test]
    fn each_rule_is_needed() {
        for rules in [
            Rules { assign_before_publish: false, ..Rules::ALL },
            Rules { pubrec_before_pubrel: false, ..Rules::ALL },
            Rules { complete_before_reuse: false, ..Rules::ALL },
        ] {
            assert_eq!(walk(State::start(rules)), Verdict::Doubled, "{rules:?}");
        }
    }
}
