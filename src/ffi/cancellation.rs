use super::{free, guard_value};
use crate::exec::progress::Cancellation;

/// A request to cancel a call, for npad_score_batch() and npad_score_batch_into().
///
/// Owned by the caller, who frees it with npad_cancellation_free() once no call uses it. Any number of threads may use it at
/// once. It cannot be reset: create another one for the next call.
pub struct npad_cancellation {
    pub(super) cancellation: Cancellation,
}

/// A new request, not made yet. Null when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn npad_cancellation_new() -> *mut npad_cancellation {
    guard_value(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(npad_cancellation { cancellation: Cancellation::new() }))
    })
}

/// Cancels every call that was given this request, under way or to come: it returns NPAD_STATUS_CANCELLED after the image
/// that it is working on. Any thread. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_cancel(cancellation: *mut npad_cancellation) {
    guard_value((), || {
        if let Some(handle) = unsafe { cancellation.as_ref() } {
            handle.cancellation.cancel();
        }
    });
}

/// Whether npad_cancellation_cancel() has been called. False for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_is_cancelled(cancellation: *const npad_cancellation) -> bool {
    guard_value(false, || unsafe { cancellation.as_ref() }.is_some_and(|handle| handle.cancellation.is_cancelled()))
}

/// Frees a request. Null is allowed. No call may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_free(cancellation: *mut npad_cancellation) {
    guard_value((), || unsafe { free(cancellation) });
}
