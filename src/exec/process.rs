//! The process that npad's threads belong to.
//!
//! A child process that `fork` makes has a copy of the memory, but of the threads only the one that called it. A call in the
//! child that waits for a worker, or for a lock that another thread held, would wait for ever, in npad as in ONNX Runtime. Such
//! calls are therefore refused, and the child's handles are not destroyed.

use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result, Status};

/// The process that has started threads last; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Notes that this process starts threads.
pub(super) fn own_threads() {
    OWNER.store(id(), Ordering::Relaxed);
}

/// Whether this is a child of the process that has npad's threads.
pub fn is_forked() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != id()
}

/// Checks that a call that needs threads has them.
///
/// # Errors
/// [`Status::WrongState`] in a child process.
pub fn check_process() -> Result<()> {
    if !is_forked() {
        return Ok(());
    }
    let message = "this process was forked from one in which npad had already started its threads, which only the parent has. \
                   Fork before the first fit or load, or let the child execute a program (exec), or compute in the parent";
    Err(Error::new(Status::WrongState, message))
}
