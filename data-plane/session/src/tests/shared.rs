//! Messages of shared subscriptions at a member. Besides the words of the plain script:
//!
//! ```text
//! shared 7 5 a 1 granted 1     a message of group 7: record, topic, QoS, the QoS granted; says `full` if it is not taken
//! leave 7                      the client is no member of group 7 any more: says which records go back
//! end                          the connection has ended: says what goes back to which group
//! ```

use contract::qos::Qos;
use engine::Pos;
use mqtt::Version;

use super::kept::Kept;
use super::script::{Play, bounds, qos, settings, settings_of};
use crate::{Bounds, ClientSide, Delivered, DropReason, Ended, Granted, Session, Settings};

fn small() -> Settings {
    Settings { bounds: Bounds { in_flight_max: 2, ..bounds() }, ..settings() }
}

fn deliver(play: &mut Play, group: u64, record: u64, topic: &str, published: Qos, granted: Qos) -> bool {
    let mut message = play.rendering.message(topic, b"payload", published);
    let output = &mut play.scribe.output;
    let delivered = play.session.deliver_shared(
        group,
        Pos::of_record(record),
        &mut message,
        Granted::of(granted),
        output,
    );
    match delivered {
        Some(delivered) => play.note(topic, delivered),
        None => play.scribe.line(format_args!("full {topic}")),
    }
    delivered.is_some()
}

fn run(play: &mut Play, script: &str) -> String {
    for line in script.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["shared", group, record, topic, published, "granted", granted] => {
                let (group, record) = (group.parse().expect("a group"), record.parse().expect("a record"));
                let has_room = play.session.has_shared_room(play.scribe.output.len());
                let was_taken = deliver(play, group, record, topic, qos(published), qos(granted));
                assert!(has_room || !was_taken || granted == "0", "who has none says so");
            }
            ["leave", group] => {
                let taken = play.session.take_shared(group.parse().expect("a group"));
                let taken: Vec<_> = taken.iter().map(|pos| pos.record).collect();
                play.scribe.line(format_args!("back {group} {taken:?}"));
            }
            ["end"] => {
                let fresh = Session::new(play.now, settings());
                let ended = std::mem::replace(&mut play.session, fresh).end(Ended::Closed);
                for (group, pos) in ended.shared {
                    play.scribe.line(format_args!("back {group} [{}]", pos.record));
                }
            }
            _ => play.step(&words),
        }
    }
    play.run("")
}

#[track_caller]
fn check(settings: Settings, script: &str, expected: &str) {
    let effects = run(&mut Play::new(settings), script);
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(effects.lines().collect::<Vec<_>>(), expected, "of the script {script}");
}

#[test]
fn a_message_is_the_group_s_until_it_is_acknowledged() {
    check(
        settings(),
        "shared 7 5 a 1 granted 1\nshared 8 6 b 2 granted 2\ndeliver c 1 granted 1\npuback 2\npuback 3\npuback 1\npuback 1\nend",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         send PUBLISH c 1 3
         done 8 6
         done 7 5",
    );
}

#[test]
fn nothing_of_a_group_waits_at_a_member() {
    check(
        small(),
        "shared 7 5 a 1 granted 1\ndeliver b 1 granted 1\nshared 7 6 c 1 granted 1\ndeliver d 1 granted 1
         puback 2\nshared 7 6 c 1 granted 1\npuback 1\nshared 7 6 c 1 granted 1",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         full c
         wait d
         send PUBLISH d 1 3
         full c
         done 7 5
         send PUBLISH c 1 4",
    );
}

#[test]
fn at_qos_0_it_is_done_when_it_is_in_the_output() {
    check(
        small(),
        "shared 7 5 a 1 granted 0\nshared 7 6 a 0 granted 1\nshared 7 7 a 2 granted 0\nend",
        "send PUBLISH a 0
         send PUBLISH a 0
         send PUBLISH a 0",
    );
}

#[test]
fn what_is_not_acknowledged_goes_back_when_the_connection_or_the_membership_ends() {
    check(
        settings(),
        "shared 7 5 a 1 granted 1\nshared 8 6 b 1 granted 1\nshared 7 9 c 1 granted 1\nleave 7\nleave 9\npuback 1\nshared 7 5 a 1 granted 1\nend",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         send PUBLISH c 1 3
         back 7 [5, 9]
         back 9 []
         send PUBLISH a 1 4
         back 8 [6]
         back 7 [5]",
    );
}

#[test]
fn a_closed_client_has_no_room() {
    check(settings(), "disconnect\nshared 7 5 a 1 granted 1", "close\nfull a");
    // Whatever it is: another member may take what this one could not.
    let mut play = Play::new(Settings {
        client: ClientSide { packet_bytes_max: Some(5), ..ClientSide::default() },
        ..settings_of(Version::V5)
    });
    assert_eq!(run(&mut play, "shared 7 5 a 1 granted 1"), "drop a client_packet_bytes_max\n");
    assert_eq!(run(&mut play, "disconnect\nshared 7 6 a 1 granted 1"), "close\nfull a\n");
}

