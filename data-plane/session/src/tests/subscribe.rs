//! SUBSCRIBE and UNSUBSCRIBE.

use contract::qos::Qos;

use super::script::{Play, bounds, check, settings};
use crate::{Bounds, Settings};

fn within(bounds: Bounds) -> Settings {
    Settings { bounds, ..settings() }
}

#[test]
fn each_filter_has_its_own_answer_in_order() {
    check(
        settings(),
        "subscribe 3 a/b:1 no/x:1 c/#:0 d:2",
        "subscribe a/b 1
         refused not_authorized
         subscribe c/# 0
         subscribe d 2
         send SUBACK 3 1 no 0 2",
    );
}

#[test]
fn the_same_filter_again_replaces_the_subscription() {
    let mut play = Play::new(settings());
    play.run("subscribe 1 a:1\nsubscribe 2 a:0");
    let held: Vec<_> =
        play.session.subscriptions().map(|(filter, granted)| (filter.to_string(), granted.qos())).collect();
    assert_eq!(held, [("a".to_owned(), Qos::AtMostOnce)]);
}

#[test]
fn unsubscribing_is_always_answered_and_told_once() {
    check(
        settings(),
        "subscribe 1 a:1 b:1\nunsubscribe 2 a x a\nunsubscribe 3 a",
        "subscribe a 1
         subscribe b 1
         send SUBACK 1 1 1
         unsubscribe a
         send UNSUBACK 2
         send UNSUBACK 3",
    );
}

#[test]
fn a_client_holds_so_many_subscriptions_and_no_more() {
    check(
        within(Bounds { subscriptions_max: 2, ..bounds() }),
        "subscribe 1 a:1 b:1 c:1\nsubscribe 2 b:0\nunsubscribe 3 a\nsubscribe 4 c:1",
        "subscribe a 1
         subscribe b 1
         refused client_subscriptions_max
         send SUBACK 1 1 1 no
         subscribe b 0
         send SUBACK 2 0
         unsubscribe a
         send UNSUBACK 3
         subscribe c 1
         send SUBACK 4 1",
    );
}

#[test]
fn a_refused_filter_takes_no_place() {
    check(
        within(Bounds { subscriptions_max: 1, ..bounds() }),
        "subscribe 1 no:1 a:1",
        "refused not_authorized\nsubscribe a 1\nsend SUBACK 1 no 1",
    );
}

#[test]
fn filters_are_bounded_in_bytes_and_levels() {
    check(
        within(Bounds { topic_bytes_max: 5, topic_levels_max: 2, ..bounds() }),
        "subscribe 1 a/234:0 a/2345:0 a/+:0 a/+/#:0",
        "subscribe a/234 0
         refused topic_bytes_max
         subscribe a/+ 0
         refused topic_levels_max
         send SUBACK 1 0 no 0 no",
    );
}

#[test]
fn a_packet_holds_so_many_filters_and_no_more() {
    let settings = || within(Bounds { filters_per_packet_max: 2, ..bounds() });
    check(settings(), "subscribe 1 a:0 b:0", "subscribe a 0\nsubscribe b 0\nsend SUBACK 1 0 0");
    check(settings(), "subscribe 1 a:0 b:0 c:0\nping", "close filters_per_packet_max");
    check(settings(), "unsubscribe 1 a b", "send UNSUBACK 1");
    check(settings(), "unsubscribe 1 a b c\nping", "close filters_per_packet_max");
}
