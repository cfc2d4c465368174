//! One client's side of MQTT after its CONNECT was accepted, without sockets or clocks.
//!
//! Packets and time come in, effects go into a [`Sink`] that the caller owns: wire bytes into its output buffer,
//! everything else as a call. What is allowed, counted, limited in rate or routed is the sink's affair; which packet
//! may come when, what answers it and what waits for whom is decided here.

mod aliases;
mod bounds;
mod exchanges;
mod granted;
mod group;
mod in_flight;
mod lasting;
mod message;
mod outbox;
mod reading;
mod rules;
mod session;
mod sink;
mod time;
mod v5;
mod will;

pub use bounds::Bounds;
pub use granted::{Asked, Granted, Special};
pub use group::{GROUP_OPEN_MAX, GROUP_PREFIX, Group, GroupPage};
pub use lasting::{ChangeId, Due, Lasting, Part, RestoreError, StoredParts};
pub use message::{Message, Rendering, left_secs};
pub use outbox::DropReason;
pub use reading::Reading;
pub use rules::Rules;
pub use session::{Delivered, Ended, EndedSession, SHARED_QOS_MAX, Session, Settings};
pub use sink::{Accepted, Close, PassedOver, Sink};
pub use time::Millis;
pub use v5::ClientSide;
pub use will::Will;

#[cfg(test)]
mod tests;
