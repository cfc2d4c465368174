//! What one filter leads to: clients, and lasting subscriptions whose clients may be away.

use crate::subscriber::{ClientKey, Subscriber, WorkerId};
use crate::subscribers::Subscribers;

/// Everything that ends at one filter. A fleet's own filter has one client here and nothing else.
#[derive(Default, Debug)]
pub(crate) struct Leaf {
    live: Option<Subscribers>,
    /// References of lasting subscriptions.
    lasting: u64,
}

impl Leaf {
    pub(crate) const fn is_bare(&self) -> bool {
        self.live.is_none() && self.lasting == 0
    }

    /// Puts a client in; the answer is what stood in its place.
    pub(crate) fn insert(&mut self, subscriber: Subscriber) -> Option<Subscriber> {
        if let Some(live) = &mut self.live {
            return live.insert(subscriber);
        }
        self.live = Some(Subscribers::One(subscriber));
        None
    }

    /// False when the client was not there.
    pub(crate) fn remove(&mut self, worker: WorkerId, client: ClientKey) -> bool {
        match &mut self.live {
            Some(live) if live.holds_only(worker, client) => {
                self.live = None;
                true
            }
            Some(live) => live.remove(worker, client),
            None => false,
        }
    }

    pub(crate) fn contains(&self, worker: WorkerId, client: ClientKey) -> bool {
        self.live.as_ref().is_some_and(|live| live.contains(worker, client))
    }

    pub(crate) const fn live(&self) -> Option<&Subscribers> {
        self.live.as_ref()
    }

    /// One lasting subscription more; true when it is the first.
    pub(crate) const fn add_lasting(&mut self) -> bool {
        self.lasting += 1;
        self.lasting == 1
    }

    /// One fewer: whether it was the last, or `None` when there was none.
    pub(crate) const fn take_lasting(&mut self) -> Option<bool> {
        if self.lasting == 0 {
            return None;
        }
        self.lasting -= 1;
        Some(self.lasting == 0)
    }

    /// Whether a lasting subscription ends here.
    pub(crate) const fn is_lasting(&self) -> bool {
        self.lasting > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_takes_40_bytes() {
        println!("Leaf {} Subscribers {}", size_of::<Leaf>(), size_of::<Subscribers>());
        assert!(size_of::<Leaf>() <= 40);
    }
}
