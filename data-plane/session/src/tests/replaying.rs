//! A lasting session between the feed and the log.

use engine::Pos;

use super::kept::{Kept, check, check_within};
use super::script::bounds;
use crate::Bounds;

fn window(in_flight_max: u16) -> Bounds {
    Bounds { in_flight_max, ..bounds() }
}

#[test]
fn a_client_that_keeps_up_takes_from_the_feed() {
    check("logged a 1 5\npuback 1\nmark 9\nwant\nlogged b 1 9", "send PUBLISH a 1 1\nsend PUBLISH b 1 2");
}

#[test]
fn what_there_is_no_room_for_is_left_to_the_log_and_taken_from_there() {
    check_within(
        window(1),
        "logged a 1 5\nlogged b 1 6\nlogged c 1 7\nmark 8\nwant\npuback 1\nwant\nwant
         page 6:b:1 7:c:1 next 8\nwant\npuback 2\nwant\npage 7:c:1 next 8\nmark 9\nlogged d 1 8\npuback 1\nmark 20\nwant
         page 8:d:1 next 20\npuback 2\nwant\nlogged e 1 20",
        "send PUBLISH a 1 1
         leave b
         leave c
         want 6 to 8
         send PUBLISH b 1 2
         want 7 to 8
         send PUBLISH c 1 1
         leave d
         want 8 to 20
         send PUBLISH d 1 2
         send PUBLISH e 1 1",
    );
}

#[test]
fn while_others_log_much_a_session_is_live_again_unless_the_feed_had_something_for_it() {
    check_within(
        window(1),
        "logged a 1 5\nlogged b 1 6\npuback 1\nmark 8\nwant\nmark 90\npage 6:b:1 next 8\npuback 2\nlogged c 1 95",
        "send PUBLISH a 1 1
         leave b
         want 6 to 8
         send PUBLISH b 1 2
         send PUBLISH c 1 1",
    );
    check_within(
        window(2),
        "logged a 1 5\nlogged b 1 6\nlogged c 1 7\npuback 1\npuback 2\nmark 8\nwant\nlogged d 1 50\nmark 90
         page 7:c:1 next 8\nwant\npage 50:d:1 next 90\nlogged e 1 90",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         leave c
         want 7 to 8
         leave d
         send PUBLISH c 1 3
         want 50 to 90
         send PUBLISH d 1 4
         leave e",
    );
}

#[test]
fn qos_0_is_never_left_to_the_log() {
    check_within(
        window(1),
        "logged a 1 5\nlogged b 1 6\nlogged c 0 7\npuback 1\nmark 9\nwant\npage 6:b:1 7:c:0 next 9",
        "send PUBLISH a 1 1\nleave b\nsend PUBLISH c 0\nwant 6 to 9\nsend PUBLISH b 1 2",
    );
}

#[test]
fn output_is_bounded_in_bytes_and_nothing_is_dropped() {
    check_within(
        Bounds { outbox_bytes_max: 30, ..bounds() },
        "read\nlogged a 1 5\nlogged b 1 6\nlogged c 1 7\nmark 9\nwant\nread\nwant\npage 7:c:1 next 9\nlogged d 1 9",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         leave c
         want 7 to 9
         send PUBLISH c 1 3
         send PUBLISH d 1 4",
    );
}

#[test]
fn a_page_that_brings_more_than_there_is_room_for_is_taken_in_part() {
    check_within(
        window(2),
        "mark 9\nreconnect\nwant\npage 5:a:1 6:b:2 7:c:1 next 9\nwant\nwrite\nstored\npuback 1\nwant\npage 7:c:1 next 9",
        "want 1 to 9
         send PUBLISH a 1 1
         write s p
         send PUBLISH b 2 2
         want 7 to 9
         send PUBLISH c 1 3",
    );
}

#[test]
fn a_page_that_is_cut_short_is_gone_on_from_where_it_ends() {
    check(
        "mark 9\nreconnect\nwant\npage 5:a:1 next 6\nwant\npage next 9\nwant\nlogged b 1 9",
        "want 1 to 9\nsend PUBLISH a 1 1\nwant 6 to 9\nsend PUBLISH b 1 2",
    );
}

