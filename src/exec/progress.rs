//! How far a long call is, and the user's way to stop it.

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

/// Asks a call to stop, from any thread. Copies share one request.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// A request that has not been made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the calls that look at this request to stop, those under way and those to come.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the request has been made.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Status::Cancelled`] once the request has been made.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(Status::Cancelled, "cancelled by the caller's cancellation request"));
        }
        Ok(())
    }
}
