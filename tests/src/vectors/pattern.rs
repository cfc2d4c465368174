//! Whether a packet is the one that a vector wants, and what it keeps of it.

use std::collections::BTreeMap;

use super::notation::{Words, bytes, number, value as escaped};
use super::reader::{Seen, Value};

/// What was kept under a name.
pub(super) type Kept = BTreeMap<String, Value>;

/// Whether `seen` is what `wanted` says; what is to be kept of it is kept if it is.
pub(super) fn fits(wanted: &Words, seen: &Seen, kept: &mut Kept) -> Result<(), String> {
    if wanted.kind != seen.kind {
        return Err(format!("wanted {}", wanted.kind));
    }
    let wanted = with_defaults(wanted, seen);
    let mut keys: Vec<&str> = wanted.pairs.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut keeping = kept.clone();
    for key in keys {
        let values: Vec<&str> = wanted.all(key).collect();
        let there: Vec<&Value> =
            seen.fields.iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect();
        field(key, &values, &there, &mut keeping)?;
    }
    *kept = keeping;
    Ok(())
}

/// What is 0 unless something else is said.
fn with_defaults(wanted: &Words, seen: &Seen) -> Words {
    let keys: &[&str] = match seen.kind {
        "PUBLISH" => &["qos", "dup", "retain"],
        "CONNACK" | "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" | "DISCONNECT" | "AUTH" => &["code"],
        _ => &[],
    };
    let is_there = |key: &&&str| seen.find(key).is_some();
    keys.iter().filter(is_there).fold(wanted.clone(), |words, key| words.or(key, "0"))
}

fn field(key: &str, wanted: &[&str], there: &[&Value], kept: &mut Kept) -> Result<(), String> {
    let shown_there = || there.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let wrong = || Err(format!("wanted `{key}={}`, got `{}`", wanted.join(" "), shown_there()));
    match wanted {
        ["none"] => return if there.is_empty() { Ok(()) } else { wrong() },
        ["any"] => return if there.is_empty() { wrong() } else { Ok(()) },
        _ => {}
    }
    if wanted.len() != there.len() {
        return wrong();
    }
    let mut there = there.to_vec();
    if key == "+subscription-id" {
        // Their order means nothing [MQTT-3.3.4-4].
        there.sort_by_key(|value| if let Value::Number(number) = value { *number } else { 0 });
    }
    for (wanted, value) in wanted.iter().zip(there) {
        if !is(wanted, value, kept)? {
            return wrong();
        }
    }
    Ok(())
}

fn is(wanted: &str, value: &Value, kept: &mut Kept) -> Result<bool, String> {
    if let Some(name) = wanted.strip_prefix('@') {
        let before = kept.entry(name.to_owned()).or_insert_with(|| value.clone());
        return Ok(before == value);
    }
    match value {
        Value::Number(seen) => Ok(is_number(wanted, *seen)),
        Value::Bytes(seen) => {
            let literal = bytes(wanted)?;
            Ok(literal == *seen)
        }
        Value::Codes(seen) => {
            let wanted: Vec<&str> = wanted.split(',').collect();
            let each = wanted.iter().zip(seen).all(|(wanted, seen)| is_number(wanted, u64::from(*seen)));
            Ok(wanted.len() == seen.len() && each)
        }
    }
}

/// Whether a number is one of `1|0x82|5..9`.
pub(super) fn is_number(wanted: &str, seen: u64) -> bool {
    wanted.split('|').any(|choice| match choice.split_once("..") {
        Some((low, high)) => {
            number(low).zip(number(high)).is_some_and(|(low, high)| (low..=high).contains(&seen))
        }
        None => number(choice) == Some(seen),
    })
}

/// A value in words as what is sent: what was kept under its name, or itself.
pub(super) fn resolved(text: &str, kept: &Kept) -> Result<String, String> {
    let Some(name) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    match kept.get(name) {
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bytes(bytes)) => Ok(escaped(bytes)),
        Some(Value::Codes(_)) | None => Err(format!("nothing was kept as `@{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::notation::{Deed, Step, step};
    use super::super::reader::take;
    use super::*;

    fn wanted(text: &str) -> Words {
        match step(&format!("a < {text}")) {
            Ok(Step::Of(_, Deed::Receives(mut packets))) => packets.remove(0),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_packet_fits_when_everything_that_is_named_does() {
        let bytes = b"\x32\x12\x00\x01a\x00\x07\x09\x26\x00\x01k\x00\x01v\x0b\x02x\x79\x7a";
        let (seen, _) = take(bytes, 5).expect("lawful").expect("whole");
        for (text, fit) in [
            ("PUBLISH qos=1 topic=a payload=xyz", true),
            ("PUBLISH qos=1 +user=k:v +subscription-id=2 +content-type=none", true),
            ("PUBLISH qos=1|2 id=5..9 +user=any", true),
            ("PUBLISH topic=a", false),
            ("PUBLISH qos=1 topic=b", false),
            ("PUBLISH qos=1 retain", false),
            ("PUBLISH qos=1 +user=k:v +user=k:v", false),
            ("PUBLISH qos=1 +user=none", false),
            ("PUBACK id=7", false),
        ] {
            assert_eq!(fits(&wanted(text), &seen, &mut Kept::new()).is_ok(), fit, "{text}");
        }
        let mut kept = Kept::new();
        fits(&wanted("PUBLISH qos=1 id=@m"), &seen, &mut kept).expect("kept");
        assert_eq!(resolved("@m", &kept).as_deref(), Ok("7"));
        fits(&wanted("PUBLISH qos=1 id=@m"), &seen, &mut kept).expect("the same again");
        kept.insert("m".to_owned(), Value::Number(8));
        assert!(fits(&wanted("PUBLISH qos=1 id=@m"), &seen, &mut kept).is_err());
    }
}
