//! Progress of long calls, and ways to cancel them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Status};

/// Progress of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// The current stage: "learning", "statistics", "centroids" or "held-out scores".
    pub stage: &'a str,
    /// Completed steps of this stage.
    pub done: usize,
    /// Total steps of this stage; 0 if unknown.
    pub total: usize,
}

/// A flag that cancels running calls. Clones share it. Any thread may set it; it cannot be reset.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Fails if the flag is set.
    ///
    /// # Errors
    /// [`Status::Cancelled`] when it is.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(Status::Cancelled, "the call was cancelled"));
        }
        Ok(())
    }
}

/// Progress callback. Returns true to continue, false to cancel.
type Callback = dyn Fn(Step<'_>) -> bool + Send + Sync;

/// Reports each step to the progress callback. There is none by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Callback>>);

impl Progress {
    /// Sets the callback. It is called on the thread that called npad, and returns true to continue, false to cancel.
    pub fn new(listen: impl Fn(Step<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    /// Reports a step.
    ///
    /// # Errors
    /// [`Status::Cancelled`] when the callback returns false.
    pub fn report(&self, stage: &str, done: usize, total: usize) -> Result<()> {
        if self.0.as_ref().is_none_or(|listen| listen(Step { stage, done, total })) {
            return Ok(());
        }
        Err(Error::new(Status::Cancelled, format!("cancelled by the progress callback during '{stage}'")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_reaches_all_its_clones() {
        let cancellation = Cancellation::new();
        let clone = cancellation.clone();
        clone.check().unwrap();
        std::thread::spawn(move || cancellation.cancel()).join().unwrap();
        assert!(clone.is_cancelled());
        assert_eq!(clone.check().unwrap_err().status(), Status::Cancelled);
    }
}
