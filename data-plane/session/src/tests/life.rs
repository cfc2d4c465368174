//! Keep alive, the will and the end.

use contract::qos::Qos;
use contract::refusal::Refusal;

use super::script::{Play, bounds, check, settings};
use crate::{Bounds, Ended, EndedSession, Millis, Session, Settings, Will};

fn with_will() -> Settings {
    let wish = mqtt::Will {
        topic: "will/a",
        payload: b"gone",
        qos: Qos::AtLeastOnce,
        retain: false,
        ..mqtt::Will::default()
    };
    Settings { will: Some(Will::accept(&wish).expect("served")), ..settings() }
}

#[test]
fn silence_of_one_and_a_half_keep_alives_closes() {
    check(
        settings(),
        "at 89999\ndeadline\nping\nat 90000\ndeadline\nat 179998\ndeadline\nat 179999\ndeadline\nping\ndeadline",
        "send PINGRESP\nclose keep_alive_timeout",
    );
}

#[test]
fn any_packet_counts_as_a_sign_of_life_and_a_delivery_does_not() {
    let mut play = Play::new(settings());
    assert_eq!(play.session.deadline(), Millis(90_000));
    for (packet, at) in [("publish a 0", 10), ("puback 1", 20), ("subscribe 1 a:0", 30), ("publish no 0", 40)]
    {
        play.run(&format!("at {at}\n{packet}"));
        assert_eq!(play.session.deadline(), Millis(90_000 + at), "{packet}");
    }
    play.run("at 50\ndeliver a 0 granted 0");
    assert_eq!(play.session.deadline(), Millis(90_040));
}

#[test]
fn the_instance_bounds_the_keep_alive() {
    for (asked, longest, millis) in [
        (10, 100, 15_000),
        (100, 100, 150_000),
        (101, 100, 150_000),
        (0, 100, 150_000),
        (u16::MAX, u16::MAX, 98_302_500),
        (1, 10, 1_500),
    ] {
        let bounds = Bounds { keep_alive_secs_max: longest, ..bounds() };
        let session = Session::new(Millis(7), Settings { keep_alive_secs: asked, bounds, ..settings() });
        assert_eq!(session.deadline(), Millis(7 + millis), "{asked} of {longest}");
    }
}

#[test]
fn disconnect_voids_the_will_and_every_other_end_keeps_it() {
    for (script, ended, published) in [
        ("", Ended::Closed, true),
        ("disconnect", Ended::Closed, false),
        ("publish no 1 1", Ended::Closed, true),
        ("publish no 1 1\ndisconnect", Ended::Closed, true),
        ("at 90000\ndeadline", Ended::Closed, true),
        ("", Ended::NodeStopping, false),
        ("publish no 1 1", Ended::NodeStopping, false),
        ("disconnect", Ended::NodeStopping, false),
    ] {
        let mut play = Play::new(with_will());
        play.run(script);
        let EndedSession { will, lasting, .. } = play.session.end(ended);
        assert!(lasting.is_none(), "it was clean");
        assert_eq!(will.is_some(), published, "{script:?} {ended:?}");
        if let Some(will) = will {
            assert_eq!(
                (will.topic.as_str(), &*will.payload, will.qos),
                ("will/a", &b"gone"[..], Qos::AtLeastOnce)
            );
        }
    }
}

#[test]
fn a_will_is_kept_as_it_was_asked_for() {
    let wish = mqtt::Will {
        topic: "a",
        payload: b"gone",
        qos: Qos::AtMostOnce,
        retain: false,
        ..mqtt::Will::default()
    };
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for retain in [false, true] {
            let will = Will::accept(&mqtt::Will { qos, retain, ..wish }).expect("served");
            assert_eq!(
                (will.qos, will.retain, &*will.payload, will.delay_secs),
                (qos, retain, &b"gone"[..], 0)
            );
        }
    }
    assert_eq!(Will::accept(&mqtt::Will { topic: "a/#", ..wish }), Err(Refusal::MalformedPacket));
}

#[test]
fn nothing_is_heard_after_the_close() {
    for close in ["disconnect", "publish no 1 1"] {
        let mut play = Play::new(with_will());
        play.run(close);
        assert!(play.session.is_closed());
        assert_eq!(
            play.run("publish a 0\nsubscribe 1 a:0\nping\ndisconnect\nat 90000\ndeadline"),
            "",
            "{close}"
        );
    }
}

#[test]
fn the_bounds_come_from_the_limits() {
    let limits = contract::limits::InstanceLimits {
        client_subscriptions_max: 1 << 40,
        in_flight_messages_max: 0,
        outbox_bytes_max: 5,
        packet_bytes_max: 9,
        keep_alive_secs_max: 0,
        ..contract::limits::InstanceLimits::default()
    };
    let bounds = Bounds::from(&limits);
    assert_eq!(bounds.subscriptions_max, u32::MAX, "what does not fit stands for the largest");
    assert_eq!(
        (bounds.in_flight_max, bounds.keep_alive_secs_max),
        (1, 1),
        "what would serve nobody for the least"
    );
    assert_eq!(bounds.outbox_bytes_max, 9, "one whole packet at least");
}
