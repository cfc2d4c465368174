//! What a lasting session says only when it is safe, and what of it is there again after connections and crashes.

use super::kept::{Kept, check, check_within};
use super::script::bounds;
use crate::{Bounds, Part};

// --- QoS 2 for the client ---

#[test]
fn an_identifier_of_qos_2_is_safe_before_it_is_used() {
    check(
        "logged a 2 5\nlogged b 1 6\nwrite\nstored",
        "wait a
         send PUBLISH b 1 2
         write p
         send PUBLISH a 2 1",
    );
}

#[test]
fn pubrel_is_sent_when_it_is_safe_that_pubrec_came() {
    check(
        "logged a 2 5\nwrite\nstored\npubrec 1\npubrec 1\nwrite\nstored\npubrec 1\npubcomp 1",
        "wait a
         write p
         send PUBLISH a 2 1
         write p
         send PUBREL 1
         send PUBREL 1",
    );
}

#[test]
fn an_identifier_rests_until_it_is_safe_that_pubcomp_came() {
    let one = Bounds { in_flight_max: 1, ..bounds() };
    let exchange = "write\nstored\npubrec 1\nwrite\nstored\npubcomp 1\n";
    let shown = "wait a\nwrite p\nsend PUBLISH a 2 1\nwrite p\nsend PUBREL 1\n";
    check_within(
        one,
        &format!(
            "logged a 2 5\n{exchange}logged b 1 6\npuback 2\nlogged c 1 7\npuback 2\nlogged d 1 8\npuback 2"
        ),
        &format!("{shown}send PUBLISH b 1 2\nsend PUBLISH c 1 2\nsend PUBLISH d 1 2"),
    );
    check_within(
        one,
        &format!("logged a 2 5\n{exchange}write\nstored\nlogged b 1 6\npuback 2\nlogged c 1 7"),
        &format!("{shown}write p\nsend PUBLISH b 1 2\nsend PUBLISH c 1 1"),
    );
}

#[test]
fn one_writing_of_progress_is_under_way_and_gathers_what_comes_meanwhile() {
    check(
        "logged a 2 5\nwrite\nlogged b 2 6\nwrite\nlogged c 2 7\nstored\nwrite\nstored",
        "wait a
         write p
         wait b
         write
         wait c
         send PUBLISH a 2 1
         write p
         send PUBLISH b 2 2
         send PUBLISH c 2 3",
    );
}

/// [MQTT-4.4.0-1].
#[test]
fn after_a_connection_what_is_in_flight_is_sent_again_under_its_identifier() {
    check(
        "logged a 1 5\nlogged b 2 6\nlogged c 2 7\nwrite\nstored\npubrec 3\nwrite\nstored\nmark 9
         reconnect\nwant\npage 5:a:1 6:b:2 7:c:2 next 9\nmark 10\nlogged d 1 9\npuback 1\npubcomp 3",
        "send PUBLISH a 1 1
         wait b
         wait c
         write p
         send PUBLISH b 2 2
         send PUBLISH c 2 3
         write p
         send PUBREL 3
         send PUBREL 3
         want 5 to 9
         send PUBLISH a 1 1 dup
         send PUBLISH b 2 2 dup
         send PUBLISH d 1 4",
    );
}

#[test]
fn what_was_not_safe_when_the_connection_ended_is_not_sent_before_it_is() {
    check(
        "logged a 2 5\nmark 9\nreconnect\nwant\npage 5:a:2 next 9\nwrite\nstored
         pubrec 1\nreconnect\nwrite\nstored\npubcomp 1",
        "wait a
         want 5 to 9
         write s p
         send PUBLISH a 2 1
         write s p
         send PUBREL 1",
    );
}

#[test]
fn after_a_crash_qos_2_goes_on_where_it_was_and_qos_1_begins_anew() {
    check(
        "logged a 1 5\nlogged b 2 6\nlogged c 2 7\nwrite\nstored\npubrec 3\nwrite\nstored\nmark 9
         crash\nwant\npage 5:a:1 6:b:2 7:c:2 next 9\npuback 1",
        "send PUBLISH a 1 1
         wait b
         wait c
         write p
         send PUBLISH b 2 2
         send PUBLISH c 2 3
         write p
         send PUBREL 3
         send PUBREL 3
         want 5 to 9
         send PUBLISH a 1 1
         send PUBLISH b 2 2 dup",
    );
}

