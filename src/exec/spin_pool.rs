//! A pool of threads that join the caller's parallel loops and spin between them instead of sleeping.
//!
//! Protocol. A caller that starts a loop puts a pointer to it, the job, into the shared state and increments the generation
//! counter, both under the lock. A worker that sees a new generation takes the lock, counts itself into the job that it
//! finds there, and works on it. When the caller finds no index left, it removes the job under the lock, so that no further
//! worker can join, and waits until all that have joined have left; only then does it return and the job's memory go.
//! `tests/handshake.rs` checks this with loom.

use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;
use std::time::Duration;

use super::panic_guard::quiet;
use super::sync::{
    Arc, AtomicBool, AtomicUsize, Builder, Condvar, Instant, JoinHandle, LOOKS, Mutex, MutexGuard, Ordering, spin_loop,
    yield_now,
};

/// A worker that finds no new job for this long sleeps, even while an [`Awake`] guard lives. It is longer than any
/// pause between the loops of a score.
const PATIENCE: Duration = Duration::from_millis(2);

/// The pool. It runs one caller's loop at a time; loops that other callers start meanwhile run on their own threads
/// alone, which is fastest for several concurrent callers.
pub struct SpinPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Generation counter, incremented on every wake-up and every new job.
    generation: AtomicUsize,
    /// Number of live [`Awake`] guards.
    awake: AtomicUsize,
    /// Whether a caller's loop is running on the workers.
    occupied: AtomicBool,
}

struct State {
    job: Option<JobPointer>,
    /// Workers that wait for [`Shared::wake`].
    sleeping: usize,
    closed: bool,
}

