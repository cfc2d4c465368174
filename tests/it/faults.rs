//! What may happen to a machine while it serves: kills, power cuts, damaged files, disks that are full or fail, pauses.
//! The built binary with real sockets. What was acknowledged stays; what cannot be kept is said and not acknowledged.

mod command;
mod damage;
mod disk;
mod kills;
mod pause;
