//! Subscriptions with options and identifiers: what all that match ask for together.

use mqtt::Version;

use super::kept::Kept;
use super::script::{Play, check};
use super::v5::settings;

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]: one copy, at the highest QoS, with the identifiers of all.
#[test]
fn overlapping_subscriptions_bring_one_copy() {
    check(
        settings(),
        "subscribe 1 a/b:0 id=1\nsubscribe 2 a/+:2 id=2\nsubscribe 3 #:1\nsubscribe 4 +/b:1p id=2\nsubscribe 5 c:2 id=9
         special a/b 2\nspecial a/b 1 retain\nspecial a/c 0\nspecial d 1\nspecial c 1\nunsubscribe 6 a/+\nspecial a/b 2",
        "subscribe a/b 0 id=1
         send SUBACK 1 0
         subscribe a/+ 2 id=2
         send SUBACK 2 2
         subscribe # 1
         send SUBACK 3 1
         subscribe +/b 1 as-published id=2
         send SUBACK 4 1
         subscribe c 2 id=9
         send SUBACK 5 2
         send PUBLISH a/b 2 1 ids=1,2,2
         send PUBLISH a/b 1 2 retain ids=1,2,2
         send PUBLISH a/c 0 ids=2
         send PUBLISH d 1 3
         send PUBLISH c 1 4 ids=9
         unsubscribe a/+
         send UNSUBACK 6 0x00
         send PUBLISH a/b 1 5 ids=1,2",
    );
}

/// [MQTT-3.8.3-3]: not to a subscription that does not want them, and to the others all the same.
#[test]
fn the_client_s_own_messages_are_not_for_subscriptions_without_local() {
    check(
        settings(),
        "subscribe 1 a:2n id=1\nsubscribe 2 +:1n\nspecial a 2 own\nspecial a 2\nsubscribe 3 #:0 id=3\nspecial a 2 own\nspecial b 1",
        "subscribe a 2 no-local id=1
         send SUBACK 1 2
         subscribe + 1 no-local
         send SUBACK 2 1
         none a
         send PUBLISH a 2 1 ids=1
         subscribe # 0 id=3
         send SUBACK 3 0
         send PUBLISH a 0 ids=3
         send PUBLISH b 1 2 ids=3",
    );
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13], [MQTT-3.3.1-8]
#[test]
fn the_retain_flag_is_as_published_where_that_is_asked_for_and_set_on_what_was_kept() {
    check(
        settings(),
        "subscribe 1 a:1p b:1 id=4\nspecial a 1 retain\nspecial a 1\nspecial b 1 retain\nretained a 1 of a\nretained b 2 of b\ndeliver c 1 granted 1 retain",
        "subscribe a 1 as-published id=4
         subscribe b 1 id=4
         send SUBACK 1 1 1
         send PUBLISH a 1 1 retain ids=4
         send PUBLISH a 1 2 ids=4
         send PUBLISH b 1 3 ids=4
         send PUBLISH a 1 4 retain ids=4
         send PUBLISH b 1 5 retain ids=4
         send PUBLISH c 1 6",
    );
}

/// [MQTT-3.8.4-3]: with its options and its identifier.
#[test]
fn the_same_filter_again_replaces_all_that_was_asked() {
    for lasting in [false, true] {
        let mut play = if lasting { Kept::with(settings()).play } else { Play::new(settings()) };
        play.run("subscribe 1 a:2np id=5\nsubscribe 2 a:1 id=6");
        let held: Vec<_> = play.session.subscriptions().map(|(_, granted)| granted).collect();
        assert_eq!(held.len(), 1);
        let (held, filter) = (held[0], "a".parse().expect("a filter"));
        assert_eq!((held.qos().bits(), held.subscription_id().map(u32::from)), (1, Some(6)));
        assert!(!held.is_no_local() && !held.is_retain_as_published() && held.is_special());
        assert_eq!(play.session.find_granted(&filter), Some(held));
        play.run("subscribe 3 a:1");
        assert!(play.session.find_granted(&filter).is_some_and(|granted| !granted.is_special()));
        play.run("unsubscribe 4 a");
        assert_eq!((play.session.find_granted(&filter), play.session.special("a", false)), (None, None));
    }
}

/// The same from the feed, from pages and after a crash; an own message is known by its publisher.
#[test]
fn a_lasting_session_knows_what_was_asked_after_a_crash() {
    let mut kept = Kept::with(settings());
    kept.run("mark 1\nsubscribe 1 +:2np id=5\nsubscribe 2 a:1 id=6\nwrite\nstored\nwant");
    assert_eq!(
        kept.run("special a 1 at=3 retain\nspecial b 1 at=4\nspecial b 1 at=5 own\nmark 6"),
        "send PUBLISH a 1 1 retain ids=6,5\nsend PUBLISH b 1 2 ids=5\nnone b\n"
    );
    let effects = kept.run("crash\nwant\npage 3:a:1:retain 4:b:1 5:b:1:own 7:a:2:own 8:c:0 next 9");
    let expected = "want 1 to 6
send PUBLISH a 1 1 retain ids=6,5
send PUBLISH b 1 2 ids=5
send PUBLISH a 1 3 ids=6
";
    assert!(effects.starts_with(expected), "{effects}");
}

/// What began later does not count for what came before.
#[test]
fn a_page_counts_each_subscription_from_where_it_began() {
    let mut kept = Kept::with(settings());
    kept.run("mark 1\nsubscribe 1 a:1 id=1\nmark 5\nsubscribe 2 +:2 id=2\nwrite\nstored\nmark 9\nreconnect");
    assert_eq!(
        kept.run("want\npage 4:a:2 4:b:2 5:a:1 6:b:1 next 9"),
        "want 1 to 9\nsend PUBLISH a 1 1 ids=1\nsend PUBLISH a 1 2 ids=1,2\nsend PUBLISH b 1 3 ids=2\n"
    );
}

/// [MQTT-4.4.0-1]: what is sent again says what its subscriptions are called now.
#[test]
fn what_is_sent_again_has_identifiers_too() {
    let mut kept = Kept::with(settings());
    kept.run("mark 1\nsubscribe 1 a:1 id=1\nwrite\nstored\nwant\nspecial a 1 at=3\nmark 4\nunsubscribe 2 a\nsubscribe 3 +:1 id=2");
    assert_eq!(
        kept.run("reconnect\nwant\npage 3:a:1 next 4"),
        "want 3 to 4\nsend PUBLISH a 1 1 dup\n",
        "the new one began behind it"
    );
}

#[test]
fn to_3_1_1_no_identifier_is_said_though_the_session_knows_one() {
    let mut kept = Kept::with(settings());
    kept.run("mark 1\nsubscribe 1 a:1p id=1\nwrite\nstored\nmark 9");
    kept.settings.version = Version::V311;
    kept.play.scribe.version = Version::V311;
    assert_eq!(
        kept.run("reconnect\nwant\npage 3:a:1:retain next 9\nspecial a 1 at=9 retain"),
        "want 1 to 9\nsend PUBLISH a 1 1 retain\nsend PUBLISH a 1 2 retain\n"
    );
}
