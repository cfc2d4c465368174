//! A node's replica as the feed's contract says it is to be kept: the naive reference.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::feed::{Change, ChangesAnswer, Document, DocumentKey, DocumentKind, Generation};
use service::Services;
use service::nodes::NodeCaller;

/// Every document, and how far they are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Replica {
    pub(crate) generation: Generation,
    pub(crate) documents: BTreeMap<DocumentKey, Document>,
}

impl Replica {
    /// Takes a whole export, doing something between the pages.
    pub(crate) async fn export(
        services: &Services,
        node: NodeCaller,
        mut between: impl AsyncFnMut(),
    ) -> Self {
        let mut page = services.feed.export_page(node, None).await.expect("a page");
        let mut replica = Self { generation: page.generation, documents: BTreeMap::new() };
        loop {
            for document in page.documents {
                replica.documents.insert(document.key().expect("a known kind"), document);
            }
            let Some(next) = page.next else { return replica };
            between().await;
            page = services.feed.export_page(node, Some(&next)).await.expect("a page");
        }
    }

    /// Takes what has changed until nothing more has.
    pub(crate) async fn catch_up(&mut self, services: &Services, node: NodeCaller) {
        while self.step(services, node).await {}
    }

    /// Takes one answer; false if it was empty.
    pub(crate) async fn step(&mut self, services: &Services, node: NodeCaller) -> bool {
        let answer = services.feed.changes_after(node, self.generation, Duration::ZERO).await;
        let ChangesAnswer::Changes { generation, changes, .. } = answer.expect("an answer") else {
            panic!("no export is needed")
        };
        let some = generation != self.generation;
        assert!(generation.number >= self.generation.number, "never backwards");
        assert_eq!(some, !changes.is_empty(), "a generation names something");
        self.generation = generation;
        for change in changes {
            self.apply(change);
        }
        some
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put { document } => {
                self.documents.insert(document.key().expect("a known kind"), *document);
            }
            Change::Delete { key } if key.kind == DocumentKind::Instance => {
                self.documents.retain(|other, _| other.instance != key.instance);
            }
            Change::Delete { key } => {
                self.documents.remove(&key);
            }
            Change::Unknown => panic!("this release knows its own changes"),
        }
    }

    /// The documents of a kind.
    pub(crate) fn of_kind(&self, kind: DocumentKind) -> Vec<&Document> {
        self.documents.iter().filter(|(key, _)| key.kind == kind).map(|(_, document)| document).collect()
    }
}
