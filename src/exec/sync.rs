//! The items of the standard library that [`spin_pool`](super::spin_pool) uses. `tests/handshake.rs` replaces them by
//! those of loom, which runs the pool under every interleaving of its threads.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};
pub use std::thread::{Builder, JoinHandle, yield_now};
pub use std::time::Instant;

/// Number of polls of a waiting thread before it checks the clock or yields.
pub const LOOKS: usize = 64;
