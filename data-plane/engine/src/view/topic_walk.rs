//! Where the topics that a filter matches can stand in the order of their bytes: what cannot match is jumped over. Not
//! here: whose topics these are, and how the next one is found.

use super::select::literal_prefix;

/// Behind the slash: no topic below a level is at or behind the level and this.
const BEHIND_SLASH: u8 = b'/' + 1;

/// Where the topics that a filter matches can stand.
pub(super) struct TopicWalk<'a> {
    filter: &'a str,
    /// Nothing wanted stands before this place; none at the end. Not always one that a topic could have.
    pub(super) next: Option<Vec<u8>>,
}

impl<'a> TopicWalk<'a> {
    /// From the first place on that is not before `from`.
    pub(super) fn new(filter: &'a str, from: Vec<u8>) -> Self {
        Self { filter, next: Some(from.max(above_wildcard(filter).into())) }
    }

    /// Whether the topic matches; and where to go on.
    pub(super) fn come_to(&mut self, topic: &str) -> bool {
        if topic.starts_with('$') && self.filter.starts_with(['+', '#']) {
            // [MQTT-4.7.2-1]: `%` is what follows `$`.
            self.next = Some(place(&["%"]));
            return false;
        }
        // Where the topic's level ends that the last `+` so far stands for.
        let mut variable = None;
        let mut begin = 0;
        let mut wanted = Some(self.filter);
        while let Some(levels) = wanted {
            let (level, others) =
                levels.split_once('/').map_or((levels, None), |(it, others)| (it, Some(others)));
            if level == "#" {
                self.next = Some(place(&[topic, "\0"]));
                return true;
            }
            if begin > topic.len() {
                self.next = Some(below(topic, variable, level));
                return false;
            }
            let end = topic[begin..].find('/').map_or(topic.len(), |at| begin + at);
            if level == "+" {
                variable = Some(end);
            } else if level != &topic[begin..end] {
                self.next = ahead(topic, begin, levels).or_else(|| behind(topic, variable));
                return false;
            }
            begin = end + 1;
            wanted = others;
        }
        let is_match = begin > topic.len();
        self.next = match variable {
            // Topics that go on where this one ends stand in front of those below it.
            Some(end) if is_match && end == topic.len() => Some(place(&[topic, "\0"])),
            _ => behind(topic, variable),
        };
        is_match
    }
}

fn place(parts: &[&str]) -> Vec<u8> {
    parts.concat().into_bytes()
}

/// The first place behind a topic that is too short, all of whose levels match, when its next level is to be `level`.
fn below(topic: &str, variable: Option<usize>, level: &str) -> Vec<u8> {
    match (variable, level) {
        // Another value of the last level may begin as this one does and stand in front of what is below it.
        (Some(end), _) if end == topic.len() => place(&[topic, "\0"]),
        (_, "+") => place(&[topic, "/"]),
        _ => place(&[topic, "/", level]),
    }
}

/// The first place behind the topic at which its levels from `begin` on may be what the filter's `levels` say, if there
/// is one.
fn ahead(topic: &str, begin: usize, levels: &str) -> Option<Vec<u8>> {
    let (above, rest) = topic.split_at(begin);
    let literal = literal_prefix(levels);
    // The level above a last `#` matches as well; behind it others may stand in front of those below it.
    [above_wildcard(levels), literal].into_iter().find(|it| *it > rest).map(|it| place(&[above, it]))
}

/// The filter up to its first wildcard, without the slash in front of that.
fn above_wildcard(filter: &str) -> &str {
    let literal = literal_prefix(filter);
    if literal.len() == filter.len() { literal } else { literal.strip_suffix('/').unwrap_or(literal) }
}

/// The first place at which the level that the last `+` stands for has another value.
fn behind(topic: &str, variable: Option<usize>) -> Option<Vec<u8>> {
    let mut place = place(&[&topic[..variable?]]);
    place.push(BEHIND_SLASH);
    Some(place)
}
