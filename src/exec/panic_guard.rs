//! Panics inside npad print nothing.
//!
//! A panic in npad is caught at the C boundary and becomes an error with the panic's text. The process-wide panic hook
//! would also print it to the host's standard error. npad therefore replaces the hook once, by one that returns
//! silently on threads that run npad's code and calls the previous hook for all other panics. A hook that the host sets
//! later replaces npad's.

use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Nesting depth of [`quiet`] on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work`; a panic inside prints nothing. It still unwinds to the caller, who catches it.
///
/// May be nested. Allocates nothing, except for the hook in the first call of the process.
pub fn quiet<R>(work: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    install_hook();
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    work()
}

/// Makes the panics of this thread print nothing until it ends: for worker threads.
pub(super) fn quiet_thread() {
    install_hook();
    DEPTH.set(DEPTH.get() + 1);
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A thread that is unwinding must not change the hook; its panic has already been printed.
    if std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                previous(info);
            }
        }));
    });
}
