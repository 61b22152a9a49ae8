//! Progress of long calls, and ways to cancel them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Status};

/// Where a fit stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// What is being done: "learning", "statistics", "centroids" or "held-out scores".
    pub stage: &'a str,
    /// Steps done of this stage.
    pub done: usize,
    /// Its number of steps; 0 where it is not known.
    pub total: usize,
}

/// A flag that cancels a call in progress. Clones share it; any thread may set it, and it cannot be taken back.
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

    /// Passes while the flag is not set.
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

/// Returns whether to go on.
type Callback = dyn Fn(Step<'_>) -> bool + Send + Sync;

/// Tells the user of each step. By default nobody listens.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Callback>>);

impl Progress {
    /// Calls `listen` on the thread of the call in progress; it returns whether to go on.
    pub fn new(listen: impl Fn(Step<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    /// Tells of a step.
    ///
    /// # Errors
    /// [`Status::Cancelled`] when the user does not want to go on.
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
