use std::ffi::c_char;

use super::error::npad_error;
use super::{borrow_mut, free, guard, guard_value, string};
use crate::error::Status;
use crate::model::Options;

/// What a fit or a load may be told, all at good defaults.
///
/// Owned by the caller, who frees it with npad_options_free(). Belongs to one thread at a time. Calls that take options
/// copy them.
pub struct npad_options {
    pub(super) options: Options,
}

/// New options, all at their defaults.
#[unsafe(no_mangle)]
pub extern "C" fn npad_options_new() -> *mut npad_options {
    guard_value(std::ptr::null_mut(), || Box::into_raw(Box::new(npad_options { options: Options::default() })))
}

/// Sets an option by name, both as text in UTF-8. On failure nothing changes.
///
/// Names, defaults and values (`npad info` prints the same with the methods' parameters):
///
/// - "method" (npad): detection method
/// - "size" (224): size of the network's input in pixels: a side, height x width ("320x256"), or "native"
/// - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; one that cannot be used is an error, never replaced
/// - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
/// - "seed" (0): seed of everything random in a fit
/// - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
/// - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
/// - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
/// - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
/// - "min_region_area" (1): regions of fewer pixels of the image are left out
/// - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], one or more float outputs
///   [1, channels, rows, columns]
/// - "backbone_mean", "backbone_std": R,G,B normalisation that your backbone was trained with, for values 0 to 1
/// - "npad.levels", "npad.channels" and the like: the method's parameters
///
/// @param options  what to change
/// @param key      the option's name
/// @param value    its value as text
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value not acceptable; the message lists what is
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set(
    options: *mut npad_options,
    key: *const c_char,
    value: *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            options.options.set(string(key, "key")?, string(value, "value")?)
        })
    }
}

/// Frees options. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_free(options: *mut npad_options) {
    guard_value((), || unsafe { free(options) });
}

/// The options behind a pointer that may be null for the defaults.
///
/// # Safety
/// `options` must be null or live.
pub(super) unsafe fn options_or_default(options: *const npad_options) -> Options {
    unsafe { options.as_ref() }.map(|o| o.options.clone()).unwrap_or_default()
}
