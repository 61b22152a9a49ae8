//! What [`spin_pool`](super::spin_pool) takes from the standard library. `tests/handshake.rs` puts loom's model of the same
//! items in its place, which runs the pool under every order of its threads' steps.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};
pub use std::thread::{Builder, JoinHandle, yield_now};
pub use std::time::Instant;

/// How often a waiting thread looks at what it waits for before it looks at the clock or gives its core to another thread.
pub const LOOKS: usize = 64;
