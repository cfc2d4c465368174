//! The table of behaviour at limits says what the codec and the broker do: its codes are those of the one table from a
//! refusal to a reason code, its reasons those that are counted.

use broker::DropReason;
use contract::behaviour::{BEHAVIOURS, Behaviour, Counted, Wire, code_name};
use contract::refusal::Refusal;
use mqtt::{ConnectReturnCode, ReasonCode};

#[test]
fn every_code_is_the_one_that_the_refusal_has_on_the_wire() {
    let faults: Vec<String> = BEHAVIOURS.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_code_is_found() {
    let row = Behaviour { v5: &[Wire::ConnAck(0x87)], ..BEHAVIOURS[1] };
    assert_eq!(faults(&row).len(), 1, "{:?}", faults(&row));
}

fn faults(row: &Behaviour) -> Vec<String> {
    let refusal = row.counted.iter().find_map(|counted| match counted {
        Counted::Refused(refusal) => Some(*refusal),
        Counted::Dropped(_) => None,
    });
    let codes = row.v311.iter().map(|wire| (*wire, false)).chain(row.v5.iter().map(|wire| (*wire, true)));
    let mut faults: Vec<String> = codes
        .filter_map(|(wire, is_v5)| {
            let said = code(wire)?;
            let meant = refusal.and_then(|refusal| code_of(wire, refusal, is_v5));
            let is_named = !is_v5 || name(said) == code_name(said);
            (meant != Some(said) || !is_named).then(|| {
                format!("{:?}: {wire:?} in {}, not {meant:02x?}", row.bound, if is_v5 { 5 } else { 3 })
            })
        })
        .collect();
    for counted in row.counted {
        if let Counted::Dropped(reason) = counted {
            let is_one = DropReason::ALL.iter().any(|known| known.name() == *reason);
            faults.extend((!is_one).then(|| format!("{:?}: nothing is dropped for `{reason}`", row.bound)));
        }
    }
    faults
}

/// The code that a row says.
fn code(wire: Wire) -> Option<u8> {
    if let Wire::ConnAck(code) | Wire::PubAck(code) | Wire::SubAck(code) | Wire::Disconnect(code) = wire {
        Some(code)
    } else {
        None
    }
}

/// The code that is sent.
fn code_of(wire: Wire, refusal: Refusal, is_v5: bool) -> Option<u8> {
    let connack = ReasonCode::of_connack(refusal);
    match (is_v5, wire) {
        (true, Wire::ConnAck(_)) => Some(connack.byte()),
        (true, Wire::PubAck(_)) => Some(ReasonCode::of_publish(refusal).byte()),
        (true, Wire::SubAck(_)) => Some(ReasonCode::of_subscribe(refusal).byte()),
        (true, Wire::Disconnect(_)) => Some(ReasonCode::of_disconnect(refusal).byte()),
        (false, Wire::ConnAck(_)) => Some(ConnectReturnCode::of_reason(connack) as u8),
        (false, Wire::SubAck(_)) => Some(0x80),
        _ => None,
    }
}

/// The codec's name of a code.
fn name(code: u8) -> Option<&'static str> {
    ReasonCode::from_byte(code).map(ReasonCode::name)
}
