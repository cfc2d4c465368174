//! The account of a run: what was promised and what was kept. Everything that a broker may not do is one number, and
//! all of them have to be 0.

use std::fmt;
use std::time::Duration;

use contract::qos::Qos;

/// What was done to the broker.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kills {
    /// Kills under load.
    pub count: u32,
    /// Further ones, while the broker recovered.
    pub while_recovering: u32,
    /// The longest time from a start to the first client that was accepted.
    pub recovery_max: Duration,
}

/// What one subscriber got, or the members of a group together.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Receiver {
    /// What it is called.
    pub name: String,
    /// Different messages that it got.
    pub received: u64,
    /// Acknowledged to their publisher, and never received.
    pub lost: u64,
    /// Deliveries beyond the first of messages of QoS 2, where they are delivered with it.
    pub doubled_exactly_once: u64,
    /// The same of QoS 1, where it is allowed.
    pub doubled_at_least_once: u64,
    /// First deliveries behind a later message of the same publisher and topic.
    pub out_of_order: u64,
    /// What nobody has published.
    pub foreign: u64,
    /// Its session is there and its subscription is not: it did not get the last message of all.
    pub is_deaf: bool,
}

/// The account of a run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Account {
    /// What was done to the broker.
    pub kills: Kills,
    /// Messages published at QoS 1.
    pub published_at_least_once: u64,
    /// Messages published at QoS 2.
    pub published_exactly_once: u64,
    /// Messages that the broker has acknowledged (PUBACK, PUBREC).
    pub acknowledged: u64,
    /// Exchanges that the broker has not finished in the end, retained ones among them.
    pub unfinished: u64,
    /// Each subscriber and group.
    pub receivers: Vec<Receiver>,
    /// Whether the broker shares a subscription among clients; none: it was not tried.
    pub shares: Option<bool>,
    /// Connections of a client with a lasting session that found none.
    pub sessions_lost: u64,
    /// Topics that hold another retained message than the last one, or one that was deleted.
    pub retained_wrong: u64,
}

impl Account {
    /// Messages that every receiver had to get, and all of them together.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.acknowledged * self.receivers.len() as u64
    }

    /// Acknowledged and not received.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sum(|it| it.lost)
    }

    /// Received twice at QoS 2.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.sum(|it| it.doubled_exactly_once)
    }

    /// Subscriptions that have gone without their session.
    #[must_use]
    pub fn subscriptions_lost(&self) -> u64 {
        self.sum(|it| u64::from(it.is_deaf))
    }

    fn sum(&self, of: impl Fn(&Receiver) -> u64) -> u64 {
        self.receivers.iter().map(of).sum()
    }

    /// What a broker may not do, by name, and how often it did.
    #[must_use]
    pub fn forbidden(&self) -> [(&'static str, u64, &'static str); 8] {
        [
            ("lost", self.lost(), "acknowledged to the publisher, never received"),
            ("doubled at QoS 2", self.doubled(), "received more than once"),
            ("out of order", self.sum(|it| it.out_of_order), "for one publisher, topic and receiver"),
            ("foreign", self.sum(|it| it.foreign), "published by nobody, or changed on the way"),
            ("unfinished", self.unfinished, "never acknowledged to the end"),
            ("sessions lost", self.sessions_lost, "reconnected, and the broker knew nothing of it"),
            ("subscriptions lost", self.subscriptions_lost(), "the session is there, its filters are not"),
            ("retained wrong", self.retained_wrong, "topics that do not hold the last message"),
        ]
    }

    /// Whether the broker has kept every promise, and had one to keep.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0 && self.forbidden().iter().all(|(_, count, _)| *count == 0)
    }

    pub(crate) fn add_published(&mut self, qos: Qos, published: u64, acknowledged: u64) {
        match qos {
            Qos::ExactlyOnce => self.published_exactly_once += published,
            Qos::AtLeastOnce | Qos::AtMostOnce => self.published_at_least_once += published,
        }
        self.acknowledged += acknowledged;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kills { count, while_recovering, recovery_max } = self.kills;
        let millis = recovery_max.as_millis();
        writeln!(f, "kills               {count}, and {while_recovering} more while it recovered")?;
        writeln!(f, "longest recovery    {millis} ms from a start to the first client accepted")?;
        let (once, exactly) = (self.published_at_least_once, self.published_exactly_once);
        writeln!(f, "published           {} ({once} at QoS 1, {exactly} at QoS 2)", once + exactly)?;
        writeln!(f, "acknowledged        {}", self.acknowledged)?;
        writeln!(f, "deliveries owed     {} (to {} receivers)", self.owed(), self.receivers.len())?;
        writeln!(
            f,
            "\n{:<20}{:>10}{:>8}{:>10}{:>10}",
            "receiver", "received", "lost", "QoS 2 x2", "QoS 1 x2"
        )?;
        for it in &self.receivers {
            let Receiver { name, received, lost, doubled_exactly_once, doubled_at_least_once, .. } = it;
            writeln!(
                f,
                "{name:<20}{received:>10}{lost:>8}{doubled_exactly_once:>10}{doubled_at_least_once:>10}"
            )?;
        }
        match self.shares {
            Some(true) | None => {}
            Some(false) => {
                writeln!(f, "shared group: not served (refused, or taken for an ordinary filter)")?;
            }
        }
        writeln!(f, "\nmust be 0")?;
        for (name, count, meaning) in self.forbidden() {
            writeln!(f, "  {name:<20}{count:>8}   {meaning}")?;
        }
        let doubled = self.sum(|it| it.doubled_at_least_once);
        writeln!(f, "allowed")?;
        writeln!(f, "  {:<20}{doubled:>8}   received more than once", "doubled at QoS 1")?;
        let verdict = if self.acknowledged == 0 {
            "NOTHING WAS ACKNOWLEDGED: there was no promise to keep"
        } else if self.is_good() {
            "KEPT: what was acknowledged is there"
        } else {
            "BROKEN: the broker has not kept what it acknowledged"
        };
        write!(f, "\n{verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Account {
        let receiver = Receiver { name: "live-0".into(), received: 3, ..Receiver::default() };
        Account {
            acknowledged: 3,
            published_at_least_once: 3,
            receivers: vec![receiver],
            ..Account::default()
        }
    }

    #[test]
    fn each_forbidden_thing_breaks_it() {
        assert!(good().is_good() && good().to_string().ends_with("KEPT: what was acknowledged is there"));
        let of_receiver: [fn(&mut Receiver); 5] = [
            |it| it.lost = 1,
            |it| it.doubled_exactly_once = 1,
            |it| it.out_of_order = 1,
            |it| it.foreign = 1,
            |it| it.is_deaf = true,
        ];
        let of_account: [fn(&mut Account); 4] = [
            |it| it.unfinished = 1,
            |it| it.sessions_lost = 1,
            |it| it.retained_wrong = 1,
            |it| it.acknowledged = 0,
        ];
        let mut broken = Vec::new();
        for change in of_receiver {
            let mut account = good();
            change(&mut account.receivers[0]);
            broken.push(account);
        }
        for change in of_account {
            let mut account = good();
            change(&mut account);
            broken.push(account);
        }
        for account in broken {
            assert!(!account.is_good(), "{account}");
        }
        let mut allowed = good();
        allowed.receivers[0].doubled_at_least_once = 7;
        assert!(allowed.is_good(), "QoS 1 may come twice");
    }
}