/// A loop on its caller's stack. It is valid while [`State`] points to it and until every worker that has joined has
/// left.
#[derive(Clone, Copy)]
struct JobPointer(*const Job<'static>);

#[allow(unsafe_code)]
// SAFETY: a `Job` is `Sync`.
unsafe impl Send for JobPointer {}

struct Job<'a> {
    /// Called with the thread's number (0 for the caller, then the workers) and the index.
    work: &'a (dyn Fn(usize, usize) + Sync),
    count: usize,
    /// The next free index.
    next: AtomicUsize,
    /// Workers that have started on the job.
    joined: AtomicUsize,
    /// Workers that have finished with it.
    left: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Processes indices until none is left.
    fn run(&self, thread: usize) {
        let indices =
            std::iter::from_fn(|| Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < self.count));
        let outcome = catch_unwind(AssertUnwindSafe(|| indices.for_each(|index| (self.work)(thread, index))));
        if let Err(panic) = outcome {
            self.next.store(self.count, Ordering::Relaxed);
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and starts a new generation.
    fn announce(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.generation.fetch_add(1, Ordering::Release);
        let asleep = state.sleeping > 0;
        drop(state);
        if asleep {
            self.wake.notify_all();
        }
    }

    /// The main loop of a worker.
    fn work(&self, thread: usize) {
        let mut known = 0;
        loop {
            self.spin(known);
            let mut state = self.lock();
            while self.generation.load(Ordering::Acquire) == known {
                state.sleeping += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.sleeping -= 1;
            }
            known = self.generation.load(Ordering::Acquire);
            if state.closed {
                return;
            }
            let Some(JobPointer(job)) = state.job else { continue };
            #[allow(unsafe_code)]
            // SAFETY: it stands in the state, so its caller has yet to remove it, and then waits for all that have joined.
            let job = unsafe { &*job };
            job.joined.fetch_add(1, Ordering::Relaxed);
            drop(state);
            job.run(thread);
            job.left.fetch_add(1, Ordering::Release);
        }
    }

    /// Spins until there is a generation after `known`, no [`Awake`] guard lives, or the time limit is reached.
    fn spin(&self, known: usize) {
        let start = Instant::now();
        while self.awake.load(Ordering::Relaxed) > 0 && start.elapsed() < PATIENCE {
            for _ in 0..LOOKS {
                if self.generation.load(Ordering::Acquire) != known {
                    return;
                }
                spin_loop();
            }
        }
    }
}

impl SpinPool {
    /// A pool of `count` workers.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { job: None, sleeping: 0, closed: false }),
            wake: Condvar::new(),
            generation: AtomicUsize::new(0),
            awake: AtomicUsize::new(0),
            occupied: AtomicBool::new(false),
        });
        let mut pool = Self { shared, workers: Vec::new() };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let builder = Builder::new().name(format!("npad-worker-{index}"));
            pool.workers.push(builder.spawn(move || quiet(|| shared.work(index + 1)))?);
        }
        Ok(pool)
    }

    /// Wakes the workers and keeps them spinning while the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.shared.awake.fetch_add(1, Ordering::Relaxed);
        if !self.workers.is_empty() {
            self.shared.announce(|_| ());
        }
        Awake(&self.shared)
    }

    /// Calls `work` with each chunk of `size` values of `data` (the last may be shorter) and its number, and with the value
    /// in `slots` of the thread that runs it.
    ///
    /// # Panics
    /// When there are fewer slots than the workers and the caller need.
    pub fn chunks<T: Send, S: Send>(
        &self,
        data: &mut [T],
        size: usize,
        slots: &mut [S],
        work: impl Fn(&mut S, usize, &mut [T]) + Sync,
    ) {
        assert!(slots.len() > self.workers.len(), "a slot for each thread");
        let (length, size) = (data.len(), NonZero::new(size).map_or(1, NonZero::get));
        let (data, slots) = (Base(data.as_mut_ptr()), Base(slots.as_mut_ptr()));
        self.each(length.div_ceil(size), &|thread, index| {
            let start = index * size;
            #[allow(unsafe_code)]
            // SAFETY: both lie within slices that are borrowed for all of this. Each index occurs once, so the chunks are
            // apart; each thread has a number of its own and works on one index at a time, so the slots are, too.
            let (slot, chunk) = unsafe {
                (&mut *slots.at(thread), std::slice::from_raw_parts_mut(data.at(start), size.min(length - start)))
            };
            work(slot, index, chunk);
        });
    }

    /// Calls `work` once with each number below `count`, and the number of the thread.
    fn each(&self, count: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let shared = &*self.shared;
        if count < 2 || self.workers.is_empty() || shared.occupied.swap(true, Ordering::Acquire) {
            return (0..count).for_each(|index| work(0, index));
        }
        let zero = || AtomicUsize::new(0);
        let job = Job { work, count, next: zero(), joined: zero(), left: zero(), panic: Mutex::new(None) };
        let pointer = JobPointer(std::ptr::from_ref(&job).cast());
        shared.announce(|state| state.job = Some(pointer));
        job.run(0);
        shared.lock().job = None;
        let mut looks = 0;
        while job.left.load(Ordering::Acquire) < job.joined.load(Ordering::Relaxed) {
            looks += 1;
            if looks % LOOKS == 0 { yield_now() } else { spin_loop() }
        }
        shared.occupied.store(false, Ordering::Release);
        if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }
}

/// The start of a slice, of which each thread makes references to its own parts.
struct Base<T>(*mut T);

#[allow(unsafe_code)]
// SAFETY: the parts are apart, and a `T` may be sent to the thread that uses it.
unsafe impl<T: Send> Sync for Base<T> {}

impl<T> Base<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

impl Drop for SpinPool {
    fn drop(&mut self) {
        self.shared.announce(|state| state.closed = true);
        for worker in self.workers.drain(..) {
            // Panics in a loop are caught, so the thread itself cannot have panicked.
            let _ = worker.join();
        }
    }
}

/// Keeps the workers spinning while it lives.
pub struct Awake<'a>(&'a Shared);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.awake.fetch_sub(1, Ordering::Relaxed);
    }
}
