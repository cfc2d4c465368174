//! Pages of sealed indexes that were read and checked, kept for those who read them next: many sessions that come back
//! together go through the same rows.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use super::pages::PAGE_BYTES;

/// A page's index, and its number there.
type Key = (u64, u64);

/// The pages of any number of indexes, within one bound. The oldest go first.
pub struct KeptPages {
    inner: Mutex<Inner>,
    pages_max: usize,
    indexes: AtomicU64,
}

#[derive(Default)]
struct Inner {
    pages: HashMap<Key, Arc<Vec<u8>>, foldhash::fast::RandomState>,
    /// In the order in which they were read.
    order: VecDeque<Key>,
}

impl KeptPages {
    /// Keeps no more than so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), pages_max: bytes_max / PAGE_BYTES, indexes: AtomicU64::new(0) }
    }

    /// The bytes that it holds, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lock().pages.len() * PAGE_BYTES
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Whoever panicked has left at most a page that nobody finds, or one name too many.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, key: Key, page: Arc<Vec<u8>>) {
        let mut inner = self.lock();
        if inner.pages.insert(key, page).is_none() {
            inner.order.push_back(key);
        }
        while inner.order.len() > self.pages_max
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.pages.remove(&oldest);
        }
    }
}

impl fmt::Debug for KeptPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPages").field("pages_max", &self.pages_max).finish_non_exhaustive()
    }
}

/// The pages of one index among all.
#[derive(Clone, Debug)]
pub(super) struct OwnPages {
    all: Arc<KeptPages>,
    index: u64,
}

impl OwnPages {
    pub(super) fn new(all: Arc<KeptPages>) -> Self {
        let index = all.indexes.fetch_add(1, Ordering::Relaxed);
        Self { all, index }
    }

    pub(super) fn find(&self, number: u64) -> Option<Arc<Vec<u8>>> {
        self.all.lock().pages.get(&(self.index, number)).map(Arc::clone)
    }

    pub(super) fn keep(&self, number: u64, page: &Arc<Vec<u8>>) {
        self.all.insert((self.index, number), Arc::clone(page));
    }
}
