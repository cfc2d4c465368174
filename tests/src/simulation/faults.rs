//! What a disk does to a node besides losing what was not synced: it is full, it refuses writes or syncs, it cannot be
//! read; and documents cannot be written. All of it passes. The journal can be read
//! always: what of it cannot be when a node starts, or when it is sealed, is damage and does not pass.

use engine_embedded::documents::MemoryDocuments;
use engine_embedded::files::Space;
use engine_embedded::memory_disk::MemoryDisk;

use super::chance::Chance;

/// A disk with room, and one without.
const ROOMY: Space = Space { total: 100, available: 80 };
const FULL: Space = Space { total: 100, available: 2 };

/// What the names of journal segments begin with.
const JOURNAL: &str = "journal-";

/// What is wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// There is no room.
    Full,
    /// Writes fail.
    Writes,
    /// Syncs fail.
    Syncs,
    /// A sealed file cannot be read.
    Reads,
    /// Documents can neither be written nor made durable.
    Documents,
}

/// What can be wrong.
const FAULTS: [Fault; 5] = [Fault::Full, Fault::Writes, Fault::Syncs, Fault::Reads, Fault::Documents];

/// What is wrong now.
#[derive(Clone, Default, Debug)]
pub struct Faults {
    now: Vec<Fault>,
    /// The file that cannot be read.
    unread: Option<String>,
}

impl Faults {
    /// Something begins to fail, or does no more.
    pub fn change(&mut self, disk: &MemoryDisk, documents: &MemoryDocuments, chance: &mut Chance) -> Fault {
        let fault = *chance.one_of(&FAULTS);
        if let Some(at) = self.now.iter().position(|it| *it == fault) {
            self.now.remove(at);
        } else {
            self.now.push(fault);
        }
        if fault == Fault::Reads {
            self.change_reads(disk, chance);
        }
        self.apply(disk, documents);
        fault
    }

    fn change_reads(&mut self, disk: &MemoryDisk, chance: &mut Chance) {
        self.heal_reads(disk);
        let mut names = disk.names();
        names.retain(|name| !name.starts_with(JOURNAL));
        if self.now.contains(&Fault::Reads) && !names.is_empty() {
            let name = chance.one_of(&names).clone();
            disk.fail_reads(&name, 0..usize::MAX);
            self.unread = Some(name);
        }
    }

    fn heal_reads(&mut self, disk: &MemoryDisk) {
        // It may have been removed meanwhile, or been given another name.
        self.unread = None;
        for name in disk.names() {
            disk.fail_reads(&name, 0..0);
        }
    }

    /// The same disk, as it is after a stop, goes on to be as it was, but it can be read.
    pub fn go_on(&mut self, disk: &MemoryDisk, documents: &MemoryDocuments) {
        self.now.retain(|fault| *fault != Fault::Reads);
        self.heal_reads(disk);
        self.apply(disk, documents);
    }

    fn apply(&self, disk: &MemoryDisk, documents: &MemoryDocuments) {
        let is = |fault| self.now.contains(&fault);
        disk.set_space(if is(Fault::Full) { FULL } else { ROOMY });
        disk.fail_writes(is(Fault::Writes));
        disk.fail_syncs(is(Fault::Syncs));
        documents.fail_writes(is(Fault::Documents));
    }

    /// Nothing fails any more.
    pub fn heal(&mut self, disk: &MemoryDisk, documents: &MemoryDocuments) {
        self.now.clear();
        self.heal_reads(disk);
        self.apply(disk, documents);
    }

    /// Whether something fails.
    #[must_use]
    pub fn are_there(&self) -> bool {
        !self.now.is_empty()
    }
}
