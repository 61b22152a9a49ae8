use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

use super::{free, guard_value, try_box};
use crate::error::{Error, Status};

/// Why a call failed: a status for programs and a message for people, which says what was wrong, what was expected and
/// what to do.
///
/// Owned by the caller, who frees it with npad_error_free(). Immutable: any thread may read it.
pub struct npad_error {
    status: Status,
    message: Cow<'static, CStr>,
}

/// What is reported when not even an error can be allocated. Never freed.
static NO_MEMORY: npad_error = npad_error {
    status: Status::OutOfMemory,
    message: Cow::Borrowed(c"there is no memory left, not even for the message of an error; close other programs"),
};

impl npad_error {
    /// The status to return, and the error for the caller.
    pub(super) fn into_raw(error: &Error) -> (Status, *mut Self) {
        let status = error.status();
        let made =
            c_string(error.message()).and_then(|message| try_box(Self { status, message: Cow::Owned(message) }).ok());
        made.map_or((NO_MEMORY.status, (&raw const NO_MEMORY).cast_mut()), |made| (status, Box::into_raw(made)))
    }
}

/// Text for C; none where there is no memory. A zero byte inside becomes a space.
fn c_string(text: &str) -> Option<CString> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(text.len() + 1).ok()?;
    bytes.extend(text.bytes().map(|byte| if byte == 0 { b' ' } else { byte }));
    bytes.push(0);
    CString::from_vec_with_nul(bytes).ok()
}

/// The status that the failed call returned. NPAD_STATUS_OK for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_error_status(error: *const npad_error) -> Status {
    guard_value(Status::Internal, || unsafe { error.as_ref() }.map_or(Status::Ok, |e| e.status))
}

/// The message, UTF-8, terminated by a zero byte. It lives as long as the error. An empty text for null.
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
