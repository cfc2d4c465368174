//! Who a subscription belongs to: a client, named by its place, on one of the node's workers.

use contract::qos::Qos;

/// Workers of one node, at most: a set of them is one `u64`.
pub const WORKERS_MAX: usize = 64;

/// One of the node's workers, by its index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkerId(u8);

impl WorkerId {
    /// The worker with this index; `None` from [`WORKERS_MAX`] on.
    #[inline]
    #[must_use]
    pub const fn new(index: usize) -> Option<Self> {
        if index < WORKERS_MAX { Some(Self(index.to_le_bytes()[0])) } else { None }
    }

    /// The index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The set of this worker alone.
    #[inline]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// A client on its worker: the slot of its worker's table, and which of the clients that have been there.
///
/// The generation lets a worker see that a route set, remembered from before a client went, does not mean the one
/// which has the slot now. It goes round after 2^29 clients in one slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientKey(u64);

impl ClientKey {
    /// Generations count from 0 to this.
    pub const GENERATION_MAX: u32 = (1 << 29) - 1;

    /// The client of the given generation in a slot. Of the generation the low 29 bits are kept.
    #[inline]
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self(((generation & Self::GENERATION_MAX) as u64) << 32 | slot as u64)
    }

    /// The slot.
    #[inline]
    #[must_use]
    pub const fn slot(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The generation, 29 bits of it.
    #[inline]
    #[must_use]
    pub const fn generation(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// At most 61 bits.
    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// What a filter leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// The worker that owns the client.
    pub worker: WorkerId,
    /// The client on that worker.
    pub client: ClientKey,
    /// The QoS granted.
    pub qos: Qos,
    /// The subscription has an option or an identifier: the client's session is asked what it gets of a message.
    pub is_special: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_key_keeps_its_parts() {
        for (slot, generation) in [(0, 0), (u32::MAX, ClientKey::GENERATION_MAX), (1, 2), (7 << 20, 1 << 28)]
        {
            let key = ClientKey::new(slot, generation);
            assert_eq!((key.slot(), key.generation()), (slot, generation));
            assert!(key.bits() < 1 << 61);
        }
        assert_eq!(ClientKey::new(5, ClientKey::GENERATION_MAX + 1), ClientKey::new(5, 0), "it goes round");
    }

    #[test]
    fn workers_are_bounded() {
        assert_eq!(WorkerId::new(63).map(WorkerId::bit), Some(1 << 63));
        assert_eq!(WorkerId::new(WORKERS_MAX), None);
    }
}
