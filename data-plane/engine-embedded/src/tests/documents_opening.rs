//! Opening documents: a start that is killed, or that cannot read what it could read a moment ago, hides no loss.

use std::sync::Arc;

use super::documents::{mixed, said};
use super::world::World;
use crate::journal::name::SegmentName;
use crate::journal::record::{RECORD_HEADER, RecordHeader};
use crate::journal::segment::SEGMENT_HEADER;
use crate::memory_disk::Stop;

/// A machine after a power cut whose documents have nothing of what is in the journal.
fn behind(records: u64) -> World {
    let world = World::new();
    let mut process = world.start();
    for number in 1..=records {
        assert!(process.append(number, mixed(number)));
    }
    world.after(Stop::Power)
}

#[test]
fn a_start_that_is_killed_at_any_step_hides_no_loss() {
    let damaged = behind(9);
    let name = damaged.disk.names().remove(0);
    damaged.disk.edit(&name, |bytes| bytes[200] ^= 1);
    let mut steps = 0;
    loop {
        let mut world = damaged.after(Stop::Power);
        // So small that it is carried away with each record.
        world.options.overlay_bytes_max = 1_000;
        world.documents.stop_after(steps);
        let is_whole = world.try_start().is_ok();
        for kept in [0, 1, usize::MAX] {
            let mut next = world.after(Stop::Power);
            next.documents = world.documents.after_stop(kept);
            next.options.documents = Some(Arc::new(next.documents.clone()));
            let process = next.start();
            let lost = process.shared.health().documents_lost;
            assert_eq!(lost.len(), 1, "stopped after {steps} steps, {kept} kept: {lost:?}");
            assert_eq!(said(&process), process.numbers());
        }
        if is_whole {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "it is written in many steps");
}

#[test]
fn what_cannot_be_read_a_second_time_ends_the_start_and_is_known_to_the_next() {
    let whole = behind(9);
    let name = whole.disk.names().remove(0);
    let world = whole.after(Stop::Power);
    // The first sync of a start comes when the journal has been read once.
    let (disk, failing) = (world.disk.clone(), name.clone());
    world.disk.on_sync(move || disk.fail_reads(&failing, 200..201));
    assert!(world.try_start().is_err());
    let next = world.after(Stop::Power);
    let process = next.start();
    let health = process.shared.health();
    assert_eq!((health.damage.len(), health.documents_lost.len()), (1, 1), "{health:?}");
    assert_eq!(said(&process), process.numbers());
    // It was of no lasting kind.
    let next = world.after(Stop::Power);
    next.disk.fail_reads(&name, 0..0);
    let process = next.start();
    assert_eq!(said(&process), (1..=9).collect::<Vec<_>>());
    assert!(process.shared.health().documents_lost.is_empty());
}

/// Its checksum is right, and yet it is no batch: what it has done nobody knows.
#[test]
fn a_record_of_another_form_is_said_to_be_lost() {
    let world = behind(9);
    let name = world.disk.names().remove(0);
    let salt = SegmentName::parse(&name).expect("a segment").salt;
    world.disk.edit(&name, |bytes| {
        let (header, rest) =
            bytes[SEGMENT_HEADER..].split_first_chunk_mut::<RECORD_HEADER>().expect("a record");
        let mut read = RecordHeader::read(salt, header).expect("it is whole");
        let body = &mut rest[..read.body_bytes as usize];
        // The length of the first change's key.
        body[10..12].fill(u8::MAX);
        read.body_crc = crc32fast::hash(body);
        *header = read.write(salt);
    });
    for _ in 0..2 {
        let process = world.start();
        let lost = process.shared.health().documents_lost;
        assert!(lost.len() == 1 && lost[0].contains("record 1 "), "{lost:?}");
        assert_eq!(said(&process), (2..=9).collect::<Vec<_>>());
    }
}
