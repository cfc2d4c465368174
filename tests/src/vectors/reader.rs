//! Bytes from a broker to packets with named fields, as strictly as the standard has it: a broker that sends what it
//! may not fails every vector that sees it.

use super::notation::shown;
use super::property::{Kind, codes_from_server, numbered};

/// A field's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Text or any bytes.
    Bytes(Vec<u8>),
    /// One code for each filter.
    Codes(Vec<u8>),
}

/// A packet that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its name in capitals.
    pub kind: &'static str,
    /// Its fields and properties, in order.
    pub fields: Vec<(String, Value)>,
}

impl Seen {
    /// The first value of a field.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A number among the fields.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        if let Some(Value::Number(number)) = self.find(key) { Some(*number) } else { None }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => f.write_str(&shown(bytes)),
            Self::Codes(codes) => {
                let codes: Vec<String> = codes.iter().map(|code| format!("{code:#04x}")).collect();
                f.write_str(&codes.join(","))
            }
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind)?;
        for (key, value) in &self.fields {
            match value {
                Value::Number(number) if key == "code" => write!(f, " code={number:#04x}")?,
                Value::Number(_) | Value::Bytes(_) | Value::Codes(_) => write!(f, " {key}={value}")?,
            }
        }
        Ok(())
    }
}

/// Takes one packet off the front of what has come: none while it is not whole; with it, how many bytes it had.
pub fn take(received: &[u8], level: u8) -> Result<Option<(Seen, usize)>, String> {
    let Some((&first, rest)) = received.split_first() else { return Ok(None) };
    let Some((length, length_bytes)) = variable(rest)? else { return Ok(None) };
    let (begin, end) = (1 + length_bytes, 1 + length_bytes + length);
    let Some(body) = received.get(begin..end) else { return Ok(None) };
    let mut body = Body { rest: body, fields: Vec::new(), is_v5: level >= 5 };
    let kind = body.packet(first).map_err(|error| format!("{error} in {}", shown(&received[..end])))?;
    Ok(Some((Seen { kind, fields: body.fields }, end)))
}

/// A variable byte integer and its length; none while it is not whole.
fn variable(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut value = 0;
    for at in 0..4 {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let is_minimal = at == 0 || byte != 0;
            return if is_minimal {
                Ok(Some((value, at + 1)))
            } else {
                Err("an overlong integer".to_owned())
            };
        }
    }
    Err("an integer of more than four bytes".to_owned())
}

fn check_code(kind: &str, code: u8) -> Result<(), String> {
    if codes_from_server(kind).contains(&code) {
        return Ok(());
    }
    Err(format!("{kind} with reason code {code:#04x}"))
}

struct Body<'a> {
    rest: &'a [u8],
    fields: Vec<(String, Value)>,
    is_v5: bool,
}

