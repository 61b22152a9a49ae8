//! The C boundary: validate, convert, call, report. `include/npad.h` is generated from here by cbindgen.
//!
//! Every function runs inside a guard, so that no panic reaches the caller; none comes from a macro, which cbindgen
//! would not see. safer-ffi's derive checks at compile time that every `#[repr(C)]` struct may cross the boundary.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]

mod error;
mod image;
mod library;
mod log;
mod model;
mod options;
mod result;
mod score;
mod thresholds;
mod trainer;

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, Result, Status};
use error::npad_error;

/// Runs `work`; its failure or panic becomes the returned status and, where `error` is not null, `*error`.
///
/// # Safety
/// `error` must be null or valid for a write.
unsafe fn guard(error: *mut *mut npad_error, work: impl FnOnce() -> Result<()>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(from_panic(&*panic)));
    let (status, report) = match outcome {
        Ok(()) => (Status::Ok, std::ptr::null_mut()),
        Err(e) if error.is_null() => (e.status(), std::ptr::null_mut()),
        Err(e) => (e.status(), npad_error::into_raw(e)),
    };
    if !error.is_null() {
        // SAFETY: valid by contract. What was there before is the caller's to free.
        unsafe { error.write(report) };
    }
    status
}

/// Runs `work` for its value, or gives `fallback` where it panics: for accessors, which have no way to fail.
fn guard_value<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

fn from_panic(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("unknown cause");
    Error::new(Status::Internal, format!("a defect in npad: {text}. Please report it"))
}

/// The thing behind a handle.
///
/// # Safety
/// `handle` must be null or point to a live `T`.
unsafe fn borrow<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: by contract.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// The thing behind a handle, to be changed.
///
/// # Safety
/// `handle` must be null or point to a live `T` that nothing else uses.
unsafe fn borrow_mut<'a, T>(handle: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: by contract.
    unsafe { handle.as_mut() }.ok_or_else(|| null(name))
}

/// Where a function writes its result: checked and cleared first, so that a failure leaves null behind.
///
/// # Safety
/// `out` must be null or valid for a write.
unsafe fn output<'a, T>(out: *mut *mut T, name: &str) -> Result<&'a mut *mut T> {
    // SAFETY: by contract.
    let out = unsafe { out.as_mut() }.ok_or_else(|| null(name))?;
    *out = std::ptr::null_mut();
    Ok(out)
}

/// A C string in UTF-8.
///
/// # Safety
/// `text` must be null or a string that ends with a zero byte.
unsafe fn string<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::new(Status::InvalidArgument, format!("{name} is not valid UTF-8")))
}

/// A path: UTF-8 on Windows, any bytes elsewhere.
///
/// # Safety
/// As [`string`].
unsafe fn path<'a>(text: *const c_char, name: &str) -> Result<&'a Path> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        if text.is_null() {
            return Err(null(name));
        }
        // SAFETY: by contract.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        Ok(Path::new(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    // SAFETY: by contract.
    unsafe { string(text, name) }.map(Path::new)
}

/// Frees what a `_new` function or an output gave.
///
/// # Safety
/// `handle` must be null or come from `Box::into_raw`, and not be used again.
unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: by contract.
        guard_value((), || drop(unsafe { Box::from_raw(handle) }));
    }
}

/// A pointer that callbacks are given: their documentation says which threads call them.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: whoever sets a callback promises it.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(self) -> *mut c_void {
        self.0
    }
}

fn null(name: &str) -> Error {
    Error::new(Status::InvalidArgument, format!("{name} is null, but must point to something"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::image::{npad_image, npad_mask};
    use super::result::npad_region;
    use super::score::npad_decision;
    use crate::plugin::extractor::npad_extractor;
    use crate::plugin::method::{npad_features, npad_plugin, npad_plugin_parameter};
    use crate::plugin::npad_callback_error;

    macro_rules! layout {
        ($text:ident, $name:ident: $($field:ident),+) => {
            writeln!($text, "{} {}", stringify!($name), size_of::<$name>()).unwrap();
            $(writeln!($text, "{}.{} {}", stringify!($name), stringify!($field), std::mem::offset_of!($name, $field))
                .unwrap();)+
        };
    }

    /// The C side of the same file is checked in tests/header.rs.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn structs_lie_in_memory_as_they_always_did() {
        let mut text = String::new();
        layout!(text, npad_image: data, width, height, stride, format, reserved, mask);
        layout!(text, npad_mask: data, width, height, stride);
        layout!(text, npad_region: x, y, width, height, area, centroid_x, centroid_y, peak, reserved);
        layout!(text, npad_decision: score, calibrated_score, verdict, reserved, region_count);
        layout!(text, npad_callback_error: message);
        layout!(text, npad_extractor: size, name, tap_count, strides, channels, mean, std, extract, free, user_data);
        layout!(text, npad_features: rows, cols, channels, reserved, data);
        layout!(text, npad_plugin_parameter: name, default_value, help);
        layout!(text, npad_plugin: abi_version, reserved, size, name, parameters, parameter_count, fitter_new, fitter_observe, fitter_finish, fitter_free, scorer_score, scorer_save, scorer_load, scorer_free);
        assert_eq!(text, include_str!("../../tests/abi/layout.txt"));
    }
}
