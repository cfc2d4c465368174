//! The notation of the vectors.
//!
//! | step | meaning |
//! |---|---|
//! | `a connects clean=0` | CONNECT of connection `a`, and a CONNACK of success |
//! | `a subscribes ~/x:1 ~/y:2` | SUBSCRIBE, and a SUBACK that grants just that |
//! | `a publishes topic=~/x qos=2` | PUBLISH, and whatever its QoS exchanges |
//! | `a gets topic=~/x qos=1` | the next packet is this PUBLISH; acknowledged to the end |
//! | `a leaves` | DISCONNECT, and the broker closes |
//! | `a > PUBACK id=1 ; PINGREQ` | packets in one write; `hex 30 00` for bytes as they are |
//! | `a < PUBACK id=1` | the next packet must be this one |
//! | `a < PUBACK id=1 & PUBLISH topic=~/x` | the next packets must be these, in any order |
//! | `a < nothing` | nothing has come and nothing comes before the answer to a PINGREQ |
//! | `a < closed`, `a < closed 0x82` | the broker closes; in 5.0 with a DISCONNECT of this reason code before it |
//! | `a < refused 0x84` | the broker answers CONNECT with this code and closes; without a code: with any or none |
//! | `a ~ open`, `a ~ drop` | a bare connection is made, or ended without a word |
//! | `pass 1500` | so many milliseconds go by |
//! | `check @m != @n` | what was kept differs (`==`: is the same) |
//!
//! A packet is its name and words: `key=value`, a bare `key` for `key=1`, `+name=value` for a property,
//! `will+name=value` for one of the will; SUBSCRIBE and UNSUBSCRIBE have filters as bare words with a slash or after
//! `filter=`. Values are text; `%00` is a byte, `x*300` is three hundred times
//! `x`, `(ab)*2` twice `ab`, `~` is a prefix of the vector's
//! own and `@name` is what was kept under that name, or keeps it. An expected `any` is there, `none` is not;
//! `1..9` and `0x81|0x82` are choices among numbers. What is not named is open, but for QoS, DUP and RETAIN of a
//! PUBLISH, return and reason codes, which are 0 unless something else is said.

/// Bytes of a value that people are shown.
const SHOWN_MAX: usize = 200;

/// A step of a vector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A connection does or gets something.
    Of(String, Deed),
    /// Time goes by, in milliseconds.
    Pass(u64),
    /// Two values are alike, or not.
    Check {
        /// One.
        left: String,
        /// The other.
        right: String,
        /// Whether they must be the same.
        same: bool,
    },
}

/// What a connection does or gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// CONNECT and a CONNACK of success.
    Connects(Words),
    /// SUBSCRIBE and its SUBACK.
    Subscribes(Words),
    /// PUBLISH and its acknowledgements.
    Publishes(Words),
    /// A PUBLISH comes and is acknowledged.
    Gets(Words),
    /// DISCONNECT and the end.
    Leaves,
    /// Packets in one write.
    Sends(Vec<Words>),
    /// The next packets, in any order.
    Receives(Vec<Words>),
    /// Nothing comes.
    Nothing,
    /// The broker closes, with one of these reason codes if any are named.
    Closed(Option<String>),
    /// The broker refuses CONNECT.
    Refused(Option<String>),
    /// A bare connection.
    Open,
    /// The connection ends without a word.
    Drop,
}

/// A packet in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The packet's name in capitals, or `hex`.
    pub kind: String,
    /// Keys and values, in order.
    pub pairs: Vec<(String, String)>,
}

impl Words {
    /// The last value of a key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The same with another pair in front, so that what is said goes first.
    #[must_use]
    pub fn or(mut self, key: &str, value: &str) -> Self {
        if self.find(key).is_none() {
            self.pairs.push((key.to_owned(), value.to_owned()));
        }
        self
    }

    /// The values of a key, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn of(kind: &str, words: &str) -> Result<Self, String> {
        let pairs = split(words)?.into_iter().map(|word| match word.split_once('=') {
            _ if kind == "hex" => ("hex".to_owned(), word),
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None if word.contains(['/', ':', '#', '$']) || word == "+" => ("filter".to_owned(), word),
            None => (word, "1".to_owned()),
        });
        Ok(Self { kind: kind.to_owned(), pairs: pairs.collect() })
    }
}

/// Reads a step; the error says what is wrong with it.
pub fn step(text: &str) -> Result<Step, String> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    match first {
        "pass" => rest.parse().map(Step::Pass).map_err(|_| format!("`{rest}` is no number")),
        "check" => {
            let (left, right, same) = match (rest.split_once(" != "), rest.split_once(" == ")) {
                (Some((left, right)), _) => (left, right, false),
                (None, Some((left, right))) => (left, right, true),
                (None, None) => return Err(format!("`{rest}` compares nothing")),
            };
            Ok(Step::Check { left: left.trim().to_owned(), right: right.trim().to_owned(), same })
        }
        name => Ok(Step::Of(name.to_owned(), deed(rest)?)),
    }
}

