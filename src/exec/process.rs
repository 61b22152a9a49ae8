//! Whether this process is a child of the one that npad was used in.
//!
//! A child process that `fork` makes has a copy of the memory, but of the threads only the one that called it. A call in the
//! child that waits for a worker, or for a lock or a turn that another thread had, would wait for ever, in npad as in ONNX
//! Runtime. Such calls are therefore refused, and the child's handles are not destroyed.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Status};

static FORKED: AtomicBool = AtomicBool::new(false);

/// From now on, child processes of this one are told.
pub fn watch_forks() {
    static WATCHED: Once = Once::new();
    extern "C" fn note() {
        FORKED.store(true, Ordering::Relaxed);
    }
    WATCHED.call_once(|| {
        #[cfg(unix)]
        #[allow(unsafe_code)]
        // SAFETY: the function stays loaded until the process ends, and a child may call it. Without memory for it, a child is not told.
        unsafe {
            libc::pthread_atfork(None, None, Some(note));
        }
        #[cfg(not(unix))]
        let _ = note;
    });
}

/// Whether this is such a child.
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Checks that a call that needs threads has them.
///
/// # Errors
/// [`Status::WrongState`] in a child process.
pub fn check_process() -> Result<()> {
    if !is_forked() {
        return Ok(());
    }
    let message = "this process was forked from one that had fitted or loaded a model, and npad's threads belong to that one alone. Fork \
                   before the first fit or load, or let the child execute a program (exec), or compute in the parent";
    Err(Error::new(Status::WrongState, message))
}
