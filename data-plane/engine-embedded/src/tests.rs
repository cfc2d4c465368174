//! The specification of the engine: what is kept, what is found, and what a crash, a bad disk and time may do to it.
//! Threads are left out where they do not matter: a test takes their steps itself.

mod conformance;
mod damage;
mod disk;
mod log;
pub(crate) mod memory_disk;
mod recovery;
mod retention;
mod sealing;
mod world;
