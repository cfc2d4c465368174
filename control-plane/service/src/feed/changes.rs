//! Changes after a generation: which documents were named, and what they are now.

use std::collections::BTreeMap;

use contract::feed::{Change, ChangesAnswer, DocumentKey, FORMAT_VERSION, Generation};
use store::StoreError;
use store::feed::FeedRow;

use super::Feed;

/// The most generations of one answer.
const GENERATIONS_MAX: i64 = 500;
/// The most documents of one answer, unless a single generation names more.
const DOCUMENTS_MAX: usize = 2_000;

impl Feed {
    /// The answer to *changes after*; none while there is nothing to say.
    pub(super) async fn look_for_changes(
        &self,
        after: Generation,
    ) -> Result<Option<ChangesAnswer>, StoreError> {
        let export_needed = ChangesAnswer::ExportNeeded { format_version: FORMAT_VERSION };
        let mut connection = self.core.store.read_for_node().await?;
        let head = store::feed::head(&mut connection).await?;
        if after.timeline != head.timeline || after.number > head.number {
            return Ok(Some(export_needed));
        }
        if after.number == head.number {
            return Ok(None);
        }
        let rows = store::feed::list_after(&mut connection, after.number, GENERATIONS_MAX).await?;
        // Trimmed: what is left does not begin where the node stands.
        let next = rows.first().map(|row| row.number);
        if next != Some(after.number + 1) {
            return Ok(Some(export_needed));
        }
        let (number, keys) = named(&rows);
        let mut documents = store::documents::list(&mut connection, &keys).await?;
        let changes = keys.into_iter().map(|key| match documents.remove(&key) {
            Some(document) => Change::Put { document: Box::new(document) },
            None => Change::Delete { key },
        });
        Ok(Some(ChangesAnswer::Changes {
            format_version: FORMAT_VERSION,
            generation: Generation { timeline: head.timeline, number },
            changes: changes.collect(),
        }))
    }
}

/// The documents that the first of these generations name, each once, where it was last named; and the last
/// generation that is so told.
fn named(rows: &[FeedRow]) -> (u64, Vec<DocumentKey>) {
    let mut last: BTreeMap<&DocumentKey, usize> = BTreeMap::new();
    let (mut number, mut at) = (0, 0);
    for row in rows {
        if number != 0 && last.len() + row.keys.len() > DOCUMENTS_MAX {
            break;
        }
        for key in &row.keys {
            last.insert(key, at);
            at += 1;
        }
        number = row.number;
    }
    let mut keys: Vec<(usize, &DocumentKey)> = last.into_iter().map(|(key, at)| (at, key)).collect();
    keys.sort_unstable_by_key(|(at, _)| *at);
    (number, keys.into_iter().map(|(_, key)| key.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::feed::DocumentKind;
    use contract::ids::InstanceId;

    fn row(number: u64, names: &[String]) -> FeedRow {
        let key = |name: &String| DocumentKey {
            kind: DocumentKind::Topic,
            instance: InstanceId(uuid::Uuid::nil()),
            name: name.clone(),
        };
        FeedRow { number, keys: names.iter().map(key).collect() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_document_is_told_once_where_it_was_last_named() {
        let rows = [row(5, &names(&["a", "b"])), row(6, &names(&["c"])), row(7, &names(&["a"]))];
        let (number, keys) = named(&rows);
        let told: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!((number, told), (7, vec!["b", "c", "a"]));
    }

    #[test]
    fn an_answer_is_bounded_but_tells_one_generation_at_least() {
        let many: Vec<String> = (0..=DOCUMENTS_MAX).map(|at| at.to_string()).collect();
        let (number, keys) = named(&[row(1, &many), row(2, &names(&["x"]))]);
        assert_eq!((number, keys.len()), (1, DOCUMENTS_MAX + 1));
        let (number, keys) = named(&[row(1, &names(&["x"])), row(2, &many)]);
        assert_eq!((number, keys.len()), (1, 1));
    }
}
