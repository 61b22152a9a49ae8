//! A private, sized thread pool: npad lives in somebody else's process and never touches rayon's global pool.

use crate::error::{Error, Result, Status};

/// Worker threads for the numeric loops. Results never depend on their number.
pub struct Threads {
    pool: rayon::ThreadPool,
}

impl Threads {
    /// A pool of `count` threads; 0 stands for one per available core.
    ///
    /// # Errors
    /// [`Status::Internal`] when the system refuses the threads.
    pub fn new(count: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(Self::resolve(count))
            .thread_name(|index| format!("npad-{index}"))
            .build()
            .map_err(|e| Error::new(Status::Internal, format!("cannot start {count} worker threads: {e}")))?;
        Ok(Self { pool })
    }

    /// The number of threads that a setting of `count` stands for.
    pub fn resolve(count: usize) -> usize {
        if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Runs `work`, in which rayon's parallel iterators use this pool.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }
}
