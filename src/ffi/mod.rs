//! The C boundary: validate, convert, call, report. `include/npad.h` is generated from here and from [`crate::abi`] by
//! cbindgen.
//!
//! Every function runs inside a guard, so that no panic reaches the caller; none comes from a macro, which cbindgen
//! would not see.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]

mod cancellation;
mod error;
mod image;
mod library;
mod lists;
mod log;
mod model;
mod options;
mod render;
mod result;
mod score;
mod thresholds;
mod trainer;

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, Result, Status};
use crate::exec::memory::try_reserve;
use crate::exec::quiet;
use crate::exec::rows::RowsOut;
use error::npad_error;

/// Runs `work`; its failure or panic becomes the returned status and, where `error` is not null, `*error`.
///
/// # Safety
/// `error` must be null or valid for a write.
unsafe fn guard(error: *mut *mut npad_error, work: impl FnOnce() -> Result<()>) -> Status {
    let outcome = caught(work).unwrap_or_else(|panic| Err(from_panic(&*panic)));
    let (status, report) = match outcome {
        Ok(()) => (Status::Ok, std::ptr::null_mut()),
        Err(e) if error.is_null() => (e.status(), std::ptr::null_mut()),
        Err(e) => npad_error::into_raw(&e),
    };
    if !error.is_null() {
        // SAFETY: valid by contract. What was there before is the caller's to free.
        unsafe { error.write(report) };
    }
    status
}

/// Runs `work` for its value, or gives `fallback` where it panics: for accessors, which have no way to fail.
fn guard_value<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    caught(work).unwrap_or(fallback)
}

/// Runs `work` and catches its panic, which prints nothing.
fn caught<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(|| quiet(work)))
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

/// A box whose allocation may fail.
fn try_box<T>(value: T) -> Result<Box<T>> {
    let mut one = Vec::new();
    try_reserve(&mut one, 1)?;
    one.push(value);
    // The capacity is 1, so nothing is allocated anew; a slice of one is laid out as its element.
    let one: *mut [T] = Box::into_raw(one.into_boxed_slice());
    // SAFETY: from `Box::into_raw`, of the same layout.
    Ok(unsafe { Box::from_raw(one.cast()) })
}

/// Rows in the caller's memory that are to be written; none for null.
///
/// # Safety
/// `first` must be null or valid for writing `height` rows of `width` values, `stride` bytes apart, which nobody else uses.
unsafe fn rows_out<'a, T: Copy>(
    first: *mut T,
    stride: i64,
    width: usize,
    height: usize,
    of: &str,
) -> Result<Option<RowsOut<'a, T>>> {
    if first.is_null() {
        return Ok(None);
    }
    let stride = row_stride::<T>(stride, width, of)?;
    // SAFETY: by contract.
    let rows = unsafe { RowsOut::from_raw(first, width, height, stride) };
    rows.map(Some).map_err(|e| e.context(format!("the {of}")))
}

/// A caller's stride in bytes as a number of values, of which a row has `width`.
fn row_stride<T>(stride: i64, width: usize, of: &str) -> Result<usize> {
    let size = size_of::<T>();
    let bytes = if stride == 0 { width * size } else { usize::try_from(stride).unwrap_or(0) };
    if bytes < width * size {
        return Err(invalid(format!(
            "the {of}'s stride is {stride} bytes, but must be at least {}, or 0",
            width * size
        )));
    }
    if !bytes.is_multiple_of(size) {
        return Err(invalid(format!("the {of}'s stride is {stride} bytes, but must be a multiple of {size}")));
    }
    Ok(bytes / size)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidArgument, message)
}

fn null(name: &str) -> Error {
    invalid(format!("{name} is null, but must point to something"))
}
