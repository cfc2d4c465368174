//! Retained messages by topic filter: seeks through ordered keys that jump over what cannot match. Not here: how a
//! message comes to be retained.

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::select::literal_prefix;
use crate::{
    Document, Envelope, Key, Pos, QueryError, RETAINED_PAGE_BYTES_MAX, RETAINED_PAGE_MAX, RETAINED_PREFIX,
    Replayed, RetainedPage,
};

/// The most seeks of one look-up.
const SEEKS_MAX: usize = 20_000;

/// Behind the slash: no topic below a level is at or behind the level and this.
const BEHIND_SLASH: u8 = b'/' + 1;

/// Documents in the order of their keys' bytes.
pub trait Seek {
    /// The key of the instance's first document that is not before `key`, which is not always one that a document could
    /// have.
    fn next_key(&self, instance: InstanceId, key: &[u8]) -> Result<Option<Key>, QueryError>;

    /// The document under a key that was found, unless it is gone by now.
    fn document(&self, instance: InstanceId, key: &Key) -> Result<Option<Document>, QueryError>;
}

/// The page that [`Replay::retained`](crate::Replay::retained) answers.
pub fn retained(
    documents: &dyn Seek,
    instance: InstanceId,
    filter: &TopicFilter,
    after: Option<&str>,
    now: UnixMillis,
    limit: usize,
) -> Result<RetainedPage, QueryError> {
    let mut collected = Collected { page: RetainedPage::default(), bytes: 0, limit };
    let mut walk = KeyWalk::new(filter.as_str(), after);
    for _ in 0..SEEKS_MAX {
        let Some(key) = walk.next.take() else {
            collected.page.next = None;
            return Ok(collected.page);
        };
        let Some(key) = documents.next_key(instance, &key)? else { continue };
        if let Some(topic) = topic_of(key.as_bytes())
            && walk.come_to(topic)
            && let Some(document) = documents.document(instance, &key)?
            && !collected.take(topic, document, now)
        {
            return Ok(collected.page);
        }
    }
    collected.page.next = Some(walk.topic.into());
    Ok(collected.page)
}

/// The topic whose retained message has this key.
fn topic_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(RETAINED_PREFIX.as_bytes())?).ok()
}

/// An answer that grows.
struct Collected {
    page: RetainedPage,
    bytes: usize,
    limit: usize,
}

impl Collected {
    /// Takes a message that has not expired; false when there is no room for it.
    fn take(&mut self, topic: &str, document: Document, now: UnixMillis) -> bool {
        let Document { rev, body } = document;
        let expires_at = Envelope::from_record(&body).ok().and_then(|it| it.expires_at);
        // What cannot be read is given: whoever reads it says so.
        if expires_at.is_some_and(|at| at <= now) {
            return true;
        }
        let messages = self.page.messages.len();
        let is_over = self.bytes + body.len() > RETAINED_PAGE_BYTES_MAX && messages > 0;
        if is_over || messages >= self.limit.clamp(1, RETAINED_PAGE_MAX) {
            return false;
        }
        self.bytes += body.len();
        self.page.messages.push(Replayed { pos: Pos::of_record(rev.0), record: body.into() });
        self.page.next = Some(topic.into());
        true
    }
}

/// Where the topics that a filter matches can stand.
struct KeyWalk<'a> {
    filter: &'a str,
    /// Nothing wanted stands before this key; none at the end.
    next: Option<Vec<u8>>,
    /// The topic that was met last.
    topic: String,
}

impl<'a> KeyWalk<'a> {
    fn new(filter: &'a str, after: Option<&str>) -> Self {
        let mut next = key(&[above_wildcard(filter)]);
        if let Some(after) = after {
            next = next.max(key(&[after, "\0"]));
        }
        Self { filter, next: Some(next), topic: after.unwrap_or_default().into() }
    }

    /// Whether the topic matches; and where to go on.
    fn come_to(&mut self, topic: &str) -> bool {
        self.topic.clear();
        self.topic.push_str(topic);
        if topic.starts_with('$') && self.filter.starts_with(['+', '#']) {
            // [MQTT-4.7.2-1]: `%` is what follows `$`.
            self.next = Some(key(&["%"]));
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
                self.next = Some(key(&[topic, "\0"]));
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
            Some(end) if is_match && end == topic.len() => Some(key(&[topic, "\0"])),
            _ => behind(topic, variable),
        };
        is_match
    }
}

fn key(topic: &[&str]) -> Vec<u8> {
    let mut key = RETAINED_PREFIX.as_bytes().to_vec();
    for part in topic {
        key.extend_from_slice(part.as_bytes());
    }
    key
}

/// The first place behind a topic that is too short, all of whose levels match, when its next level is to be `level`.
fn below(topic: &str, variable: Option<usize>, level: &str) -> Vec<u8> {
    match (variable, level) {
        // Another value of the last level may begin as this one does and stand in front of what is below it.
        (Some(end), _) if end == topic.len() => key(&[topic, "\0"]),
        (_, "+") => key(&[topic, "/"]),
        _ => key(&[topic, "/", level]),
    }
}

/// The first place behind the topic at which its levels from `begin` on may be what the filter's `levels` say, if there
/// is one.
fn ahead(topic: &str, begin: usize, levels: &str) -> Option<Vec<u8>> {
    let (above, rest) = topic.split_at(begin);
    let literal = literal_prefix(levels);
    // The level above a last `#` matches as well; behind it others may stand in front of those below it.
    [above_wildcard(levels), literal].into_iter().find(|it| *it > rest).map(|it| key(&[above, it]))
}

/// The filter up to its first wildcard, without the slash in front of that.
fn above_wildcard(filter: &str) -> &str {
    let literal = literal_prefix(filter);
    if literal.len() == filter.len() { literal } else { literal.strip_suffix('/').unwrap_or(literal) }
}

/// The first place at which the level that the last `+` stands for has another value.
fn behind(topic: &str, variable: Option<usize>) -> Option<Vec<u8>> {
    let mut key = key(&[&topic[..variable?]]);
    key.push(BEHIND_SLASH);
    Some(key)
}

#[cfg(test)]
mod tests;
