//! Blocks of segments' files that are read again and again: of many sessions that come back together each wants other
//! records of the same blocks, and each record lies far from the one before. What one reader alone passes through is not
//! kept. Within a bound.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::view::ReadAt;

use crate::files::Reading;
use crate::index::Bytes;
use crate::shared::lock;

/// What is read and kept at once.
pub(crate) const BLOCK_BYTES: usize = 16 * 1024;

/// What is longer is read by itself: the call costs little beside it.
const READ_BYTES_MAX: usize = 4_096;

/// A block is kept when it is asked for so many times: one reader alone, who reads at once what lies close together, does
/// not ask so often.
const ASKED_MIN: u8 = 5;

/// How many times others ask in vain for the place of a block that is asked for itself.
const USES_MAX: u8 = 8;

/// A file of a segment: its first record, and its retention class, 0 in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentId {
    pub(crate) first: u64,
    pub(crate) class: u8,
}

/// The blocks of all files. Each has one place, which it shares with others.
#[derive(Debug)]
pub(crate) struct KeptBlocks {
    places: Box<[Mutex<Place>]>,
    /// Whether there may be one.
    is_used: AtomicBool,
}

#[derive(Debug, Default)]
struct Place {
    /// Which block has it, if one has.
    block: Option<(SegmentId, u64)>,
    /// How often it was asked for before it was kept, then how often lately.
    uses: u8,
    bytes: Option<Box<[u8]>>,
}

impl KeptBlocks {
    /// At most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let places = (0..bytes_max / BLOCK_BYTES).map(|_| Mutex::default()).collect();
        Self { places, is_used: AtomicBool::new(false) }
    }

    /// Gives the memory of all of them back.
    pub(crate) fn forget(&self) {
        if self.is_used.swap(false, Ordering::Relaxed) {
            self.places.iter().for_each(|place| *lock(place) = Place::default());
        }
    }

    /// Fills `into` from a kept block, or from one that is kept from now on; false when it has to be read by itself.
    fn read(&self, segment: SegmentId, file: &dyn Reading, at: u64, end: u64, into: &mut [u8]) -> bool {
        let number = at / BLOCK_BYTES as u64;
        let begin = number * BLOCK_BYTES as u64;
        let behind = begin + BLOCK_BYTES as u64;
        if into.len() > READ_BYTES_MAX || at + into.len() as u64 > behind || behind > end {
            return false;
        }
        // The blocks of a file follow one another, so that they do not meet.
        let hash = segment.first.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(segment.class);
        let place = hash.wrapping_add(number).checked_rem(self.places.len() as u64);
        let place = place.and_then(|place| self.places.get(usize::try_from(place).ok()?));
        let Some(mut place) = place.map(lock) else { return false };
        if place.block != Some((segment, number)) {
            place.uses = place.uses.saturating_sub(1);
            if place.uses == 0 {
                *place = Place { block: Some((segment, number)), uses: 1, bytes: None };
            }
            return false;
        }
        if place.bytes.is_none() {
            place.uses += 1;
            if place.uses < ASKED_MIN {
                return false;
            }
            let mut bytes = vec![0; BLOCK_BYTES].into_boxed_slice();
            if Bytes(file).read_at(begin, &mut bytes).is_err() {
                *place = Place::default();
                return false;
            }
            place.bytes = Some(bytes);
            self.is_used.store(true, Ordering::Relaxed);
        }
        place.uses = (place.uses + 1).min(USES_MAX);
        let from = usize::try_from(at - begin).unwrap_or(BLOCK_BYTES);
        let wanted = place.bytes.as_deref().and_then(|bytes| bytes.get(from..)?.get(..into.len()));
        wanted.is_some_and(|wanted| {
            into.copy_from_slice(wanted);
            true
        })
    }
}

/// A file as a view reads it, with what is kept of it.
pub(crate) struct KeptBytes<'a> {
    pub(crate) file: &'a dyn Reading,
    pub(crate) segment: SegmentId,
    /// What stands before it is written for good.
    pub(crate) end: u64,
    pub(crate) blocks: &'a KeptBlocks,
}

