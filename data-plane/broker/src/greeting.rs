//! CONNACK of a client that is let in: what it gets of what it asked for, and what it has to know beside that.

use contract::limits::InstanceLimits;
use mqtt::{ConnackProperties, ReasonCode};
use session::Bounds;

use crate::connect::Asked;
use crate::enhanced::Method;

/// What a client gets.
pub(crate) struct Terms {
    /// Messages of QoS 1 and 2 that it may have sent without being acknowledged.
    pub(crate) receive_max: u16,
    pub(crate) topic_alias_max: u16,
    packet_bytes_max: u32,
    /// For so many seconds its session is kept without a connection.
    pub(crate) expiry_secs: u32,
    /// The most that it could get.
    pub(crate) expiry_secs_max: u32,
    keep_alive_secs: u16,
}

impl Terms {
    /// What it asked for, held to the limits of its instance.
    pub(crate) fn new(asked: &Asked, limits: &InstanceLimits) -> Self {
        let short = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
        let long = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let expiry_secs_max = long(limits.session_expiry_secs_max);
        let keep_alive_secs_max = Bounds::from(limits).keep_alive_secs_max;
        Self {
            receive_max: short(limits.receive_max).max(1),
            topic_alias_max: short(limits.topic_alias_max),
            packet_bytes_max: long(limits.packet_bytes_max),
            expiry_secs: asked.expiry_secs.min(expiry_secs_max),
            expiry_secs_max,
            keep_alive_secs: match asked.keep_alive_secs {
                0 => keep_alive_secs_max,
                secs => secs.min(keep_alive_secs_max),
            },
        }
    }
}

/// The bytes of CONNACK. What is as the client asked, or as it assumes, is not said.
pub(crate) fn connack(asked: &Asked, terms: &Terms, client_id: &str, session_present: bool) -> Vec<u8> {
    let is_other = |given, asked| (given != asked).then_some(given);
    let properties = ConnackProperties {
        session_expiry_secs: is_other(terms.expiry_secs, asked.expiry_secs),
        receive_max: terms.receive_max,
        packet_bytes_max: Some(terms.packet_bytes_max),
        assigned_client_id: asked.is_id_assigned.then_some(client_id), // [MQTT-3.1.3-7]
        topic_alias_max: terms.topic_alias_max,
        server_keep_alive_secs: (terms.keep_alive_secs != asked.keep_alive_secs)
            .then_some(terms.keep_alive_secs),
        auth_method: asked.method.map(Method::name), // [MQTT-4.12.0-5]
        auth_data: (!asked.auth_data.is_empty()).then_some(&asked.auth_data),
        ..ConnackProperties::default()
    };
    let mut bytes = Vec::new();
    mqtt::connack(&mut bytes, asked.version, session_present, ReasonCode::Success, &properties);
    bytes
}
