//! Reusable working memory.
//!
//! The memory of a call is kept for the next one, so that repeated calls do not allocate. Per-thread memory within a
//! call is provided by [`Threads::chunks_with`](super::Threads::chunks_with).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A pool of values. A value is created when all others are in use, and kept between uses. As many are kept as were in
/// use at once or were warmed up.
pub struct Pool<T> {
    state: Mutex<State<T>>,
    /// Held during [`Pool::warm_up`]: two concurrent ones would take each other's values.
    warming_up: Mutex<()>,
}

struct State<T> {
    /// Ordered by the number of the warm-up that has prepared them last, then by their last use.
    idle: Vec<Value<T>>,
    in_use: usize,
    /// The number of values to keep.
    keep: usize,
    /// The number of warm-ups so far.
    warm_ups: u64,
}

/// A value and the number of the warm-up that has prepared it last, or 0.
struct Value<T> {
    value: T,
    warm_up: u64,
}

impl<T> Pool<T> {
    /// Calls `work` with an idle value, or a new one if all are in use.
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
        new: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        work(self.take(|idle| idle.pop()).get_or_try_init(new)?)
    }

    /// Adds an idle value.
    pub fn put(&self, value: T) {
        let mut state = self.lock();
        state.idle.insert(0, Value { value, warm_up: 0 });
        state.keep = state.keep.max(state.idle.len());
    }

    /// Calls `work` with `count` different values, one after the other, and creates missing ones, so that `count`
    /// concurrent callers need not. Other callers may use the pool meanwhile: a value that they hold is not waited for.
    ///
    /// # Errors
    /// Those of `new` and `work`.
    pub fn warm_up<E>(
        &self,
        count: usize,
        mut new: impl FnMut() -> Result<T, E>,
        mut work: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<(), E> {
        let _one_at_a_time = self.warming_up.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        state.warm_ups += 1;
        state.keep = state.keep.max(count);
        let number = state.warm_ups;
        drop(state);
        for _ in 0..count {
            let mut slot = self.take(|idle| {
                let others = idle.partition_point(|value| value.warm_up < number);
                others.checked_sub(1).map(|last| idle.remove(last))
            });
            work(slot.get_or_try_init(&mut new)?)?;
            slot.warm_up = number;
        }
        Ok(())
    }

    /// The value that `choose` removes from the idle ones, or an empty slot.
    fn take(&self, choose: impl FnOnce(&mut Vec<Value<T>>) -> Option<Value<T>>) -> Slot<'_, T> {
        let mut state = self.lock();
        state.in_use += 1;
        state.keep = state.keep.max(state.in_use);
        let (value, warm_up) = choose(&mut state.idle).map_or((None, 0), |found| (Some(found.value), found.warm_up));
        // Returning a value must not allocate.
        let room = (state.keep + 1).saturating_sub(state.idle.len());
        state.idle.reserve(room);
        Slot { pool: self, value, warm_up }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        let state = State { idle: Vec::new(), in_use: 0, keep: 0, warm_ups: 0 };
        Self { state: Mutex::new(state), warming_up: Mutex::new(()) }
    }
}

/// A value in use, or room for one. The value returns to the pool when this is dropped, except after a panic, which may
/// have left it in any state.
struct Slot<'a, T> {
    pool: &'a Pool<T>,
    value: Option<T>,
    warm_up: u64,
}

impl<T> Slot<'_, T> {
    /// The value, created by `new` if there is none.
    fn get_or_try_init<E>(&mut self, new: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
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
        let mut state = self.pool.lock();
        state.in_use -= 1;
        if let Some(value) = value {
            let at = state.idle.partition_point(|other| other.warm_up <= self.warm_up);
            state.idle.insert(at, Value { value, warm_up: self.warm_up });
        }
        // A warm-up creates a value where others hold one.
        let surplus = (state.idle.len() > state.keep).then(|| state.idle.remove(0));
        drop(state);
        drop(surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The idle values.
    fn idle<T: Clone>(pool: &Pool<T>) -> Vec<T> {
        pool.lock().idle.iter().map(|value| value.value.clone()).collect()
    }

    #[test]
    fn no_more_are_made_than_are_in_use_at_once() {
        let (pool, made) = (Pool::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.with(|| made.fetch_add(1, Ordering::SeqCst), |_| std::thread::yield_now());
                    }
                });
            }
        });
        assert!((1..=3).contains(&made.load(Ordering::SeqCst)));
        assert_eq!(idle(&pool).len(), made.load(Ordering::SeqCst));
    }

    #[test]
    fn a_panic_drops_the_value() {
        let pool = Pool::default();
        let panics = || pool.with(|| 1, |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(pool.with(|| 2, |value| *value), 2);
    }

    #[test]
    fn a_warm_up_reaches_different_values_one_after_the_other() {
        let pool = Pool::default();
        let (mut made, now) = (0, AtomicUsize::new(0));
        let mut new = || {
            made += 1;
            Ok::<_, Infallible>(0)
        };
        let use_it = |uses: &mut u32| {
            assert_eq!(now.fetch_add(1, Ordering::SeqCst), 0);
            *uses += 1;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        pool.warm_up(2, &mut new, use_it).unwrap();
        pool.warm_up(3, &mut new, use_it).unwrap();
        assert_eq!(made, 3);
        let mut uses = idle(&pool);
        uses.sort_unstable();
        assert_eq!(uses, [1, 2, 2]);
    }

    #[test]
    fn what_a_warm_up_prepared_is_used_first_and_kept() {
        let pool = Pool::default();
        let warm = |text: &mut &str| {
            *text = "warm";
            Ok::<_, Infallible>(())
        };
        // Four values, of which one is in use during the warm-up.
        pool.with(|| "", |_| pool.with(|| "", |_| pool.with(|| "", |_| pool.with(|| "", |_| ()))));
        pool.with(
            || "none is idle",
            |held| {
                *held = "held";
                pool.warm_up(2, || Ok("none is idle"), warm).unwrap();
            },
        );
        assert_eq!(idle(&pool), ["", "held", "warm", "warm"]);
        // One of two: the warm-up makes another one, and the one in use goes.
        let pool = Pool::default();
        pool.with(|| "cold", |_| pool.warm_up(2, || Ok("new"), warm).unwrap());
        assert_eq!(idle(&pool), ["warm", "warm"]);
        pool.with(|| "", |first| pool.with(|| "", |second| assert_eq!((*first, *second), ("warm", "warm"))));
    }

    #[test]
    fn warm_ups_run_beside_each_other_and_beside_calls() {
        let pool = Pool::default();
        let pause = |_: &mut u8| {
            std::thread::yield_now();
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| pool.warm_up(2, || Ok::<_, Infallible>(0), pause).unwrap()));
                scope.spawn(|| (0..50).for_each(|_| pool.try_with(|| Ok(0), pause).unwrap()));
            }
        });
        assert!((2..=5).contains(&idle(&pool).len()));
    }
}
