use super::{free, guard_value, new_handle};
use crate::exec::progress::Cancellation;

/// A cancellation request for npad_score_batch() and npad_score_batch_into().
///
/// Owned by the caller, who frees it with npad_cancellation_free() once no call uses it. Any number of threads may use
/// it at once. It cannot be reset: create a new one after a cancellation.
pub struct npad_cancellation {
    pub(super) cancellation: Cancellation,
}

/// Creates a cancellation request. Returns null if memory cannot be allocated.
#[unsafe(no_mangle)]
pub extern "C" fn npad_cancellation_new() -> *mut npad_cancellation {
    new_handle(|| npad_cancellation { cancellation: Cancellation::new() })
}

/// Cancels all running and future calls that use this request. Each returns NPAD_STATUS_CANCELLED: a running call once
/// the image in progress is complete, a call that is blocked by "max_calls" at once. May be called from any thread. Null
/// is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_cancel(cancellation: *mut npad_cancellation) {
    guard_value((), || {
        if let Some(handle) = unsafe { cancellation.as_ref() } {
            handle.cancellation.cancel();
        }
    });
}

/// Returns whether npad_cancellation_cancel() has been called; false if `cancellation` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_is_cancelled(cancellation: *const npad_cancellation) -> bool {
    guard_value(false, || unsafe { cancellation.as_ref() }.is_some_and(|handle| handle.cancellation.is_cancelled()))
}

/// Frees a cancellation request. No call may be using it. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_cancellation_free(cancellation: *mut npad_cancellation) {
    guard_value((), || unsafe { free(cancellation) });
}
