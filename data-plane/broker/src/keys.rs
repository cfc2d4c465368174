//! What a key of the route table names on its worker: mostly a client, and by its highest bits something else that
//! messages go to. No worker has so many clients that the slot of one had these bits.

use router::ClientKey;

/// Set in the slot of whatever is no client.
const OTHER: u32 = 1 << 31;

/// Set with it in the slot of a reader.
const READER: u32 = 1 << 30;

/// Who gets what a key is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    /// A client of the worker's table.
    Client,
    /// A shared subscription that has its home on the worker.
    Group,
    /// A replay of a client of the worker.
    Reader,
}

/// What is named.
#[inline]
pub(crate) const fn named(key: ClientKey) -> Named {
    if key.slot() & OTHER == 0 {
        Named::Client
    } else if key.slot() & READER == 0 {
        Named::Group
    } else {
        Named::Reader
    }
}

/// The key of a shared subscription. Of `slot` the low 30 bits are kept.
pub(crate) const fn group(slot: u32, generation: u32) -> ClientKey {
    ClientKey::new(OTHER | slot & (READER - 1), generation)
}

/// The key of a replay. Of `slot` the low 30 bits are kept.
pub(crate) const fn reader(slot: u32, generation: u32) -> ClientKey {
    ClientKey::new(OTHER | READER | slot & (READER - 1), generation)
}

/// The place that a key has among those of its kind.
pub(crate) const fn place(key: ClientKey) -> usize {
    (key.slot() & (READER - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_names_and_where() {
        for (slot, generation) in [(0, 0), (7, 3), (READER - 1, ClientKey::GENERATION_MAX)] {
            let client = ClientKey::new(slot, generation);
            let keys = [client, group(slot, generation), reader(slot, generation)];
            assert_eq!(keys.map(named), [Named::Client, Named::Group, Named::Reader]);
            assert_eq!(keys.map(place), [slot as usize; 3]);
            assert_eq!(keys.map(ClientKey::generation), [generation; 3]);
        }
    }
}
