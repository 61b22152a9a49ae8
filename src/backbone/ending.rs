//! The end of the process.
//!
//! `exit` destroys ONNX Runtime's globals while the host's other threads go on, and a thread that is still in ONNX Runtime then
//! crashes. The process therefore ends when those have come out that are in it, and no more may enter.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::exec::is_forked;

/// Number of threads in ONNX Runtime.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

/// For how long `exit` waits.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// How many times this thread is in ONNX Runtime.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Lets a thread use ONNX Runtime while it lives.
pub struct Inside(());

/// Lets the calling thread use ONNX Runtime.
///
/// # Errors
/// When the process is ending.
pub fn enter() -> ort::Result<Inside> {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    HERE.set(HERE.get() + 1);
    let inside = Inside(());
    if ENDING.load(Ordering::SeqCst) { Err(ort::Error::new("the process is ending")) } else { Ok(inside) }
}

impl Drop for Inside {
    fn drop(&mut self) {
        HERE.set(HERE.get() - 1);
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Called by `exit`, perhaps twice, and perhaps by a signal handler on a thread that is in ONNX Runtime and cannot come out meanwhile.
/// A child process has none of the threads that its parent had inside.
extern "C" fn wait() {
    if ENDING.swap(true, Ordering::SeqCst) || HERE.get() > 0 || is_forked() {
        return;
    }
    let start = Instant::now();
    while INSIDE.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Makes `exit` wait before it destroys what ONNX Runtime has made so far: what is registered last is done first. Called after
/// ONNX Runtime has been loaded, and after its first run, which makes further globals. Elsewhere than on Unix, the system stops
/// all other threads first.
pub fn prepare() {
    #[cfg(unix)]
    #[allow(unsafe_code)]
    // SAFETY: the function stays loaded until the process ends. Without memory for it, the process ends as it would have.
    unsafe {
        libc::atexit(wait);
    }
    #[cfg(not(unix))]
    let _ = wait;
}
