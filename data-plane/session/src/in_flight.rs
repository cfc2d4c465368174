//! Which packet identifiers are in use: a bitmap, not messages, for nothing is sent again on the same connection.

use mqtt::PacketId;

/// Identifiers that the inline word holds: enough for nearly every client, so that it allocates nothing.
const INLINE: u32 = 64;

/// The identifiers of the messages sent at QoS 1 or 2 and not yet acknowledged to the end. They go round within a window, which is
/// the inline word until that is full, and then as wide as the bound.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// Bit n: identifier n + 1. Not used any more once there are `words`.
    inline: u64,
    /// The same, wider; empty until it is needed.
    words: Box<[u64]>,
    /// The bit to try first.
    next: u16,
    count: u16,
    max: u16,
}

impl InFlight {
    pub(crate) fn new(max: u16) -> Self {
        Self { inline: 0, words: Box::default(), next: 0, count: 0, max }
    }

    #[inline]
    pub(crate) const fn count(&self) -> u16 {
        self.count
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        self.count >= self.max
    }

    /// An identifier that is not in use, from now on in use; `None` when as many as may be are.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<PacketId> {
        if self.is_full() {
            return None;
        }
        if !self.words.is_empty() || self.inline == u64::MAX {
            return self.take_wide();
        }
        let from = u32::from(self.next);
        let bit = (from + (!self.inline).rotate_right(from).trailing_zeros()) % INLINE;
        self.inline |= 1 << bit;
        Some(self.taken(bit, INLINE))
    }

    /// Frees an identifier; false when it was not in use.
    #[inline]
    pub(crate) fn release(&mut self, packet_id: PacketId) -> bool {
        let bit = u32::from(packet_id.get()) - 1;
        let word = if self.words.is_empty() {
            if bit >= INLINE {
                return false;
            }
            &mut self.inline
        } else {
            match self.words.get_mut((bit / INLINE) as usize) {
                Some(word) => word,
                None => return false,
            }
        };
        let mask = 1 << (bit % INLINE);
        if *word & mask == 0 {
            return false;
        }
        *word &= !mask;
        self.count -= 1;
        true
    }

    /// Whether an identifier is in use.
    pub(crate) fn contains(&self, packet_id: PacketId) -> bool {
        let bit = u32::from(packet_id.get()) - 1;
        let words = if self.words.is_empty() { std::slice::from_ref(&self.inline) } else { &self.words };
        words.get((bit / INLINE) as usize).is_some_and(|word| word & 1 << (bit % INLINE) != 0)
    }

    #[inline]
    fn taken(&mut self, bit: u32, window: u32) -> PacketId {
        self.count += 1;
        self.next =
            u16::try_from((bit + 1) % window).expect("a bit of the window, which is at most 65 535 wide");
        u16::try_from(bit + 1).ok().and_then(PacketId::new).expect("1 to 65 535")
    }

    /// At most two looks at each word of the window.
    #[cold]
    fn take_wide(&mut self) -> Option<PacketId> {
        if self.words.is_empty() {
            let mut words = vec![0; usize::from(self.max).div_ceil(INLINE as usize).max(2)];
            words[0] = self.inline;
            self.words = words.into();
        }
        let window = (u32::try_from(self.words.len()).ok()? * INLINE).min(u32::from(u16::MAX));
        let mut from = u32::from(self.next);
        for _ in 0..=self.words.len() {
            let word = &mut self.words[(from / INLINE) as usize];
            let free = !*word & (u64::MAX << (from % INLINE));
            let bit = from / INLINE * INLINE + free.trailing_zeros();
            if free != 0 && bit < window {
                *word |= 1 << (bit % INLINE);
                return Some(self.taken(bit, window));
            }
            from = (from / INLINE + 1) * INLINE;
            if from >= window {
                from = 0;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).expect("from 1")
    }

    #[test]
    fn there_is_no_identifier_65_536() {
        let mut in_flight = InFlight::new(u16::MAX);
        while in_flight.take().is_some() {}
        assert_eq!(in_flight.count(), u16::MAX);
        assert!(in_flight.release(id(60_000)));
        assert_eq!(in_flight.take(), Some(id(60_000)));
        assert!(in_flight.release(id(5)));
        assert_eq!(
            in_flight.take(),
            Some(id(5)),
            "round past the end, where one bit stands for no identifier"
        );
    }

    #[test]
    fn what_was_in_flight_when_the_window_grew_still_is() {
        let mut in_flight = InFlight::new(100);
        for expected in 1..=100 {
            assert_eq!(in_flight.take(), Some(id(expected)));
        }
        assert_eq!(in_flight.take(), None);
        assert!(in_flight.release(id(3)) && !in_flight.release(id(3)) && !in_flight.release(id(101)));
        assert!(!in_flight.release(id(u16::MAX)));
        assert!(in_flight.release(id(100)));
        assert_eq!(in_flight.take(), Some(id(101)), "identifiers go on to the end of the word");
        assert!(in_flight.release(id(50)));
        assert_eq!(in_flight.take(), Some(id(102)));
    }

    #[test]
    fn a_client_that_acknowledges_soon_costs_no_allocation() {
        let mut in_flight = InFlight::new(1_000);
        for _ in 0..200 {
            let taken: Vec<_> = (0..INLINE).map_while(|_| in_flight.take()).collect();
            assert_eq!(taken.len(), INLINE as usize);
            assert!(taken.into_iter().all(|packet_id| in_flight.release(packet_id)));
        }
        assert!(in_flight.words.is_empty() && in_flight.count() == 0);
    }

    #[test]
    fn it_takes_32_bytes() {
        assert!(size_of::<InFlight>() <= 32);
    }
}
