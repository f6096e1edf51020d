//! What several connections share.

use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub(crate) struct Held<S>(Mutex<S>);

impl<S> Held<S> {
    pub(crate) fn new(shared: S) -> Self {
        Self(Mutex::new(shared))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
