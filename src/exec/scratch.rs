//! Reusable working memory, and the limit of the calls that may use it at once.
//!
//! The memory of a call is kept for the next one, so that repeated calls do not allocate. Per-thread memory within a
//! call is provided by [`Threads::chunks_with`](super::Threads::chunks_with).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Status};

/// How long a call waits when the maximum number of calls is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Waits until another call ends.
    #[default]
    Forever,
    /// Waits at most this long; then the call fails with [`Status::TimedOut`].
    For(Duration),
    /// Does not wait: the call fails with [`Status::TimedOut`] at once.
    Refuse,
}

/// Pools with a limit up to this have room for all their values from the start.
const LARGE: usize = 1024;

/// A pool of slots. The value of a slot is created on first use and kept between uses.
pub struct Pool<T> {
    slots: Mutex<Slots<T>>,
    returned: Condvar,
    limit: usize,
    /// Held during [`Pool::warm_up`], since two concurrent warm-ups could deadlock.
    warming_up: Mutex<()>,
}

struct Slots<T> {
    idle: Vec<T>,
    in_use: usize,
    waiting: usize,
}

impl<T> Pool<T> {
    /// A pool of which at most `limit` slots are in use at once.
    pub fn new(limit: usize) -> Self {
        let idle = Vec::with_capacity(if limit <= LARGE { limit } else { 0 });
        let slots = Mutex::new(Slots { idle, in_use: 0, waiting: 0 });
        Self { slots, returned: Condvar::new(), limit, warming_up: Mutex::new(()) }
    }

    /// The maximum number of slots in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a slot, with an idle value if there is one. Dropping the guard returns it.
    ///
    /// # Errors
    /// [`Status::TimedOut`] when all slots are in use for longer than `wait`.
    pub fn acquire(&self, wait: Wait) -> Result<Slot<'_, T>> {
        self.take(wait).map_err(|in_use| timed_out(in_use, self.limit, wait))
    }

    /// Calls `work` with an idle value, or a new one if all are in use. Waits when all slots are in use.
    pub fn with<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let Ok(result) = self.try_with(|| Ok::<T, std::convert::Infallible>(new()), |value| Ok(work(value)));
        result
    }

    /// [`Pool::with`] for fallible functions.
    ///
    /// # Errors
    /// Those of `new` and `work`.
    pub fn try_with<R, E>(
        &self,
        new: impl FnOnce() -> std::result::Result<T, E>,
        work: impl FnOnce(&mut T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let Ok(mut slot) = self.take(Wait::Forever) else { unreachable!("it waits until there is a slot") };
        work(slot.get_or_try_init(new)?)
    }

    /// Adds an idle value.
    pub fn put(&self, value: T) {
        self.lock().idle.push(value);
    }

    /// Calls `work` with the values of `count` different slots (at most the limit) and creates missing values, so that
    /// `count` concurrent callers need not. Waits until other calls have returned their slots; must not be called by a
    /// thread that holds one.
    ///
    /// # Errors
    /// Those of `new` and `work`.
    pub fn warm_up<E>(
        &self,
        count: usize,
        mut new: impl FnMut() -> std::result::Result<T, E>,
        mut work: impl FnMut(&mut T) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let _one_at_a_time = self.warming_up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slots = Vec::new();
        for _ in 0..count.min(self.limit) {
            let Ok(mut slot) = self.take(Wait::Forever) else { unreachable!("it waits until there is a slot") };
            work(slot.get_or_try_init(&mut new)?)?;
            slots.push(slot);
        }
        Ok(())
    }

    /// Takes a slot, or returns the number of slots in use.
    fn take(&self, wait: Wait) -> std::result::Result<Slot<'_, T>, usize> {
        let start = Instant::now();
        let mut slots = self.lock();
        while slots.in_use >= self.limit {
            let left = match wait {
                Wait::Forever => None,
                Wait::For(limit) => Some(limit.saturating_sub(start.elapsed())),
                Wait::Refuse => Some(Duration::ZERO),
            };
            if left == Some(Duration::ZERO) {
                return Err(slots.in_use);
            }
            slots.waiting += 1;
            slots = match left {
                None => self.returned.wait(slots).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.returned.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            slots.waiting -= 1;
        }
        slots.in_use += 1;
        let value = slots.idle.pop();
        // Returning a slot must not allocate.
        let in_use = slots.in_use;
        slots.idle.reserve(in_use);
        Ok(Slot { pool: self, value })
    }

    fn lock(&self) -> MutexGuard<'_, Slots<T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Pool<T> {
    /// A pool without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

fn timed_out(in_use: usize, limit: usize, wait: Wait) -> Error {
    let waited = match wait {
        Wait::For(limit) => format!("none of them ended within {} ms", limit.as_millis()),
        Wait::Forever | Wait::Refuse => "this call may not wait".to_owned(),
    };
    let message = format!(
        "{in_use} calls of this model are running, at most {limit} may, and {waited}. Call from fewer threads, or \
         change the options max_calls (maximum number of concurrent calls) or call_timeout (how long a blocked call \
         waits)"
    );
    Error::new(Status::TimedOut, message)
}

/// A slot in use. Its value returns to the pool when this is dropped, except after a panic, which may have left it in any
/// state.
pub struct Slot<'a, T> {
    pool: &'a Pool<T>,
    value: Option<T>,
}