fn deed(text: &str) -> Result<Deed, String> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    match verb {
        "connects" => Ok(Deed::Connects(Words::of("CONNECT", rest)?)),
        "subscribes" => Ok(Deed::Subscribes(Words::of("SUBSCRIBE", rest)?)),
        "publishes" => Ok(Deed::Publishes(Words::of("PUBLISH", rest)?)),
        "gets" => Ok(Deed::Gets(Words::of("PUBLISH", rest)?)),
        "leaves" => Ok(Deed::Leaves),
        ">" => Ok(Deed::Sends(packets(rest, " ; ")?)),
        "<" => match rest.split_once(' ').unwrap_or((rest, "")) {
            ("nothing", "") => Ok(Deed::Nothing),
            ("closed", codes) => Ok(Deed::Closed((!codes.is_empty()).then(|| codes.to_owned()))),
            ("refused", codes) => Ok(Deed::Refused((!codes.is_empty()).then(|| codes.to_owned()))),
            _ => Ok(Deed::Receives(packets(rest, " & ")?)),
        },
        "~" if rest == "open" => Ok(Deed::Open),
        "~" if rest == "drop" => Ok(Deed::Drop),
        _ => Err(format!("`{text}` is no deed")),
    }
}

fn packets(text: &str, between: &str) -> Result<Vec<Words>, String> {
    let packet = |text: &str| {
        let (kind, words) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Words::of(kind, words)
    };
    text.split(between).map(packet).collect()
}

/// Words between spaces; what stands between `'` belongs together.
fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut is_quoted, mut is_word) = (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            '\'' => (is_quoted, is_word) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            letter => {
                word.push(letter);
                is_word = true;
            }
        }
    }
    if is_quoted {
        return Err(format!("a quote is open in `{text}`"));
    }
    if is_word {
        words.push(word);
    }
    Ok(words)
}

/// A number, decimal or after `0x`.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
}

/// The bytes that a value means.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if let Some((head, count)) = text.rsplit_once('*')
        && let Ok(count) = count.parse()
    {
        let (head, unit) = head.split_at(head.len() - last(head));
        let unit = unit.strip_prefix('(').and_then(|unit| unit.strip_suffix(')')).unwrap_or(unit);
        return Ok([bytes(head)?, bytes(unit)?.repeat(count)].concat());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.ok_or_else(|| format!("`{text}` has a `%` without two digits"))?);
        rest = &tail[2..];
    }
    Ok(out)
}

/// The length of what a `*` repeats: a group in brackets, a byte after `%`, or a letter.
fn last(text: &str) -> usize {
    let letter = text.chars().next_back().map_or(0, char::len_utf8);
    let from = if text.ends_with(')') { text.rfind('(') } else { text.rfind('%') };
    match from.map(|at| text.len() - at) {
        Some(length) if length == 3 || text.ends_with(')') => length,
        _ => letter,
    }
}

/// The value that means these bytes.
#[must_use]
pub fn value(bytes: &[u8]) -> String {
    let byte = |&byte: &u8| match byte {
        b'%' | b'*' | b'\'' => format!("%{byte:02x}"),
        0x21..=0x7E => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    bytes.iter().map(byte).collect()
}

/// The same for people, who do not want all of what is long.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_MAX) {
        Some(head) => format!("{}… ({} bytes)", value(head), bytes.len()),
        None => value(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_as_they_are_meant() {
        let words = |kind: &str, pairs: &[(&str, &str)]| Words {
            kind: kind.to_owned(),
            pairs: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let of = |deed| Ok(Step::Of("a".to_owned(), deed));
        for (text, expected) in [
            ("pass 20", Ok(Step::Pass(20))),
            ("a < nothing", of(Deed::Nothing)),
            ("a < closed 0x81|0x82", of(Deed::Closed(Some("0x81|0x82".to_owned())))),
            ("a ~ drop", of(Deed::Drop)),
            (
                "a > PUBLISH topic=x retain +user=a:b ; hex 30 00",
                of(Deed::Sends(vec![
                    words("PUBLISH", &[("topic", "x"), ("retain", "1"), ("+user", "a:b")]),
                    words("hex", &[("hex", "30"), ("hex", "00")]),
                ])),
            ),
            (
                "a subscribes ~/x:1 'filter=a b'",
                of(Deed::Subscribes(words("SUBSCRIBE", &[("filter", "~/x:1"), ("filter", "a b")]))),
            ),
        ] {
            assert_eq!(step(text), expected, "{text}");
        }
        for text in ["pass x", "check a", "a dances", "a > PUBLISH topic='x"] {
            assert!(step(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_mean_bytes() {
        for (text, expected) in [
            ("a%00b", &b"a\0b"[..]),
            ("ab*3", b"abbb"),
            ("a(bc)*2", b"abcbc"),
            ("a%ff*2", b"a\xff\xff"),
            ("", b""),
            ("a*", b"a*"),
        ] {
            assert_eq!(bytes(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(bytes("%0").is_err() && bytes("%zz").is_err());
        assert_eq!(shown(b"a \xff%"), "a%20%ff%25");
        assert_eq!(bytes(&value(b"a*3%")).as_deref(), Ok(&b"a*3%"[..]));
    }
}