#[test]
fn what_is_finished_beyond_the_cursor_is_not_sent_again() {
    check(
        "logged a 1 5\nlogged b 1 6\nlogged c 1 7\npuback 2\nmark 9
         reconnect\nwrite\nstored\ncrash\nwant\npage 5:a:1 6:b:1 7:c:1 next 9",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         send PUBLISH c 1 3
         write s p
         want 5 to 9
         send PUBLISH a 1 1
         send PUBLISH c 1 2",
    );
}

/// The client may know the identifier, and would take the next message under it for a repetition.
#[test]
fn a_message_of_qos_2_that_is_not_found_again_is_released_without_content() {
    check(
        "logged a 1 5\nlogged b 2 6\nwrite\nstored\nmark 9
         reconnect\nwant\npage next 9\nwrite\nstored\npubcomp 2\nlogged c 1 9",
        "send PUBLISH a 1 1
         wait b
         write p
         send PUBLISH b 2 2
         want 5 to 9
         write s p
         send PUBREL 2
         send PUBLISH c 1 3",
    );
}

#[test]
fn a_message_in_no_log_goes_with_its_connection_and_its_identifier_is_released() {
    check(
        "deliver a 1 granted 2\nretained b 2 granted 2\nwrite\nstored\nreconnect\nwrite\nstored\npubcomp 2",
        "send PUBLISH a 1 1
         write p
         send PUBLISH b 2 2 retain
         write s p
         send PUBREL 2",
    );
}

// --- QoS 2 from the client ---

#[test]
fn what_was_received_is_written_in_the_batch_of_its_message_whatever_is_under_way() {
    check(
        "publish safe/a 2 7\nwrite\npublish safe/b 2 8\nwrite\nstored\ncommitted 7\nstored\ncommitted 8",
        "publish safe/a 2
         write q
         publish safe/b 2
         write q
         send PUBREC 7
         send PUBREC 8",
    );
}

#[test]
fn pubcomp_is_sent_when_it_is_safe_that_pubrel_came() {
    check(
        "publish safe/a 2 7\nwrite\nstored\ncommitted 7\npubrel 7\nwrite\npubrel 7\nstored\npubrel 7",
        "publish safe/a 2
         write q
         send PUBREC 7
         write q
         send PUBCOMP 7
         send PUBCOMP 7
         send PUBCOMP 7",
    );
}

#[test]
fn a_message_that_is_only_passed_on_needs_no_note() {
    check(
        "publish a 2 7\nwrite\nreconnect\npublish a 2 7\npubrel 7\nwrite",
        "publish a 2
         send PUBREC 7
         write
         repeated a
         send PUBREC 7
         send PUBCOMP 7
         write s",
    );
}

#[test]
fn a_message_that_came_before_the_crash_is_not_handed_on_again() {
    check(
        "publish safe/a 2 7\nwrite\nstored\ncrash\npublish safe/a 2 7\npubrel 7\nwrite\nstored\npublish safe/b 2 7",
        "publish safe/a 2
         write q
         repeated safe/a
         send PUBREC 7
         write q
         send PUBCOMP 7
         publish safe/b 2",
    );
}

#[test]
fn a_repetition_is_not_acknowledged_before_its_message_is_safe() {
    check(
        "publish safe/a 2 7\nwrite\nreconnect\npublish safe/a 2 7\npublish b 1 8\nstored",
        "publish safe/a 2
         write q
         repeated safe/a
         publish b 1
         send PUBREC 7
         send PUBACK 8",
    );
}

#[test]
fn a_message_that_was_not_stored_is_taken_on_when_it_comes_again() {
    check(
        "publish safe/a 2 7\nwrite\nlost\nreconnect\npublish safe/a 2 7\nwrite\nstored\ncommitted 7",
        "publish safe/a 2
         write q
         close storage_unavailable
         publish safe/a 2
         write s q
         send PUBREC 7",
    );
}

