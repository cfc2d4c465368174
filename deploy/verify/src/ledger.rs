//! What was published, acknowledged and received, message by message. Pure: clients write it down as it happens, the
//! account is made of it.

use crate::plan::{TOPICS_PER_PUBLISHER, topic_of};

/// A message: who published it, and its number there, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Id {
    pub(crate) publisher: usize,
    pub(crate) sequence: u64,
}

impl Id {
    /// A payload of so many bytes that begins with this id.
    pub(crate) fn payload(self, bytes: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(bytes);
        payload.extend_from_slice(&u32::try_from(self.publisher).unwrap_or(u32::MAX).to_be_bytes());
        payload.extend_from_slice(&self.sequence.to_be_bytes());
        payload.resize(bytes.max(payload.len()), b'.');
        payload
    }

    /// The id that a payload begins with; none: it is none of ours, or no longer as it was sent.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let publisher = usize::try_from(u32::from_be_bytes(*publisher)).ok()?;
        let sequence = u64::from_be_bytes(*sequence);
        rest.iter().all(|&byte| byte == b'.').then_some(Self { publisher, sequence })
    }
}

/// What one publisher has done.
#[derive(Clone, Default, Debug)]
pub(crate) struct Published {
    /// By sequence: whether the broker has acknowledged it.
    acknowledged: Vec<bool>,
    pub(crate) acknowledged_count: u64,
}

impl Published {
    /// The number of the next message, which is published now.
    pub(crate) fn begin(&mut self) -> u64 {
        self.acknowledged.push(false);
        self.count() - 1
    }

    /// The broker has taken this message over.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        let at = usize::try_from(sequence).ok().and_then(|at| self.acknowledged.get_mut(at));
        if let Some(acknowledged) = at
            && !std::mem::replace(acknowledged, true)
        {
            self.acknowledged_count += 1;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    fn is_acknowledged(&self, sequence: usize) -> bool {
        self.acknowledged.get(sequence).copied().unwrap_or(false)
    }
}

/// What one receiver, a subscriber or a group that shares, has got from all publishers.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    by_publisher: Vec<FromOne>,
    /// First deliveries that came behind a later one of the same publisher and topic. Not counted in a group.
    pub(crate) out_of_order: u64,
    /// Messages that nobody has published, or that are not as they were published.
    pub(crate) foreign: u64,
    /// Different messages received.
    pub(crate) distinct: u64,
    is_group: bool,
}

#[derive(Clone, Default, Debug)]
struct FromOne {
    /// By sequence: how often it came.
    counts: Vec<u8>,
    /// For each topic, behind the newest message that has come.
    newest: [u64; TOPICS_PER_PUBLISHER],
}

impl Received {
    pub(crate) fn new(publishers: usize, is_group: bool) -> Self {
        let by_publisher = vec![FromOne::default(); publishers];
        Self { by_publisher, out_of_order: 0, foreign: 0, distinct: 0, is_group }
    }

    /// A message has come and is new to the client under its packet identifier.
    pub(crate) fn take(&mut self, id: Id) {
        let at = usize::try_from(id.sequence).ok().filter(|&at| at < SEQUENCES_MAX);
        let (Some(from), Some(at)) = (self.by_publisher.get_mut(id.publisher), at) else {
            self.foreign += 1;
            return;
        };
        if from.counts.len() <= at {
            from.counts.resize(at + 1, 0);
        }
        from.counts[at] = from.counts[at].saturating_add(1);
        if from.counts[at] > 1 {
            return;
        }
        self.distinct += 1;
        let newest = &mut from.newest[topic_of(id.sequence)];
        if id.sequence < *newest && !self.is_group {
            self.out_of_order += 1;
        }
        *newest = (*newest).max(id.sequence + 1);
    }

    /// Of one publisher's messages: those that were acknowledged and never came, and the deliveries beyond the first.
    pub(crate) fn compare(&self, publisher: usize, published: &Published) -> Compared {
        let mut compared = Compared::default();
        let counts = &self.by_publisher[publisher].counts;
        for sequence in 0..published.acknowledged.len().max(counts.len()) {
            let count = counts.get(sequence).copied().unwrap_or(0);
            compared.lost += u64::from(count == 0 && published.is_acknowledged(sequence));
            compared.doubled += u64::from(count.saturating_sub(1));
            compared.unknown += u64::from(count > 0 && sequence >= published.acknowledged.len());
        }
        compared
    }
}

/// More than any run publishes: what claims a higher number was not published by us.
const SEQUENCES_MAX: usize = 1 << 28;

/// What is wrong between one publisher and one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Compared {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) unknown: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(acknowledged: &[bool]) -> Published {
        let mut published = Published::default();
        for &it in acknowledged {
            let sequence = published.begin();
            if it {
                published.acknowledge(sequence);
                published.acknowledge(sequence);
            }
        }
        published
    }

    fn received(sequences: &[u64], is_group: bool) -> Received {
        let mut received = Received::new(1, is_group);
        for &sequence in sequences {
            received.take(Id { publisher: 0, sequence });
        }
        received
    }

    #[test]
    fn each_fault_is_counted_and_nothing_else() {
        // acknowledged, received, lost, doubled, unknown, out of order
        let all = [true; 4];
        for (acknowledged, sequences, expected) in [
            (&all[..], &[0, 1, 2, 3][..], (0, 0, 0, 0)),
            (&all, &[1, 0, 3, 2], (0, 0, 0, 0)),
            (&all, &[0, 1, 3], (1, 0, 0, 0)),
            (&all, &[], (4, 0, 0, 0)),
            (&all, &[0, 1, 2, 3, 2, 2], (0, 2, 0, 0)),
            (&all, &[2, 0, 1, 3], (0, 0, 0, 1)),
            (&all, &[0, 1, 2, 3, 0, 1, 2, 3], (0, 4, 0, 0)),
            (&[true, false, true], &[0, 2], (0, 0, 0, 0)),
            (&[true, false, true], &[0, 1, 2], (0, 0, 0, 0)),
            (&[true], &[0, 1], (0, 0, 1, 0)),
        ] {
            let it = received(sequences, false);
            let compared = it.compare(0, &published(acknowledged));
            let found = (compared.lost, compared.doubled, compared.unknown, it.out_of_order);
            assert_eq!(found, expected, "{acknowledged:?} {sequences:?}");
        }
        assert_eq!(received(&[2, 0], true).out_of_order, 0, "members of a group race");
    }

    #[test]
    fn a_payload_names_its_message_or_none() {
        let id = Id { publisher: 7, sequence: 1 << 40 };
        for bytes in [0, 12, 13, 300] {
            let payload = id.payload(bytes);
            assert_eq!(payload.len(), bytes.max(12));
            assert_eq!(Id::read(&payload), Some(id));
        }
        let mut payload = id.payload(20);
        payload[15] ^= 1;
        assert_eq!(Id::read(&payload), None, "a byte has changed");
        assert_eq!(Id::read(b"hello"), None);
        let mut received = Received::new(1, false);
        received.take(id);
        assert_eq!((received.foreign, received.distinct), (1, 0));
    }
}
