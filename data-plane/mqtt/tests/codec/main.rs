//! The codec from outside: the wire vectors of the project, what holds for every packet, and every bound.

mod bounds;
mod properties;
mod rewrite;
mod vectors;
