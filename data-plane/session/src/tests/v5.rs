//! What is other in MQTT 5.0: a client's messages and subscriptions, and what is answered to them.

use mqtt::Version;

use super::kept::Kept;
use super::script::{Play, bounds, check, settings_of};
use crate::{Bounds, Settings};

pub(super) fn settings() -> Settings {
    settings_of(Version::V5)
}

// --- messages of the client ---

/// [MQTT-4.3.2-4], [MQTT-4.3.3-8]
#[test]
fn what_nobody_is_subscribed_to_is_taken_and_said_so() {
    let script = "publish nobody/a 1 7\npublish nobody/a 2 8\npubrel 8\npublish nobody/a 0";
    check(
        settings(),
        script,
        "publish nobody/a 1
         send PUBACK 7 0x10
         publish nobody/a 2
         send PUBREC 8 0x10
         send PUBCOMP 8
         publish nobody/a 0",
    );
    check(
        settings_of(Version::V311),
        script,
        "publish nobody/a 1
         send PUBACK 7
         publish nobody/a 2
         send PUBREC 8
         send PUBCOMP 8
         publish nobody/a 0",
    );
}

/// [MQTT-3.3.5-2], [MQTT-4.3.3-9]: a QoS 2 exchange that is refused is over, and its identifier free.
#[test]
fn a_refused_message_is_answered_with_its_reason_and_the_connection_goes_on() {
    check(
        settings(),
        "publish no/a 1 7\npublish no/a 2 8\npublish no/a 0\npublish text/a 1 9\npubrel 8\npublish a 2 8\nping",
        "refused not_authorized
         send PUBACK 7 0x87
         refused not_authorized
         send PUBREC 8 0x87
         refused not_authorized
         refused payload_format_invalid
         send PUBACK 9 0x99
         send PUBCOMP 8 0x92
         publish a 2
         send PUBREC 8
         send PINGRESP",
    );
}

#[test]
fn what_is_wrong_with_more_than_a_message_ends_the_connection() {
    check(settings(), "publish broken 1 7\nping", "close protocol_error");
    check(settings(), "publish broken 2 7\nping", "close protocol_error");
}

/// [MQTT-4.6.0-2], [MQTT-4.6.0-3]
#[test]
fn refusals_are_told_in_the_order_of_the_messages() {
    check(
        settings(),
        "publish safe/a 1 1\npublish no/a 1 2\npublish safe/b 2 3\npublish nobody/a 1 4\ncommitted 1\nfailed 3",
        "publish safe/a 1
         refused not_authorized
         publish safe/b 2
         publish nobody/a 1
         send PUBACK 1
         send PUBACK 2 0x87
         refused storage_unavailable
         send PUBREC 3 0x83
         send PUBACK 4 0x10",
    );
}

#[test]
fn what_is_not_safe_after_all_was_never_received() {
    check(
        settings(),
        "publish safe/a 2 3\nfailed 3\npubrel 3\npublish safe/a 2 3\ncommitted 3\npubrel 3",
        "publish safe/a 2
         refused storage_unavailable
         send PUBREC 3 0x83
         send PUBCOMP 3 0x92
         publish safe/a 2
         send PUBREC 3
         send PUBCOMP 3",
    );
}

/// What a lasting session has noted together with a message cannot be taken back on the same connection.
#[test]
fn a_lasting_session_is_told_of_qos_1_and_closed_at_qos_2() {
    let mut kept = Kept::with(settings());
    assert_eq!(
        kept.run("write\nstored\npublish safe/a 1 3\nfailed 3\npublish safe/a 2 4\nfailed 4"),
        "write s p\npublish safe/a 1\nrefused storage_unavailable\nsend PUBACK 3 0x83\npublish safe/a 2\nclose storage_unavailable\n"
    );
}

/// [MQTT-3.3.4-7], [MQTT-3.3.4-8]
#[test]
fn a_client_has_as_many_messages_unacknowledged_as_it_was_told_and_no_more() {
    let two = || Settings { receive_max: 2, ..settings() };
    check(
        two(),
        "publish safe/a 1 1\npublish safe/a 1 2\ncommitted 1\npublish safe/a 1 3\npublish a 0\npublish safe/a 1 4\nping",
        "publish safe/a 1
         publish safe/a 1
         send PUBACK 1
         publish safe/a 1
         publish a 0
         close receive_max",
    );
    check(
        two(),
        "publish a 2 1\npublish no/a 2 2\npublish a 2 3\npublish a 2 3\npubrel 1\npublish a 2 4\npublish a 1 5\nping",
        "publish a 2
         send PUBREC 1
         refused not_authorized
         send PUBREC 2 0x87
         publish a 2
         send PUBREC 3
         repeated a
         send PUBREC 3
         send PUBCOMP 1
         publish a 2
         send PUBREC 4
         close receive_max",
    );
}