#[test]
fn what_is_no_longer_wanted_or_not_yet_is_passed_over() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("unsubscribe 2 #\nmark 5\nsubscribe 3 a/+:1 a/b:2 c:0\nwrite\nstored\nmark 9\nreconnect");
    assert_eq!(
        kept.run("want\npage 4:a/b:2 5:a/b:2 6:a/c:2 7:c:1 8:d:1 next 9\nwrite\nstored"),
        "want 1 to 9\nsend PUBLISH a/c 1 2\nwrite s p\nsend PUBLISH a/b 2 1\n",
        "from the subscription on, at the highest QoS granted, and none at QoS 0"
    );
}

#[test]
fn an_expired_message_is_passed_over_unless_it_may_have_come() {
    check(
        "logged old/a 1 5\nmark 9\nreconnect\nwant\npage 5:old/a:1 6:old/b:1 7:c:1 next 9",
        "send PUBLISH old/a 1 1
         want 5 to 9
         send PUBLISH old/a 1 1 dup
         pass 6 message_expired
         send PUBLISH c 1 2",
    );
}

#[test]
fn passing_over_the_oldest_leaves_what_is_on_the_wire() {
    check_within(
        window(1),
        "logged a 1 5\nlogged b 1 6\nmark 9\nskip 8\npuback 1\nwant\npage 8:c:1 next 9",
        "send PUBLISH a 1 1\nleave b\nwant 8 to 9\nsend PUBLISH c 1 2",
    );
    check(
        "logged a 1 5\nlogged b 2 6\nwrite\nstored\nmark 9\nreconnect\nskip 8\nwant\nwrite\nstored",
        "send PUBLISH a 1 1
         wait b
         write p
         send PUBLISH b 2 2
         want 8 to 9
         write s p
         send PUBREL 2",
    );
}

#[test]
fn a_page_that_failed_is_asked_for_again() {
    let mut kept = Kept::subscribed(bounds());
    assert_eq!(kept.run("mark 9\nreconnect\nwant\nwant"), "want 1 to 9\n");
    kept.play.session.give_up_page();
    assert_eq!(kept.run("want"), "want 1 to 9\n");
}

#[test]
fn so_much_is_finished_beyond_one_that_is_not_and_no_more() {
    let mut kept = Kept::subscribed(window(2));
    kept.run("logged a 1 5");
    for record in 6..14 {
        let packet_id = 2 + (record - 6) % 3;
        assert_eq!(
            kept.run(&format!("logged b 1 {record}\npuback {packet_id}")),
            format!("send PUBLISH b 1 {packet_id}\n")
        );
    }
    assert_eq!(kept.run("logged c 1 14\nmark 20\nwant"), "leave c\n");
    assert_eq!(kept.run("puback 1\nwant\npage 14:c:1 next 20"), "want 14 to 20\nsend PUBLISH c 1 4\n");
}

/// A worker may ask for what is committed and has not come by yet.
#[test]
fn what_a_page_covers_is_not_taken_from_the_feed_as_well() {
    check(
        "mark 5\nreconnect\nwant 8\nlogged a 1 6\npage 5:b:1 6:a:1 next 8\nlogged c 1 7\nlogged d 1 8",
        "want 1 to 8
         leave a
         send PUBLISH b 1 1
         send PUBLISH a 1 2
         leave c
         send PUBLISH d 1 3",
    );
}

/// Else nothing would ever be sent again.
#[test]
fn what_a_crash_has_made_forgotten_is_sent_however_much_is_finished_behind_it() {
    let mut kept = Kept::subscribed(window(2));
    kept.run("logged a 1 5");
    for record in 6..14 {
        kept.run(&format!("logged b 1 {record}\npuback {}", 2 + (record - 6) % 3));
    }
    let effects = kept
        .run("reconnect\nwrite\nstored\nmark 20\ncrash\nwant\npage 5:a:1 6:b:1 13:b:1 14:c:1 next 20\nwant");
    assert_eq!(
        effects, "write s p\nwant 5 to 20\nsend PUBLISH a 1 1\n",
        "and no more until that is finished"
    );
    assert_eq!(kept.run("puback 1\nwant\npage 14:c:1 next 20"), "want 14 to 20\nsend PUBLISH c 1 2\n");
}

