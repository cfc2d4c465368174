//! The message engine's own forms: how one message, and a batch of them, is laid out in bytes. Nothing here stores,
//! sends or routes one.

mod batch;
mod envelope;

pub use batch::{Batch, BatchError, Envelopes, FORMAT_VERSION};
pub use envelope::{Envelope, EnvelopeError};

#[cfg(test)]
mod tests;