impl ReadAt for KeptBytes<'_> {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        if self.blocks.read(self.segment, self.file, at, self.end, into) {
            return Ok(());
        }
        Bytes(self.file).read_at(at, into)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const SEGMENT: SegmentId = SegmentId { first: 7, class: 0 };
    const BLOCK: u64 = BLOCK_BYTES as u64;

    /// A file of numbered bytes that counts how often it is read.
    #[derive(Debug, Default)]
    struct Counting {
        reads: AtomicUsize,
        fails: AtomicBool,
    }

    impl Counting {
        fn reads(&self) -> usize {
            self.reads.swap(0, Ordering::Relaxed)
        }
    }

    fn byte_at(at: u64) -> u8 {
        u8::try_from(at.wrapping_mul(0x9E37_79B9) >> 7 & 0xFF).expect("a byte")
    }

    impl Reading for Counting {
        fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Other.into());
            }
            for (at, byte) in (at..).zip(into.iter_mut()) {
                *byte = byte_at(at);
            }
            Ok(into.len())
        }

        fn bytes(&self) -> io::Result<u64> {
            Ok(100 * BLOCK)
        }
    }

    /// Reads so many bytes, which are those of the file.
    fn read(blocks: &KeptBlocks, file: &Counting, segment: SegmentId, at: u64, bytes: usize) {
        let mut into = vec![0; bytes];
        let kept = KeptBytes { file, segment, end: 50 * BLOCK + 5, blocks };
        kept.read_at(at, &mut into).expect("it can be read");
        assert!((at..).zip(&into).all(|(at, byte)| byte_at(at) == *byte), "{bytes} at {at}");
    }

    #[test]
    fn what_many_ask_for_is_read_once() {
        let (blocks, file) = (KeptBlocks::new(4 * BLOCK_BYTES), Counting::default());
        for at in 0..1_000 {
            read(&blocks, &file, SEGMENT, 3 * BLOCK + at * 16, 100);
        }
        // One by one before it is kept, then the block, then what goes over its end.
        assert_eq!(file.reads(), usize::from(ASKED_MIN));
        for (at, bytes) in [(4 * BLOCK - 50, 100), (3 * BLOCK, READ_BYTES_MAX + 1), (50 * BLOCK, 5)] {
            for _ in 0..20 {
                read(&blocks, &file, SEGMENT, at, bytes);
            }
            assert_eq!(file.reads(), 20, "{bytes} at {at} are read by themselves");
        }
        blocks.forget();
        read(&blocks, &file, SEGMENT, 3 * BLOCK, 100);
        assert_eq!(file.reads(), 1, "nothing is kept any more");
    }

    #[test]
    fn who_passes_through_alone_reads_what_he_wants_and_puts_nothing_out() {
        let (blocks, file) = (KeptBlocks::new(4 * BLOCK_BYTES), Counting::default());
        (0..20).for_each(|_| read(&blocks, &file, SEGMENT, 0, 10));
        file.reads();
        for at in 0..20 {
            read(&blocks, &file, SegmentId { class: 1, ..SEGMENT }, at * BLOCK + 9, 10);
        }
        assert_eq!(file.reads(), 20);
        read(&blocks, &file, SEGMENT, 5, 10);
        assert_eq!(file.reads(), 0, "it is kept for those who ask for it");
        let other = SegmentId { first: SEGMENT.first + (1 << 32), ..SEGMENT };
        (0..100).for_each(|_| read(&blocks, &file, other, 0, 10));
        (0..100).for_each(|_| read(&blocks, &file, SEGMENT, BLOCK, 10));
        assert!(file.reads() < 40, "and goes when it is asked for no more");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let (blocks, file) = (KeptBlocks::new(BLOCK_BYTES - 1), Counting::default());
        (0..20).for_each(|_| read(&blocks, &file, SEGMENT, 0, 10));
        assert_eq!(file.reads(), 20);
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        let (blocks, file) = (KeptBlocks::new(4 * BLOCK_BYTES), Counting::default());
        file.fails.store(true, Ordering::Relaxed);
        let kept = KeptBytes { file: &file, segment: SEGMENT, end: BLOCK, blocks: &blocks };
        for _ in 0..20 {
            assert!(kept.read_at(0, &mut [0; 8]).is_err());
        }
        file.fails.store(false, Ordering::Relaxed);
        (0..20).for_each(|_| read(&blocks, &file, SEGMENT, 0, 10));
    }
}