#[test]
fn a_session_that_is_away_passes_over_what_was_in_flight_too() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("logged a 1 5\nlogged b 2 6\nwrite\nstored\nlogged c 1 7\nmark 9");
    kept.away(|lasting| lasting.skip_to(Pos::of_record(7)));
    let effects = kept.run("want\npage 6:b:2 7:c:1 next 9\nwrite\nstored");
    let expected = "want 6 to 9\nsend PUBLISH c 1 3 dup\nwrite s p\nsend PUBREL 2\n";
    assert_eq!(effects, expected, "what is to be released is not sent, though it holds the cursor");
}

/// A message of QoS 1 that a crash has made forgotten, and one of QoS 2 behind it that it has not: the first holds the
/// cursor, and the other must not hold the first.
#[test]
fn what_a_crash_has_made_forgotten_is_sent_before_what_it_has_not() {
    for released in ["", "pubrec 2\nwrite\nstored\n"] {
        let mut kept = Kept::subscribed(window(3));
        kept.run(&format!("logged a 1 5\nlogged z 2 6\nwrite\nstored\n{released}"));
        for record in 7..19 {
            kept.run(&format!("logged b 1 {record}"));
            let sent = (1..=6).filter(|id| *id > 2).cycle().nth(record - 7).expect("endless");
            kept.run(&format!("puback {sent}"));
        }
        kept.run("reconnect\nwrite\nstored\nmark 20\ncrash");
        assert_eq!(kept.play.session.in_flight(), u16::from(!released.is_empty()));
        let effects = kept.run("want\npage 5:a:1 6:z:2 12:b:1 19:c:1 next 20\nwant");
        assert!(effects.starts_with("want 5 to 20\nsend PUBLISH a 1 1\n"), "{effects}");
        assert_eq!(effects.contains("PUBLISH z 2 2 dup"), released.is_empty(), "{effects}");
        assert!(!effects.contains("PUBLISH c") && effects.matches("want").count() == 1, "{effects}");
    }
}

/// [MQTT-4.4.0-1]: else what comes in no log would take the whole window, again and again.
#[test]
fn what_is_sent_again_goes_before_what_is_in_no_log() {
    check_within(
        window(1),
        "logged a 1 5\nmark 9\nreconnect\nwant\ndeliver b 1 granted 1\ndeliver c 1 granted 1\npage 5:a:1 next 9\npuback 1\npuback 2",
        "send PUBLISH a 1 1
         want 5 to 9
         wait b
         wait c
         send PUBLISH a 1 1 dup
         send PUBLISH b 1 2
         send PUBLISH c 1 1",
    );
    check(
        "logged a 1 5\nmark 9\nreconnect\nwant\ndeliver b 1 granted 1\npage next 9\ndeliver c 1 granted 1",
        "send PUBLISH a 1 1
         want 5 to 9
         wait b
         send PUBLISH b 1 2
         send PUBLISH c 1 3",
    );
}

/// Each would wait for the other, and nobody would come to end it.
#[test]
fn what_is_in_no_log_leaves_room_for_what_is_sent_again() {
    check_within(
        Bounds { outbox_bytes_max: 20, ..bounds() },
        "logged a 1 5\nmark 9\nreconnect\ndeliver b 1 granted 1\nwant\npage 5:a:1 next 9",
        "send PUBLISH a 1 1
         wait b
         want 5 to 9
         send PUBLISH a 1 1 dup
         send PUBLISH b 1 2",
    );
}

/// Else what came between the goodbye and the end would be passed over.
#[test]
fn what_comes_after_the_goodbye_waits() {
    check("disconnect\nmark 9\ntick\nreconnect\nwant", "close\nwant 1 to 9");
}
