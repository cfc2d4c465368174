//! Where the topics that a filter matches can stand in the order of their bytes: what cannot match is jumped over. Not
//! here: whose topics these are, and how the next one is found.

use super::select::literal_prefix;

/// Behind the slash: no topic below a level is at or behind the level and this.
const BEHIND_SLASH: u8 = b'/' + 1;

/// Where the topics that a filter matches can stand.
pub(super) struct TopicWalk<'a> {
    levels: Vec<Level<'a>>,
    next: Vec<u8>,
    is_over: bool,
}

/// A level of the filter.
struct Level<'a> {
    text: &'a str,
    /// What it and the levels behind it may begin with at the least: the level above a last `#` matches as well; behind it
    /// others may stand in front of those below it.
    begins: [&'a str; 2],
}

impl<'a> TopicWalk<'a> {
    /// From the first place on that is not before `from`.
    pub(super) fn new(filter: &'a str, from: Vec<u8>) -> Self {
        let begins = std::iter::once(0).chain(filter.match_indices('/').map(|(slash, _)| slash + 1));
        let level = |begin: usize| {
            let levels = &filter[begin..];
            let text = levels.split('/').next().unwrap_or_default();
            Level { text, begins: [above_wildcard(levels), literal_prefix(levels)] }
        };
        let next = from.max(above_wildcard(filter).into());
        Self { levels: begins.map(level).collect(), next, is_over: false }
    }

    /// Nothing wanted stands before this place; none at the end. Not always one that a topic could have.
    #[inline]
    pub(super) fn place(&self) -> Option<&[u8]> {
        (!self.is_over).then_some(&self.next)
    }

    fn go(&mut self, parts: &[&str]) {
        self.next.clear();
        for part in parts {
            self.next.extend_from_slice(part.as_bytes());
        }
    }

    /// Whether the topic matches; and it goes on behind it.
    pub(super) fn come_to(&mut self, topic: &str) -> bool {
        if topic.starts_with('$') && self.levels.first().is_some_and(|it| ["+", "#"].contains(&it.text)) {
            // [MQTT-4.7.2-1]: `%` is what follows `$`.
            self.go(&["%"]);
            return false;
        }
        // Where the topic's level ends that the last `+` so far stands for.
        let mut variable = None;
        let mut begin = 0;
        for &Level { text, begins } in &self.levels {
            if text == "#" {
                self.go(&[topic, "\0"]);
                return true;
            }
            let Some(rest) = topic.get(begin..) else {
                self.go_below(topic, variable, text);
                return false;
            };
            let end = rest.bytes().position(|byte| byte == b'/').map_or(topic.len(), |at| begin + at);
            if text == "+" {
                variable = Some(end);
            } else if text != &topic[begin..end] {
                if !self.go_ahead(&topic[..begin], rest, begins) {
                    self.go_behind(topic, variable);
                }
                return false;
            }
            begin = end + 1;
        }
        let is_match = begin > topic.len();
        match variable {
            // Topics that go on where this one ends stand in front of those below it.
            Some(end) if is_match && end == topic.len() => self.go(&[topic, "\0"]),
            _ => self.go_behind(topic, variable),
        }
        is_match
    }

    /// To the first place behind a topic that is too short, all of whose levels match, when its next level is to be
    /// `level`.
    fn go_below(&mut self, topic: &str, variable: Option<usize>, level: &str) {
        match (variable, level) {
            // Another value of the last level may begin as this one does and stand in front of what is below it.
            (Some(end), _) if end == topic.len() => self.go(&[topic, "\0"]),
            (_, "+") => self.go(&[topic, "/"]),
            _ => self.go(&[topic, "/", level]),
        }
    }

    /// To the first place behind a topic at which the levels that it has behind `above` may be what the filter says, which
    /// begins with one of these; false when there is none.
    fn go_ahead(&mut self, above: &str, rest: &str, begins: [&str; 2]) -> bool {
        let next = begins.into_iter().find(|it| *it > rest);
        next.is_some_and(|it| {
            self.go(&[above, it]);
            true
        })
    }

    /// To the first place at which the level that the last `+` stands for has another value.
    fn go_behind(&mut self, topic: &str, variable: Option<usize>) {
        match variable {
            Some(end) => {
                self.go(&[&topic[..end]]);
                self.next.push(BEHIND_SLASH);
            }
            None => self.is_over = true,
        }
    }
}

/// The filter up to its first wildcard, without the slash in front of that.
fn above_wildcard(filter: &str) -> &str {
    let literal = literal_prefix(filter);
    if literal.len() == filter.len() { literal } else { literal.strip_suffix('/').unwrap_or(literal) }
}