// --- subscriptions ---

#[test]
fn a_subscription_is_safe_before_it_is_acknowledged() {
    check(
        "subscribe 2 a:1 no:1\nlogged b 1 5\nunsubscribe 3 a\nwrite\nstored",
        "subscribe a 1
         refused not_authorized
         send PUBLISH b 1 1
         unsubscribe a
         write s
         send SUBACK 2 1 no
         send UNSUBACK 3",
    );
}

#[test]
fn a_crash_brings_back_what_was_not_safe() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("mark 7\nsubscribe 2 a:1\nwrite\nstored\nunsubscribe 3 a\nsubscribe 4 b:1\ncrash");
    let held: Vec<_> = kept
        .play
        .session
        .subscriptions()
        .map(|(filter, granted)| format!("{filter} {:?}", granted.qos()))
        .collect();
    assert_eq!(held, ["# ExactlyOnce", "a AtLeastOnce"]);
    let lasting = kept.play.session.lasting().expect("it lasts");
    let since: Vec<_> = lasting.subscriptions().map(|(_, _, since)| since.record).collect();
    assert_eq!((since, lasting.owner()), (vec![1, 7], "owner"));
}

#[test]
fn the_same_filter_again_keeps_what_waits_for_it_unless_nothing_could() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("mark 7\nsubscribe 2 #:1 a:0\nmark 8\nsubscribe 3 a:2");
    let lasting = kept.play.session.lasting().expect("it lasts");
    let since: Vec<_> = lasting.subscriptions().map(|(_, qos, since)| (qos.bits(), since.record)).collect();
    assert_eq!(since, [(1, 1), (2, 8)]);
}

/// [MQTT-3.10.4-3].
#[test]
fn what_is_in_flight_is_completed_after_its_subscription_has_ended() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("logged a 1 5\nmark 9\nunsubscribe 2 #\nwrite\nstored\nreconnect");
    let filters = |kept: &Kept| -> Vec<_> {
        let lasting = kept.play.session.lasting().expect("it lasts");
        lasting.replay_filters().map(|(filter, _)| filter.to_string()).collect()
    };
    assert_eq!(filters(&kept), ["#"]);
    assert_eq!(
        kept.run("want\npage 5:a:1 6:b:1 next 9\npuback 1"),
        "want 5 to 9\nsend PUBLISH a 1 1 dup\n",
        "and nothing else"
    );
    assert!(filters(&kept).is_empty());
}

// --- writing ---

#[test]
fn progress_is_written_each_fifty_acknowledgements_or_ten_seconds() {
    let mut kept = Kept::subscribed(bounds());
    for record in 5..54 {
        kept.run(&format!("logged a 1 {record}\npuback {}", record - 4));
    }
    assert_eq!(kept.run("write"), "write\n");
    assert_eq!(kept.run("logged a 1 54\npuback 50\nwrite\nstored"), "send PUBLISH a 1 50\nwrite p\n");
    assert_eq!(kept.run("logged a 1 55\npuback 51\nat 9999\ntick\nwrite"), "send PUBLISH a 1 51\nwrite\n");
    assert_eq!(kept.run("at 10000\ntick\nwrite\nstored"), "write p\n");
    assert_eq!(kept.run("mark 99\nat 600000\ntick\nwrite"), "write\n");
    assert_eq!(kept.run("at 610000\ntick\nwrite"), "write p\n", "a cursor that only moved");
    assert_eq!(kept.play.session.lasting().expect("it lasts").cursor().record, 99);
}

#[test]
fn the_parts_have_keys_of_their_own() {
    assert_eq!(Part::ALL.map(Part::prefix), ["s/", "p/", "q/"]);
}

#[test]
fn a_closed_session_says_nothing_when_its_changes_are_safe() {
    check("subscribe 2 a:1\nwrite\ndisconnect\nstored", "subscribe a 1\nwrite s\nclose");
}