#[test]
fn a_client_that_does_not_read_has_no_room() {
    let bounds = Bounds { outbox_bytes_max: 30, ..bounds() };
    check(
        Settings { bounds, ..settings() },
        "shared 7 5 a 1 granted 1\nshared 7 6 b 0 granted 0\nshared 7 7 c 1 granted 1\nread\nshared 7 7 c 1 granted 1",
        "send PUBLISH a 1 1
         send PUBLISH b 0
         full c
         send PUBLISH c 1 2",
    );
    let mut play = Play::new(Settings { bounds: Bounds { outbox_bytes_max: 5, ..bounds }, ..settings() });
    assert!(play.session.has_shared_room(0) && !play.session.has_shared_room(3));
    assert!(deliver(&mut play, 7, 5, "a", Qos::AtLeastOnce, Qos::AtLeastOnce), "what is long goes alone");
}

#[test]
fn what_no_packet_can_hold_is_dropped_and_done() {
    let mut play = Play::new(settings());
    let long = vec![0; 256 * 1024 * 1024];
    let mut message = play.rendering.message("a", &long, Qos::AtLeastOnce);
    let output = &mut play.scribe.output;
    let delivered =
        play.session.deliver_shared(7, Pos::START, &mut message, Granted::of(Qos::AtLeastOnce), output);
    assert_eq!(delivered, Some(Delivered::Dropped(DropReason::TooLong)));
    assert_eq!((play.session.in_flight(), play.session.shared_in_flight()), (0, 0));
}

#[test]
fn to_a_lasting_session_it_is_like_a_message_in_no_log() {
    let mut kept = Kept::subscribed(Bounds { in_flight_max: 3, ..bounds() });
    let effects = run(
        &mut kept.play,
        "shared 7 5 a 1 granted 1\nshared 8 6 b 2 granted 2\nshared 7 9 c 1 granted 1\nshared 7 10 d 1 granted 1\npuback 1\nping",
    );
    assert_eq!(
        effects,
        "send PUBLISH a 1 1\nsend PUBLISH b 1 2\nsend PUBLISH c 1 3\nfull d\ndone 7 5\nsend PINGRESP\n"
    );
    assert_eq!(kept.play.session.shared_in_flight(), 2);
    // The next connection has the whole window again, and sends nothing of it again.
    let effects = kept.run("reconnect\nlogged x 1 20\nwant 21\npage 20:x:1 next 21\ndeliver y 1 granted 1");
    assert!(effects.contains("PUBLISH x 1") && effects.contains("PUBLISH y 1"), "{effects}");
    assert!(!effects.contains(" b ") && !effects.contains(" c "), "{effects}");
    assert_eq!((kept.play.session.in_flight(), kept.play.session.shared_in_flight()), (2, 0));
}

/// Filters, granted QoS and beginning of what a session holds.
fn held(session: &Session) -> Vec<(&str, u8, u64)> {
    let lasting = session.lasting().expect("it is one");
    lasting
        .subscriptions()
        .map(|(filter, granted, since)| (filter.as_str(), granted.qos().bits(), since.record))
        .collect()
}

#[test]
fn a_shared_subscription_lasts_and_a_replay_does_not() {
    let mut kept = Kept::new(bounds());
    let effects = kept.run("mark 4\nsubscribe 1 $share/g/a/+:1 $replay/0/b:1 c:1\nwrite\nstored");
    assert!(effects.ends_with("send SUBACK 1 1 1 1\n"), "{effects}");
    let all =
        |session: &Session| session.subscriptions().map(|(filter, _)| filter.to_string()).collect::<Vec<_>>();
    assert_eq!(all(&kept.play.session), ["$replay/0/b", "$share/g/a/+", "c"]);
    let lasting = kept.play.session.lasting().expect("it is one");
    let looked_for: Vec<_> = lasting.replay_filters().map(|(filter, _)| filter.as_str()).collect();
    assert_eq!(looked_for, ["c"], "the group looks for what it wants");
    assert_eq!(held(&kept.play.session), [("$share/g/a/+", 1, 4), ("c", 1, 4)]);
    kept.run("crash");
    assert_eq!(held(&kept.play.session), [("$share/g/a/+", 1, 4), ("c", 1, 4)]);
    assert_eq!(all(&kept.play.session), ["$share/g/a/+", "c"]);
}

#[test]
fn both_end_with_unsubscribe_and_count_against_the_bound() {
    let mut kept = Kept::new(Bounds { subscriptions_max: 2, ..bounds() });
    let effects = kept.run(
        "subscribe 1 $share/g/a:1 $replay/0/b:0 c:1\nwrite\nstored\nsubscribe 2 $replay/0/b:1
         unsubscribe 3 $replay/0/b\nunsubscribe 4 $share/g/a d\nwrite\nstored",
    );
    let answers: Vec<_> = effects.lines().filter(|line| line.contains("SUBACK")).collect();
    assert_eq!(answers, ["send SUBACK 1 1 0 no", "send SUBACK 2 1", "send UNSUBACK 3", "send UNSUBACK 4"]);
    let told: Vec<_> = effects.lines().filter(|line| line.starts_with("unsubscribe")).collect();
    assert_eq!(told, ["unsubscribe $replay/0/b", "unsubscribe $share/g/a"]);
    assert_eq!(held(&kept.play.session), []);
}

#[test]
fn what_was_shared_is_not_looked_for_when_it_has_ended() {
    let mut kept = Kept::subscribed(bounds());
    kept.run("subscribe 2 $share/g/a:1\nwrite\nstored\nlogged x 1 5\nunsubscribe 3 $share/g/a #\nwrite\nstored\nreconnect");
    let lasting = kept.play.session.lasting().expect("it is one");
    let looked_for: Vec<_> = lasting.replay_filters().map(|(filter, _)| filter.as_str()).collect();
    assert_eq!(looked_for, ["#"], "what is in flight of it has to be found again");
}
