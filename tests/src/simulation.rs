//! A whole node under a scheduler that a seed decides: the real session, router and engine on a disk in memory, real
//! packets, correct clients, and a machine that stops at any step. The same seed gives the same run.
//!
//! What is written here once more, as small as it can be, is a worker's glue between them. Nothing in here has a thread,
//! a socket or a clock.

pub mod account;
pub mod arrivals;
pub mod chance;
pub mod client;
pub mod conditions;
pub mod doors;
pub mod faults;
pub mod groups;
pub mod node;
pub mod paging;
pub mod plan;
pub mod run;
pub mod scene;
pub mod site;
pub mod surroundings;
pub mod trace;
pub mod wire;
pub mod worker;

pub use conditions::{Conditions, GlueRules};
pub use run::{Outcome, Run, run};
