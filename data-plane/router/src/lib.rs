//! Who wants this topic, on this node: the route table of one instance, and how a publisher knows that what it
//! remembers of it still holds.
//!
//! [`RouteTable`] is changed by subscriptions and asked only when a publisher does not know a topic; the answer is a
//! [`RouteSet`], immutable and made to be kept and shared. [`Epochs`] say when it is out of date. Nothing here
//! delivers, authorizes or knows a connection.

mod epochs;
mod leaf;
mod route_set;
mod subscriber;
mod subscribers;
mod table;
mod trie;

pub use epochs::{Epochs, SLOTS, Stamp, TopicSlots};
pub use route_set::{RouteSet, Target};
pub use subscriber::{ClientKey, Subscriber, WORKERS_MAX, WorkerId};
pub use table::{FILTER_LEVELS_MAX, Inserted, RouteTable, Scratch};

#[cfg(test)]
mod tests;
