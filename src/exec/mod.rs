//! Threads, working memory and progress of long calls. npad runs in the host's process, so it uses no global thread
//! pool and no more threads than requested.
//!
//! # Threads
//!
//! There are three kinds of threads:
//!
//! - Fits run long loops with uneven work, for which rayon's work stealing is right: [`Threads::run`] enters a rayon pool of
//!   npad's own.
//! - Scores run a chain of about ten loops of 0.05 to 0.1 ms. Handing each of them to threads that sleep costs more than the
//!   loop. [`Threads::chunks`] uses a spinning pool (`spin_pool`), whose workers stay awake from one loop of a score to the
//!   next while an [`Awake`] guard lives, and sleep between scores.
//! - The backbone runs on ONNX Runtime's own threads, which do not spin after a run; npad's workers sleep meanwhile.
//!
//! All models and trainers of a process with the same number of threads share them ([`Threads::shared`]).
//!
//! # Why a pool of our own
//!
//! A chain of ten loops on two threads of a two-core machine, in times of one thread; medians of 300 rounds with the pools in
//! turn (`benches/pools`). Other work on the machine moves the figures, but not the order of the first three and the rest:
//!
//! | pool | loops in a row | after a pause of 4 ms in which others compute |
//! | --- | --: | --: |
//! | `spin_pool` | 0.60 | 0.63 |
//! | micropool | 0.61 | 0.67 |
//! | rayon, all of the chain in one `install` | 1.00 | 1.00 |
//! | paralight | 1.17 | 1.19 |
//! | rayon, an `install` for each loop | 1.21 | 1.22 |
//! | chili | 1.24 | 1.45 |
//!
//! micropool comes close, but it ends the process when a loop panics, which a library in somebody's process must not.
//! `tests/handshake.rs` checks the handshake of `spin_pool` under loom.

pub mod float_mode;
pub mod huge_pages;
pub mod memory;
mod panic_guard;
mod process;
pub mod progress;
mod reserve;
pub mod rows;
pub mod scratch;
pub mod semaphore;
mod spin_pool;
mod sync;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use memory::check_small_blocks;
pub use panic_guard::quiet;
use process::start_threads;
pub use process::{busy, check_process, is_forked};
pub use reserve::is_short as reserve_is_short;
pub use spin_pool::Awake;
use spin_pool::SpinPool;

use crate::error::{Error, Result, Status};

/// Worker threads for the numeric loops. Results never depend on their number.
pub struct Threads {
    count: usize,
    rayon: OnceLock<rayon::ThreadPool>,
    spin_pool: SpinPool,
}

impl Threads {
    /// The shared threads of the process for `count` (see [`Threads::new`]). They end with their last user.
    ///
    /// # Errors
    /// As [`Threads::new`]; [`Status::WrongState`] in a child process, which has no threads.
    pub fn shared(count: usize) -> Result<Arc<Self>> {
        static SHARED: Mutex<BTreeMap<usize, Weak<Threads>>> = Mutex::new(BTreeMap::new());
        check_process()?;
        let count = Self::resolve(count);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = shared.get(&count).and_then(Weak::upgrade) {
            return Ok(threads);
        }
        let threads = Arc::new(Self::new(count)?);
        shared.insert(count, Arc::downgrade(&threads));
        Ok(threads)
    }

    /// `count` threads, including the caller's; 0 for one per available core.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`] when the threads cannot be created.
    pub fn new(count: usize) -> Result<Self> {
        let count = Self::resolve(count);
        check_small_blocks().map_err(|e| refused(count, &e))?;
        start_threads();
        let spin_pool = SpinPool::new(count - 1).map_err(|e| refused(count, &e))?;
        Ok(Self { count, rayon: OnceLock::new(), spin_pool })
    }

