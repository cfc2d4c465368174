//! What a lasting session says only once a change is safe.

use std::sync::Arc;

use contract::refusal::Refusal;
use mqtt::{PacketId, ReasonCode};

use crate::lasting::{Part, Stamp};
use crate::message::Kept;

/// One thing that waits for a change.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) stamp: Stamp,
    pub(super) effect: Effect,
}

/// What is said then.
#[derive(Debug)]
pub(super) enum Effect {
    /// With the first refusal.
    SubAck(PacketId, Box<[ReasonCode]>, Option<Refusal>),
    UnsubAck(PacketId, Box<[ReasonCode]>),
    /// The first PUBLISH of QoS 2 under an identifier.
    Publish(PacketId, Arc<Kept>),
    PubRel(PacketId),
    PubComp(PacketId, ReasonCode),
    /// PUBREC of a message that came again while it was made safe.
    Repeat(PacketId),
}

impl Effect {
    /// The document that has to be safe.
    pub(super) const fn part(&self) -> Part {
        match self {
            Self::SubAck(..) | Self::UnsubAck(..) => Part::Session,
            Self::Publish(..) | Self::PubRel(_) => Part::Progress,
            Self::PubComp(..) | Self::Repeat(_) => Part::Received,
        }
    }
}
