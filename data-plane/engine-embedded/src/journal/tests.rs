//! The specification of segments: what is found in one whatever happened to its bytes.

use contract::time::UnixMillis;
use proptest::prelude::*;

use super::name::SegmentName;
use super::record::{KIND_MESSAGES, RECORD_HEADER, RecordHeader};
use super::scan::{Found, Scan};
use super::segment::{HeaderFound, SEGMENT_HEADER, read_header, write_header};
use crate::files::Files;
use crate::memory_disk::MemoryDisk;

const NAME: SegmentName = SegmentName { first: 7, salt: 0x0123_4567_89AB_CDEF };

fn header(record: u64, body: &[u8]) -> RecordHeader {
    RecordHeader {
        record,
        stored_at: UnixMillis(1_000 + record),
        batch: [9; 16],
        body_bytes: u32::try_from(body.len()).expect("short"),
        body_crc: crc32fast::hash(body),
        count: 1,
        ahead: 0,
        origin: 3,
        kind: KIND_MESSAGES,
    }
}

/// A segment of these bodies, and where each record begins.
fn segment(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = write_header(NAME, UnixMillis(5)).to_vec();
    let mut starts = Vec::new();
    for (record, body) in (NAME.first..).zip(bodies) {
        starts.push(bytes.len());
        bytes.extend(header(record, body).write(NAME.salt));
        bytes.extend(body);
    }
    (bytes, starts)
}

#[derive(PartialEq, Eq, Debug)]
enum Seen {
    Record(u64, Vec<u8>),
    Damage(u64, u64),
}

fn scan(bytes: Vec<u8>) -> Vec<Seen> {
    scan_without(bytes, 0..0)
}

/// What is found on a disk that does not give some of the bytes.
fn scan_without(bytes: Vec<u8>, lost: std::ops::Range<usize>) -> Vec<Seen> {
    let disk = MemoryDisk::default();
    let end = bytes.len() as u64;
    disk.put("segment", bytes);
    disk.fail_reads("segment", lost);
    let file = disk.open("segment").expect("it is there");
    let mut scan = Scan::new(&*file, NAME.salt, NAME.first, SEGMENT_HEADER as u64, end);
    let mut seen = Vec::new();
    while let Some(found) = scan.step() {
        seen.push(match found {
            Found::Record { header, .. } => Seen::Record(header.record, scan.body().to_vec()),
            Found::Damage { offset, bytes } => Seen::Damage(offset, bytes),
        });
    }
    seen
}

#[test]
fn a_name_is_one_segments() {
    assert_eq!(NAME.to_string(), "journal-00000000000000000007-0123456789abcdef");
    assert_eq!(SegmentName::parse(&NAME.to_string()), Some(NAME));
    assert_eq!(SegmentName::parse_damaged(&NAME.damaged()), Some(NAME));
    for other in [
        "journal-7-0123456789abcdef",
        "journal-00000000000000000007-0123456789ABCDEF",
        "journal-00000000000000000007",
        "journal-00000000000000000007-0123456789abcdef.tmp",
        "damaged-00000000000000000007-0123456789abcdef",
        "lock",
    ] {
        assert_eq!(SegmentName::parse(other), None, "{other}");
    }
}

#[test]
fn a_header_is_whole_or_of_another_version_or_damaged() {
    let whole = write_header(NAME, UnixMillis(5));
    assert_eq!(read_header(NAME, &whole), HeaderFound::Whole);
    assert_eq!(read_header(SegmentName { first: 8, ..NAME }, &whole), HeaderFound::Damaged);
    for at in 0..whole.len() {
        let mut header = whole;
        header[at] ^= 1;
        assert_eq!(read_header(NAME, &header), HeaderFound::Damaged, "byte {at}");
    }
    let mut later = whole;
    later[8] = 9;
    let crc = crc32fast::hash(&later[..60]);
    later[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read_header(NAME, &later), HeaderFound::Version(9));
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let written = header(12, b"body");
    assert_eq!(RecordHeader::read(NAME.salt, &written.write(NAME.salt)), Some(written));
    for salt in [NAME.salt ^ 1, NAME.salt ^ (1 << 40)] {
        assert_eq!(RecordHeader::read(salt, &written.write(NAME.salt)), None);
    }
}

#[test]
fn what_is_whole_behind_damage_is_found() {
    let bodies = [vec![1; 100], vec![2; 200], vec![3; 300]];
    let (good, starts) = segment(&bodies);
    for at in [starts[1], starts[1] + 8, starts[1] + 63, starts[1] + 64, starts[2] - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        let expected = [
            Seen::Record(7, bodies[0].clone()),
            Seen::Damage(starts[1] as u64, (starts[2] - starts[1]) as u64),
            Seen::Record(9, bodies[2].clone()),
        ];
        assert_eq!(scan(bytes), expected, "byte {at}");
    }
}

