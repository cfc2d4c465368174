//! When retained messages expire, those first whose time is over first. Not here: what is done about it.

use contract::time::UnixMillis;

use super::packed_keys::PackedKeys;

const SECOND_MILLIS: u64 = 1_000;

/// Keys with the second at whose beginning they have expired. To the second, since so two numbers of four bytes do, and
/// nobody is given what has expired meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Expiring {
    seconds: PackedKeys,
    /// The second, highest byte first, and the key.
    in_order: PackedKeys,
}

impl Expiring {
    /// What stands under a key from now on expires then, or never.
    pub(crate) fn set(&mut self, full: &[u8], expires_at: Option<UnixMillis>) {
        // What expires in the 22nd century does not need to be known in this one.
        let second = expires_at.and_then(|at| u32::try_from(at.0.div_ceil(SECOND_MILLIS)).ok());
        let before = match second {
            Some(second) => self.seconds.insert(full, second),
            None => self.seconds.remove(full),
        };
        if before == second {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&place(before, full));
        }
        if let Some(second) = second {
            self.in_order.insert(&place(second, full), 0);
        }
    }

    /// A key whose time is over, if there is one.
    pub(crate) fn first_due(&self, now: UnixMillis) -> Option<Vec<u8>> {
        let mut due = None;
        self.in_order.walk(&mut Vec::new(), |key, _| {
            if let Some((second, full)) = key.split_first_chunk()
                && u64::from(u32::from_be_bytes(*second)) * SECOND_MILLIS <= now.0
            {
                due = Some(full.to_vec());
            }
            false
        });
        due
    }
}

fn place(second: u32, full: &[u8]) -> Vec<u8> {
    [&second.to_be_bytes(), full].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is set: what is due is what a plain map has, in the order of time.
        #[test]
        fn what_is_due_is_that_of_a_plain_map(
            sets in vec((0..12_u8, prop::option::of(0..6_000_u64)), 0..80),
            now in 0..7_000_u64,
        ) {
            let (mut expiring, mut model) = (Expiring::default(), BTreeMap::new());
            for (key, at) in sets {
                expiring.set(&[key; 3], at.map(UnixMillis));
                model.insert([key; 3], at);
            }
            let seconds = model.iter().filter_map(|(key, at)| Some((at.as_ref()?.div_ceil(1_000), *key)));
            let mut expected: Vec<_> = seconds.filter(|(second, _)| second * 1_000 <= now).collect();
            expected.sort_unstable();
            let mut found = Vec::new();
            while let Some(full) = expiring.first_due(UnixMillis(now)) {
                expiring.set(&full, None);
                found.push(full);
            }
            prop_assert_eq!(found, expected.into_iter().map(|(_, key)| key.to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_never_expires_is_never_due() {
        let mut expiring = Expiring::default();
        expiring.set(b"a", Some(UnixMillis(u64::MAX)));
        expiring.set(b"b", None);
        assert_eq!(expiring.first_due(UnixMillis(u64::MAX)), None);
    }
}
