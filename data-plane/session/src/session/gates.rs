//! What a lasting session says only once a change is safe.

use std::sync::Arc;

use contract::qos::Qos;
use mqtt::{PacketId, PublishForm};

use crate::lasting::{Part, Stamp};

/// One thing that waits for a change.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) stamp: Stamp,
    pub(super) effect: Effect,
}

/// What is said then.
#[derive(Debug)]
pub(super) enum Effect {
    SubAck(PacketId, Box<[Option<Qos>]>),
    UnsubAck(PacketId),
    /// The first PUBLISH of QoS 2 under an identifier.
    Publish(PacketId, Arc<PublishForm>),
    PubRel(PacketId),
    PubComp(PacketId),
    /// PUBREC of a message that came again while it was made safe.
    Repeat(PacketId),
}

impl Effect {
    /// The document that has to be safe.
    pub(super) const fn part(&self) -> Part {
        match self {
            Self::SubAck(..) | Self::UnsubAck(_) => Part::Session,
            Self::Publish(..) | Self::PubRel(_) => Part::Progress,
            Self::PubComp(_) | Self::Repeat(_) => Part::Received,
        }
    }
}
