use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

use super::{free, guard_value, try_box};
use crate::error::{Error, Status};

/// The error of a failed call: a status code, and a message that says what was wrong, what was expected and what to do.
///
/// Owned by the caller, who frees it with npad_error_free(). Immutable: any thread may read it.
pub struct npad_error {
    status: Status,
    message: Cow<'static, CStr>,
}

/// The error that is returned when an error cannot be allocated. Never freed.
static NO_MEMORY: npad_error = npad_error {
    status: Status::OutOfMemory,
    message: Cow::Borrowed(c"out of memory: even the error's message could not be allocated; close other programs"),
};

impl npad_error {
    /// Returns the status code and the caller's error.
    pub(super) fn into_raw(error: &Error) -> (Status, *mut Self) {
        let status = error.status();
        let made =
            c_string(error.message()).and_then(|message| try_box(Self { status, message: Cow::Owned(message) }).ok());
        made.map_or((NO_MEMORY.status, (&raw const NO_MEMORY).cast_mut()), |made| (status, Box::into_raw(made)))
    }
}

/// Converts to a C string, with zero bytes replaced by spaces. Returns none if memory cannot be allocated.
fn c_string(text: &str) -> Option<CString> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(text.len() + 1).ok()?;
    bytes.extend(text.bytes().map(|byte| if byte == 0 { b' ' } else { byte }));
    bytes.push(0);
    CString::from_vec_with_nul(bytes).ok()
}

/// Returns the status code of the failed call; NPAD_STATUS_OK if `error` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_status(error: *const npad_error) -> Status {
    guard_value(Status::Internal, || unsafe { error.as_ref() }.map_or(Status::Ok, |e| e.status))
}

/// Returns the message in UTF-8; an empty string if `error` is null. Valid until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_message(error: *const npad_error) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { error.as_ref() }.map_or(c"".as_ptr(), |e| e.message.as_ptr()))
}

/// Frees an error. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_free(error: *mut npad_error) {
    guard_value((), || {
        if !std::ptr::eq(error, &raw const NO_MEMORY) {
            unsafe { free(error) };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_and_the_last_resort_is_not_freed() {
        let (status, error) = npad_error::into_raw(&Error::new(Status::Io, "a\0b"));
        assert_eq!(status, Status::Io);
        assert_eq!(unsafe { CStr::from_ptr(npad_error_message(error)) }, c"a b");
        unsafe { npad_error_free(error) };
        let last = (&raw const NO_MEMORY).cast_mut();
        unsafe { npad_error_free(last) };
        assert_eq!(unsafe { npad_error_status(last) }, Status::OutOfMemory);
    }
}
