//! Reusable working memory: what one call needs is kept for the next, so steady work allocates nothing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A stack of idle slots of one kind, shared between threads.
pub struct Pool<T> {
    slots: Mutex<Slots<T>>,
    returned: Condvar,
    limit: usize,
}

struct Slots<T> {
    idle: Vec<T>,
    in_use: usize,
    waiting: usize,
}

impl<T> Pool<T> {
    /// A pool of which at most `limit` slots are in use at once: a caller above it waits for one to come back.
    pub fn new(limit: usize) -> Self {
        let slots = Mutex::new(Slots { idle: Vec::new(), in_use: 0, waiting: 0 });
        Self { slots, returned: Condvar::new(), limit }
    }

    /// Calls `work` with an idle thing, or a new one where all are in use, and keeps it afterwards.
    pub fn with<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let (mut turn, idle) = self.turn();
        let thing = turn.thing.insert(idle.unwrap_or_else(new));
        work(thing)
    }

    /// The same where a new thing may fail to come about.
    pub fn try_with<R, E>(
        &self,
        new: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let (mut turn, idle) = self.turn();
        let thing = turn.thing.insert(idle.map_or_else(new, Ok)?);
        work(thing)
    }

    /// Adds an idle thing.
    pub fn put(&self, thing: T) {
        self.lock().idle.push(thing);
    }

    /// Waits until one more thing may be in use, and takes an idle one if there is any.
    fn turn(&self) -> (SlotGuard<'_, T>, Option<T>) {
        let mut slots = self.lock();
        while slots.in_use >= self.limit {
            slots.waiting += 1;
            slots = self.returned.wait(slots).unwrap_or_else(PoisonError::into_inner);
            slots.waiting -= 1;
        }
        slots.in_use += 1;
        let idle = slots.idle.pop();
        drop(slots);
        (SlotGuard { pool: self, thing: None }, idle)
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

/// One of the slots that may be in use at once. It comes back when this goes, unless the work panicked: what that left
/// behind is not to be trusted.
struct SlotGuard<'a, T> {
    pool: &'a Pool<T>,
    thing: Option<T>,
}

impl<T> Drop for SlotGuard<'_, T> {
    fn drop(&mut self) {
        let thing = self.thing.take().filter(|_| !std::thread::panicking());
        let mut slots = self.pool.lock();
        slots.idle.extend(thing);
        slots.in_use -= 1;
        let waited_for = slots.waiting > 0;
        drop(slots);
        // Telling nobody would still be a call into the system.
        if waited_for {
            self.pool.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_panic_gives_its_turn_back() {
        let pool = Pool::new(1);
        let panics = || pool.with(|| 1, |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(pool.with(|| 2, |thing| *thing), 2);
    }
}
