//! Helpers that join the caller's loops and do not sleep in between.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::panic_guard::quiet;

/// Longer than any pause between the loops of a score; a helper that has waited so long sleeps even while it is kept awake.
const PATIENCE: Duration = Duration::from_millis(2);
/// Looks at what has changed between two looks at the clock.
const LOOKS: usize = 64;

/// Threads that help with one loop at a time. Loops of other callers meanwhile run on their own threads alone, which is
/// what serves several callers at once best.
pub struct SpinPool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Counts calls to wake up and loops: a helper that knows the number has nothing new to do.
    generation: AtomicUsize,
    /// Guards that keep the helpers awake.
    awake: AtomicUsize,
    /// Whether somebody's loop has the spin_pool.
    taken: AtomicBool,
}

struct State {
    job: Option<Job>,
    sleeping: usize,
    closed: bool,
}

/// A loop, on its caller's stack. It stays there until the caller has withdrawn it from [`State`] and all who joined left.
#[derive(Clone, Copy)]
struct Job(*const Loop<'static>);

#[allow(unsafe_code)]
// SAFETY: what it points to is shared between threads by design, and is `Sync`.
unsafe impl Send for Job {}

struct Loop<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    count: usize,
    next: AtomicUsize,
    joined: AtomicUsize,
    left: AtomicUsize,
    panicked: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

impl Loop<'_> {
    /// Takes turns until none is left.
    fn take_part(&self) {
        let turns = || {
            let next = || Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < self.count);
            while let Some(index) = next() {
                (self.work)(index);
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(turns)) {
            self.next.store(self.count, Ordering::Relaxed);
            *self.panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells the helpers.
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

    fn help(&self) {
        let mut known = 0;
        loop {
            self.watch(known);
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
            let job = state.job;
            #[allow(unsafe_code)]
            // SAFETY: the job is in the state, so its caller has not withdrawn it, and will wait for who has joined.
            let joined = job.map(|Job(job)| unsafe { &*job });
            if let Some(job) = joined {
                job.joined.fetch_add(1, Ordering::Relaxed);
            }
            drop(state);
            if let Some(job) = joined {
                job.take_part();
                job.left.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Waits awake for generation as long as somebody asks for it.
    fn watch(&self, known: usize) {
        let start = Instant::now();
        while self.awake.load(Ordering::Relaxed) > 0 && start.elapsed() < PATIENCE {
            for _ in 0..LOOKS {
                if self.generation.load(Ordering::Acquire) != known {
                    return;
                }
                std::hint::spin_loop();
            }
        }
    }
}

impl SpinPool {
    /// A spin_pool of so many threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { job: None, sleeping: 0, closed: false }),
            wake: Condvar::new(),
            generation: AtomicUsize::new(0),
            awake: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
        });
        let mut spin_pool = Self { shared, helpers: Vec::new() };
        for index in 0..count {
            let shared = Arc::clone(&spin_pool.shared);
            let builder = std::thread::Builder::new().name(format!("npad-helper-{index}"));
            spin_pool.helpers.push(builder.spawn(move || quiet(|| shared.help()))?);
        }
        Ok(spin_pool)
    }

    /// Wakes the helpers, and keeps them awake as long as the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.shared.awake.fetch_add(1, Ordering::Relaxed);
        if !self.helpers.is_empty() {
            self.shared.announce(|_| ());
        }
        Awake(&self.shared)
    }

    /// Calls `work` with each chunk of `size` values of `data` (the last may be shorter) and its number.
    pub fn chunks<T: Send>(&self, data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        struct Base<T>(*mut T);
        #[allow(unsafe_code)]
        // SAFETY: each turn makes a slice of its own of it, and `T` may be sent to the thread of that turn.
        unsafe impl<T: Send> Sync for Base<T> {}
        impl<T> Base<T> {
            fn at(&self, offset: usize) -> *mut T {
                self.0.wrapping_add(offset)
            }
        }

        let (length, size) = (data.len(), NonZero::new(size).map_or(1, NonZero::get));
        let base = Base(data.as_mut_ptr());
        self.each(length.div_ceil(size), &|index| {
            let start = index * size;
            #[allow(unsafe_code)]
            // SAFETY: within `data`, which is borrowed for all of this, and apart from all other turns' chunks.
            let chunk = unsafe { std::slice::from_raw_parts_mut(base.at(start), size.min(length - start)) };
            work(index, chunk);
        });
    }

    /// Calls `work` with each number below `count`, once.
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        if count < 2 || self.helpers.is_empty() || shared.taken.swap(true, Ordering::Acquire) {
            return (0..count).for_each(work);
        }
        let zero = || AtomicUsize::new(0);
        let job = Loop { work, count, next: zero(), joined: zero(), left: zero(), panicked: Mutex::new(None) };
        let pointer = Job(std::ptr::from_ref(&job).cast());
        shared.announce(|state| state.job = Some(pointer));
        job.take_part();
        // From here on nobody joins; who has must leave before `job` and `work` go.
        shared.lock().job = None;
        let mut looks = 0;
        while job.left.load(Ordering::Acquire) < job.joined.load(Ordering::Relaxed) {
            looks += 1;
            if looks % LOOKS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        shared.taken.store(false, Ordering::Release);
        if let Some(panic) = job.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }
}

impl Drop for SpinPool {
    fn drop(&mut self) {
        self.shared.announce(|state| state.closed = true);
        for helper in self.helpers.drain(..) {
            // A helper's work is caught where it panics, so the thread itself cannot have.
            let _ = helper.join();
        }
    }
}

/// Keeps a spin_pool awake.
pub struct Awake<'a>(&'a Shared);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.awake.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_worked_on_once() {
        for helpers in [0, 1, 3] {
            let spin_pool = SpinPool::new(helpers).unwrap();
            let _awake = spin_pool.awake();
            for (length, size) in [(0, 3), (1, 3), (7, 3), (1000, 1), (1000, 1001)] {
                let mut data = vec![0usize; length];
                spin_pool.chunks(&mut data, size, |index, chunk| {
                    chunk.iter_mut().enumerate().for_each(|(i, value)| *value += index * size + i + 1);
                });
                assert!(data.iter().copied().eq(1..=length), "{length} in chunks of {size} with {helpers} helpers");
            }
        }
    }

    #[test]
    fn many_callers_share_a_crew() {
        let spin_pool = SpinPool::new(2).unwrap();
        std::thread::scope(|scope| {
            for caller in 0..8 {
                let spin_pool = &spin_pool;
                scope.spawn(move || {
                    for round in 0..300 {
                        let mut data = [0; 64];
                        spin_pool.chunks(&mut data, 5, |_, chunk| chunk.iter_mut().for_each(|v| *v = caller + round));
                        assert!(data.iter().all(|v| *v == caller + round));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_crew_goes_on() {
        let spin_pool = SpinPool::new(1).unwrap();
        let mut data = [0u8; 100];
        let fails = |spin_pool: &SpinPool, data: &mut [u8]| {
            spin_pool.chunks(data, 1, |index, _| assert!(index != 50, "on purpose"));
        };
        assert!(catch_unwind(AssertUnwindSafe(|| fails(&spin_pool, &mut data))).is_err());
        spin_pool.chunks(&mut data, 1, |_, chunk| chunk[0] = 1);
        assert_eq!(data, [1; 100]);
    }
}
