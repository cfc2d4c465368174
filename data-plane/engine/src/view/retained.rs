//! Retained messages by topic filter: seeks through ordered keys that jump over what cannot match. Not here: how a
//! message comes to be retained.

use contract::ids::InstanceId;
use contract::time::UnixMillis;
use contract::topic::TopicFilter;

use super::topic_walk::TopicWalk;
use crate::{
    Document, Envelope, Key, Pos, QueryError, RETAINED_PAGE_BYTES_MAX, RETAINED_PAGE_MAX, RETAINED_PREFIX,
    Replayed, RetainedPage,
};

/// The most seeks of one look-up.
const SEEKS_MAX: usize = 20_000;

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
    if !filter.as_str().contains(['+', '#']) {
        return exact(documents, instance, filter.as_str(), after, collected, now);
    }
    let from = after.map_or_else(Vec::new, |after| [after, "\0"].concat().into_bytes());
    let mut walk = TopicWalk::new(filter.as_str(), from);
    let mut last = after.unwrap_or_default().to_owned();
    for _ in 0..SEEKS_MAX {
        let Some(place) = walk.next.take() else {
            collected.page.next = None;
            return Ok(collected.page);
        };
        let Some(key) = documents.next_key(instance, &key(&place))? else { continue };
        let Some(topic) = topic_of(key.as_bytes()) else { continue };
        last.replace_range(.., topic);
        if walk.come_to(topic)
            && let Some(document) = documents.document(instance, &key)?
            && !collected.take(topic, document, now)
        {
            return Ok(collected.page);
        }
    }
    collected.page.next = Some(last.into());
    Ok(collected.page)
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

fn key(topic: &[u8]) -> Vec<u8> {
    [RETAINED_PREFIX.as_bytes(), topic].concat()
}

#[cfg(test)]
mod tests;
