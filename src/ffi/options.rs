use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::error::npad_error;
use super::image::{mask_view, rectangle};
use super::{borrow, borrow_mut, free, guard, guard_value, invalid, null, string};
use crate::abi::UserData;
use crate::abi::callbacks::npad_progress_callback;
use crate::abi::extractor::npad_extractor;
use crate::abi::image::npad_mask;
use crate::abi::sized::read_sized;
use crate::error::{Error, Result, Status};
use crate::exec::progress::Progress;
use crate::image::Mask;
use crate::model::Options;
use crate::plugin::extractor::HostExtractor;

/// Options for fitting and loading. Every option has a default.
///
/// Owned by the caller, who frees it with npad_options_free(). Belongs to one thread at a time. Calls that take options
/// copy them.
pub struct npad_options {
    pub(super) options: Options,
    /// What npad_options_get() has returned since the options last changed.
    values: BTreeMap<String, CString>,
}

impl npad_options {
    /// Changes the options; values that were returned before end with the change.
    fn change(&mut self, work: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        work(&mut self.options)?;
        self.values.clear();
        Ok(())
    }
}

/// New options, all at their defaults. Null when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn npad_options_new() -> *mut npad_options {
    guard_value(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(npad_options { options: Options::default(), values: BTreeMap::new() }))
    })
}

/// Sets an option by name, both as text in UTF-8. On failure nothing changes.
///
/// npad_option_count(), npad_option_name() and so on list the options with their types, defaults, ranges and meaning. The
/// general ones are, with their defaults:
///
/// - "method" (npad): detection method
/// - "size" (240): size of the network's input in pixels: a side (as many pixels as a square of it, in the proportions of
///   the first image), height x width ("320x256"), or "native" (that of the first image)
/// - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; a device that cannot be used is an error, never replaced
/// - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
/// - "max_calls" (0): calls of one model that run at once; further calls wait. 0 takes one per core
/// - "call_timeout" (none): milliseconds that such a call waits before it returns NPAD_STATUS_TIMED_OUT; 0 does not wait,
///   "none" waits without limit
/// - "seed" (0): seed of everything random in a fit
/// - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
/// - "review_rate" (0): share of good images that may be held for review, above "false_alarm_rate"; sets a second, lower
///   threshold. 0: no review
/// - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
/// - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
/// - "tile" (0): longest side, in pixels, of what the backbone runs on at once, 256 to 8192 in steps of 64; a larger input
///   is cut into overlapping tiles, so that memory follows the tile and not the image. 0 runs all at once
/// - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
/// - "min_region_area" (1): regions of fewer pixels of the image are dropped
/// - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], 1 to 16 float outputs
///   [1, channels, rows, columns]; where the first dimension is free, small images of a batch run together
/// - "backbone_mean", "backbone_std": R,G,B normalisation that your backbone was trained with, for values 0 to 1
/// - "npad.levels", "npad.channels" and so on: parameters of the methods
///
/// @param options  what to change
/// @param key      the option's name
/// @param value    its value as text
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value is not accepted; the message lists what is
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
            let (key, value) = (string(key, "key")?, string(value, "value")?);
            options.change(|options| options.set(key, value))
        })
    }
}

/// Gets the value of an option, set or default, as text in UTF-8.
///
/// @param options  what to read; it belongs to the calling thread during the call
/// @param key      the option's name
/// @param value    receives the value, null on failure; it lives until the options are changed or freed
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the name is unknown
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_get(
    options: *mut npad_options,
    key: *const c_char,
    value: *mut *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = value.as_mut().ok_or_else(|| null("value"))?;
            *out = std::ptr::null();
            let npad_options { options, values } = borrow_mut(options, "options")?;
            let key = string(key, "key")?;
            if !values.contains_key(key) {
                let unknown = |e: Error| Error::new(Status::NotFound, e.message());
                let text = options.get(key).map_err(unknown)?;
                let text = CString::new(text).map_err(|_| invalid(format!("{key} contains a zero byte")))?;
                values.insert(key.to_owned(), text);
            }
            *out = values.get(key).map_or(std::ptr::null(), |text| text.as_ptr());
            Ok(())
        })
    }
}

/// Sets the mask that all images of a fit share. It is stored in the model, and images that are scored with the model must
/// have the mask's size. Excluded pixels neither train nor score.
///
/// @param options  what to change
/// @param mask     the mask, copied; null for none, the default
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the mask's description is wrong or it includes no pixel
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_mask(
    options: *mut npad_options,
    mask: *const npad_mask,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            let mask = if mask.is_null() { None } else { Some(Mask::new(mask_view(mask)?)?) };
            options.change(|options| {
                options.set_mask(mask);
                Ok(())
            })
        })
    }
}

/// Sets a rectangular region of interest that all images of a fit share, in pixels of the images: it has the effect of a mask
/// that excludes everything else. It is stored in the model. With a mask as well, a pixel must be included by both.
///
/// @param options  what to change
/// @param x        left edge
/// @param y        upper edge
/// @param width    width; all four 0 for none, the default
/// @param height   height
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when a side is below 1 or the corner below 0; that the rectangle lies inside the image is
///         checked with the first image
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_roi(
    options: *mut npad_options,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            let roi = rectangle(x, y, width, height)?;
            options.change(|options| {
                options.set_roi(roi);
                Ok(())
            })
        })
    }
}

/// Sets the progress callback of fits with these options. When it returns false, the call in progress fails with
/// NPAD_STATUS_CANCELLED: npad_fit() returns no model, npad_trainer_add_image() has not learnt the image, and
/// npad_trainer_finish() leaves the trainer as it was.
///
/// @param options    what to change
/// @param callback   the callback; null for none, the default
/// @param user_data  passed to the callback; must stay valid as long as the options and trainers created with them
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
            let user_data = UserData::new(user_data);
            let progress = callback.map_or_else(Progress::default, |callback| {
                Progress::new(move |step| {
                    let stage = CString::new(step.stage).unwrap_or_default();
                    // SAFETY: the caller promises that the callback may be called with its data.
                    callback(stage.as_ptr(), step.done, step.total, user_data.get())
                })
            });
            options.change(|options| {
                options.set_progress(progress);
                Ok(())
            })
        })
    }
}

/// Sets a feature extractor of the host, which replaces ONNX Runtime and the built-in backbone: for a fit, or for loading a
/// model that was fitted with one.
///
/// On success npad owns `user_data` and calls `free` once no options, trainer or model uses it.
///
/// @param options    what to change
/// @param extractor  the table, copied
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_PLUGIN when a value in the table is out of range; `user_data` stays the caller's
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_options_set_extractor(
    options: *mut npad_options,
    extractor: *const npad_extractor,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let options = borrow_mut(options, "options")?;
            borrow(extractor.cast::<u8>(), "extractor")?;
            let unusable = |e: Error| Error::new(Status::Plugin, e.message()).context("the feature extractor");
            let table: npad_extractor = read_sized(extractor).map_err(unusable)?;
            let extractor = HostExtractor::new(&table)?;
            options.change(|options| {
                options.set_extractor(Arc::new(extractor));
                Ok(())
            })
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
