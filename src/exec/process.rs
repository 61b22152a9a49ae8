//! Whether this process is a child of the one that npad was used in.
//!
//! A child process that `fork` makes has a copy of the memory, but of the threads only the one that called it. A call in the
//! child that waits for a worker, or for a lock or a turn that another thread had, would wait for ever, in npad as in ONNX
//! Runtime. Such calls are therefore refused, and the child's handles are not destroyed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::reserve;
use crate::error::{Error, Result, Status};

static FORKED: AtomicBool = AtomicBool::new(false);
/// Whether there have been threads of npad's own.
static THREADS: AtomicBool = AtomicBool::new(false);
/// Number of calls in progress.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// Says that npad starts threads, which child processes of this one lack from now on.
pub fn start_threads() {
    watch_forks();
    THREADS.store(true, Ordering::SeqCst);
}

/// While it lives, other threads may have to wait for this one, which a child process would do for ever.
pub struct Busy(());

/// Says that a call is in progress.
pub fn busy() -> Busy {
    watch_forks();
    BUSY.fetch_add(1, Ordering::SeqCst);
    Busy(())
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::SeqCst);
    }
}

fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn note() {
        reserve::unlock_in_child();
        if THREADS.load(Ordering::SeqCst) || BUSY.load(Ordering::SeqCst) > 0 {
            FORKED.store(true, Ordering::SeqCst);
        }
    }
    // A fork at this moment is waited for, and a child must not wait for a thread that it lacks.
    if WATCHED.load(Ordering::Relaxed) || WATCHED.swap(true, Ordering::SeqCst) {
        return;
    }
    #[cfg(unix)]
    #[allow(unsafe_code)]
    // SAFETY: the function stays loaded until the process ends, and a child may call it. Without memory for it, a child is not told.
    unsafe {
        libc::pthread_atfork(None, None, Some(note));
    }
    #[cfg(not(unix))]
    let _ = note;
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
    let message = "this process was forked from one that had fitted or loaded a model, or was in a call of npad, and npad's threads \
                   belong to that one alone. Fork before that, or let the child execute a program (exec), or compute in the parent";
    Err(Error::new(Status::WrongState, message))
}
