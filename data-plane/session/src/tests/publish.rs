//! Messages of the client.

use super::script::{check, settings};

#[test]
fn qos_0_is_handed_on_and_not_answered() {
    check(settings(), "publish a/b 0", "publish a/b 0");
}

#[test]
fn qos_1_is_acknowledged_after_it_was_accepted() {
    check(settings(), "publish a/b 1 7", "publish a/b 1\nsend PUBACK 7");
}

#[test]
fn the_same_packet_identifier_again_is_a_new_message() {
    let twice = "publish a 1\nsend PUBACK 7\npublish a 1\nsend PUBACK 7";
    check(settings(), "publish a 1 7\npublish a 1 7", twice);
}

#[test]
fn a_refused_message_of_qos_0_is_dropped_and_counted_and_the_client_stays() {
    check(settings(), "publish no 0\nping", "refused not_authorized\nsend PINGRESP");
}

#[test]
fn a_refused_message_of_qos_1_closes_for_nothing_else_would_be_honest() {
    check(settings(), "publish no 1 7\nping", "close not_authorized");
}

#[test]
fn a_message_that_is_to_be_kept_for_its_topic_is_handed_on_as_one() {
    check(
        settings(),
        "publish a 0 retain\npublish a 1 7 retain\npublish no 1 8 retain",
        "publish a 0 retain\npublish a 1 retain\nsend PUBACK 7\nclose not_authorized",
    );
}
