//! What is other in MQTT 5.0: the goodbye, the will and how long a session lasts.

use super::kept::Kept;
use super::script::{Play, check};
use super::v5::settings;
use crate::{Ended, EndedSession, Lasting, Session, Settings, Will};

#[test]
fn steps_of_authentication_go_to_who_knows_them() {
    check(settings(), "auth\nping", "auth method\nsend PINGRESP");
    check(settings(), "auth short\nping", "close authentication_method_invalid");
}

fn with_will(delay_secs: u32) -> Settings {
    let wish = mqtt::Will { topic: "will/a", payload: b"gone", delay_secs, ..mqtt::Will::default() };
    Settings { will: Some(Will::accept(&wish).expect("served")), ..settings() }
}

/// [MQTT-3.14.4-3], [MQTT-3.1.2-8], [MQTT-3.1.2-10]
#[test]
fn only_a_goodbye_in_peace_voids_the_will() {
    for (script, effect, published) in [
        ("disconnect", "close\n", false),
        ("disconnect will", "close with will\n", true),
        ("disconnect 129", "close with will\n", true),
        ("", "", true),
    ] {
        let mut play = Play::new(with_will(9));
        assert_eq!(play.run(script), effect);
        // A session that ends with its connection ends the waiting of its will too [MQTT-3.1.3-9].
        let EndedSession { will, lasting, .. } = play.session.end(Ended::Closed);
        assert_eq!((will.is_some(), lasting.is_none()), (published, true), "{script}");
    }
}

fn attached(expiry_secs: u32, will_delay_secs: u32, script: &str) -> (EndedSession, String) {
    let settings = Settings { expiry_secs, expiry_secs_max: 500, ..with_will(will_delay_secs) };
    let mut kept = Kept::with(settings);
    let effects = kept.run(script);
    let nobody = Session::new(kept.play.now, super::v5::settings());
    (std::mem::replace(&mut kept.play.session, nobody).end(Ended::Closed), effects)
}

/// [MQTT-3.1.3-9]: at the end of the session at the latest.
#[test]
fn a_will_waits_as_long_as_it_asks_and_no_longer_than_the_session() {
    for (expiry_secs, delay_secs, script, now) in [
        (100, 9, "", false),
        (100, 9, "disconnect will", false),
        (100, 0, "disconnect will", true),
        (100, 9, "disconnect will expiry=0", true),
        (0, 9, "", true),
        (0, 9, "disconnect 129", true),
    ] {
        let (EndedSession { will, lasting, .. }, _) = attached(expiry_secs, delay_secs, script);
        let lasting = lasting.expect("it was attached");
        let what = format!("{expiry_secs} {delay_secs} {script}");
        assert_eq!((will.is_some(), lasting.will().is_none()), (now, now), "{what}");
    }
    let mut lasting = attached(100, 9, "").0.lasting.expect("it lasts");
    assert!(lasting.take_will().is_some() && lasting.take_will().is_none(), "by a clean start");
}

/// [MQTT-3.14.2-2] and the rules around it.
#[test]
fn a_goodbye_may_say_how_long_the_session_lasts() {
    for (expiry_secs, script, lasts) in [
        (100, "disconnect", 100),
        (100, "disconnect expiry=7", 7),
        (100, "disconnect expiry=0", 0),
        (100, "disconnect expiry=9999", 500),
        (0, "disconnect expiry=0", 0),
    ] {
        let (ended, effects) = attached(expiry_secs, 0, script);
        assert_eq!(effects, "close\n", "{script}");
        let lasting = ended.lasting.expect("it was attached");
        assert_eq!(lasting.expiry_secs(), lasts, "{expiry_secs} {script}");
    }
    let (ended, effects) = attached(0, 9, "disconnect expiry=1");
    assert_eq!(effects, "close protocol_error\n");
    assert!(ended.will.is_some() && ended.lasting.as_deref().map(Lasting::expiry_secs) == Some(0));
    check(settings(), "disconnect expiry=1", "close protocol_error");
    check(settings(), "disconnect expiry=0", "close");
}
