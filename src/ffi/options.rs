use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::error::npad_error;
use super::image::npad_mask;
use super::{UserData, borrow, borrow_mut, free, guard, guard_value, string};
use crate::error::Status;
use crate::exec::progress::Progress;
use crate::image::Mask;
use crate::model::Options;
use crate::plugin::extractor::{HostExtractor, npad_extractor};

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
/// - "size" (240): size of the network's input in pixels: a side (as many pixels as a square of it, in the proportions of
///   the first image), height x width ("320x256"), or "native" (the first image's own)
/// - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; one that cannot be used is an error, never replaced
/// - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
/// - "seed" (0): seed of everything random in a fit
/// - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
/// - "review_rate" (0): share of good images that may be held for review, above "false_alarm_rate"; sets a second, lower
///   threshold. 0: no review
/// - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
/// - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
/// - "tile" (0): longest side, in pixels, of what the backbone runs on at once, 256 to 8192 in steps of 64; a larger input
///   is cut into overlapping tiles, so that memory follows the tile and not the image. 0 runs all at once
/// - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
/// - "min_region_area" (1): regions of fewer pixels of the image are left out
/// - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], 1 to 16 float outputs
///   [1, channels, rows, columns]; where the first dimension is free, small images of a batch run together
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

/// Sets the region of interest that all images of a fit share. It is kept in the model, and images that are scored with
/// it must have the mask's size. What it leaves out neither trains nor scores.
///
/// @param options  what to change
/// @param mask     the mask, copied; null for all of every image, the default
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the mask's description is wrong or it leaves no pixel
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_mask(
    options: *mut npad_options,
    mask: *const npad_mask,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            let mask = mask.as_ref().map(|mask| mask.view().and_then(Mask::new)).transpose()?;
            options.options.set_mask(mask);
            Ok(())
        })
    }
}

/// Is told how far a fit is and returns whether to go on. `stage` is "learning", "statistics", "centroids" or "held-out
/// scores"; `done` of its `total` steps are done, and `total` is 0 where it is not known. Called on the thread of the call
/// in progress; it must not call back into the same trainer.
pub type npad_progress_callback =
    Option<unsafe extern "C" fn(stage: *const c_char, done: usize, total: usize, user_data: *mut c_void) -> bool>;

/// Sets who is told of the progress of fits with these options. Where it returns false, the call under way ends with
/// NPAD_STATUS_CANCELLED: npad_fit() gives no model, npad_trainer_add_image() has not learnt the image, and
/// npad_trainer_finish() leaves the trainer as it was.
///
/// @param options    what to change
/// @param callback   null for nobody, the default
/// @param user_data  given to the callback; must be valid as long as the options and trainers made with them
/// @param error      receives the error, or null; may itself be null
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_progress(
    options: *mut npad_options,
    callback: npad_progress_callback,
    user_data: *mut c_void,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            let user_data = UserData(user_data);
            options.options.set_progress(callback.map_or_else(Progress::default, |callback| {
                Progress::new(move |step| {
                    let stage = CString::new(step.stage).unwrap_or_default();
                    // SAFETY: the caller promises that the callback may be called with its data.
                    callback(stage.as_ptr(), step.done, step.total, user_data.get())
                })
            }));
            Ok(())
        })
    }
}

/// Sets a feature extractor of the host's own, in place of ONNX Runtime and the built-in backbone: for a fit, or for
/// loading a model that was fitted with one.
///
/// On success npad owns `user_data` and calls `free` once no options, trainer or model uses it.
///
/// @param options    what to change
/// @param extractor  the table, copied
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_PLUGIN when something in the table is out of its range; `user_data` stays the caller's
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_extractor(
    options: *mut npad_options,
    extractor: *const npad_extractor,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            let extractor = HostExtractor::new(borrow(extractor, "extractor")?)?;
            options.options.set_extractor(Arc::new(extractor));
            Ok(())
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
