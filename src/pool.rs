//! Reusable working memory: what one call needs is kept for the next, so steady work allocates nothing.

use std::sync::{Mutex, PoisonError};

/// A stack of idle things of one kind, shared between threads.
pub struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// Calls `work` with an idle thing, or a new one where all are in use, and keeps it afterwards.
    pub fn with<R, E>(
        &self,
        new: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut thing = idle.map_or_else(new, Ok)?;
        let result = work(&mut thing);
        self.put(thing);
        result
    }

    /// Adds an idle thing.
    pub fn put(&self, thing: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}
