//! The codec from outside: the forms of the project, what holds for every packet, every bound, the table of reasons,
//! and what another codec says.

mod another;
mod bounds;
mod differential;
mod properties;
mod reasons;
mod rewrite;
mod sample;
mod vectors;