impl<T> Slot<'_, T> {
    /// The slot's value, created by `new` if the slot is empty.
    ///
    /// # Errors
    /// Those of `new`.
    pub fn get_or_try_init<E>(
        &mut self,
        new: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<&mut T, E> {
        let value = match self.value.take() {
            Some(value) => value,
            None => new()?,
        };
        Ok(self.value.insert(value))
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        let value = self.value.take().filter(|_| !std::thread::panicking());
        let mut slots = self.pool.lock();
        slots.idle.extend(value);
        slots.in_use -= 1;
        let waiting = slots.waiting > 0;
        drop(slots);
        // A notification is a system call even without waiters.
        if waiting {
            self.pool.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_the_limit_are_in_use() {
        const LIMIT: usize = 3;
        let (pool, made, now) = (Pool::new(LIMIT), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let new = || made.fetch_add(1, Ordering::SeqCst);
                        pool.with(new, |_| {
                            assert!(now.fetch_add(1, Ordering::SeqCst) < LIMIT);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert!((1..=LIMIT).contains(&made.load(Ordering::SeqCst)));
    }

    #[test]
    fn a_panic_frees_its_slot_and_drops_the_value() {
        let pool = Pool::new(1);
        let panics = || pool.with(|| 1, |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(pool.with(|| 2, |value| *value), 2);
    }

    #[test]
    fn a_bounded_wait_ends_with_an_error_that_says_what_to_change() {
        let pool = Pool::<u8>::new(2);
        let (first, _second) = (pool.acquire(Wait::Refuse).unwrap(), pool.acquire(Wait::Refuse).unwrap());
        for wait in [Wait::Refuse, Wait::For(Duration::from_millis(20))] {
            let start = Instant::now();
            let error = pool.acquire(wait).err().unwrap();
            assert_eq!(error.status(), Status::TimedOut);
            for part in ["2 calls", "at most 2", "max_calls", "call_timeout"] {
                assert!(error.message().contains(part), "{error}");
            }
            assert!(wait == Wait::Refuse || start.elapsed() >= Duration::from_millis(20));
        }
        drop(first);
        pool.acquire(Wait::Refuse).unwrap();
    }

    #[test]
    fn who_waits_gets_the_slot_that_comes_back() {
        for wait in [Wait::Forever, Wait::For(Duration::MAX), Wait::For(Duration::from_secs(3600))] {
            let pool = Pool::<u8>::new(1);
            let held = pool.acquire(Wait::Forever).unwrap();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| pool.acquire(wait).map(drop));
                while pool.lock().waiting == 0 {
                    std::thread::yield_now();
                }
                drop(held);
                waiter.join().unwrap().unwrap();
            });
        }
    }

    #[test]
    fn a_warm_up_reaches_as_many_different_slots_as_may_be_in_use() {
        let pool = Pool::new(3);
        let mut made = 0;
        let mut new = || {
            made += 1;
            Ok::<_, Infallible>(0)
        };
        let use_it = |uses: &mut u32| {
            *uses += 1;
            Ok(())
        };
        pool.warm_up(2, &mut new, use_it).unwrap();
        pool.warm_up(9, &mut new, use_it).unwrap();
        assert_eq!(made, 3);
        let mut uses = pool.lock().idle.clone();
        uses.sort_unstable();
        assert_eq!(uses, [1, 2, 2]);
    }

    #[test]
    fn two_warm_ups_at_once_do_not_wait_for_each_other_for_ever() {
        let pool = Pool::new(2);
        let pause = |_: &mut u8| {
            std::thread::yield_now();
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| pool.warm_up(2, || Ok::<_, Infallible>(0), pause).unwrap()));
            }
        });
    }
}
