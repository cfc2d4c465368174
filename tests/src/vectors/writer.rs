//! Packets in words to bytes, lawful or not: whatever a vector asks for is written.
//!
//! Beside its fields every packet takes `flags` (the low half of the first byte), `length` (the bytes of the
//! remaining length, in hexadecimal), `proplen` (the number written as the length of the properties), `+hex` (bytes
//! among the properties), `tail` (bytes after the body, in hexadecimal) and `cut` (so many bytes fewer at its end).

use super::notation::{Words, bytes, number};
use super::property::{Kind, named};

/// What the words of a packet mean on the wire at a protocol level.
pub fn packet(words: &Words, level: u8) -> Result<Vec<u8>, String> {
    let is_v5 = level >= 5;
    let (kind, flags, mut body) = match words.kind.as_str() {
        "hex" => return hex(&words.all("hex").collect::<String>()),
        "CONNECT" => (1, 0, connect(words, level)?),
        "CONNACK" => (2, 0, vec![field(words, "present", 0)?, field(words, "code", 0)?]),
        "PUBLISH" => publish(words, is_v5)?,
        "PUBACK" => (4, 0, acknowledgement(words, is_v5)?),
        "PUBREC" => (5, 0, acknowledgement(words, is_v5)?),
        "PUBREL" => (6, 2, acknowledgement(words, is_v5)?),
        "PUBCOMP" => (7, 0, acknowledgement(words, is_v5)?),
        "SUBSCRIBE" => (8, 2, subscribe(words, is_v5)?),
        "SUBACK" => (9, 0, acknowledgement(words, is_v5)?),
        "UNSUBSCRIBE" => (10, 2, unsubscribe(words, is_v5)?),
        "UNSUBACK" => (11, 0, acknowledgement(words, is_v5)?),
        "PINGREQ" => (12, 0, Vec::new()),
        "PINGRESP" => (13, 0, Vec::new()),
        "DISCONNECT" => (14, 0, reasoned(words, is_v5)?),
        "AUTH" => (15, 0, reasoned(words, is_v5)?),
        other => return Err(format!("there is no packet `{other}`")),
    };
    if let Some(tail) = words.find("tail") {
        body.extend(hex(tail)?);
    }
    let cut: usize = field(words, "cut", 0)?;
    body.truncate(body.len().saturating_sub(cut));
    let flags: u8 = field(words, "flags", flags)?;
    let mut out = vec![kind << 4 | flags];
    match words.find("length") {
        Some(length) => out.extend(hex(length)?),
        None => variable(&mut out, body.len()),
    }
    out.extend(body);
    Ok(out)
}

/// A number of the packet, or what it is unless told.
fn field<T: TryFrom<u64>>(words: &Words, key: &str, unless_told: T) -> Result<T, String> {
    let Some(text) = words.find(key) else { return Ok(unless_told) };
    let value = number(text).ok_or_else(|| format!("`{key}={text}` is no number"))?;
    T::try_from(value).map_err(|_| format!("`{key}={text}` is too large"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    if !digits.len().is_multiple_of(2) || digits.len() != text.len() {
        return Err(format!("`{text}` is not hexadecimal"));
    }
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    Ok(digits.chunks(2).map(byte).collect())
}

/// A variable byte integer in as few bytes as hold it.
fn variable(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value % 128).expect("below 128");
        value /= 128;
        out.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return;
        }
    }
}

/// A length of two bytes and the data; a longer one has its length cut, as on purpose.
fn text(out: &mut Vec<u8>, data: &[u8]) {
    let length = u16::try_from(data.len() & 0xFFFF).expect("masked");
    out.extend(length.to_be_bytes());
    out.extend(data);
}

fn connect(words: &Words, level: u8) -> Result<Vec<u8>, String> {
    let level = field(words, "v", level)?;
    let mut out = Vec::new();
    let name = words.find("name").unwrap_or(if level == 3 { "MQIsdp" } else { "MQTT" });
    text(&mut out, &bytes(name)?);
    out.push(field(words, "level", level)?);
    let part = |key: &str| words.find(key).filter(|value| *value != "none");
    let will = part("will");
    let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let flags = bit(field(words, "clean", 1_u8)? == 1, 2)
        | bit(will.is_some(), 4)
        | field(words, "will-qos", 0_u8)? << 3
        | field(words, "will-retain", 0_u8)? << 5
        | bit(part("pass").is_some(), 0x40)
        | bit(part("user").is_some(), 0x80);
    out.push(field(words, "connect-flags", flags)?);
    out.extend(field(words, "keep", 0_u16)?.to_be_bytes());
    if level == 5 {
        properties(&mut out, words, "+", "proplen")?;
    }
    text(&mut out, &bytes(words.find("id").unwrap_or_default())?);
    if let Some(topic) = will {
        if level == 5 {
            properties(&mut out, words, "will+", "will-proplen")?;
        }
        text(&mut out, &bytes(topic)?);
        text(&mut out, &bytes(words.find("will-payload").unwrap_or_default())?);
    }
    for key in ["user", "pass"] {
        if let Some(value) = part(key) {
            text(&mut out, &bytes(value)?);
        }
    }
    Ok(out)
}

fn publish(words: &Words, is_v5: bool) -> Result<(u8, u8, Vec<u8>), String> {
    let qos: u8 = field(words, "qos", 0)?;
    let flags = field(words, "dup", 0_u8)? << 3 | qos << 1 | field(words, "retain", 0_u8)?;
    let mut out = Vec::new();
    text(&mut out, &bytes(words.find("topic").unwrap_or_default())?);
    if let Some(id) = words.find("id") {
        if id != "none" {
            out.extend(field(words, "id", 0_u16)?.to_be_bytes());
        }
    } else if qos > 0 {
        return Err("a PUBLISH of QoS 1 or 2 wants an `id`".to_owned());
    }
    if is_v5 {
        properties(&mut out, words, "+", "proplen")?;
    }
    out.extend(bytes(words.find("payload").unwrap_or_default())?);
    Ok((3, flags, out))
}

