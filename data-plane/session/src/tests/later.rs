//! Acknowledgements that wait until a message is safe.

use super::script::{Play, check, settings};

#[test]
fn a_message_that_is_made_safe_is_acknowledged_when_it_is() {
    check(
        settings(),
        "publish safe/a 1 7\nping\ncommitted 7\npublish safe/b 2 8\ncommitted 8\npubrel 8",
        "publish safe/a 1
         send PINGRESP
         send PUBACK 7
         publish safe/b 2
         send PUBREC 8
         send PUBCOMP 8",
    );
}

/// [MQTT-4.6.0-2], [MQTT-4.6.0-3].
#[test]
fn acknowledgements_never_overtake_one_another() {
    check(
        settings(),
        "publish safe/a 1 1\npublish b 1 2\npublish safe/c 2 3\npublish d 2 4\npublish e 1 5\ncommitted 1\ncommitted 3\npublish f 1 6",
        "publish safe/a 1
         publish b 1
         publish safe/c 2
         publish d 2
         publish e 1
         send PUBACK 1
         send PUBACK 2
         send PUBREC 3
         send PUBREC 4
         send PUBACK 5
         publish f 1
         send PUBACK 6",
    );
}

#[test]
fn what_is_safe_early_waits_for_what_came_before() {
    check(
        settings(),
        "publish safe/a 1 1\npublish safe/b 1 2\ncommitted 2\ncommitted 1",
        "publish safe/a 1\npublish safe/b 1\nsend PUBACK 1\nsend PUBACK 2",
    );
}

#[test]
fn a_repeated_identifier_of_qos_1_is_owed_twice() {
    check(
        settings(),
        "publish safe/a 1 1\npublish safe/a 1 1\ncommitted 1\ncommitted 1",
        "publish safe/a 1\npublish safe/a 1\nsend PUBACK 1\nsend PUBACK 1",
    );
}

#[test]
fn a_repeated_message_of_qos_2_is_acknowledged_once_while_it_is_made_safe() {
    check(
        settings(),
        "publish safe/a 2 1\npublish safe/a 2 1\ncommitted 1\npubrel 1",
        "publish safe/a 2\nrepeated safe/a\nsend PUBREC 1\nsend PUBCOMP 1",
    );
}

#[test]
fn what_is_not_received_cannot_be_released() {
    check(settings(), "publish safe/a 2 1\npubrel 1\ncommitted 1", "publish safe/a 2\nclose protocol_error");
}

/// A late PUBREC would be taken for that of the next message with the same identifier.
#[test]
fn nothing_more_is_said_of_repetitions_once_a_message_is_released() {
    check(
        settings(),
        "publish a 2 1\npublish safe/b 1 2\npublish a 2 1\npubrel 1\npublish safe/c 2 1\ncommitted 2\ncommitted 1",
        "publish a 2
         send PUBREC 1
         publish safe/b 1
         repeated a
         send PUBCOMP 1
         publish safe/c 2
         send PUBACK 2
         send PUBREC 1",
    );
}

#[test]
fn a_message_that_cannot_be_made_safe_closes_without_an_acknowledgement() {
    for qos in 1..=2 {
        check(
            settings(),
            &format!("publish safe/a {qos} 1\npublish b 1 2\nfailed 1\ncommitted 1\nfailed 1\nping"),
            &format!("publish safe/a {qos}\npublish b 1\nclose storage_unavailable"),
        );
    }
}

#[test]
fn qos_0_is_never_acknowledged() {
    check(settings(), "publish safe/a 0\nping", "publish safe/a 0\nsend PINGRESP");
}

#[test]
fn so_many_acknowledgements_are_owed_and_no_more() {
    let mut play = Play::new(settings());
    play.run("publish safe/a 1 65535");
    for packet_id in 1..65_535 {
        play.run(&format!("publish a 1 {packet_id}"));
    }
    assert_eq!(play.session.owed(), 65_535);
    assert_eq!(play.run("publish a 1 1"), "publish a 1\nclose in_flight_messages_max\n");
}