impl Body<'_> {
    fn packet(&mut self, first: u8) -> Result<&'static str, String> {
        let flags = first & 0x0F;
        let (kind, flags_wanted) = match first >> 4 {
            2 => ("CONNACK", Some(0)),
            3 => ("PUBLISH", None),
            4 => ("PUBACK", Some(0)),
            5 => ("PUBREC", Some(0)),
            6 => ("PUBREL", Some(2)),
            7 => ("PUBCOMP", Some(0)),
            9 => ("SUBACK", Some(0)),
            11 => ("UNSUBACK", Some(0)),
            13 => ("PINGRESP", Some(0)),
            14 if self.is_v5 => ("DISCONNECT", Some(0)),
            15 if self.is_v5 => ("AUTH", Some(0)),
            _ => return Err("no packet that a server sends".to_owned()),
        };
        if flags_wanted.is_some_and(|wanted| wanted != flags) {
            return Err(format!("{kind} with flags {flags:#x}"));
        }
        match kind {
            "CONNACK" => self.connack()?,
            "PUBLISH" => self.publish(flags)?,
            "SUBACK" | "UNSUBACK" => self.codes(kind)?,
            "PINGRESP" => {}
            "DISCONNECT" | "AUTH" => self.reason(kind)?,
            _ => {
                self.packet_id()?;
                self.reason(kind)?;
            }
        }
        if self.rest.is_empty() { Ok(kind) } else { Err(format!("{kind} with bytes after its end")) }
    }

    fn put(&mut self, key: &str, value: Value) {
        self.fields.push((key.to_owned(), value));
    }

    fn number(&mut self, key: &str, value: u64) {
        self.put(key, Value::Number(value));
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], String> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or("a packet that ends early")?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }

    fn short(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.bytes(2)?.try_into().expect("two bytes")))
    }

    fn long(&mut self) -> Result<u32, String> {
        Ok(u32::from_be_bytes(self.bytes(4)?.try_into().expect("four bytes")))
    }

    fn text(&mut self) -> Result<Vec<u8>, String> {
        let length = usize::from(self.short()?);
        Ok(self.bytes(length)?.to_vec())
    }

    fn connack(&mut self) -> Result<(), String> {
        let flags = self.byte()?;
        if flags > 1 {
            return Err("CONNACK with reserved flags".to_owned());
        }
        let code = self.byte()?;
        self.number("present", u64::from(flags));
        self.number("code", u64::from(code));
        if code != 0 && flags != 0 {
            return Err("CONNACK that refuses and says a session is present".to_owned());
        }
        // To whoever asks for a version that is not served, the form tells what the server takes it for.
        if self.rest.is_empty() && (!self.is_v5 || code == 1) {
            return if code <= 5 { Ok(()) } else { Err(format!("CONNACK with return code {code}")) };
        }
        check_code("CONNACK", code)?;
        self.properties("CONNACK")
    }

    fn publish(&mut self, flags: u8) -> Result<(), String> {
        let (dup, qos, retain) = (flags >> 3, flags >> 1 & 3, flags & 1);
        if qos == 3 || dup == 1 && qos == 0 {
            return Err(format!("PUBLISH with flags {flags:#x}"));
        }
        self.number("dup", u64::from(dup));
        self.number("qos", u64::from(qos));
        self.number("retain", u64::from(retain));
        let topic = self.text()?;
        let is_name = std::str::from_utf8(&topic).is_ok_and(|topic| !topic.contains(['+', '#', '\0']));
        if !is_name {
            return Err("PUBLISH whose topic is no name".to_owned());
        }
        self.put("topic", Value::Bytes(topic.clone()));
        if qos > 0 {
            self.packet_id()?;
        }
        if self.is_v5 {
            self.properties("PUBLISH")?;
        }
        if topic.is_empty() && !self.fields.iter().any(|(key, _)| key == "+alias") {
            return Err("PUBLISH without topic and alias".to_owned());
        }
        let payload = std::mem::take(&mut self.rest).to_vec();
        self.put("payload", Value::Bytes(payload));
        Ok(())
    }

    fn packet_id(&mut self) -> Result<(), String> {
        match self.short()? {
            0 => Err("packet identifier 0".to_owned()),
            id => {
                self.number("id", u64::from(id));
                Ok(())
            }
        }
    }

    fn codes(&mut self, kind: &'static str) -> Result<(), String> {
        self.packet_id()?;
        if self.is_v5 {
            self.properties(kind)?;
        } else if kind == "UNSUBACK" {
            return Ok(());
        }
        let codes = std::mem::take(&mut self.rest).to_vec();
        for &code in &codes {
            if !self.is_v5 && ![0, 1, 2, 0x80].contains(&code) {
                return Err(format!("SUBACK with return code {code:#04x}"));
            }
            if self.is_v5 {
                check_code(kind, code)?;
            }
        }
        self.put("codes", Value::Codes(codes));
        Ok(())
    }

    fn reason(&mut self, kind: &'static str) -> Result<(), String> {
        if !self.is_v5 {
            return Ok(());
        }
        let code = if self.rest.is_empty() { 0 } else { self.byte()? };
        check_code(kind, code)?;
        self.number("code", u64::from(code));
        if self.rest.is_empty() { Ok(()) } else { self.properties(kind) }
    }

    fn properties(&mut self, packet: &str) -> Result<(), String> {
        let (length, length_bytes) = variable(self.rest)?.ok_or("properties that end early")?;
        self.bytes(length_bytes)?;
        let section = self.bytes(length)?.to_vec();
        let after = std::mem::take(&mut self.rest);
        let mut inner = Body { rest: &section, fields: Vec::new(), is_v5: true };
        while !inner.rest.is_empty() {
            inner.property(packet)?;
        }
        let fields = inner.fields;
        self.fields.extend(fields);
        self.rest = after;
        Ok(())
    }

    fn property(&mut self, packet: &str) -> Result<(), String> {
        let id = self.byte()?;
        let property = numbered(id).ok_or_else(|| format!("{packet} with property {id:#04x}"))?;
        let key = format!("+{}", property.name);
        if !property.from_server.contains(&packet) {
            return Err(format!("{packet} with property `{}`", property.name));
        }
        let may_repeat = ["user", "subscription-id"].contains(&property.name);
        if !may_repeat && self.fields.iter().any(|(name, _)| *name == key) {
            return Err(format!("{packet} with property `{}` twice", property.name));
        }
        let value = match property.kind {
            Kind::Byte => Value::Number(self.byte()?.into()),
            Kind::Short => Value::Number(self.short()?.into()),
            Kind::Long => Value::Number(self.long()?.into()),
            Kind::Variable => {
                let (value, length) = variable(self.rest)?.ok_or("an integer that ends early")?;
                self.bytes(length)?;
                Value::Number(value as u64)
            }
            Kind::Text => Value::Bytes(self.text()?),
            Kind::Pair => {
                let name = self.text()?;
                Value::Bytes([&name[..], b":", &self.text()?].concat())
            }
        };
        self.put(&key, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_show_what_is_in_them() {
        for (level, bytes, expected) in [
            (4, &b"\x20\x02\x01\x00"[..], "CONNACK present=1 code=0x00"),
            (5, b"\x20\x03\x00\x84\x00", "CONNACK present=0 code=0x84"),
            (5, b"\x20\x02\x00\x01", "CONNACK present=0 code=0x01"),
            (4, b"\x3a\x06\x00\x01a\x00\x07x", "PUBLISH dup=1 qos=1 retain=0 topic=a id=7 payload=x"),
            (
                5,
                b"\x30\x0d\x00\x01a\x09\x0b\x80\x01\x26\x00\x01k\x00\x00",
                "PUBLISH dup=0 qos=0 retain=0 topic=a +subscription-id=128 +user=k: payload=",
            ),
            (4, b"\x90\x04\x00\x01\x02\x80", "SUBACK id=1 codes=0x02,0x80"),
            (5, b"\xb0\x04\x00\x01\x00\x11", "UNSUBACK id=1 codes=0x11"),
            (5, b"\x40\x02\x00\x01", "PUBACK id=1 code=0x00"),
            (5, b"\xe0\x01\x8e", "DISCONNECT code=0x8e"),
        ] {
            let (seen, taken) = take(bytes, level).expect("lawful").expect("whole");
            assert_eq!((seen.to_string().as_str(), taken), (expected, bytes.len()));
            assert_eq!(take(&bytes[..bytes.len() - 1], level), Ok(None), "{expected}: not whole yet");
        }
    }

    #[test]
    fn what_a_server_may_not_send_is_found() {
        for (level, bytes) in [
            (4, &b"\x20\x02\x02\x00"[..]),
            (4, b"\x20\x02\x01\x05"),
            (4, b"\x41\x02\x00\x01"),
            (4, b"\x40\x02\x00\x00"),
            (4, b"\x38\x04\x00\x01ax"),
            (4, b"\x30\x03\x00\x01+"),
            (4, b"\x90\x03\x00\x01\x87"),
            (4, b"\xe0\x00"),
            (4, b"\x40\x03\x00\x01\x00"),
            (5, b"\x40\x03\x00\x01\x81"),
            (5, b"\x20\x05\x00\x00\x02\x23\x01"),
            (5, b"\x30\x84\x00\x00\x01a\x00"),
            (5, b"\x10\x00"),
        ] {
            assert!(take(bytes, level).is_err(), "{bytes:02x?}");
        }
    }
}
