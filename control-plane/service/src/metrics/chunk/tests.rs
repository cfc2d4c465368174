//! What a chunk promises: its bytes give it back, and joining asks for no order.

use contract::metrics::METRICS;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Slots as a source tells them: the same slot of the same source always says the same.
#[derive(Clone, Debug)]
struct Told {
    source: Source,
    second: u8,
    values: Vec<(SeriesKey, u64)>,
}

fn told() -> impl Strategy<Value = Told> {
    (0..4_u64, 0..SECONDS).prop_map(|(source, second)| {
        // What a source tells of a slot follows from both, and is as odd as can be: 0, 1, and the largest.
        let seed = source * 7 + u64::from(second);
        let values = (0..seed % 5).map(|at| {
            let value = [1, u64::MAX, 1_000_000, seed, u64::MAX / 2]
                [usize::try_from((seed + at) % 5).expect("small")];
            let reason = if at == 3 { "not_authorized" } else { "" };
            (SeriesKey { code: u8::try_from(at * 3).expect("small"), reason: reason.into() }, value)
        });
        Told { source: Source(source << 62 | source), second, values: values.collect() }
    })
}

fn chunk(slots: &[Told]) -> Chunk {
    let mut chunk = Chunk::default();
    for slot in slots {
        chunk.add(slot.source, slot.second, slot.values.clone());
    }
    chunk
}

fn merged(a: &Chunk, b: &Chunk) -> Chunk {
    let mut both = a.clone();
    both.merge(b);
    both
}

proptest! {
    #[test]
    fn the_bytes_give_the_chunk_back(slots in vec(told(), 0..80)) {
        let chunk = chunk(&slots);
        prop_assert_eq!(Chunk::decode(&chunk.encode()), Ok(chunk));
    }

    #[test]
    fn joining_asks_for_no_order_and_counts_nothing_twice(
        a in vec(told(), 0..40), b in vec(told(), 0..40), c in vec(told(), 0..40),
    ) {
        let (a, b, c) = (chunk(&a), chunk(&b), chunk(&c));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
    }

    #[test]
    fn every_slot_keeps_its_own_values(slots in vec(told(), 0..80)) {
        let chunk = chunk(&slots);
        for told in &slots {
            let slot = chunk.slots().find(|slot| (slot.source, slot.second) == (told.source, told.second));
            let mut values: Vec<_> = slot.expect("it was told").values().filter(|(_, value)| *value > 0).collect();
            values.sort_unstable();
            let mut expected: Vec<_> =
                told.values.iter().filter(|(_, value)| *value > 0).map(|(key, value)| (key, *value)).collect();
            expected.sort_unstable();
            prop_assert_eq!(values, expected);
        }
    }

    #[test]
    fn any_bytes_are_a_chunk_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Chunk::decode(&bytes);
        let _ = Chunk::decode(&[&[VERSION, 1][..], &bytes].concat());
    }

    #[test]
    fn a_chunk_that_is_cut_short_is_none(slots in vec(told(), 1..20), keep in 0.0..1.0_f64) {
        let bytes = chunk(&slots).encode();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a small length")]
        let keep = (bytes.len() as f64 * keep) as usize;
        prop_assert_eq!(Chunk::decode(&bytes[..keep]), Err(ChunkError::Damaged));
    }

    #[test]
    fn differences_are_small_numbers_whatever_their_sign(value in any::<u64>(), step in -50..50_i64) {
        let difference = value.wrapping_add_signed(step).wrapping_sub(value);
        prop_assert!(zigzag(difference) <= 100);
        prop_assert_eq!(unzigzag(zigzag(difference)), difference);
        prop_assert_eq!(unzigzag(zigzag(value)), value);
    }
}

#[test]
fn every_metric_has_a_code_of_its_own_and_a_place_in_the_values() {
    let reasons = || BTreeMap::from([("not_authorized".to_owned(), 1)]);
    let sample = InstanceSample {
        connections: 1,
        connects: 1,
        disconnects: 1,
        messages_in: 1,
        messages_out: 1,
        bytes_in: 1,
        bytes_out: 1,
        messages_stored: 1,
        unmatched: 1,
        refused: reasons(),
        dropped: reasons(),
    };
    let codes: Vec<u8> = values_of(&sample).into_iter().map(|(key, _)| key.code).collect();
    let expected: Vec<u8> = METRICS.iter().map(|metric| code(metric.name)).collect();
    assert_eq!(codes, expected, "one value for each metric");
    for (at, code) in codes.iter().enumerate() {
        assert!(!codes[..at].contains(code) && *code != SLOT_SECS_CODE, "{code} is given twice");
    }
}

#[test]
fn the_codes_of_kept_chunks_never_change() {
    let kept = [1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x81, 0x08, 2, 0, 0, 4, 1, 9, 1, b'x', 0, 6];
    let mut chunk = Chunk::default();
    let key = |code, reason: &str| SeriesKey { code, reason: reason.into() };
    chunk.add(Source(9), 0, [(key(0, ""), 2)]);
    chunk.add(Source(9), 10, [(key(0, ""), 1), (key(9, "x"), 3)]);
    assert_eq!(chunk.encode(), kept, "version, sources, source, seconds, series: code, reason, differences");
    assert_eq!(code("connections"), 0);
    assert_eq!(code("refused"), 9);
}

#[test]
fn what_no_chunk_holds_is_refused() {
    for (bytes, expected) in [
        (&[][..], ChunkError::Damaged),
        (&[2, 0], ChunkError::Version(2)),
        (&[1, 0, 0], ChunkError::Damaged),
        (&[1, 0xff, 0xff, 0x7f], ChunkError::Damaged),
        // Seconds beyond the minute; then a number of more than 64 bits.
        (
            &[1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0],
            ChunkError::Damaged,
        ),
        (&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], ChunkError::Damaged),
    ] {
        assert_eq!(Chunk::decode(bytes), Err(expected), "{bytes:?}");
    }
    assert_eq!(Chunk::decode(&[1, 0]), Ok(Chunk::default()));
}

#[test]
fn a_chunk_is_small() {
    let mut chunk = Chunk::default();
    let sample = InstanceSample {
        connections: 100,
        messages_in: 5_000,
        bytes_in: 400_000,
        ..InstanceSample::default()
    };
    for second in (0..SECONDS).step_by(10) {
        assert!(chunk.add(Source(1), second, values_of(&sample)));
    }
    assert!(!chunk.add(Source(1), 50, values_of(&sample)), "told before");
    assert!(!chunk.add(Source(1), SECONDS, values_of(&sample)), "no second of a minute");
    assert!(chunk.encode().len() <= 60, "{} bytes", chunk.encode().len());
}

#[test]
fn sources_and_reasons_are_bounded() {
    let mut chunk = Chunk::default();
    let taken = (0..2_000).filter(|source| chunk.add(Source(*source), 0, [])).count();
    assert_eq!(taken, SOURCES_MAX);
    assert!(chunk.add(Source(0), 1, []), "one that is there goes on");
    let reasons =
        (0..1_000).map(|n| (format!("r{n}"), 1)).chain([("x".repeat(65), 1), (String::new(), 1)]).collect();
    let mut chunk = Chunk::default();
    chunk.add(Source(0), 0, by_reason("refused", &reasons));
    assert_eq!(chunk.slots().next().expect("a slot").values().count(), SERIES_MAX);
    assert_eq!(by_reason("refused", &reasons).count(), 1_000, "neither the too long nor the empty one");
    assert_eq!(Chunk::decode(&chunk.encode()), Ok(chunk));
}
