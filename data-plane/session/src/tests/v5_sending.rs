//! What is other in MQTT 5.0: messages for the client, what it takes of them, and what it says to them.

use mqtt::Version;

use super::kept::Kept;
use super::script::{Play, bounds, check, settings_of};
use super::v5::settings;
use crate::{Bounds, ClientSide, Settings};

fn client(client: ClientSide) -> Settings {
    Settings { client, ..settings() }
}

/// [MQTT-4.3.3-4]: from 0x80 on, PUBREC is the end.
#[test]
fn a_client_that_refuses_a_message_has_done_with_it() {
    let one = Settings { bounds: Bounds { in_flight_max: 1, ..bounds() }, ..settings() };
    check(
        one,
        "deliver a 2 granted 2\ndeliver b 1 granted 1\ndeliver c 2 granted 2\npubrec 1 128\npubrec 1 128\npuback 2 135\npubrec 3\npubrec 3 128\npubcomp 3",
        "send PUBLISH a 2 1
         wait b
         wait c
         send PUBLISH b 1 2
         send PUBLISH c 2 3
         send PUBREL 3",
    );
}

#[test]
fn a_lasting_session_lets_an_identifier_rest_after_a_refusal_too() {
    let mut kept = Kept::with(settings());
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
    let effects =
        kept.run("logged a 2 5\nwrite\nstored\npubrec 1 128\nlogged b 1 6\nlogged c 1 7\nwrite\nstored");
    let expected = "wait a\nwrite p\nsend PUBLISH a 2 1\nsend PUBLISH b 1 2\nsend PUBLISH c 1 3\nwrite p\n";
    assert_eq!(effects, expected);
    kept.run("puback 2\npuback 3\nmark 9");
    let effects = kept.run("crash\nwant\npage 5:a:2 6:b:1 7:c:1 next 9");
    assert!(!effects.contains("PUBLISH a"), "it is not sent again: {effects}");
}

/// [MQTT-4.3.3-11]: what is not known is answered, and said to be unknown.
#[test]
fn unknown_identifiers_are_named() {
    check(
        settings(),
        "pubrel 9\npubrec 9\npubcomp 9\npubrec 9 128\npuback 9\nping",
        "send PUBCOMP 9 0x92\nsend PUBREL 9 0x92\nsend PINGRESP",
    );
    let mut kept = Kept::with(settings());
    assert_eq!(kept.run("pubrel 9\npubrec 9\npubcomp 9"), "send PUBCOMP 9 0x92\nsend PUBREL 9 0x92\n");
}

/// [MQTT-3.3.4-9], and QoS 0 goes on meanwhile [MQTT-4.9.0-2], [MQTT-4.9.0-3].
#[test]
fn no_more_is_in_flight_than_the_client_takes() {
    check(
        client(ClientSide { receive_max: 2, ..ClientSide::default() }),
        "deliver a 1 granted 1\ndeliver b 2 granted 2\ndeliver c 1 granted 1\ndeliver d 0 granted 1\npubrec 2\npubcomp 2",
        "send PUBLISH a 1 1
         send PUBLISH b 2 2
         wait c
         send PUBLISH d 0
         send PUBREL 2
         send PUBLISH c 1 3",
    );
}

/// [MQTT-3.3.4-9] and [MQTT-4.4.0-1]: what is sent again waits as well.
#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let mut kept = Kept::with(settings());
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant\nlogged a 1 5\nlogged b 1 6\nlogged c 1 7\nmark 9");
    kept.settings.client.receive_max = 2;
    assert_eq!(
        kept.run("reconnect\nwant\npage 5:a:1 6:b:1 7:c:1 next 9\nwant\npuback 2\nwant\npage 7:c:1 next 9"),
        "want 5 to 9
send PUBLISH a 1 1 dup
send PUBLISH b 1 2 dup
want 7 to 9
send PUBLISH c 1 3 dup
"
    );
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]: dropped, and the message behind it comes.
#[test]
fn a_message_that_is_larger_than_the_client_takes_is_passed_over() {
    let small = || client(ClientSide { packet_bytes_max: Some(20), ..ClientSide::default() });
    check(
        small(),
        "deliver long/long/long 1 granted 1\ndeliver a 1 granted 1\ndeliver long/long/long 0 granted 0\ndeliver a 0 granted 0 type=longer",
        "drop long/long/long client_packet_bytes_max
         send PUBLISH a 1 1
         drop long/long/long client_packet_bytes_max
         drop a client_packet_bytes_max",
    );
    let mut kept = Kept::with(small());
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
    assert_eq!(
        kept.run("logged long/long/long 1 5\nlogged a 1 6\nmark 9\nreconnect\nwant\npage 5:long/long/long:1 6:a:1 7:long/long/long:2 8:b:1 next 9"),
        "drop long/long/long client_packet_bytes_max
send PUBLISH a 1 1
want 6 to 9
send PUBLISH a 1 1 dup
pass 7 client_packet_bytes_max
send PUBLISH b 1 2
"
    );
}

