//! Frames, in every way of cutting them.

use proptest::prelude::*;

use super::CloseCode;
use super::frame::{Ended, Unframed, Unframer};
use super::framer::Framer;

/// A client's frame, with its length in the shortest form.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 0x7E);
            bytes.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7F);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, [1, 2, 3, 4], payload)
}

/// Everything of one read.
fn unframe(bytes: &[u8]) -> (Vec<u8>, Unframed) {
    let mut bytes = bytes.to_vec();
    let unframed = Unframer::default().unframe(&mut bytes);
    (bytes[..unframed.bytes].to_vec(), unframed)
}

#[test]
fn frames_join_and_split_what_is_in_them() {
    let (stream, unframed) = unframe(&[binary(b"ab"), binary(b""), binary(b"cde")].concat());
    assert_eq!((&stream[..], unframed.ended), (&b"abcde"[..], None));
    let pieces = [frame(0x02, [9; 4], b"ab"), frame(0x00, [7; 4], b"cd"), frame(0x80, [0; 4], b"ef")];
    let with_ping = [&pieces[0][..], &frame(0x89, [5; 4], b"still there?"), &pieces[1], &pieces[2]].concat();
    let (stream, unframed) = unframe(&with_ping);
    assert_eq!((&stream[..], unframed.ping.as_deref()), (&b"abcdef"[..], Some(&b"still there?"[..])));
}

