//! What a client's worker remembers of the topics it publishes to: rights, rule and receivers. A message to a topic
//! that is remembered costs a comparison and a few loads.

use std::rc::Rc;

use crate::policy::Verdict;
use crate::routes::Route;

/// Topics remembered for one client. A device has a few that it publishes to again and again.
const TOPICS_MAX: usize = 4;

/// One topic.
pub(crate) struct Known {
    topic: Box<str>,
    /// The epoch of the instance's rules that the verdict was drawn from.
    epoch: u64,
    pub(crate) verdict: Verdict,
    pub(crate) route: Rc<Route>,
    /// The numbers of the last appends that messages of it were in, at QoS 0 and above; 0: none that is not settled.
    pub(crate) appends: [u64; 2],
    /// Bytes of its retained message, whose place the next one takes, as far as is known here; 0: there is none.
    pub(crate) retained_bytes: u32,
}

impl Known {
    pub(crate) fn new(topic: &str, epoch: u64, verdict: Verdict, route: Rc<Route>) -> Self {
        Self { topic: topic.into(), epoch, verdict, route, appends: [0; 2], retained_bytes: 0 }
    }
}

/// The topics of one client, the last one first.
#[derive(Default)]
pub(crate) struct Topics {
    known: Vec<Known>,
    /// The last append with a message of a topic that is not remembered any more, and in the lowest bit whether
    /// something was learnt.
    forgotten: u64,
}

impl Topics {
    /// Puts a topic in front; false, if nothing is remembered of it that was drawn from the rules of this epoch.
    #[inline]
    pub(crate) fn recall(&mut self, topic: &str, epoch: u64) -> bool {
        let Some(at) = self.known.iter().position(|known| *known.topic == *topic) else { return false };
        if at > 0 {
            self.known.swap(0, at);
        }
        self.known[0].epoch == epoch
    }

    /// The topic in front. Its route may be out of date.
    #[inline]
    pub(crate) fn first(&mut self) -> Option<&mut Known> {
        self.known.first_mut()
    }

    /// Remembers a topic, in place of the same one or of one that was not used lately.
    pub(crate) fn insert(&mut self, known: Known) {
        self.forgotten |= 1;
        if let Some(at) = self.known.iter().position(|other| other.topic == known.topic) {
            self.known.remove(at);
        }
        while self.known.len() >= TOPICS_MAX {
            let last = self.known.pop();
            self.forget(last.iter().flat_map(|known| known.appends).max().unwrap_or(0));
        }
        self.known.insert(0, known);
    }

    /// Forgets everything: the client's rights have changed.
    pub(crate) fn clear(&mut self) {
        let last = self.known.iter().flat_map(|known| known.appends).max();
        self.forget(last.unwrap_or(0));
        self.known = Vec::new();
    }

    /// A topic is not remembered of which a message was in this append.
    pub(crate) fn forget(&mut self, append: u64) {
        self.forgotten = (self.forgotten >> 1).max(append) << 1 | self.forgotten & 1;
    }

    /// The numbers of the last appends with messages of a topic, at QoS 0 and above, or later ones.
    pub(crate) fn appends_of(&self, topic: &str) -> [u64; 2] {
        let known = self.known.iter().find(|known| *known.topic == *topic);
        known.map_or([self.forgotten >> 1; 2], |known| known.appends)
    }

    /// Forgets everything, if nothing was learnt since it was last asked to: an idle client is to cost nothing, and a
    /// busy one learns again at the price of one look.
    pub(crate) fn age(&mut self) {
        if self.forgotten & 1 == 0 {
            self.clear();
        }
        self.forgotten &= !1;
    }
}

#[cfg(test)]
mod tests {
    use contract::grant::Grants;
    use contract::limits::InstanceLimits;
    use router::{Scratch, WorkerId};

    use super::*;
    use crate::instances::Instances;
    use crate::routes::Routes;
    use crate::testing;

    #[test]
    fn what_is_remembered_holds_for_its_epoch_and_gives_way_to_what_is_used() {
        let instances = Instances::new(1, 1);
        let instance = instances.get(testing::instance_id(1), &InstanceLimits::default(), 0);
        let worker = WorkerId::new(0).expect("a worker");
        let route =
            Routes::default().get(&instance, "a", worker, &instances.epochs(), &mut Scratch::new(), 9);
        let verdict = Verdict::of(&testing::rules(1), &Grants::default(), "a");
        let known = |topic: &str, epoch| Known::new(topic, epoch, verdict, Rc::clone(&route));

        let mut topics = Topics::default();
        assert!(!topics.recall("a", 1));
        for topic in ["a", "b", "c", "d"] {
            topics.insert(known(topic, 1));
        }
        assert!(topics.recall("a", 1), "four are remembered");
        assert!(!topics.recall("a", 2), "of these rules nothing is known");
        topics.insert(known("a", 2));
        assert!(topics.recall("a", 2) && topics.first().is_some_and(|first| *first.topic == *"a"));
        topics.insert(known("e", 2));
        assert!(topics.recall("a", 2) && topics.recall("e", 2));
        topics.age();
        assert!(topics.recall("a", 2), "used since it was last asked");
        topics.age();
        assert!(!topics.recall("a", 2));
    }
}
