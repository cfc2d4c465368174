//! Proves what a broker's acknowledgements are worth: clients with sessions of their own load it, it is killed again and
//! again, and in the end every message that was acknowledged is looked for at every client that it was owed to.
//!
//! It speaks MQTT 3.1.1 and knows nothing of the broker but its address, so it judges any broker. Its clients are
//! correct ones: they keep packet identifiers, what is in flight and what they have received at QoS 2 over connections
//! and kills, as the standard asks of a client with a lasting session. What is wrong in the end is the broker's.
//!
//! ```text
//! publishers ─► broker ─► live, away-and-back and shared subscribers
//!     └──── ledger: published, acknowledged, received ────┘ ─► account
//! ```

mod account;
mod chance;
mod client;
mod clock;
mod commands;
mod incoming;
mod kills;
mod ledger;
mod outgoing;
mod plan;
mod publisher;
mod retained;
mod run;
mod shares;
mod subscriber;
mod wire;

pub use crate::account::{Account, Kills, Receiver};
pub use crate::commands::{Commands, ControlError};
pub use crate::kills::Control;
pub use crate::plan::{Login, Plan};
pub use crate::run::{VerifyError, run};
pub use crate::wire::ConnectError;