/// [MQTT-4.9.0-2]: until the client is told that it was refused, a message is unacknowledged like any other.
#[test]
fn a_refusal_that_waits_its_turn_counts_for_the_quota() {
    let two = || Settings { receive_max: 2, ..settings() };
    let begin = "publish safe/a 1
         refused not_authorized
         ";
    check(
        two(),
        "publish safe/a 1 1\npublish no/a 2 2\npublish no/a 2 3\nping",
        &format!("{begin}close receive_max"),
    );
    check(
        two(),
        "publish safe/a 1 1\npublish no/a 2 2\ncommitted 1\npublish a 2 3\npublish a 2 4\npublish a 2 5",
        &format!(
            "{begin}send PUBACK 1
             send PUBREC 2 0x87
             publish a 2
             send PUBREC 3
             publish a 2
             send PUBREC 4
             close receive_max"
        ),
    );
    check(
        two(),
        "publish safe/a 2 1\npublish safe/a 2 2\nfailed 2\npublish safe/a 1 3\nping",
        "publish safe/a 2
         publish safe/a 2
         refused storage_unavailable
         close receive_max",
    );
}

/// It is refused, and the alias stands for nothing after it.
#[test]
fn no_alias_holds_a_topic_that_is_too_long() {
    let bounds = Bounds { topic_bytes_max: 4, ..bounds() };
    let mut play = Play::new(Settings { server_alias_max: 2, bounds, ..settings() });
    play.run("publish no/a 0 alias=2\npublish no/a/b 0 alias=2\npublish no/a/b 0 alias=1");
    for number in [1, 2] {
        let number = std::num::NonZeroU16::new(number).expect("from 1");
        assert_eq!(play.session.topic_of_alias(number), None);
    }
    assert_eq!(play.run("publish - 0 alias=2"), "close protocol_error\n");
}

/// What was received on an earlier connection does not count [MQTT-3.3.4-8].
#[test]
fn the_next_connection_has_its_whole_quota_again() {
    let mut kept = Kept::with(Settings { receive_max: 2, ..settings() });
    let effects = kept.run("publish a 2 1\npublish a 2 2\nreconnect\npublish a 2 3\npublish a 2 4\nping");
    assert!(effects.ends_with("send PUBREC 3\npublish a 2\nsend PUBREC 4\nsend PINGRESP\n"), "{effects}");
    let effects = kept.run("pubrel 1\npublish a 2 5");
    assert!(effects.ends_with("close receive_max\n"), "{effects}");
}

/// [MQTT-3.3.2-7], [MQTT-3.3.2-10], [MQTT-3.3.2-12]
#[test]
fn an_alias_of_the_client_stands_for_its_topic() {
    let two = || Settings { server_alias_max: 2, ..settings() };
    check(
        two(),
        "publish a/b 0 alias=1\npublish - 1 7 alias=1\npublish c 0 alias=1\npublish - 2 8 alias=1 type=x\npublish no/d 0 alias=2\npublish - 0 alias=2\npublish - 0 alias=3",
        "publish a/b 0
         publish a/b 1
         send PUBACK 7
         publish c 0
         publish c 2 type=x
         send PUBREC 8
         refused not_authorized
         refused not_authorized
         close topic_alias_invalid",
    );
    check(two(), "publish - 0 alias=2\nping", "close protocol_error");
    check(settings(), "publish a 0 alias=1\nping", "close topic_alias_invalid");
    let mut play = Play::new(two());
    play.run("publish a/b 0 alias=2");
    let topic = |alias| play.session.topic_of_alias(std::num::NonZeroU16::new(alias).expect("from 1"));
    assert_eq!((topic(1), topic(2), topic(u16::MAX)), (None, Some("a/b"), None));
}

#[test]
fn what_a_message_carries_is_handed_on() {
    check(
        settings(),
        "publish a 0 expiry=9 type=x\npublish a 1 3 expiry=0 retain",
        "publish a 0 expiry=9 type=x\npublish a 1 retain expiry=0\nsend PUBACK 3",
    );
}

// --- subscriptions ---

/// [MQTT-3.8.4-6], [MQTT-3.9.3-1], [MQTT-3.11.3-1]
#[test]
fn each_filter_has_its_reason_code_in_order() {
    check(
        settings(),
        "subscribe 3 a/b:1 no/x:1 c/#:0 d:2\nunsubscribe 4 a/b no/x d d\nsubscribe 5 c/#:1",
        "subscribe a/b 1
         refused not_authorized
         subscribe c/# 0
         subscribe d 2
         send SUBACK 3 1 0x87 0 2
         unsubscribe a/b
         unsubscribe d
         send UNSUBACK 4 0x00 0x11 0x00 0x11
         subscribe c/# 1 again
         send SUBACK 5 1",
    );
}

#[test]
fn a_lasting_session_answers_with_reason_codes_when_it_is_safe() {
    let mut kept = Kept::with(settings());
    assert_eq!(
        kept.run("subscribe 3 a:1np no:1 id=9\nunsubscribe 4 a b\nwrite\nstored"),
        "subscribe a 1 no-local as-published id=9
refused not_authorized
unsubscribe a
write s p
send SUBACK 3 1 0x87
send UNSUBACK 4 0x00 0x11
"
    );
}

#[test]
fn options_and_identifier_reach_the_surroundings() {
    check(
        settings(),
        "subscribe 1 a:1npi b:0d c:2 id=268435455\nsubscribe 2 a:1i",
        "subscribe a 1 no-local as-published retained-if-new id=268435455
         subscribe b 0 no-retained id=268435455
         subscribe c 2 id=268435455
         send SUBACK 1 1 0 2
         subscribe a 1 retained-if-new again
         send SUBACK 2 1",
    );
}