    /// The number of threads, including the caller's.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of threads that a setting of `count` stands for.
    pub fn resolve(count: usize) -> usize {
        if count > 0 { count } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Starts the threads of a fit, so that a failure is reported early.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`] when the threads cannot be created; [`Status::WrongState`] in a child process.
    pub fn start(&self) -> Result<()> {
        check_process()?;
        if self.rayon.get().is_none() {
            check_small_blocks().map_err(|e| refused(self.count, &e))?;
            let pool = self.new_rayon().map_err(|e| refused(self.count, &e))?;
            // If another thread was faster, its pool is kept.
            let _ = self.rayon.set(pool);
        }
        Ok(())
    }

    fn new_rayon(&self) -> std::result::Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(self.count);
        let builder = builder.thread_name(|index| format!("npad-fit-{index}"));
        builder.start_handler(|_| panic_guard::quiet_thread()).build()
    }

    /// Runs `work`, in which rayon's parallel iterators use these threads. For the long loops of a fit, which calls
    /// [`Threads::start`] first.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.rayon.get_or_init(|| self.new_rayon().expect("the system gives threads")).install(work)
    }

    /// Calls `work` with each chunk of `size` values of `data` (the last may be shorter) and its number. For the short loops
    /// of scoring: the caller's thread and the workers share the chunks.
    pub fn chunks<T: Send>(&self, data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        // A vector of empty values allocates nothing.
        let mut none = vec![(); self.count];
        self.spin_pool.chunks(data, size, &mut none, |(), index, chunk| work(index, chunk));
    }

    /// [`Threads::chunks`] with working memory for each thread. `prepare` resizes the memory of every thread before the
    /// loop, even of threads that will not take part, so that later loops of the same sizes do not allocate.
    ///
    /// # Errors
    /// Those of `prepare`; then no work is done.
    pub fn chunks_with<T: Send, S: Send + Default>(
        &self,
        data: &mut [T],
        size: usize,
        scratch: &mut Vec<S>,
        prepare: impl FnMut(&mut S) -> Result<()>,
        work: impl Fn(&mut S, usize, &mut [T]) + Sync,
    ) -> Result<()> {
        scratch.resize_with(self.count, S::default);
        scratch.iter_mut().try_for_each(prepare)?;
        self.spin_pool.chunks(data, size, scratch, work);
        Ok(())
    }

    /// Wakes the workers and keeps them awake between loops while the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.spin_pool.awake()
    }
}

/// The error where the system refuses one of `count` threads.
pub fn refused(count: usize, cause: &dyn std::fmt::Display) -> Error {
    let (what, remedy) = match count {
        1 => (
            "one worker thread".to_owned(),
            "close other programs, or raise the process's limits of memory and threads",
        ),
        _ => (format!("{count} worker threads"), "use fewer (option threads)"),
    };
    let message = format!(
        "{what} could not be created: {cause}. There is no memory for the stacks, or the process has reached its limit of \
         threads; {remedy}"
    );
    Error::new(Status::OutOfMemory, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_worked_on_once() {
        for count in [1, 2, 4] {
            let threads = Threads::new(count).unwrap();
            let _awake = threads.awake();
            for (length, size) in [(0, 3), (1, 3), (7, 3), (1000, 1), (1000, 1001)] {
                let mut data = vec![0usize; length];
                threads.chunks(&mut data, size, |index, chunk| {
                    chunk.iter_mut().enumerate().for_each(|(i, value)| *value += index * size + i + 1);
                });
                assert!(data.iter().copied().eq(1..=length), "{length} in chunks of {size} with {count} threads");
            }
        }
    }

    #[test]
    fn each_thread_has_working_memory_of_its_own() {
        let threads = Threads::new(3).unwrap();
        let (mut scratch, mut data) = (Vec::<Vec<usize>>::new(), [0usize; 1000]);
        let prepare = |counts: &mut Vec<usize>| memory::try_resize(counts, 1, 0);
        threads
            .chunks_with(&mut data, 1, &mut scratch, prepare, |counts, _, chunk| {
                counts[0] += 1;
                chunk[0] += 1;
            })
            .unwrap();
        assert_eq!(data, [1; 1000]);
        assert_eq!(scratch.len(), 3);
        assert_eq!(scratch.iter().map(|counts| counts[0]).sum::<usize>(), 1000);

        let fails = |_: &mut Vec<usize>| Err(Error::new(Status::OutOfMemory, "none"));
        let outcome = threads.chunks_with(&mut data, 1, &mut scratch, fails, |_, _, chunk| chunk[0] += 1);
        assert!(outcome.is_err() && data == [1; 1000]);
    }

    #[test]
    fn many_callers_share_the_workers() {
        let threads = Threads::new(3).unwrap();
        std::thread::scope(|scope| {
            for caller in 0..8 {
                let threads = &threads;
                scope.spawn(move || {
                    for round in 0..300 {
                        let mut data = [0; 64];
                        threads.chunks(&mut data, 5, |_, chunk| chunk.iter_mut().for_each(|v| *v = caller + round));
                        assert!(data.iter().all(|v| *v == caller + round));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_workers_go_on() {
        let threads = Threads::new(2).unwrap();
        let mut data = [0u8; 100];
        let fails = |data: &mut [u8]| threads.chunks(data, 1, |index, _| assert!(index != 50, "on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fails(&mut data))).is_err());
        threads.chunks(&mut data, 1, |_, chunk| chunk[0] = 1);
        assert_eq!(data, [1; 100]);
    }

    #[test]
    fn a_refusal_says_what_can_be_done() {
        let message = |count| refused(count, &"none left").message().to_owned();
        assert!(message(8).contains("8 worker threads") && message(8).ends_with("use fewer (option threads)"));
        assert!(message(1).contains("one worker thread could") && !message(1).contains("fewer"), "{}", message(1));
    }

    #[test]
    fn who_asks_for_as_many_threads_shares_them() {
        let (one, other) = (Threads::shared(5).unwrap(), Threads::shared(5).unwrap());
        assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &Threads::shared(6).unwrap()));
        let default = Threads::shared(0).unwrap();
        assert!(Arc::ptr_eq(&default, &Threads::shared(Threads::resolve(0)).unwrap()));
        let first = Arc::downgrade(&one);
        drop((one, other));
        assert!(first.upgrade().is_none(), "they end with the last user");
    }
}
