//! What is awaited: the answers of [`State`](crate::State), [`Bus`](crate::Bus) and [`Leases`](crate::Leases).

use std::future::Future;
use std::pin::Pin;

/// An answer that may take a way over the network.
///
/// A boxed future, so that a trait can be an `Arc<dyn …>` and whoever uses it names no engine: `async fn` in a trait
/// cannot be called through `dyn`. The box costs one allocation a call, and none of these calls is made for each
/// message: they run on the control runtime, beside a disk or a network. Nothing here needs a particular runtime.
///
/// The work may be done when the call returns, or only while the answer is awaited; an answer that is dropped leaves
/// open whether it was done.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer that is there already.
pub fn ready<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(value))
}
