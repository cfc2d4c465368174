//! Messages for one client: `{topic}/p2p/{client_id}` is a name that leads to that client, and to nobody else.
//!
//! No subscription matches such a name, however wide it is. So that this holds wherever messages are stored and looked
//! up by filters, they go through the log under another name, which begins with `$p2p/`: a wildcard in the first level
//! matches no topic that begins with `$` [MQTT-4.7.2-1], and no client may subscribe to, or publish to, such a topic.

use crate::topic::TopicFilter;

/// The second level of the name of a message for one client.
pub const LEVEL: &str = "p2p";

/// What stands before the name under which such a message is stored.
pub const STORED_PREFIX: &str = "$p2p/";

/// The client identifier of whom a message published to `topic` is for; `None`: it is for those who subscribe.
///
/// It is all that follows the second level, so it may hold `/`.
#[must_use]
pub fn receiver(topic: &str) -> Option<&str> {
    let (_, behind) = topic.split_once('/')?;
    behind.strip_prefix(LEVEL)?.strip_prefix('/').filter(|client_id| !client_id.is_empty())
}

/// The name under which it is stored.
#[must_use]
pub fn stored(topic: &str) -> Box<str> {
    [STORED_PREFIX, topic].concat().into()
}

/// The topic of a stored message, as its receivers know it.
#[inline]
#[must_use]
pub fn named(stored: &str) -> &str {
    stored.strip_prefix(STORED_PREFIX).unwrap_or(stored)
}

/// What finds the stored messages for one client; `None`: no topic can name it, since its identifier has a wildcard or is
/// empty.
#[must_use]
pub fn stored_filter(client_id: &str) -> Option<TopicFilter> {
    if client_id.is_empty() || client_id.contains(['+', '#']) {
        return None;
    }
    format!("{STORED_PREFIX}+/{LEVEL}/{client_id}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whom_it_is_for() {
        for (topic, client_id) in [
            ("up/p2p/pump", Some("pump")),
            ("/p2p/pump", Some("pump")),
            ("up/p2p/line/7/pump", Some("line/7/pump")),
            ("up/p2p//", Some("/")),
            ("up/p2p/p2p/p2p", Some("p2p/p2p")),
            ("up/p2p/", None),
            ("up/p2p", None),
            ("p2p/pump", None),
            ("up/x/p2p/pump", None),
            ("up/p2px/pump", None),
            ("up", None),
        ] {
            assert_eq!(receiver(topic), client_id, "{topic}");
        }
    }

    #[test]
    fn stored_it_is_found_by_its_receiver_alone() {
        let is_found = |filter: &TopicFilter, topic: &str| filter.matches(&stored(topic));
        let of_pump = stored_filter("line/pump").expect("a filter");
        assert!(is_found(&of_pump, "up/p2p/line/pump") && is_found(&of_pump, "/p2p/line/pump"));
        assert!(!is_found(&of_pump, "up/p2p/pump") && !is_found(&of_pump, "up/p2p/line/pump/x"));
        for wild in ["#", "+/#", "+/p2p/#", "+/+/p2p/line/pump", "up/p2p/line/pump"] {
            assert!(!is_found(&wild.parse().expect("a filter"), "up/p2p/line/pump"), "{wild}");
        }
        assert_eq!(named(&stored("up/p2p/pump")), "up/p2p/pump");
        assert_eq!(named("up/pump"), "up/pump");
    }

    #[test]
    fn no_topic_names_a_client_with_a_wildcard() {
        for client_id in ["", "a+", "#", "a/+/b"] {
            assert_eq!(stored_filter(client_id), None, "{client_id}");
        }
    }
}