#[test]
fn a_payload_that_looks_like_a_record_is_none() {
    let mut forged = header(8, b"forged").write(NAME.salt ^ (1 << 60)).to_vec();
    forged.extend(b"forged");
    let (mut bytes, starts) = segment(&[forged, vec![5; 10]]);
    bytes[starts[0] + 9] ^= 1;
    let damage = Seen::Damage(starts[0] as u64, (starts[1] - starts[0]) as u64);
    assert_eq!(scan(bytes), [damage, Seen::Record(8, vec![5; 10])]);
}

#[test]
fn records_larger_than_one_reading_are_found() {
    let bodies: Vec<_> = (0..5).map(|it| vec![it; 700_000]).collect();
    let (bytes, starts) = segment(&bodies);
    let expected: Vec<_> =
        (7..).zip(bodies.clone()).map(|(record, body)| Seen::Record(record, body)).collect();
    assert_eq!(scan(bytes.clone()), expected);
    let mut damaged = bytes;
    damaged[starts[1]] ^= 1;
    assert_eq!(scan(damaged)[2..], expected[2..]);
}

#[test]
fn a_sector_that_cannot_be_read_costs_the_records_in_it() {
    let bodies: Vec<_> = (0..30).map(|it| vec![it; 100_000]).collect();
    let (bytes, starts) = segment(&bodies);
    let all = scan(bytes.clone());
    // The first bytes, in the first reading, over the end of one, in a later one, and the last bytes.
    for at in [64, 500_000, 1024 * 1024 - 1, 2_222_222, bytes.len() - 1] {
        let (from, to) = (at / 4096 * 4096, (at / 4096 + 1) * 4096);
        let is_hit = |it: usize| starts[it] < to && from < starts.get(it + 1).copied().unwrap_or(bytes.len());
        let seen = scan_without(bytes.clone(), from..to);
        let records: Vec<_> = seen.iter().filter(|it| matches!(it, Seen::Record(..))).collect();
        let expected: Vec<_> = (0..30).filter(|it| !is_hit(*it)).map(|it| &all[it]).collect();
        assert!(records == expected && (28..30).contains(&expected.len()), "byte {at}");
        assert_eq!(seen.len(), records.len() + 1, "byte {at}: one place");
    }
}

fn any_bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8)
}

proptest! {
    #[test]
    fn a_cut_segment_gives_the_records_before_the_cut(bodies in any_bodies(), cut in any::<prop::sample::Index>()) {
        let (bytes, starts) = segment(&bodies);
        let cut = SEGMENT_HEADER + cut.index(bytes.len() - SEGMENT_HEADER + 1);
        let ends: Vec<_> = starts[1..].iter().copied().chain([bytes.len()]).collect();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let seen = scan(bytes[..cut].to_vec());
        let records: Vec<_> =
            (NAME.first..).zip(&bodies[..whole]).map(|(record, body)| Seen::Record(record, body.clone())).collect();
        prop_assert_eq!(&seen[..whole], &records[..]);
        let at = if whole == 0 { SEGMENT_HEADER } else { ends[whole - 1] };
        let rest = if at < cut { vec![Seen::Damage(at as u64, (cut - at) as u64)] } else { Vec::new() };
        prop_assert_eq!(&seen[whole..], &rest[..]);
    }

    #[test]
    fn one_flipped_byte_costs_one_record_and_is_said(
        bodies in any_bodies(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let (mut bytes, starts) = segment(&bodies);
        let at = SEGMENT_HEADER + at.index(bytes.len() - SEGMENT_HEADER);
        bytes[at] ^= 1 << bit;
        let lost = starts.iter().filter(|start| **start <= at).count() - 1;
        let end = starts.get(lost + 1).copied().unwrap_or(bytes.len());
        let mut expected: Vec<_> =
            (NAME.first..).zip(&bodies).map(|(record, body)| Seen::Record(record, body.clone())).collect();
        expected[lost] = Seen::Damage(starts[lost] as u64, (end - starts[lost]) as u64);
        prop_assert_eq!(scan(bytes), expected);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(
        bodies in any_bodies(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (mut bytes, _) = segment(&bodies);
        bytes.extend(noise);
        let length = bytes.len() - SEGMENT_HEADER;
        for (at, value) in changes {
            bytes[SEGMENT_HEADER + at.index(length)] = value;
        }
        let mut end = SEGMENT_HEADER as u64;
        for seen in scan(bytes) {
            end += match seen {
                Seen::Record(_, body) => (RECORD_HEADER + body.len()) as u64,
                Seen::Damage(offset, bytes) => {
                    prop_assert_eq!(offset, end);
                    bytes
                }
            };
        }
        prop_assert_eq!(end, (SEGMENT_HEADER + length) as u64);
    }
}
