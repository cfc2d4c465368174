//! The user documentation's page of limits, in both languages: written from the tables of limits and of behaviour, and
//! compared with them.

mod words;

use std::fmt::Write as _;
use std::path::PathBuf;

use contract::behaviour::{BEHAVIOURS, Behaviour, Bound, Counted, Moment, OF_THE_API_ALONE, Wire};
use contract::limits::{LIMITS, Limit};

use self::words::{CHINESE, ENGLISH, Words};

const MOMENTS: [Moment; 6] =
    [Moment::Connect, Moment::Speak, Moment::Publish, Moment::Subscribe, Moment::Receive, Moment::Away];

#[test]
fn the_documentation_has_every_behaviour_at_limits() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web-console/docs"));
    for (language, text) in [("en", page(&ENGLISH)), ("zh-CN", page(&CHINESE))] {
        let file = folder.join(language).join("limits.md");
        if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
            std::fs::write(&file, &text).expect("the page can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == text, "{} is not current: run the tests with UPDATE_OPENAPI=1", file.display());
    }
}

fn page(words: &Words) -> String {
    let mut page = String::from(words.beginning);
    for moment in MOMENTS {
        write!(page, "\n## {}\n\n{}", (words.moment)(moment), words.head).expect("text takes it");
        BEHAVIOURS.iter().filter(|row| row.moment == moment).for_each(|row| page.push_str(&line(words, row)));
    }
    page.push_str(words.end);
    for name in OF_THE_API_ALONE {
        writeln!(page, "| `{name}` | {} |", meaning(words, limit(name))).expect("text takes it");
    }
    page
}

/// One row: the bound, what it means and its default, what either version sees, how it is counted and which event it is.
fn line(words: &Words, row: &Behaviour) -> String {
    let (name, meaning) = match row.bound {
        Bound::Limit(name) => (format!("`{name}`"), meaning(words, limit(name))),
        Bound::Topic(name) => (format!("`{name}`"), (words.of_topic)(name).to_owned()),
        Bound::Node { name, default } => {
            let default = format!("{default} {}", (words.unit)("seconds"));
            (format!("`{name}`"), format!("{} {}", (words.of_node)(name), (words.default)(&default)))
        }
        Bound::Client(name) => (format!("*{name}*"), (words.of_client)(name).to_owned()),
    };
    let counted = |counted: &Counted| {
        let is_its_name = counted.reason() == row.bound.name();
        let reason = if is_its_name { String::new() } else { format!(" `{}`", counted.reason()) };
        format!("`{}`{reason}", counted.metric())
    };
    let mut counted: Vec<String> = row.counted.iter().map(counted).collect();
    counted.extend(row.event().map(|event| (words.event)(event)));
    let counted = counted.join(words.semicolon);
    let (v311, v5) = (seen(words, row.v311, false), seen(words, row.v5, true));
    format!("| {name} | {meaning} | {v311} | {v5} | {counted} |\n")
}

fn seen(words: &Words, wires: &[Wire], is_v5: bool) -> String {
    let one = |wire: &Wire| match *wire {
        Wire::Announced(property) => (words.announced)(property),
        Wire::ConnAck(code) => format!("CONNACK {}", in_full(code, is_v5)),
        Wire::PubAck(code) => (words.puback)(&in_full(code, is_v5)),
        Wire::SubAck(code) => format!("SUBACK {}", in_full(code, is_v5)),
        Wire::Disconnect(code) => format!("DISCONNECT {}", in_full(code, is_v5)),
        plain @ (Wire::Absent
        | Wire::Unseen
        | Wire::Closed
        | Wire::ClosedUnlessQos0
        | Wire::NotRead
        | Wire::Waits
        | Wire::Dropped
        | Wire::DroppedIfQos0
        | Wire::Fewer
        | Wire::SessionEnds) => (words.plain)(plain).to_owned(),
    };
    wires.iter().map(one).collect::<Vec<_>>().join(words.semicolon)
}

/// A code with MQTT's name for it. 3.1.1 numbers its return codes of CONNACK in decimals, and knows one of SUBACK.
fn in_full(code: u8, is_v5: bool) -> String {
    match (is_v5, contract::behaviour::code_name(code)) {
        (true, Some(name)) => format!("0x{code:02X} ({name})"),
        (false, _) if code < 0x80 => code.to_string(),
        (true, None) | (false, _) => format!("0x{code:02X}"),
    }
}

fn limit(name: &str) -> &'static Limit {
    LIMITS.iter().find(|limit| limit.name == name).expect("the table of behaviour names limits alone")
}

/// What a limit bounds, and its value where a plan does not say.
fn meaning(words: &Words, limit: &Limit) -> String {
    let meaning = (words.limit)(limit).unwrap_or_else(|| panic!("`{}` has no words", limit.name));
    let default = format!("{} {}", grouped(limit.default), (words.unit)(limit.unit));
    format!("{meaning} {}", (words.default)(&default))
}

/// A number with a thin gap between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
