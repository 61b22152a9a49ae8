//! npad's own worker threads: it lives in somebody else's process and never touches rayon's global pool.
//!
//! A fit works in long loops, for which rayon's pool is right. Scoring is a chain of loops of a tenth of a millisecond each,
//! and there handing work to a sleeping pool and waiting for it to wake up cost more than the loop: scoring with two
//! threads took as long as with one. Its loops therefore run on the calling thread, joined by a [`Crew`] of helpers that
//! stay awake from one loop of a score to the next.

mod crew;

use std::sync::OnceLock;

pub use crew::Awake;
use crew::Crew;

use crate::error::{Error, Result, Status};

/// Worker threads for the numeric loops. Results never depend on their number.
pub struct Threads {
    count: usize,
    pool: OnceLock<rayon::ThreadPool>,
    crew: Crew,
}

impl Threads {
    /// `count` threads, the caller's among them; 0 stands for one per available core.
    ///
    /// # Errors
    /// [`Status::Internal`] when the system refuses the threads.
    pub fn new(count: usize) -> Result<Self> {
        let count = Self::resolve(count);
        let crew = Crew::new(count - 1)
            .map_err(|e| Error::new(Status::Internal, format!("cannot start {count} worker threads: {e}")))?;
        Ok(Self { count, pool: OnceLock::new(), crew })
    }

    /// The number of threads that a setting of `count` stands for.
    pub fn resolve(count: usize) -> usize {
        if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Runs `work`, in which rayon's parallel iterators use these threads. For the long loops of a fit.
    ///
    /// Where the system refuses rayon its threads, the caller's does all the work.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let builder = |count| rayon::ThreadPoolBuilder::new().num_threads(count);
        let named = |index| format!("npad-{index}");
        let pool = self.pool.get_or_init(|| {
            let alone =
                || builder(1).use_current_thread().build().expect("a pool of the caller's thread needs nothing");
            builder(self.count).thread_name(named).build().unwrap_or_else(|_| alone())
        });
        pool.install(work)
    }

    /// Calls `work` with each chunk of `size` values of `data` (the last may be shorter) and its number. For the short loops
    /// of scoring: the caller's thread and the helpers share the chunks.
    pub fn chunks<T: Send>(&self, data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        self.crew.chunks(data, size, work);
    }

    /// Wakes the helpers for the loops to come, and keeps them awake between these as long as the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.crew.awake()
    }
}
