//! Turns for those who compare and set: of each key, one at a time. And the answer that such a one waits for.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::shared::lock;

/// Whose turn it is, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<Vec<u8>, Vec<Waker>>>>);

/// A key's turn. Dropping it gives it to the next one.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    key: Vec<u8>,
}

impl Turns {
    /// Waits until nobody else has the key's turn.
    pub(crate) async fn take(&self, key: Vec<u8>) -> Turn {
        poll_fn(|context| {
            let mut taken = lock(&self.0);
            if let Some(waiting) = taken.get_mut(&key) {
                waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            taken.insert(key.clone(), Vec::new());
            Poll::Ready(())
        })
        .await;
        Turn { turns: self.clone(), key }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = lock(&self.turns.0).remove(&self.key);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

/// One value on its way from one thread to another.
#[derive(Debug)]
pub(crate) struct Promise<T>(Arc<Mutex<Promised<T>>>);

#[derive(Debug)]
struct Promised<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Promise<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Promised { value: None, waker: None })))
    }

    pub(crate) fn keep(&self, value: T) {
        let mut promised = lock(&self.0);
        promised.value = Some(value);
        let waker = promised.waker.take();
        drop(promised);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for the value.
    pub(crate) async fn kept(self) -> T {
        poll_fn(|context| {
            let mut promised = lock(&self.0);
            if let Some(value) = promised.value.take() {
                return Poll::Ready(value);
            }
            promised.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
