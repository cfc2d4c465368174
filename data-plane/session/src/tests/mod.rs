//! The specification of a session, as scripts.

mod deliver;
mod documents;
mod due;
mod exactly_once;
mod group;
mod group_world;
mod kept;
mod lasting;
mod later;
mod life;
mod packets;
mod properties;
mod publish;
mod reading;
mod receive_properties;
mod replaying;
mod script;
mod shared;
mod special;
mod subscribe;
mod v5;
mod v5_connection;
mod v5_sending;
mod world;
mod world_properties;

use crate::{Delivered, Message, Rendering, Session};

#[test]
fn a_session_is_small() {
    println!(
        "Session {} Delivered {} Message {} Rendering {}",
        size_of::<Session>(),
        size_of::<Delivered>(),
        size_of::<Message<'_>>(),
        size_of::<Rendering>()
    );
    assert!(size_of::<Session>() <= 160, "what is rare is boxed");
    assert!(size_of::<Delivered>() <= 8);
}
