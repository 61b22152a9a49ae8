//! How far a long call is, and the user's way to stop it.

use std::sync::Arc;

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
