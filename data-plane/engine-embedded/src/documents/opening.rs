//! Opening documents: what can be read of them, and what the journal has done behind the position that they are true at.
//! What is lost of both is said durably before the documents move past it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use engine::Entries;

use super::disk::{DiskDocuments, Unopened, put_aside, unless_it_panics};
use super::overlay::{Writes, add_writes};
use super::retained::Retained;
use super::store::Store;
use super::{Documents, key};
use crate::engine::OpenError;
use crate::journal::scan::{Found, Scan};
use crate::layout::{JournalSegment, Layout};
use crate::options::Options;

/// The documents' folder within the log's directory.
pub(crate) const FOLDER: &str = "documents";

/// Documents that were opened, and what that has cost.
pub(crate) struct OpenedDocuments {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) position: u64,
    pub(crate) retained: Retained,
    /// Why they are not those of before; every document that could be read was taken over.
    pub(crate) loss: Option<String>,
}

/// Opens the documents. A folder that cannot be read is put aside, and a new one begun.
pub(crate) fn open(options: &Options) -> Result<OpenedDocuments, OpenError> {
    if let Some(documents) = &options.documents {
        return Ok(look_through(Arc::clone(documents))?);
    }
    let folder = options.directory.join(FOLDER);
    let loss = match open_folder(&folder) {
        Ok(opened) => return Ok(opened),
        Err(Unopened::Damaged(reason) | Unopened::Torn(reason)) => reason,
        Err(refused @ (Unopened::Refused(_) | Unopened::Version { .. })) => return Err(refused.into()),
    };
    tracing::error!(reason = loss, folder = %folder.display(), "the documents are damaged: put aside, begun anew");
    let aside = put_aside(&folder)?;
    // Should it be stopped here, there are documents at no position: the next start says what is lost.
    let fresh = open_folder(&folder)?;
    let saved = save(&aside, &fresh.documents)?;
    let loss = Some(format!(
        "the documents were damaged and put aside as `{FOLDER}.damaged`; {saved} of them could be read: {loss}"
    ));
    Ok(OpenedDocuments { loss, ..look_through(fresh.documents)? })
}

/// Takes over what can be read of documents that were put aside, and counts it.
fn save(aside: &Path, others: &Arc<dyn Documents>) -> io::Result<u64> {
    let saving = || match DiskDocuments::open(aside) {
        Ok(damaged) => damaged.save_into(&**others),
        Err(error) => {
            tracing::error!(%error, "nothing can be saved of the documents that were put aside");
            Ok(0)
        }
    };
    // Reading damaged files may panic.
    catch_unwind(AssertUnwindSafe(saving)).unwrap_or(Ok(0))
}

fn open_folder(folder: &Path) -> Result<OpenedDocuments, Unopened> {
    let documents = DiskDocuments::open(folder)?;
    unless_it_panics(|| Ok(look_through(Arc::new(documents))?))
}

/// Looks at every document, so that one that cannot be read is found now and not when somebody needs it; and counts those
/// that are retained messages.
fn look_through(documents: Arc<dyn Documents>) -> io::Result<OpenedDocuments> {
    let position = documents.position()?;
    let mut retained = Retained::default();
    documents.range(&[], &mut |full, view| {
        if key::is_retained(full) {
            retained.set(full, Some(view.body));
        }
        true
    })?;
    Ok(OpenedDocuments { documents, position, retained, loss: None })
}

impl From<Unopened> for OpenError {
    fn from(unopened: Unopened) -> Self {
        Self::Documents(unopened.to_string())
    }
}

/// Applies what the journal has behind the documents' position. Everything in the journal is durable by now. `next` is
/// where the log goes on, or, when the documents are ahead of it, where it ends.
pub(crate) fn replay(
    store: &Store,
    layout: &Layout,
    next: u64,
    opening_loss: Option<String>,
) -> io::Result<()> {
    let documents = store.documents()?;
    let position = documents.position()?;
    // Documents that were begun anew have taken over what could be read: how old that was is not known.
    let losses = opening_loss.map_or_else(|| lost(layout, position, next), |loss| vec![loss]);
    // First of all: with what is applied below the position moves past them, and nobody would find them again.
    note_losses(&*documents, &losses)?;
    for segment in layout.journal.iter().filter(|it| it.next() > position) {
        replay_segment(store, layout, segment, position)?;
    }
    store.change(|overlay| overlay.next = overlay.next.max(next));
    if !losses.is_empty() {
        // Said once: what is behind the position now is whole.
        store.carry()?;
    }
    store.set_losses(documents.losses()?);
    Ok(())
}

/// Says what is lost, durably. What a start has noted that was killed is not noted again.
fn note_losses(documents: &dyn Documents, losses: &[String]) -> io::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let known = documents.losses()?;
    for loss in losses {
        tracing::error!(loss, "documents are lost or older than they should be");
        let loss = loss.replace('\n', " ");
        if !known.contains(&loss) {
            documents.note_loss(&loss)?;
        }
    }
    documents.persist()
}

/// What neither the documents nor the journal have.
fn lost(layout: &Layout, position: u64, next: u64) -> Vec<String> {
    let first = layout.journal.first().map_or(next, |it| it.name.first);
    let mut lost = Vec::new();
    if position < first {
        lost.push(format!(
            "the documents are true at record {position} and the journal begins at {first}: what changed between is lost"
        ));
    }
    if position > next {
        lost.push(format!("the log ends before record {next} and the documents are true at {position}"));
    }
    let damage = layout.damage.iter().filter(|it| it.first < it.next && it.next > position.max(first));
    lost.extend(damage.map(|it| format!("documents may lack a change: {it}")));
    lost
}

fn replay_segment(store: &Store, layout: &Layout, segment: &JournalSegment, position: u64) -> io::Result<()> {
    let (number, at) = segment.mark_before(position);
    let mut scan = Scan::new(&*segment.file, segment.name.salt, number, at, segment.end());
    while let Some(found) = scan.step() {
        let header = match found {
            Found::Record { header, .. } if header.record < position => continue,
            Found::Record { header, .. } => header,
            Found::Damage { offset, bytes } if layout.is_known_damage(segment, offset, bytes) => continue,
            Found::Damage { offset, .. } => {
                // It could be read a moment ago. The next start either can, or knows that it is lost.
                return Err(io::Error::other(format!("`{}` cannot be read at {offset}", segment.name)));
            }
        };
        let record = header.record;
        let mut writes = Writes::new();
        let added = Entries::read(scan.body())
            .map_err(io::Error::other)
            .and_then(|entries| add_writes(record, entries, &mut writes).map_err(io::Error::other));
        if let Err(error) = added {
            let loss =
                format!("documents may lack a change: record {record} of the log cannot be read: {error}");
            note_losses(&*store.documents()?, &[loss])?;
        }
        let is_due = store.take_in(writes, record + 1);
        if is_due {
            store.carry()?;
        }
    }
    Ok(())
}
