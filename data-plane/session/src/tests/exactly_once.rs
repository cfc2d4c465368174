//! QoS 2, both ways.

use contract::qos::Qos;

use super::script::{Play, bounds, check, settings};
use crate::{Bounds, Settings};

fn within(bounds: Bounds) -> Settings {
    Settings { bounds, ..settings() }
}

/// [MQTT-4.3.3-2]: PUBREC with the identifier of the PUBLISH, PUBCOMP with that of the PUBREL.
#[test]
fn a_message_is_received_then_released() {
    check(
        settings(),
        "publish a 2 7\npubrel 7",
        "publish a 2
         send PUBREC 7
         send PUBCOMP 7",
    );
}

/// [MQTT-4.3.3-2]: until PUBREL, the same identifier is the same message, whatever its DUP flag says.
#[test]
fn a_repeated_identifier_is_acknowledged_and_not_handed_on() {
    check(
        settings(),
        "publish a 2 7\npublish a 2 7\npublish b 2 8\npublish a 2 7\npubrel 7\npublish a 2 7",
        "publish a 2
         send PUBREC 7
         repeated a
         send PUBREC 7
         publish b 2
         send PUBREC 8
         repeated a
         send PUBREC 7
         send PUBCOMP 7
         publish a 2
         send PUBREC 7",
    );
}

/// The client may have lost PUBCOMP, or the server the message, and must come to an end all the same.
#[test]
fn what_is_not_known_is_answered_too() {
    check(
        settings(),
        "pubrel 9\npubrec 9\npubcomp 9\npubrel 9\nping",
        "send PUBCOMP 9\nsend PUBREL 9\nsend PUBCOMP 9\nsend PINGRESP",
    );
}

#[test]
fn a_refused_message_closes_for_nothing_else_would_be_honest() {
    check(settings(), "publish no 2 7\nping", "close not_authorized");
}

#[test]
fn so_many_messages_are_received_and_not_released_and_no_more() {
    check(
        within(Bounds { in_flight_max: 2, ..bounds() }),
        "publish a 2 1\npublish a 2 2\npubrel 1\npublish a 2 3\npublish a 2 3\npublish a 1 4\npublish a 2 5\nping",
        "publish a 2
         send PUBREC 1
         publish a 2
         send PUBREC 2
         send PUBCOMP 1
         publish a 2
         send PUBREC 3
         repeated a
         send PUBREC 3
         publish a 1
         send PUBACK 4
         close in_flight_messages_max",
    );
}

/// [MQTT-4.3.3-1]: PUBREL when PUBREC comes; the identifier is in use until PUBCOMP.
#[test]
fn a_message_for_the_client_takes_its_four_steps() {
    check(
        within(Bounds { in_flight_max: 1, ..bounds() }),
        "deliver a 2 granted 2
         deliver b 2 granted 2
         deliver c 1 granted 2
         pubrec 1
         pubrec 1
         pubcomp 1
         pubrec 2
         pubcomp 2
         puback 3
         deliver d 2 granted 1",
        "send PUBLISH a 2 1
         wait b
         wait c
         send PUBREL 1
         send PUBREL 1
         send PUBLISH b 2 2
         send PUBREL 2
         send PUBLISH c 1 3
         send PUBLISH d 1 4",
    );
}

/// [MQTT-4.6.0-4], [MQTT-4.6.0-6]: PUBREL in the order of PUBREC, messages in the order in which they came.
#[test]
fn pubrel_follows_the_order_of_pubrec() {
    check(
        settings(),
        "deliver a 2 granted 2\ndeliver b 2 granted 2\ndeliver c 2 granted 2\npubrec 2\npubrec 1\npubcomp 1\npubrec 3",
        "send PUBLISH a 2 1
         send PUBLISH b 2 2
         send PUBLISH c 2 3
         send PUBREL 2
         send PUBREL 1
         send PUBREL 3",
    );
}

/// [MQTT-4.8.0-1]: an answer to a message of another QoS, or one step too early, closes.
#[test]
fn a_wrong_step_closes() {
    for (script, sent) in [
        ("deliver a 1 granted 1\npubrec 1", "send PUBLISH a 1 1"),
        ("deliver a 1 granted 1\npubcomp 1", "send PUBLISH a 1 1"),
        ("deliver a 2 granted 2\npuback 1", "send PUBLISH a 2 1"),
        ("deliver a 2 granted 2\npubcomp 1", "send PUBLISH a 2 1"),
        ("deliver a 2 granted 2\npubrec 1\npuback 1", "send PUBLISH a 2 1\nsend PUBREL 1"),
    ] {
        check(settings(), &format!("{script}\nping"), &format!("{sent}\nclose protocol_error"));
    }
}

#[test]
fn the_lower_qos_of_three_decides() {
    let mut play = Play::new(settings());
    for published in 0..=2 {
        for granted in 0..=2 {
            let sent = play.run(&format!("deliver a {published} granted {granted}"));
            let qos = published.min(granted);
            assert!(sent.starts_with(&format!("send PUBLISH a {qos}")), "{published} {granted}: {sent}");
        }
    }
    assert_eq!(play.session.in_flight(), 4);
}

#[test]
fn identifiers_beyond_the_first_word_take_the_same_steps() {
    let mut play = Play::new(within(Bounds { in_flight_max: 200, ..bounds() }));
    for packet_id in 1..=200 {
        let sent = play.run("deliver a 2 granted 2");
        assert_eq!(sent, format!("send PUBLISH a 2 {packet_id}\n"));
    }
    for packet_id in (1..=200).rev() {
        let sent = play.run(&format!("pubrec {packet_id}\npubcomp {packet_id}"));
        assert_eq!(sent, format!("send PUBREL {packet_id}\n"));
    }
    assert_eq!(play.session.in_flight(), 0);
    assert!(matches!(play.deliver("a", b"", Qos::ExactlyOnce, Qos::ExactlyOnce), crate::Delivered::Sent(_)));
}
