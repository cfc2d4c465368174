//! Retained messages by topic filter: a walk over ordered topics that jumps over what cannot match. Not here: how a
//! message comes to be retained, and where it is known which topics have one.

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::topic_walk::TopicWalk;
use crate::{
    Document, Envelope, Key, Pos, QueryError, RETAINED_PAGE_BYTES_MAX, RETAINED_PAGE_MAX, RETAINED_PREFIX,
    Replayed, RetainedPage,
};

/// The most topics that one look-up comes to; those that it jumps over are not among them.
const TOPICS_MAX: usize = 50_000;

/// Retained messages by their topics.
pub trait Seek {
    /// Leads a walk over the topics of the instance that have a retained message, in the order of their bytes, from the
    /// walk's place to the first topic that is not before it, and so on, until it has none or there is no such topic.
    fn walk(&self, instance: InstanceId, walk: &mut dyn Walk) -> Result<(), QueryError>;

    /// The document under a key that was found, unless it is gone by now.
    fn document(&self, instance: InstanceId, key: &Key) -> Result<Option<Document>, QueryError>;
}

/// A walk over topics, which knows itself where it wants to go.
pub trait Walk {
    /// Nothing wanted stands before this place, which is not always one that a topic could have; none: nothing more is.
    fn place(&self) -> Option<&[u8]>;

    /// It has come to this topic. Its next place is behind that.
    fn come_to(&mut self, topic: &str);
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
    let limit = limit.clamp(1, RETAINED_PAGE_MAX);
    let mut collected = Collected { page: RetainedPage::default(), bytes: 0, limit };
    if !filter.as_str().contains(['+', '#']) {
        return exact(documents, instance, filter.as_str(), after, collected, now);
    }
    let from = after.map_or_else(Vec::new, |after| [after, "\0"].concat().into_bytes());
    let walk = TopicWalk::new(filter.as_str(), from);
    let mut search = Search { walk, found: Vec::new(), wanted: limit, left: TOPICS_MAX, last: None };
    loop {
        documents.walk(instance, &mut search)?;
        // Where it stands is asked before the messages are read: what was found last may be gone.
        let is_over = search.place().is_some() || search.walk.place().is_none();
        for topic in search.found.drain(..) {
            let Ok(key) = Key::new(key(topic.as_bytes())) else { continue };
            if let Some(document) = documents.document(instance, &key)?
                && !collected.take(&topic, document, now)
            {
                return Ok(collected.page);
            }
        }
        if is_over {
            collected.page.next = None;
            return Ok(collected.page);
        }
        search.wanted = limit - collected.page.messages.len();
        if search.wanted == 0 {
            return Ok(collected.page);
        }
        if search.left == 0 {
            collected.page.next = search.last;
            return Ok(collected.page);
        }
    }
}

/// Topics that a filter matches, so many of them as are wanted.
struct Search<'a> {
    walk: TopicWalk<'a>,
    found: Vec<Box<str>>,
    wanted: usize,
    /// Topics that it may still come to, and the last one when there are no more.
    left: usize,
    last: Option<Box<str>>,
}

impl Walk for Search<'_> {
    fn place(&self) -> Option<&[u8]> {
        let is_full = self.found.len() >= self.wanted || self.left == 0;
        self.walk.place().filter(|_| !is_full)
    }

    fn come_to(&mut self, topic: &str) {
        if self.walk.come_to(topic) {
            self.found.push(topic.into());
        }
        self.left -= 1;
        if self.left == 0 {
            self.last = Some(topic.into());
        }
    }
}

/// The one message that a filter without a wildcard may match: it needs no search.
fn exact(
    documents: &dyn Seek,
    instance: InstanceId,
    topic: &str,
    after: Option<&str>,
    mut collected: Collected,
    now: UnixMillis,
) -> Result<RetainedPage, QueryError> {
    let is_wanted = after.is_none_or(|after| after < topic);
    // No document has a longer key.
    if let Some(key) = Key::new(key(topic.as_bytes())).ok().filter(|_| is_wanted)
        && let Some(document) = documents.document(instance, &key)?
    {
        let _ = collected.take(topic, document, now);
    }
    collected.page.next = None;
    Ok(collected.page)
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
        if is_over || messages >= self.limit {
            return false;
        }
        self.bytes += body.len();
        self.page.messages.push(Replayed { pos: Pos::of_record(rev.0), record: body.into() });
        self.page.next = Some(topic.into());
        true
    }
}

fn key(topic: &[u8]) -> Vec<u8> {
    [RETAINED_PREFIX.as_bytes(), topic].concat()
}

#[cfg(test)]
mod tests;
