//! Cursors of lasting sessions over one log: a session takes from the feed while its window has room, reads the log by
//! pages when it had none, and keeps a cursor now and then from which it goes on after a crash. Drawn from seeds, since
//! there are too many states to walk.

use std::collections::BTreeSet;

use crate::simulation::chance::Chance;

/// Topics, each the filter of some sessions.
const TOPICS: usize = 4;

/// Lasting sessions.
const SESSIONS: usize = 8;

/// Messages that a session may have in flight.
const WINDOW: usize = 2;

/// Positions that one page covers.
const PAGE: usize = 5;

/// What the broker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The cursor that is kept is the first position that is not finished; otherwise the one behind the newest that is.
    pub contiguous: bool,
    /// A session turns to the feed when it has read up to where the feed is *now*; otherwise when it has read what it
    /// had asked for.
    pub live_at_the_watermark: bool,
    /// What the window has no room for is read later; otherwise the session stays with the feed.
    pub full_means_replaying: bool,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self { contiguous: true, live_at_the_watermark: true, full_means_replaying: true };
}

/// How one run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Messages that some session should have had and has not.
    pub lost: usize,
    /// Deliveries that were repetitions.
    pub doubled: usize,
    /// Deliveries in all.
    pub delivered: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Live,
    Replaying {
        next: usize,
        /// Where the page ends that was asked for.
        asked: Option<usize>,
    },
}

struct Session {
    topic: usize,
    /// What is on disk.
    cursor: usize,
    source: Source,
    in_flight: BTreeSet<usize>,
    /// Behind the newest position that was acknowledged.
    newest: usize,
    got: Vec<usize>,
}

struct Run {
    rules: Rules,
    /// The topic of each position.
    log: Vec<usize>,
    /// Positions before it have been taken in from the feed.
    watermark: usize,
    sessions: Vec<Session>,
}

/// One run of a seed.
#[must_use]
pub fn run(seed: u64, rules: Rules, steps: usize) -> Outcome {
    let mut chance = Chance::new(seed);
    let session = |at| Session {
        topic: at % TOPICS,
        cursor: 0,
        source: Source::Live,
        in_flight: BTreeSet::new(),
        newest: 0,
        got: Vec::new(),
    };
    let mut run =
        Run { rules, log: Vec::new(), watermark: 0, sessions: (0..SESSIONS).map(session).collect() };
    for _ in 0..steps {
        run.step(&mut chance);
    }
    run.settle();
    run.outcome()
}

impl Run {
    fn step(&mut self, chance: &mut Chance) {
        let at = chance.below(SESSIONS);
        match chance.below(100) {
            0..25 => self.log.push(chance.below(TOPICS)),
            25..50 => self.take_in(),
            50..60 => self.ask(at),
            60..70 => self.read_page(at),
            70..90 => {
                let session = &mut self.sessions[at];
                let which = chance.below(session.in_flight.len());
                if let Some(position) = session.in_flight.iter().nth(which).copied() {
                    session.acknowledge(position);
                }
            }
            90..97 => self.keep_cursor(at),
            97 | 98 => self.sessions[at].attach(),
            _ => {
                // The machine stops: all that was in the log is shown by reading it again.
                self.watermark = self.log.len();
                self.sessions.iter_mut().for_each(Session::attach);
            }
        }
    }

    fn take_in(&mut self) {
        let Some(&topic) = self.log.get(self.watermark) else { return };
        for session in self.sessions.iter_mut().filter(|it| it.topic == topic && it.source == Source::Live) {
            if session.in_flight.len() < WINDOW {
                session.send(self.watermark);
            } else if self.rules.full_means_replaying {
                session.source = Source::Replaying { next: self.watermark, asked: None };
            }
        }
        self.watermark += 1;
    }

    fn ask(&mut self, at: usize) {
        let watermark = self.watermark;
        let session = &mut self.sessions[at];
        if let Source::Replaying { next, asked: asked @ None } = &mut session.source
            && session.in_flight.len() < WINDOW
        {
            *asked = Some(watermark.min(*next + PAGE));
        }
    }

    fn read_page(&mut self, at: usize) {
        let (rules, watermark) = (self.rules, self.watermark);
        let session = &mut self.sessions[at];
        let Source::Replaying { mut next, asked: Some(to) } = session.source else { return };
        while next < to && session.in_flight.len() < WINDOW {
            if self.log[next] == session.topic {
                session.send(next);
            }
            next += 1;
        }
        let is_live = next == if rules.live_at_the_watermark { watermark } else { to };
        session.source = if is_live { Source::Live } else { Source::Replaying { next, asked: None } };
    }

    fn keep_cursor(&mut self, at: usize) {
        let (contiguous, watermark) = (self.rules.contiguous, self.watermark);
        let session = &mut self.sessions[at];
        let read = match session.source {
            Source::Live => watermark,
            Source::Replaying { next, .. } => next,
        };
        let first_unfinished = session.in_flight.first().map_or(read, |&oldest| oldest.min(read));
        session.cursor = if contiguous { first_unfinished } else { session.newest.max(session.cursor) };
    }

    /// Everything comes to rest: nothing new is published, and everybody reads on.
    fn settle(&mut self) {
        for _ in 0..=self.log.len() {
            self.take_in();
            for at in 0..SESSIONS {
                while let Some(&position) = self.sessions[at].in_flight.first() {
                    self.sessions[at].acknowledge(position);
                }
                self.ask(at);
                self.read_page(at);
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        for session in &self.sessions {
            let distinct: BTreeSet<_> = session.got.iter().copied().collect();
            let owed = self.log.iter().filter(|topic| **topic == session.topic).count();
            outcome.lost += owed - distinct.len();
            outcome.doubled += session.got.len() - distinct.len();
            outcome.delivered += session.got.len();
        }
        outcome
    }
}

impl Session {
    fn send(&mut self, position: usize) {
        self.in_flight.insert(position);
    }

    fn acknowledge(&mut self, position: usize) {
        self.in_flight.remove(&position);
        self.got.push(position);
        self.newest = self.newest.max(position + 1);
    }

    /// Comes back with what the disk has. What was in flight has not arrived.
    fn attach(&mut self) {
        self.in_flight.clear();
        self.source = Source::Replaying { next: self.cursor, asked: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 3_000;

    fn lossy_seeds(rules: Rules) -> usize {
        (0..60).filter(|&seed| run(seed, rules, STEPS).lost > 0).count()
    }

    #[test]
    fn with_every_rule_nothing_is_lost() {
        for seed in 0..60 {
            let outcome = run(seed, Rules::ALL, STEPS);
            assert_eq!(outcome.lost, 0, "seed {seed}: {outcome:?}");
            assert!(outcome.delivered > 500, "seed {seed} is no test: {outcome:?}");
        }
    }

    #[test]
    fn each_rule_is_needed() {
        for rules in [
            Rules { contiguous: false, ..Rules::ALL },
            Rules { live_at_the_watermark: false, ..Rules::ALL },
            Rules { full_means_replaying: false, ..Rules::ALL },
        ] {
            let lossy = lossy_seeds(rules);
            assert!(lossy > 5, "{rules:?} lost something in {lossy} of 60 runs only");
        }
    }
}
