//! The journal's form on disk: segments of records, one record a batch. It says how bytes are laid out and read back,
//! not who writes them or when.
//!
//! A segment is named after its first record and a salt, `journal-{record}-{salt}`, and begins with a header:
//! ```text
//!  0  [u8; 8]  "IOTMQJNL"
//!  8  u16      version of the form
//! 10  [u8; 6]  0
//! 16  u64      first record
//! 24  u64      salt
//! 32  u64      when it was begun, in milliseconds since 1970
//! 40  [u8; 20] 0
//! 60  u32      CRC of bytes 0 to 60
//! ```
//! Magic, version and CRC stand where they stand in every version, so that an unknown one can be told from damage.
//!
//! A record is a header and a body, which is a batch of messages as it came in:
//! ```text
//!  0  u32      marker: the salt's low half
//!  4  u32      CRC of bytes 8 to 64, begun with the salt's high half
//!  8  u64      number of the record
//! 16  u64      when it was written, in milliseconds since 1970
//! 24  [u8; 16] batch id
//! 40  u32      bytes of the body
//! 44  u32      CRC of the body
//! 48  u32      messages in the body
//! 52  u32      records before it in the same write
//! 56  u16      origin
//! 58  u8       kind: 1, messages
//! 59  [u8; 5]  0
//! ```
//! Numbers are in little endian, CRCs are CRC-32. The salt is drawn for each segment: bytes of a payload that look
//! like a record are never taken for one when the reader looks for the next record behind damage.

pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod segment;

#[cfg(test)]
mod tests;
