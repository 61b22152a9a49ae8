use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::error::npad_error;
use super::image::{mask_view, rectangle};
use super::{borrow, borrow_mut, check_reserve, free, guard, guard_value, invalid, new_handle, null, string};
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
/// Owned by the caller, who must free it with npad_options_free(). Only one thread at a time may use it. Functions that
/// take options copy them.
pub struct npad_options {
    pub(super) options: Options,
    /// The strings that npad_options_get() has returned since the options last changed.
    values: BTreeMap<String, CString>,
}

impl npad_options {
    /// Changes the options and frees the strings that were returned before.
    fn change(&mut self, work: impl FnOnce(&mut Options) -> Result<()>) -> Result<()> {
        work(&mut self.options)?;
        self.values.clear();
        Ok(())
    }
}

/// Creates options with all values at their defaults. Returns null if memory cannot be allocated.
#[unsafe(no_mangle)]
pub extern "C" fn npad_options_new() -> *mut npad_options {
    new_handle(|| npad_options { options: Options::default(), values: BTreeMap::new() })
}

/// Sets an option. Name and value are text in UTF-8. On failure the options are unchanged.
///
/// npad_option_count(), npad_option_name() and related functions list all options with their types, defaults, ranges
/// and meaning. The general options and their defaults are:
///
/// - "method" (npad): detection method
/// - "size" (240): size of the network's input in pixels: a number N (as many pixels as an N x N square, with the
///   aspect ratio of the first image), height x width ("320x256"), or "native" (the size of the first image)
/// - "scales" (1): factors of that size that images are scored at, 1 to 3 ascending numbers from 1 to 4 joined by "+", the
///   first of which is 1: "1+1.6" finds smaller defects and takes about 3 times the time
/// - "device" (cpu): device that the networks run on, "cpu", "cuda:N", "tensorrt:N", "openvino:DEVICE" (CPU, GPU, GPU.N or
///   NPU), "directml:N" or "auto", which is the best usable one of cuda, directml, openvino:GPU and cpu; any other that cannot
///   be used is an error, there is no fallback. "cuda" is "cuda:0", and "openvino" is "openvino:CPU"
/// - "device_cache" (none): path of a folder in which tensorrt and openvino keep what they build for a network, so that the
///   next load is fast; it must exist
/// - "scoring" (auto): what scores the features: "kernels", npad's own code on the CPU; "graph", a graph of the whole
///   detector that runs on the device like the backbone; "auto", kernels for the devices "cpu" and "openvino:CPU" and for
///   models that have no graph, else the graph. Scores of both agree to a thousandth; with the graph, scores of a batch
///   equal those of single images to rounding only
/// - "threads" (0): number of worker threads; 0: one per core. Results do not depend on it
/// - "max_calls" (0): maximum number of concurrent scoring calls of a model; further calls block. A batch is one call.
///   0: one per core
/// - "call_timeout" (none): milliseconds that a blocked scoring call waits before it returns NPAD_STATUS_TIMED_OUT; 0:
///   it returns at once, "none": no limit
/// - "seed" (0): seed of the random number generator of a fit
/// - "checkpoint" (empty): path of the file in which a fit of "fastflow", "cflow" or "pefm" keeps its state: the same fit
///   continues from it after a crash. Several scales have a file each, whose names end in .0, .1 and so on. The files
///   stay after the fit; other methods refuse the option
/// - "export_opset" (auto), "export_batch" (any), "export_size" (input): ONNX's version of operators, 13 to 22, number of
///   images of a run, and size of the images (height x width, or that of the network's input) of npad_model_export()
/// - "trusted_keys" (empty): public keys, each of 64 hexadecimal digits, separated by commas: a model that is loaded must be
///   signed with one of them (see npad_model_with_signature()); empty: models need no signature
/// - "foreign_backbones" (allow): what to do with a model file that contains a backbone of its own, an ONNX network that ONNX
///   Runtime would run: "allow", or "refuse" the model
/// - "date" (today): day of the fit or the recalibration, which the model records: "today" (in UTC), a day such as
///   "2026-11-30", or "none" for no record. With "today" the same fit gives another model file on another day
/// - "false_alarm_rate" (0.01): target share of good images that are judged defective, 0.00001 to 0.5; sets the
///   threshold
/// - "review_rate" (0): target share of good images that are judged defective or for review, 0 to 0.5; sets a second,
///   lower threshold. Must be above "false_alarm_rate" to have an effect; 0: no review
/// - "operating_point" (rate): what sets the threshold: "rate", the false-alarm rate; "catch_all", the highest threshold
///   up to that of "false_alarm_rate" at which all known defects are found; "cost", the threshold up to that of
///   "false_alarm_rate" with the least miss_cost * (share of known defects missed) + (estimated false-alarm rate). The
///   last two need known defects, see npad_trainer_add_defect()
/// - "miss_cost" (1): weight of the share of known defects missed against the false-alarm rate, 0 to 1e9. If a missed
///   defect costs as much as C false alarms and a share P of all parts is defective, set C * P / (1 - P): 1 for 500 false
///   alarms and 2 of 1000 parts
/// - "smoothing" (4): standard deviation of the anomaly map's Gaussian smoothing in pixels of the network's input at
///   scale 1, 0 to 64
/// - "grid_step" (2): side of a grid cell in positions of the backbone's finest output at scale 1, 1 to 8
/// - "tile" (0): maximum side of a tile in pixels of the network's input, 256 to 8192 in steps of 64: larger inputs are
///   split into overlapping tiles, which limits memory. 0: no tiles
/// - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0: the maximum
/// - "min_region_area" (1): minimum area of a region in pixels of the image; smaller regions are dropped
/// - "backbone" (empty): path of a custom ONNX backbone with one float input [1, 3, height, width] and 1 to 16 float
///   outputs [1, channels, rows, columns]. If the first dimension is dynamic, small images of a batch run together
/// - "backbone_mean" (0.485,0.456,0.406), "backbone_std" (0.229,0.224,0.225): means and standard deviations of R, G and
///   B that the custom backbone was trained with, for values 0 to 1
/// - "METHOD.NAME", such as "npad.levels": parameters of the methods
///
/// @param options  the options to change
/// @param key      the option's name
/// @param value    its value as text
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value is out of range; the message lists the
///         known names or the accepted values
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
            check_reserve()?;
            options.change(|options| options.set(key, value))
        })
    }
}

