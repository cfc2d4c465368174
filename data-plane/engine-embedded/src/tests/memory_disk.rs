//! The disk in memory itself: what it may lose, and what it must not.

use std::io::IoSlice;

use crate::files::Files;
use crate::memory_disk::{MemoryDisk, Stop};

fn content(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("it is there");
    let mut bytes = vec![0; usize::try_from(file.bytes().expect("known")).expect("small")];
    file.read_at(0, &mut bytes).expect("read");
    bytes
}

/// A disk with two files: one whose name is durable with 2 000 bytes synced and 3 000 that are not, and one that is new.
fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut file = disk.create("a").expect("made");
    disk.sync_directory().expect("synced");
    file.append(&mut [IoSlice::new(&[1; 2_000])]).expect("written");
    file.sync().expect("synced");
    file.append(&mut [IoSlice::new(&[2; 3_000])]).expect("written");
    disk.create("b").expect("made");
    disk.rename("b", "c").expect("renamed");
    disk
}

#[test]
fn what_was_synced_is_kept_and_the_rest_is_drawn() {
    let disk = disk();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let stop = Stop::Drawn(seed);
        let (one, same) = (disk.after(stop), disk.after(stop));
        assert_eq!(
            (one.names(), content(&one, "a")),
            (same.names(), content(&same, "a")),
            "one seed, one disk"
        );
        let bytes = content(&one, "a");
        assert_eq!(bytes[..2_000], [1; 2_000]);
        let unsynced = &bytes[2_000..];
        seen.insert(("all is there", unsynced.len() == 3_000));
        // Sectors that were written behind one that was not.
        let lost = unsynced.iter().position(|it| *it == 0);
        seen.insert(("reordered", lost.is_some_and(|at| unsynced[at..].contains(&2))));
        seen.insert(("flipped", unsynced.iter().any(|it| ![0, 2].contains(it))));
        seen.insert(("b is there", one.names().contains(&"b".to_owned())));
        seen.insert(("c is there", one.names().contains(&"c".to_owned())));
        assert!(one.names().len() <= 2, "a file has one name");
    }
    assert_eq!(seen.len(), 10, "each happens, and does not happen: {seen:?}");
}

#[test]
fn a_sync_can_take_its_time() {
    let disk = disk();
    let (said, heard) = std::sync::mpsc::sync_channel(1);
    disk.on_sync(move || said.try_send(()).expect("once"));
    disk.append("a").expect("opened").sync().expect("synced");
    assert_eq!((heard.try_recv(), content(&disk.after(Stop::Power), "a").len()), (Ok(()), 5_000));
}
