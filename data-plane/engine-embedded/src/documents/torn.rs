//! The end of the database's own journal, when a power cut has left a hole in what was not synced: the database takes it
//! for damage and opens nothing. Here it is found where its batches begin, so that it can be cut there. What a batch
//! means, and whether it is whole, only the database knows.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What the names of journals end with.
const EXTENSION: &str = "jnl";

/// What the name of a copy ends with: nothing that the database looks at.
const TORN: &str = "torn";

/// What an entry begins with, by its kind.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Bytes of an entry behind the first. Of an item without key and value.
const START_BYTES: usize = 12;
const ITEM_BYTES: usize = 20;
const END_BYTES: usize = 12;
const CLEAR_BYTES: usize = 8;

/// The journal that is being written; those before it were synced when they were closed.
pub(crate) fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|it| it == EXTENSION);
        let number = path.file_stem().and_then(|it| it.to_str()?.parse().ok()).filter(|_| is_journal);
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(it, _)| *it < number)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Keeps a copy of a journal beside it, in the place of those that were kept before.
pub(crate) fn keep_copy(journal: &Path) -> io::Result<PathBuf> {
    let copy = journal.with_extension(TORN);
    for entry in fs::read_dir(journal.parent().ok_or(ErrorKind::InvalidInput)?)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == TORN) {
            fs::remove_file(path)?;
        }
    }
    fs::copy(journal, &copy)?;
    Ok(copy)
}

/// Cuts a journal, durably.
pub(crate) fn cut(journal: &Path, bytes: u64) -> io::Result<()> {
    let file = File::options().write(true).open(journal)?;
    file.set_len(bytes)?;
    file.sync_all()
}

/// Where a journal's batches begin, oldest first, as far as one entry leads to the next.
pub(crate) fn batches(journal: &Path) -> io::Result<Vec<u64>> {
    let file = File::open(journal)?;
    let end = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let (mut at, mut batches) = (0, Vec::new());
    while at < end {
        let Some((kind, bytes)) = next_entry(&mut reader)? else { break };
        if kind == START {
            batches.push(at);
        }
        at += bytes;
    }
    Ok(batches)
}

/// The kind of the next entry and its bytes; none where there is no entry.
fn next_entry(reader: &mut BufReader<File>) -> io::Result<Option<(u8, u64)>> {
    let mut header = [0; 1 + ITEM_BYTES];
    let Some(kind) = read_exact(reader, &mut header[..1])?.then_some(header[0]) else { return Ok(None) };
    let bytes = match kind {
        START => START_BYTES,
        ITEM => ITEM_BYTES,
        END => END_BYTES,
        CLEAR => CLEAR_BYTES,
        _ => return Ok(None),
    };
    if !read_exact(reader, &mut header[1..=bytes])? {
        return Ok(None);
    }
    let mut rest = 0;
    if kind == ITEM {
        // Value type, compression, keyspace: 10 bytes; the key's length; the value's, and that of what stands here of it.
        let [.., key_0, key_1, _, _, _, _, value_0, value_1, value_2, value_3] = header;
        let value = u32::from_le_bytes([value_0, value_1, value_2, value_3]);
        rest = i64::from(u16::from_le_bytes([key_0, key_1])) + i64::from(value);
        reader.seek_relative(rest)?;
    }
    Ok(Some((kind, 1 + bytes as u64 + rest.unsigned_abs())))
}

/// Fills the buffer; false at the end of the file.
fn read_exact(reader: &mut BufReader<File>, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