/// Gets the current value of an option as text in UTF-8.
///
/// @param options  the options; no other thread may use them during the call
/// @param key      the option's name
/// @param value    receives the value, null on failure; valid until the options are changed or freed
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

/// Sets the mask that all images of a fit share. Excluded pixels are neither learnt nor scored. The mask is stored in
/// the model, and images that are scored with the model must have the size of the mask.
///
/// @param options  the options to change
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

/// Sets a rectangular region of interest that all images of a fit share, in pixels of the images. Pixels outside the
/// rectangle are excluded, as by a mask; with a mask as well, a pixel must be included by both. The rectangle is stored
/// in the model.
///
/// @param options  the options to change
/// @param x        left edge, 0 or more
/// @param y        upper edge, 0 or more
/// @param width    width, 1 or more; all four values 0 for no rectangle, the default
/// @param height   height, 1 or more
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when a value is out of range. The first image of the fit is checked to contain the
///         rectangle
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

/// Sets the progress callback of fits and loads with these options. A load reports only on a device other than the CPU,
/// where it runs the networks once. When the callback returns false, the running call fails with NPAD_STATUS_CANCELLED:
/// npad_fit() and npad_model_load() return no model, npad_trainer_add_image() does not learn the image, and
/// npad_trainer_finish() leaves the trainer unchanged.
///
/// @param options    the options to change
/// @param callback   the callback; null for none, the default
/// @param user_data  passed to the callback; must stay valid until these options and all trainers created with them are
///                   freed
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
                    // SAFETY: the caller guarantees that the callback may be called with its data.
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

/// Sets a feature extractor of the host, which replaces ONNX Runtime and the built-in backbone, for a fit or for
/// loading a model that was fitted with it.
///
/// On success npad takes ownership of `user_data` and calls `free` when no options, trainer or model uses it any more.
///
/// @param options    the options to change
/// @param extractor  the table, copied
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_PLUGIN when a value in the table is out of range; the caller keeps ownership of `user_data`
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

/// The options, or the defaults if the pointer is null.
///
/// # Safety
/// `options` must be null or live.
pub(super) unsafe fn options_or_default(options: *const npad_options) -> Options {
    unsafe { options.as_ref() }.map(|o| o.options.clone()).unwrap_or_default()
}
