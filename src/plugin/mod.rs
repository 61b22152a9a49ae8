//! Extensions through tables of C callbacks: feature extractors of the host, and detection methods from shared
//! libraries.
//!
//! Results of callbacks are not trusted: shapes follow from the table, outputs are filled with NaN first so that
//! missing values are detected, and every value is checked.
#![allow(unsafe_code)]

pub mod extractor;
pub mod method;

use std::ffi::{CStr, c_char};

use crate::abi::callbacks::npad_callback_error;
use crate::abi::sized::zeroed;
use crate::error::{Error, Result, Status};
use crate::exec::float_mode;

/// Calls `callback` with a buffer for its error message; any result but 0 is a failure.
fn call(whose: &str, status: Status, callback: impl FnOnce(*mut npad_callback_error) -> i32) -> Result<()> {
    let mut error = zeroed::<npad_callback_error>();
    let code = float_mode::kept(|| callback(&raw mut error));
    if code == 0 {
        return Ok(());
    }
    let bytes = error.message.map(|byte| byte as u8);
    let text =
        CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), CStr::to_string_lossy);
    let text = if text.is_empty() { "no message was given".into() } else { text };
    Err(Error::new(status, format!("{whose} failed with code {code}: {text}")))
}

/// Checks a name for options, model files and messages.
///
/// # Safety
/// `name` must be null or a string that ends with a zero byte.
unsafe fn name(name: *const c_char, of: &str) -> Result<String> {
    let wrong = |found: &str| {
        let expected = "1 to 64 lower-case letters, digits, '-' or '_'";
        Err(Error::new(Status::Plugin, format!("the name of the {of} is {found}, but must be {expected}")))
    };
    if name.is_null() {
        return wrong("null");
    }
    // SAFETY: by contract.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=64).contains(&name.len()) && name.chars().all(fit) {
        return Ok(name.into_owned());
    }
    wrong(&format!("'{name}'"))
}
