//! npad's own worker threads: it lives in somebody else's process and never touches rayon's global pool.
//!
//! A fit works in long loops, for which rayon's pool is right. Scoring is a chain of loops of a tenth of a millisecond each,
//! and there handing work to a sleeping pool and waiting for it to wake up cost more than the loop: scoring with two
//! threads took as long as with one. Its loops therefore run on the calling thread, joined by a [`SpinPool`] of helpers that
//! stay awake from one loop of a score to the next.

pub mod huge_pages;
pub mod memory;
pub mod progress;
pub mod rows;
pub mod scratch;
mod spin_pool;

use std::sync::OnceLock;

pub use spin_pool::Awake;
use spin_pool::SpinPool;

use crate::error::{Error, Result, Status};

/// Worker threads for the numeric loops. Results never depend on their number.
pub struct Threads {
    count: usize,
    pool: OnceLock<rayon::ThreadPool>,
    spin_pool: SpinPool,
}

impl Threads {
    /// `count` threads, the caller's among them; 0 stands for one per available core.
    ///
    /// # Errors
    /// [`Status::Internal`] when the system refuses the threads.
    pub fn new(count: usize) -> Result<Self> {
        let count = Self::resolve(count);
        let spin_pool = SpinPool::new(count - 1).map_err(|e| refused(count, &e))?;
        Ok(Self { count, pool: OnceLock::new(), spin_pool })
    }

    /// The number of threads that a setting of `count` stands for.
    pub fn resolve(count: usize) -> usize {
        if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Starts the threads of a fit, so that it is known at once whether the system gives them.
    ///
    /// # Errors
    /// [`Status::Internal`] when it does not.
    pub fn start(&self) -> Result<()> {
        if self.pool.get().is_none() {
            let pool = self.new_pool().map_err(|e| refused(self.count, &e))?;
            // Where another thread was faster, its pool stays.
            let _ = self.pool.set(pool);
        }
        Ok(())
    }

    fn new_pool(&self) -> std::result::Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(self.count);
        builder.thread_name(|index| format!("npad-{index}")).build()
    }

    /// Runs `work`, in which rayon's parallel iterators use these threads. For the long loops of a fit, which calls
    /// [`Threads::start`] first.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.get_or_init(|| self.new_pool().expect("the system gives threads")).install(work)
    }

    /// Calls `work` with each chunk of `size` values of `data` (the last may be shorter) and its number. For the short loops
    /// of scoring: the caller's thread and the helpers share the chunks.
    pub fn chunks<T: Send>(&self, data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        self.spin_pool.chunks(data, size, work);
    }

    /// Wakes the helpers for the loops to come, and keeps them awake between these as long as the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.spin_pool.awake()
    }
}

fn refused(count: usize, cause: &dyn std::fmt::Display) -> Error {
    Error::new(Status::Internal, format!("cannot start {count} worker threads: {cause}"))
}
