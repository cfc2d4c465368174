//! The figures that are no load kept up for a while: each is prepared, then measured on brokers of its own, and has its
//! own kind of result.

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::Serialize;

use super::broker::Broker;
use super::case::Case;
use super::iotmq::Iotmq;
use super::offline_drain::{self, OfflineDrain};
use super::one_in_flight::{self, OneInFlight};
use super::restart::{self, Restart};
use super::retained::{self, Retained};

/// One figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Figure {
    /// 100 000 messages of QoS 1 wait for 100 lasting sessions; all their clients come back at once.
    OfflineDrain,
    /// 1 000 000 retained messages: memory, exact look-up, the first hundred of a wildcard.
    Retained,
    /// Killed and started again: until the first CONNACK, empty and with 100 000 sessions and 1 000 000 messages.
    Restart,
    /// One publisher with one message of QoS 1 under way to a stored topic, beside a plain append and sync.
    OneInFlight,
}

/// What `--case` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    Load(Case),
    Figure(Figure),
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        const LOADS: usize = Case::ALL.len();
        const ALL: [Choice; LOADS + Figure::ALL.len()] = {
            let mut all = [Choice::Figure(Figure::Retained); LOADS + Figure::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = if at < LOADS {
                    Choice::Load(Case::ALL[at])
                } else {
                    Choice::Figure(Figure::ALL[at - LOADS])
                };
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Load(case) => case.to_possible_value(),
            Self::Figure(figure) => figure.to_possible_value(),
        }
    }
}

impl Choice {
    /// Everything there is.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }
}

/// How the brokers of the figures are started, and how often each figure is measured.
#[derive(Clone, Copy)]
pub(crate) struct Ways<'a> {
    /// The binary; none: the release build, which is built first.
    pub(crate) binary: Option<&'a Path>,
    /// Workers of IoT MQ.
    pub(crate) workers: usize,
    /// Measurements of each figure; the median counts.
    pub(crate) rounds: usize,
    /// By how much less there is of everything.
    pub(crate) divisor: usize,
}

impl Ways<'_> {
    /// A new IoT MQ.
    pub(crate) fn iotmq(&self) -> Result<Iotmq> {
        Iotmq::start(self.binary, self.workers)
    }

    /// The same as one of two.
    pub(crate) fn own_broker(&self) -> Result<Broker> {
        Ok(Broker::Iotmq(Box::new(self.iotmq()?)))
    }

    /// So much of what a figure has a million of.
    pub(crate) const fn fewer(&self, count: usize) -> usize {
        count / self.divisor
    }
}

/// What was measured; none where it was not asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    offline_drain: Option<OfflineDrain>,
    retained: Option<Retained>,
    restart: Option<Restart>,
    one_in_flight: Option<OneInFlight>,
}

impl Figure {
    /// Every figure.
    pub(crate) const ALL: [Self; 4] = [Self::OfflineDrain, Self::Retained, Self::Restart, Self::OneInFlight];
}

impl Figures {
    /// Measures these, one after the other.
    pub(crate) fn measure(figures: &[Figure], ways: Ways<'_>) -> Result<Self> {
        let mut measured = Self::default();
        for figure in figures {
            match figure {
                Figure::OfflineDrain => {
                    measured.offline_drain = Some(offline_drain::measure(ways).context("`offline-drain`")?);
                }
                Figure::Retained => {
                    measured.retained = Some(retained::measure(ways).context("`retained`")?);
                }
                Figure::Restart => measured.restart = Some(restart::measure(ways).context("`restart`")?),
                Figure::OneInFlight => {
                    measured.one_in_flight = Some(one_in_flight::measure(ways).context("`one-in-flight`")?);
                }
            }
        }
        Ok(measured)
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = [
            self.offline_drain.as_ref().map(OfflineDrain::lines),
            self.retained.as_ref().map(Retained::lines),
            self.restart.as_ref().map(Restart::lines),
            self.one_in_flight.as_ref().map(OneInFlight::lines),
        ];
        lines.into_iter().flatten().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_and_every_figure_can_be_chosen_by_a_name_of_its_own() {
        let choices = Choice::all();
        assert_eq!(choices.len(), Case::ALL.len() + Figure::ALL.len());
        for choice in &choices {
            let name = choice.to_possible_value().expect("none is hidden");
            assert_eq!(Choice::from_str(name.get_name(), false), Ok(*choice));
        }
        assert_eq!(Choice::from_str("one-in-flight", false), Ok(Choice::Figure(Figure::OneInFlight)));
    }
}
