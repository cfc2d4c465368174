//! The specification of the engine: what is kept, what is found, and what a crash, a bad disk and time may do to it.
//! Threads are left out where they do not matter: a test takes their steps itself.

mod conformance;
mod damage;
mod disk;
mod documents;
mod documents_expiring;
mod documents_failing;
mod documents_folder;
mod documents_opening;
mod log;
mod memory_disk;
mod recovery;
mod replaying;
mod retention;
mod sealing;
mod sealing_in_place;
mod stepping;
mod world;