#[test]
fn what_breaks_the_rules_ends_it_with_its_code() {
    let mut unmasked = binary(b"ab");
    unmasked[1] &= 0x7F;
    let long = |bytes: &[u8]| [&[0x82][..], bytes, &[0; 4]].concat();
    for (bytes, code) in [
        (unmasked, CloseCode::ProtocolError),
        (frame(0x81, [0; 4], b"text"), CloseCode::Unsupported),
        (frame(0xC2, [0; 4], b"compressed"), CloseCode::ProtocolError),
        (frame(0x83, [0; 4], b"reserved"), CloseCode::ProtocolError),
        (frame(0x80, [0; 4], b"goes on with nothing"), CloseCode::ProtocolError),
        ([frame(0x02, [0; 4], b"a"), binary(b"in between")].concat(), CloseCode::ProtocolError),
        (frame(0x09, [0; 4], b"ping in pieces"), CloseCode::ProtocolError),
        (frame(0x89, [0; 4], &[0; 126]), CloseCode::ProtocolError),
        (frame(0x88, [0; 4], &[3]), CloseCode::ProtocolError),
        (frame(0x88, [0; 4], &1005_u16.to_be_bytes()), CloseCode::ProtocolError),
        (frame(0x88, [0; 4], &[3, 232, 0xFF]), CloseCode::ProtocolError),
        (long(&[0xFE, 0, 125]), CloseCode::ProtocolError),
        (long(&[0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), CloseCode::ProtocolError),
        (long(&[0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]), CloseCode::ProtocolError),
        (long(&[0xFF, 0, 0, 0, 0, 0x10, 0, 0, 5]), CloseCode::TooBig),
    ] {
        let (stream, unframed) = unframe(&[binary(b"before"), bytes.clone(), binary(b"behind")].concat());
        assert_eq!(unframed.ended, Some(Ended::Broken(code)), "{bytes:02x?}");
        assert!(stream == b"before" || stream == b"beforea", "{stream:02x?}");
    }
}

#[test]
fn behind_a_close_nothing_is_heard() {
    for close in [&[][..], &[3, 232], &[0x0F, 0xA0, b'b', b'y', b'e']] {
        let (stream, unframed) =
            unframe(&[binary(b"last"), frame(0x88, [8; 4], close), binary(b"more")].concat());
        assert_eq!((&stream[..], unframed.ended), (&b"last"[..], Some(Ended::Closed)));
    }
}

/// All that is written when the network takes `at_most` bytes at a time.
fn write(framer: &mut Framer, stream: &[u8], at_most: usize) -> Vec<u8> {
    let (mut out, mut taken) = (Vec::new(), 0);
    loop {
        let control = framer.control(taken == stream.len());
        if !control.is_empty() {
            let written = control.len().min(at_most);
            out.extend(control.drain(..written));
        } else if taken == stream.len() {
            return out;
        } else {
            let all =
                framer.data(&stream[taken..]).iter().map(|slice| slice.to_vec()).collect::<Vec<_>>().concat();
            let written = all.len().min(at_most);
            out.extend(&all[..written]);
            taken += framer.advance(written);
        }
    }
}

#[test]
fn one_write_is_one_frame_with_the_shortest_length() {
    for (length, header) in [
        (1, vec![0x82, 1]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (65_535, vec![0x82, 126, 0xFF, 0xFF]),
        (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let stream = vec![7; length];
        let expected = [header, stream.clone()].concat();
        for at_most in [1, 3, usize::MAX] {
            assert_eq!(write(&mut Framer::default(), &stream, at_most), expected, "{length}");
        }
    }
    assert_eq!(write(&mut Framer::default(), &[], 1), [0_u8; 0]);
}

#[test]
fn answers_go_between_frames_and_the_close_behind_everything() {
    for at_most in [1, 2, 5, usize::MAX] {
        let mut framer = Framer::default();
        assert!(!framer.has_control());
        let begun = framer.data(b"abc").iter().map(|slice| slice.to_vec()).collect::<Vec<_>>().concat();
        let stream = framer.advance(3);
        framer.pong(b"old".to_vec());
        framer.pong(b"new".to_vec());
        framer.close(CloseCode::GoingAway);
        framer.close(CloseCode::Normal);
        assert!(framer.has_control());
        let rest = write(&mut framer, &b"abcd"[stream..], at_most);
        let expected = [
            &[0x82, 3, b'a', b'b', b'c'][..],
            &[0x8A, 3, b'n', b'e', b'w'],
            &[0x82, 1, b'd'],
            &[0x88, 2, 0x03, 0xE9],
        ]
        .concat();
        assert_eq!([&begun[..3], &rest].concat(), expected, "{at_most}");
        assert!(framer.is_closed() && !framer.has_control());
    }
}

#[test]
fn a_peer_that_asks_and_never_reads_is_owed_two_answers_at_most() {
    let mut framer = Framer::default();
    for number in 0..=255 {
        framer.pong(vec![number; 125]);
        assert!(framer.control(true).len() <= 127, "{number}");
    }
    framer.close(CloseCode::Normal);
    assert_eq!(framer.control(true).len(), 127, "the close waits its turn");
    let answers = [[0x8A, 125].into(), vec![0; 125], [0x8A, 125].into(), vec![255; 125]].concat();
    assert_eq!(write(&mut framer, &[], 1), [&answers[..], &[0x88, 2, 0x03, 0xE8]].concat());
}

#[derive(Clone, Debug)]
enum Part {
    Data(Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong,
}

fn part() -> impl Strategy<Value = Part> {
    let size = prop_oneof![3 => 0_usize..20, 1 => 100_usize..300, 1 => 65_000_usize..66_000];
    let data = size.prop_flat_map(|size| prop::collection::vec(any::<u8>(), size));
    prop_oneof![
        4 => (data, any::<bool>()).prop_map(|(data, is_final)| Part::Data(data, is_final)),
        1 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Part::Ping),
        1 => Just(Part::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_any_frames_gives_the_same_stream(
        parts in prop::collection::vec((part(), any::<[u8; 4]>()), 0..12),
        cuts in prop::collection::vec(prop_oneof![1_usize..20, 20_usize..3_000, Just(65_536)], 1..50),
    ) {
        let (mut wire, mut expected, mut last_ping, mut goes_on) = (Vec::new(), Vec::new(), None, false);
        for (part, mask) in parts {
            match part {
                Part::Data(data, is_final) => {
                    let opcode = if goes_on { 0x00 } else { 0x02 };
                    goes_on = !is_final;
                    wire.extend(frame(opcode | u8::from(is_final) << 7, mask, &data));
                    expected.extend(data);
                }
                Part::Ping(payload) => {
                    wire.extend(frame(0x89, mask, &payload));
                    last_ping = Some(payload);
                }
                Part::Pong => wire.extend(frame(0x8A, mask, b"unasked")),
            }
        }
        let (mut unframer, mut stream, mut ping) = (Unframer::default(), Vec::new(), None);
        let (mut at, mut cuts) = (0, cuts.into_iter().cycle());
        while at < wire.len() {
            let size = cuts.next().expect("endless").min(wire.len() - at);
            let mut read = wire[at..at + size].to_vec();
            at += size;
            let unframed = unframer.unframe(&mut read);
            prop_assert_eq!(unframed.ended, None);
            stream.extend_from_slice(&read[..unframed.bytes]);
            ping = unframed.ping.or(ping);
        }
        prop_assert!(stream == expected);
        prop_assert_eq!(ping, last_ping);
    }

    #[test]
    fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1_usize..300) {
        let mut unframer = Unframer::default();
        for piece in bytes.chunks(cut) {
            let mut piece = piece.to_vec();
            prop_assert!(unframer.unframe(&mut piece).bytes <= piece.len());
        }
    }
}