/// A client may come back with a smaller maximum: of what it has in flight at QoS 2 it is told to forget the identifier.
#[test]
fn what_has_become_too_large_is_brought_to_its_end() {
    let mut kept = Kept::with(settings());
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant\nlogged long/long/long 2 5\nwrite\nstored\nmark 9");
    kept.settings.client.packet_bytes_max = Some(20);
    assert_eq!(
        kept.run(
            "reconnect\nwant\npage 5:long/long/long:2 next 9\nwrite\nstored\npubcomp 1\ndeliver a 0 granted 0"
        ),
        "want 5 to 9\npass 5 client_packet_bytes_max\nwrite s p\nsend PUBREL 1\nsend PUBLISH a 0\n"
    );
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn an_expiry_counts_down_while_a_message_waits_and_then_it_is_not_sent() {
    let one = |version| Settings { bounds: Bounds { in_flight_max: 1, ..bounds() }, ..settings_of(version) };
    let script = "unix 1000\ndeliver a 1 granted 1 expires=4000\ndeliver b 1 granted 1 expires=9001\ndeliver c 1 granted 1 expires=5000\ndeliver d 1 granted 1\ndeliver e 0 granted 0 expires=1000\nunix 6000\npuback 1\npuback 2";
    check(
        one(Version::V5),
        script,
        "send PUBLISH a 1 1 expiry=3
         wait b
         wait c
         wait d
         drop e message_expired
         send PUBLISH b 1 2 expiry=4
         drop waiting 20 message_expired
         send PUBLISH d 1 3",
    );
    check(
        one(Version::V311),
        script,
        "send PUBLISH a 1 1
         wait b
         wait c
         wait d
         drop e message_expired
         send PUBLISH b 1 2
         drop waiting 14 message_expired
         send PUBLISH d 1 3",
    );
}

/// What the properties say goes to every subscriber of 5.0 as it was said, and to 3.1.1 without them
/// [MQTT-3.3.2-4], [MQTT-3.3.2-20].
#[test]
fn properties_go_to_those_who_can_read_them() {
    let script = "deliver a 1 granted 0 type=x\ndeliver b 1 granted 1 type=y expires=5000";
    check(settings(), script, "send PUBLISH a 0 type=x\nsend PUBLISH b 1 1 expiry=5 type=y");
    check(settings_of(Version::V311), script, "send PUBLISH a 0\nsend PUBLISH b 1 1");
}

/// [MQTT-3.3.2-8] and [MQTT-3.1.2-26], [MQTT-3.1.2-27]: never more aliases than the client allows, and a topic that waits
/// is said.
#[test]
fn a_topic_that_comes_often_is_said_once() {
    let few = |topic_alias_max| Settings {
        client: ClientSide { topic_alias_max, ..ClientSide::default() },
        bounds: Bounds { in_flight_max: 2, ..bounds() },
        ..settings()
    };
    check(
        few(1),
        "deliver often/often 0 granted 0\ndeliver often/often 1 granted 1\ndeliver short 0 granted 0\ndeliver often/often 2 granted 2\ndeliver often/often 1 granted 1\ndeliver often/often 0 granted 0\npuback 1",
        "send PUBLISH often/often 0 alias=1
         send PUBLISH - 1 1 alias=1
         send PUBLISH short 0
         send PUBLISH - 2 2 alias=1
         wait often/often
         send PUBLISH - 0 alias=1
         send PUBLISH often/often 1 3",
    );
    check(few(0), "deliver often/often 0 granted 0", "send PUBLISH often/often 0");
    let mut kept = Kept::with(few(9));
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
    let effects = kept.run("logged often/often 1 5\nlogged often/often 1 6\nlogged often/often 1 7\nmark 9\nreconnect\nlogged often/often 0 9");
    let lines: Vec<_> = effects.lines().map(|line| line.split(" alias").next().unwrap_or_default()).collect();
    let expected = [
        "send PUBLISH often/often 1 1",
        "send PUBLISH - 1 2",
        "leave often/often",
        "send PUBLISH often/often 0",
    ];
    assert_eq!(lines, expected, "each connection has its own");
}

/// [MQTT-3.1.2-24]: an alias is not worth a message. Said for the first time it takes three bytes more than the topic.
#[test]
fn a_message_that_is_too_large_with_a_new_alias_goes_without_it() {
    let script = "deliver often/often 0 granted 0\ndeliver often/often 1 granted 1\ndeliver often/often 1 granted 1 type=longer";
    let side =
        |most| ClientSide { topic_alias_max: 1, packet_bytes_max: Some(most), ..ClientSide::default() };
    check(
        client(side(26)),
        script,
        "send PUBLISH often/often 0 alias=1
         send PUBLISH - 1 1 alias=1
         send PUBLISH - 1 2 alias=1 type=longer",
    );
    for most in [25, 27] {
        let mut kept = Kept::with(client(side(most)));
        kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
        assert_eq!(
            kept.run("logged often/often 1 5\nlogged often/often 1 6"),
            "send PUBLISH often/often 1 1\nsend PUBLISH often/often 1 2\n",
            "the alias would need 28"
        );
    }
    let small = Bounds { outbox_bytes_max: 25, ..bounds() };
    check(
        Settings { bounds: small, ..client(ClientSide { topic_alias_max: 1, ..ClientSide::default() }) },
        "deliver often/often 1 granted 1\nread\ndeliver often/often 0 granted 0",
        "send PUBLISH often/often 1 1\nsend PUBLISH often/often 0",
    );
}

/// [MQTT-3.1.2-25]: what was passed over is behind the session, though something before it is not.
#[test]
fn what_is_too_large_is_passed_over_once() {
    let small = client(ClientSide { packet_bytes_max: Some(20), ..ClientSide::default() });
    let mut kept = Kept::with(small);
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant");
    let page = "want\npage 5:a:1 6:long/long/long:1 7:long/long/long:1 8:b:1 next 9\n";
    assert_eq!(
        kept.run(&format!("logged a 1 5\nlogged long/long/long 1 6\nmark 9\nreconnect\n{page}")),
        "send PUBLISH a 1 1
drop long/long/long client_packet_bytes_max
want 5 to 9
send PUBLISH a 1 1 dup
pass 7 client_packet_bytes_max
send PUBLISH b 1 2
"
    );
    assert_eq!(
        kept.run(&format!("reconnect\nwrite\nstored\ncrash\n{page}")),
        "write s p\nwant 5 to 9\nsend PUBLISH a 1 1\nsend PUBLISH b 1 2\n"
    );
}

/// However much of it comes behind one message that is not acknowledged, what is remembered of it is bounded.
#[test]
fn what_is_passed_over_takes_no_memory_without_end() {
    let two = Settings { bounds: Bounds { in_flight_max: 2, ..bounds() }, ..settings() };
    let side = ClientSide { packet_bytes_max: Some(20), ..ClientSide::default() };
    let mut kept = Kept::with(Settings { client: side, ..two });
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant\nlogged a 1 5");
    for record in 6..100 {
        kept.run(&format!("logged long/long/long 1 {record}"));
    }
    let lasting = kept.play.session.lasting().expect("it lasts");
    assert_eq!(lasting.sending.done_from(engine::Pos::START).len(), 8);
    assert_eq!(kept.run("puback 1\nlogged b 1 100"), "send PUBLISH b 1 2\n");
}

/// [MQTT-3.3.2-5]: a message that waits for its identifier to be safe may be over by then, and what waits goes on.
#[test]
fn what_is_over_when_its_identifier_is_safe_is_not_sent() {
    let one = Settings { bounds: Bounds { in_flight_max: 1, ..bounds() }, ..settings() };
    let mut kept = Kept::with(one);
    kept.run("subscribe 1 #:2\nwrite\nstored\nwant\nunix 1000");
    assert_eq!(
        kept.run("deliver a 2 granted 2 expires=4000\ndeliver b 1 granted 1\nwrite\nunix 4000\nstored\nping"),
        "wait a\nwait b\nwrite p\ndrop waiting 20 message_expired\nsend PUBLISH b 1 2\nsend PINGRESP\n"
    );
    assert_eq!(kept.run("write\nstored\npuback 2"), "write p\n");
    assert_eq!((kept.play.session.in_flight(), kept.play.session.waiting_bytes()), (0, 0));
    // Of one that stands in the log it is said which.
    assert_eq!(
        kept.run("logged a 2 5 expires=5000\nwrite\nunix 5000\nstored"),
        "wait a\nwrite p\npass 5 message_expired\n"
    );
}

/// [MQTT-3.1.2-29]: words only to who wants them, and only where they fit.
#[test]
fn a_refusal_is_explained_to_those_who_want_to_know() {
    let bytes = |client: ClientSide, script: &str| {
        let mut play = Play::new(Settings { client, ..settings() });
        play.run(script);
        play.scribe.output
    };
    let says = |bytes: &[u8]| bytes.windows(14).any(|it| it == b"not_authorized");
    let wants = ClientSide::default();
    for script in ["publish no 1 7", "publish no 2 7", "subscribe 7 no:1"] {
        assert!(says(&bytes(wants, script)), "{script}");
        assert!(!says(&bytes(ClientSide { wants_problem_info: false, ..wants }, script)), "{script}");
        for most in 8..60 {
            let answer = bytes(ClientSide { packet_bytes_max: Some(most), ..wants }, script);
            assert!(answer.len() <= most as usize || !says(&answer), "{script} in {most}");
            assert!(!answer.is_empty());
        }
    }
}

/// [MQTT-3.1.2-24]: an answer that the client does not take would leave it waiting.
#[test]
fn an_answer_that_is_larger_than_the_client_takes_is_not_sent() {
    let small = || client(ClientSide { packet_bytes_max: Some(9), ..ClientSide::default() });
    check(small(), "subscribe 1 a:1 b:1", "subscribe a 1\nsubscribe b 1\nsend SUBACK 1 1 1");
    check(small(), "subscribe 1 a:1 b:1 c:1\nping", "close packet_bytes_max");
    check(small(), "unsubscribe 1 a b", "send UNSUBACK 1 0x11 0x11");
    check(small(), "unsubscribe 1 a b c\nping", "close packet_bytes_max");
}
