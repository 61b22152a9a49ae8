//! Progress of long calls, and ways to cancel them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::try_reserve;
use super::semaphore::Semaphore;
use crate::error::{Error, Result, Status};

/// Progress of a fit, or of a load on a device that is not the CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// The current stage: "preparing the device", "learning", "known defects", "statistics", "centroids", "measuring", "held-out scores", or "training (loss L)"
    /// with the least loss of the held-out images so far. Training may end before its last step.
    pub stage: &'a str,
    /// Completed steps of this stage.
    pub done: usize,
    /// Total steps of this stage; 0 if unknown.
    pub total: usize,
}

/// A flag that cancels calls, running ones and those that wait. Clones share it. Any thread may set it; it cannot be
/// reset.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    set: AtomicBool,
    /// The semaphore of each call that waits, or is about to.
    waiting: Mutex<Vec<Arc<Semaphore>>>,
}

impl Flag {
    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Semaphore>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a call in the list of a cancellation.
pub(super) struct Registration<'a> {
    flag: &'a Flag,
    semaphore: &'a Arc<Semaphore>,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut waiting = self.flag.waiting();
        if let Some(index) = waiting.iter().position(|semaphore| Arc::ptr_eq(semaphore, self.semaphore)) {
            waiting.swap_remove(index);
        }
    }
}

impl Cancellation {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes the calls that wait.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::Release);
        self.0.waiting().iter().for_each(|semaphore| semaphore.wake());
    }

    /// Wakes the calls that wait for `semaphore` when the flag is set, while the registration lives. Must be called
    /// before the flag is checked.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub(super) fn wakes<'a>(&'a self, semaphore: &'a Arc<Semaphore>) -> Result<Registration<'a>> {
        let mut waiting = self.0.waiting();
        try_reserve(&mut waiting, 1)?;
        waiting.push(Arc::clone(semaphore));
        Ok(Registration { flag: &self.0, semaphore })
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
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
