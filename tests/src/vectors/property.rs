//! The properties of MQTT 5.0 as the vectors know them: names, identifiers, types, and where a server may send them.

/// What a property's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One byte.
    Byte,
    /// Two bytes.
    Short,
    /// Four bytes.
    Long,
    /// A variable byte integer.
    Variable,
    /// A string, or binary data: a length of two bytes and so many.
    Text,
    /// Two strings, written `name:value`.
    Pair,
}

/// A property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Property {
    /// How the vectors call it.
    pub name: &'static str,
    /// Its identifier on the wire.
    pub id: u8,
    /// What its value is.
    pub kind: Kind,
    /// The packets in which a server may send it.
    pub from_server: &'static [&'static str],
}

const fn property(name: &'static str, id: u8, kind: Kind, from_server: &'static [&'static str]) -> Property {
    Property { name, id, kind, from_server }
}

const REASONS: &[&str] =
    &["CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT", "AUTH"];
const ANYWHERE: &[&str] = &[
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBACK",
    "UNSUBACK",
    "DISCONNECT",
    "AUTH",
];

/// Every property.
pub const PROPERTIES: [Property; 27] = [
    property("payload-format", 0x01, Kind::Byte, &["PUBLISH"]),
    property("message-expiry", 0x02, Kind::Long, &["PUBLISH"]),
    property("content-type", 0x03, Kind::Text, &["PUBLISH"]),
    property("response-topic", 0x08, Kind::Text, &["PUBLISH"]),
    property("correlation", 0x09, Kind::Text, &["PUBLISH"]),
    property("subscription-id", 0x0B, Kind::Variable, &["PUBLISH"]),
    property("session-expiry", 0x11, Kind::Long, &["CONNACK"]),
    property("assigned-id", 0x12, Kind::Text, &["CONNACK"]),
    property("server-keep-alive", 0x13, Kind::Short, &["CONNACK"]),
    property("auth-method", 0x15, Kind::Text, &["CONNACK", "AUTH"]),
    property("auth-data", 0x16, Kind::Text, &["CONNACK", "AUTH"]),
    property("request-problem", 0x17, Kind::Byte, &[]),
    property("will-delay", 0x18, Kind::Long, &[]),
    property("request-response", 0x19, Kind::Byte, &[]),
    property("response-info", 0x1A, Kind::Text, &["CONNACK"]),
    property("server-reference", 0x1C, Kind::Text, &["CONNACK", "DISCONNECT"]),
    property("reason", 0x1F, Kind::Text, REASONS),
    property("receive-max", 0x21, Kind::Short, &["CONNACK"]),
    property("alias-max", 0x22, Kind::Short, &["CONNACK"]),
    property("alias", 0x23, Kind::Short, &["PUBLISH"]),
    property("max-qos", 0x24, Kind::Byte, &["CONNACK"]),
    property("retain-available", 0x25, Kind::Byte, &["CONNACK"]),
    property("user", 0x26, Kind::Pair, ANYWHERE),
    property("max-packet", 0x27, Kind::Long, &["CONNACK"]),
    property("wildcard-available", 0x28, Kind::Byte, &["CONNACK"]),
    property("subscription-ids-available", 0x29, Kind::Byte, &["CONNACK"]),
    property("shared-available", 0x2A, Kind::Byte, &["CONNACK"]),
];

/// The property that the vectors call so.
#[must_use]
pub fn named(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

/// The property with this identifier.
#[must_use]
pub fn numbered(id: u8) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.id == id)
}

/// The reason codes that a server may send in a packet of 5.0; SUBACK and UNSUBACK have several.
#[must_use]
pub fn codes_from_server(packet: &str) -> &'static [u8] {
    match packet {
        "CONNACK" => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
            0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
        "PUBACK" | "PUBREC" => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        "PUBREL" | "PUBCOMP" => &[0x00, 0x92],
        "SUBACK" => &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
        "UNSUBACK" => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
        "DISCONNECT" => &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
            0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
        "AUTH" => &[0x00, 0x18],
        _ => &[],
    }
}
