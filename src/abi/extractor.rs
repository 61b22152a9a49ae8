//! Feature extractors of the host.

use std::ffi::{c_char, c_void};

use safer_ffi::prelude::*;

use super::callbacks::{npad_callback_error, npad_free_callback};

/// Extraction callback. `input` holds three normalised planes, red, green and blue, of `height` rows of `width` values.
/// `outputs[i]` receives `channels[i]` planes of ceil(height / strides[i]) rows of ceil(width / strides[i]) finite
/// values. Return 0 on success; on failure, write the reason to `error` and return any other number. Called from
/// several threads at once.
pub type npad_extract_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        input: *const f32,
        height: i32,
        width: i32,
        outputs: *const *mut f32,
        error: *mut npad_callback_error,
    ) -> i32,
>;

/// A feature extractor of the host, which replaces ONNX Runtime and the built-in backbone.
///
/// The features must depend on the image alone. A model records the name of the extractor that it was fitted with and can
/// only be loaded with an extractor of that name; choose another name whenever the features change.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_extractor {
    /// sizeof(npad_extractor).
    pub size: usize,
    /// Name of the extractor: 1 to 64 lower-case letters, digits, '-' or '_'. Copied.
    pub name: *const c_char,
    /// Number of outputs, 1 to 16.
    pub tap_count: usize,
    /// Stride of each output: input pixels per position in each direction, 1 to 64. Copied.
    pub strides: *const i32,
    /// Number of planes of each output, 1 to 8192. Copied.
    pub channels: *const i32,
    /// Means of red, green and blue on a scale of 0 to 1; the input is (value - mean) / std.
    pub mean: [f32; 3],
    /// Standard deviations of red, green and blue on a scale of 0 to 1; must be above 0.
    pub std: [f32; 3],
    /// Extraction callback. Must not be null.
    pub extract: npad_extract_callback,
    /// Frees `user_data` after the last use of the extractor. May be null.
    pub free: npad_free_callback,
    /// Passed to both callbacks.
    pub user_data: *mut c_void,
}
