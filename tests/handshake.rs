//! The spinning thread pool under every order of its threads' steps: its source, with loom's model of the standard library's
//! threads, locks and atomics in their place. Loom also takes the memory model into account, and reports leaks, deadlocks
//! and uses of a job's memory that nothing orders before its end.
// In Wine, a panic on one of loom's stacks ends the process.
#![cfg(not(windows))]
#![allow(dead_code, clippy::modulo_one)]

#[path = "../src/exec/panic_guard.rs"]
mod panic_guard;
#[path = "../src/exec/spin_pool.rs"]
mod spin_pool;

/// Stands for `src/exec/sync.rs`.
mod sync {
    pub use loom::hint::spin_loop;
    pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub use loom::thread::{Builder, JoinHandle, yield_now};

    /// A clock by which a worker's patience ends after one round of looks, since a model has no time.
    pub struct Instant(std::cell::Cell<bool>);

    impl Instant {
        pub fn now() -> Self {
            Self(std::cell::Cell::new(false))
        }

        pub fn elapsed(&self) -> std::time::Duration {
            if self.0.replace(true) { std::time::Duration::MAX } else { std::time::Duration::ZERO }
        }
    }

    pub const LOOKS: usize = 1;
}

use loom::cell::UnsafeCell;
use spin_pool::SpinPool;

/// Runs a model; more than `preemptions` interruptions of a thread that could go on are left out.
fn model(preemptions: usize, scenario: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(scenario);
}

/// Memory whose every access loom checks. It is part of the job that a loop puts on its caller's stack.
struct Tracked(UnsafeCell<usize>);

/// Runs loops whose work reads memory of the caller, which is freed after each of them.
fn loops(pool: &SpinPool, count: usize) {
    for round in 1..=count {
        let caller = Tracked(UnsafeCell::new(round));
        let mut data = [0; 2];
        let shared = Shared(&caller);
        pool.chunks(&mut data, 1, &mut [(), ()], |(), index, chunk| {
            chunk[0] = shared.read() + index;
        });
        // Loom reports a worker's read that is not ordered before this write.
        caller.0.with_mut(|value| {
            // SAFETY: no loop runs.
            unsafe { *value = 0 };
        });
        assert_eq!(data, [round, round + 1]);
    }
}

struct Shared<'a>(&'a Tracked);

// SAFETY: workers only read.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    fn read(&self) -> usize {
        // SAFETY: the caller writes only when its loop has ended, which is what the model checks.
        self.0.0.with(|value| unsafe { *value })
    }
}

#[test]
fn loops_of_a_caller_whose_worker_sleeps() {
    model(2, || loops(&SpinPool::new(1).unwrap(), 2));
}

#[test]
fn loops_of_a_caller_whose_worker_is_awake() {
    model(2, || {
        let pool = SpinPool::new(1).unwrap();
        let _awake = pool.awake();
        loops(&pool, 1);
    });
}

#[test]
fn two_callers() {
    model(1, || {
        let pool = loom::sync::Arc::new(SpinPool::new(1).unwrap());
        let other = pool.clone();
        let caller = loom::thread::spawn(move || loops(&other, 1));
        loops(&pool, 1);
        caller.join().unwrap();
    });
}
