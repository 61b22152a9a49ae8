use std::ffi::{CString, c_char};

use super::{free, guard_value};
use crate::error::{Error, Status};

/// Why a call failed: a status for programs and a message for people, which says what was wrong, what was expected and
/// what to do.
///
/// Owned by the caller, who frees it with npad_error_free(). Immutable: any thread may read it.
pub struct npad_error {
    status: Status,
    message: CString,
}

impl npad_error {
    pub(super) fn into_raw(error: Error) -> *mut Self {
        let message = CString::new(error.message().replace('\0', " ")).unwrap_or_default();
        Box::into_raw(Box::new(Self { status: error.status(), message }))
    }
}

/// The status that the failed call returned. NPAD_STATUS_OK for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_status(error: *const npad_error) -> Status {
    guard_value(Status::Internal, || unsafe { error.as_ref() }.map_or(Status::Ok, |e| e.status))
}

/// The message, UTF-8, ending with a zero byte; it lives as long as the error. An empty text for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_message(error: *const npad_error) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { error.as_ref() }.map_or(c"".as_ptr(), |e| e.message.as_ptr()))
}

/// Frees an error. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_free(error: *mut npad_error) {
    guard_value((), || unsafe { free(error) });
}
