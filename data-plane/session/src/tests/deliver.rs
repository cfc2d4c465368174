//! Messages for the client.

use contract::qos::Qos;

use super::script::{Play, bounds, check, deliver, settings};
use crate::{Bounds, Delivered, DropReason, Millis, Rendering, Session, Settings};

fn within(bounds: Bounds) -> Settings {
    Settings { bounds, ..settings() }
}

#[test]
fn the_lower_qos_decides() {
    check(
        settings(),
        "deliver a 0 granted 0\ndeliver b 0 granted 1\ndeliver c 1 granted 0\ndeliver d 1 granted 1",
        "send PUBLISH a 0\nsend PUBLISH b 0\nsend PUBLISH c 0\nsend PUBLISH d 1 1",
    );
}

#[test]
fn qos_1_waits_for_acknowledgements_and_keeps_its_order() {
    check(
        within(Bounds { in_flight_max: 2, ..bounds() }),
        "deliver a 1 granted 1
         deliver b 1 granted 1
         deliver c 1 granted 1
         deliver d 1 granted 1
         puback 2
         puback 1
         deliver e 1 granted 1
         puback 3
         puback 3
         puback 4
         puback 5",
        "send PUBLISH a 1 1
         send PUBLISH b 1 2
         wait c
         wait d
         send PUBLISH c 1 3
         send PUBLISH d 1 4
         wait e
         send PUBLISH e 1 5",
    );
}

#[test]
fn qos_0_does_not_wait_for_qos_1() {
    check(
        within(Bounds { in_flight_max: 1, ..bounds() }),
        "deliver a 1 granted 1\ndeliver b 1 granted 1\ndeliver c 0 granted 1",
        "send PUBLISH a 1 1\nwait b\nsend PUBLISH c 0",
    );
}

#[test]
fn an_acknowledgement_of_nothing_is_passed_over() {
    check(
        within(Bounds { in_flight_max: 1, ..bounds() }),
        "puback 1\npuback 65535\ndeliver a 1 granted 1\npuback 2\ndeliver b 1 granted 1\nping",
        "send PUBLISH a 1 1\nwait b\nsend PINGRESP",
    );
}

#[test]
fn the_outbox_is_bounded_in_messages() {
    check(
        within(Bounds { in_flight_max: 1, outbox_messages_max: 1, ..bounds() }),
        "deliver a 1 granted 1
         deliver b 1 granted 1
         deliver c 1 granted 1
         puback 1
         deliver d 1 granted 1",
        "send PUBLISH a 1 1
         wait b
         drop c outbox_messages_max
         send PUBLISH b 1 2
         wait d",
    );
}

/// A message of one level at QoS 0 takes 12 bytes here, at QoS 1 14.
#[test]
fn output_and_outbox_together_are_bounded_in_bytes() {
    check(
        within(Bounds { in_flight_max: 1, outbox_bytes_max: 28, ..bounds() }),
        "deliver a 1 granted 1
         deliver b 1 granted 1
         deliver c 0 granted 0
         read
         deliver d 1 granted 1
         deliver e 0 granted 0
         puback 1
         read
         deliver f 0 granted 0
         deliver g 0 granted 0
         deliver h 0 granted 0",
        "send PUBLISH a 1 1
         wait b
         drop c outbox_bytes_max
         wait d
         drop e outbox_bytes_max
         send PUBLISH b 1 2
         send PUBLISH f 0
         drop g outbox_bytes_max
         drop h outbox_bytes_max",
    );
}

#[test]
fn a_client_is_always_let_one_packet_of_the_largest_size() {
    let limits = contract::limits::InstanceLimits {
        packet_bytes_max: 100_000,
        outbox_bytes_max: 4_096,
        ..contract::limits::InstanceLimits::default()
    };
    let mut play = Play::new(within(Bounds::from(&limits)));
    let payload = vec![b'x'; 100_000 - 2 - 3 - 3 - 2];
    assert!(matches!(play.deliver("a", &payload, Qos::AtLeastOnce, Qos::AtLeastOnce), Delivered::Sent(_)));
}

#[test]
fn packet_identifiers_go_round_and_skip_what_is_in_use() {
    let mut play = Play::new(within(Bounds { in_flight_max: 64, ..bounds() }));
    play.run("deliver first 1 granted 1");
    for _ in 0..63 {
        play.run("deliver a 1 granted 1");
    }
    for packet_id in 2..=64 {
        play.run(&format!("puback {packet_id}"));
    }
    let sent = play.run("deliver again 1 granted 1\ndeliver again 1 granted 1");
    assert_eq!(sent, "send PUBLISH again 1 2\nsend PUBLISH again 1 3\n", "1 is still in flight");
}

#[test]
fn many_may_be_in_flight_and_each_has_its_own_identifier() {
    for max in [1, 63, 64, 65, 1000, u16::MAX] {
        let mut session = Session::new(
            Millis(0),
            within(Bounds { in_flight_max: max, outbox_bytes_max: u32::MAX, ..bounds() }),
        );
        let mut rendering = Rendering::new();
        let mut message = rendering.message("a", b"", Qos::AtLeastOnce);
        let mut output = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..max {
            output.clear();
            assert_eq!(session.deliver(&mut message, Qos::AtLeastOnce, &mut output), Delivered::Sent(7));
            assert!(seen.insert([output[5], output[6]]), "an identifier twice of {max}");
        }
        assert!(!seen.contains(&[0, 0]));
        assert_eq!(session.in_flight(), max);
        let next = deliver(&mut session, &mut message, Qos::AtLeastOnce, &mut output);
        assert_eq!(next, Delivered::Waiting(7), "beyond {max}");
    }
}

#[test]
fn a_thousand_receivers_share_one_rendering_and_those_who_wait_share_its_copy() {
    let settings = within(Bounds { in_flight_max: 1, ..bounds() });
    let mut sessions: Vec<_> = (0..1000).map(|_| Session::new(Millis(0), settings.clone())).collect();
    let mut rendering = Rendering::new();
    let mut outputs = vec![Vec::new(); sessions.len()];
    for text in ["first", "second"] {
        let mut message = rendering.message("a", text.as_bytes(), Qos::AtLeastOnce);
        for (session, output) in sessions.iter_mut().zip(&mut outputs) {
            let _ = session.deliver(&mut message, Qos::AtLeastOnce, output);
        }
        if text == "second" {
            let kept = message.keep(&sessions[0].shape(&message, Qos::AtLeastOnce));
            assert_eq!(
                std::sync::Arc::strong_count(&kept),
                sessions.len() + 2,
                "with the rendering's and ours"
            );
        }
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert!(sessions.iter().all(|session| session.waiting() == 1));
}

#[test]
fn a_rendering_forgets_the_message_before() {
    let mut play = Play::new(within(Bounds { in_flight_max: 1, ..bounds() }));
    let sent =
        play.run("deliver a 1 granted 1\ndeliver b 1 granted 1\ndeliver c 1 granted 1\npuback 1\npuback 2");
    assert_eq!(sent, "send PUBLISH a 1 1\nwait b\nwait c\nsend PUBLISH b 1 2\nsend PUBLISH c 1 3\n");
}

#[test]
fn a_message_that_no_packet_can_hold_is_dropped_with_a_reason() {
    let topic = "x".repeat(65_536);
    let delivered = Play::new(settings()).deliver(&topic, b"", Qos::AtMostOnce, Qos::AtMostOnce);
    assert_eq!(delivered, Delivered::Dropped(DropReason::TooLong));
}