/// In its shortest form unless a code or properties are named; `+hex=` alone asks for the longest.
fn acknowledgement(words: &Words, is_v5: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.extend(field(words, "id", 0_u16)?.to_be_bytes());
    out.extend(reasoned(words, is_v5)?);
    Ok(out)
}

fn reasoned(words: &Words, is_v5: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let has_properties = words.pairs.iter().any(|(key, _)| key.starts_with('+') || key == "proplen");
    if is_v5 && (words.find("code").is_some() || has_properties) {
        out.push(field(words, "code", 0)?);
    }
    if is_v5 && has_properties {
        properties(&mut out, words, "+", "proplen")?;
    }
    Ok(out)
}

fn subscribe(words: &Words, is_v5: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.extend(field(words, "id", 1_u16)?.to_be_bytes());
    if is_v5 {
        properties(&mut out, words, "+", "proplen")?;
    }
    for word in words.all("filter") {
        let (filter, said) = word.rsplit_once(':').unwrap_or((word, ""));
        text(&mut out, &bytes(filter)?);
        if said != "none" {
            out.push(options(said)?);
        }
    }
    Ok(out)
}

/// `1,nl,rap,rh2` or a number after `0x`.
pub(super) fn options(text: &str) -> Result<u8, String> {
    let mut byte = 0;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        byte |= match part {
            "nl" => 0x04,
            "rap" => 0x08,
            "rh1" => 0x10,
            "rh2" => 0x20,
            "rh3" => 0x30,
            number_ => number(number_)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or_else(|| format!("`{text}` are no options"))?,
        };
    }
    Ok(byte)
}

fn unsubscribe(words: &Words, is_v5: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.extend(field(words, "id", 1_u16)?.to_be_bytes());
    if is_v5 {
        properties(&mut out, words, "+", "proplen")?;
    }
    for filter in words.all("filter") {
        text(&mut out, &bytes(filter)?);
    }
    Ok(out)
}

fn properties(out: &mut Vec<u8>, words: &Words, prefix: &str, length: &str) -> Result<(), String> {
    let mut section = Vec::new();
    for (key, value) in &words.pairs {
        let Some(name) = key.strip_prefix(prefix) else { continue };
        if name == "hex" {
            section.extend(hex(value)?);
            continue;
        }
        let property = named(name).ok_or_else(|| format!("there is no property `{name}`"))?;
        section.push(property.id);
        match property.kind {
            Kind::Byte => section.push(value_of(name, value)?),
            Kind::Short => section.extend(value_of::<u16>(name, value)?.to_be_bytes()),
            Kind::Long => section.extend(value_of::<u32>(name, value)?.to_be_bytes()),
            Kind::Variable => variable(&mut section, value_of(name, value)?),
            Kind::Text => text(&mut section, &bytes(value)?),
            Kind::Pair => {
                let (name, value) = value.split_once(':').ok_or_else(|| format!("`{value}` is no pair"))?;
                text(&mut section, &bytes(name)?);
                text(&mut section, &bytes(value)?);
            }
        }
    }
    match words.find(length) {
        Some(_) => variable(out, field(words, length, 0)?),
        None => variable(out, section.len()),
    }
    out.extend(section);
    Ok(())
}

fn value_of<T: TryFrom<u64>>(name: &str, text: &str) -> Result<T, String> {
    let value = number(text).ok_or_else(|| format!("`+{name}={text}` is no number"))?;
    T::try_from(value).map_err(|_| format!("`+{name}={text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::super::notation::{Deed, Step, step};
    use super::*;

    #[test]
    fn packets_are_the_bytes_of_the_standard() {
        for (level, text, expected) in [
            (4, "PUBLISH topic=a/b payload=hi", "3007 0003612f62 6869"),
            (5, "PUBLISH topic=a qos=1 id=10 +message-expiry=1", "320b 000161 000a 05 0200000001"),
            (4, "CONNECT id=x", "100d 00044d515454 04 02 0000 000178"),
            (5, "CONNECT id=x clean=0 +receive-max=2", "1011 00044d515454 05 00 0000 03210002 000178"),
            (4, "CONNECT v=3 id=x", "100f 00064d5149736470 03 02 0000 000178"),
            (4, "SUBSCRIBE id=1 a/b:1", "8208 0001 0003612f62 01"),
            (5, "SUBSCRIBE id=1 a/b:1,nl,rh2", "8209 0001 00 0003612f62 25"),
            (5, "PUBACK id=1", "4002 0001"),
            (5, "PUBACK id=1 code=0x10", "4003 0001 10"),
            (5, "PUBREL id=1 +reason=x", "6208 0001 00 04 1f000178"),
            (5, "DISCONNECT", "e000"),
            (5, "PINGREQ flags=1 tail=00", "c1 01 00"),
            (4, "PUBLISH topic=abc cut=2 length=8300", "30 8300 000361"),
        ] {
            let Ok(Step::Of(_, Deed::Sends(packets))) = step(&format!("a > {text}")) else {
                panic!("`{text}` is to be sent")
            };
            let expected = hex(&expected.replace(' ', "")).expect("digits");
            assert_eq!(packet(&packets[0], level), Ok(expected), "{text}");
        }
    }
}
