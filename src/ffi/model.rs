use std::ffi::{CStr, CString, c_char};

use super::error::npad_error;
use super::options::{npad_options, options_or_default};
use super::{borrow, bytes, free, free_with_threads, guard, guard_value, invalid, output, path, try_box};
use crate::error::{Result, Status};
use crate::image::MAX_SIDE;
use crate::model::Model;

/// A fitted model: the backbone's identity, statistics, thresholds and metadata.
///
/// Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
/// score with one model at once. At most "max_calls" calls run at a time; further calls block.
pub struct npad_model {
    pub(super) model: Model,
    info: CString,
    card: CString,
    method: CString,
    backbone: CString,
    device: CString,
    pub(super) signer: CString,
}

/// A block of bytes, the result of npad_model_save_memory() or npad_trainer_save_memory().
///
/// Owned by the caller, who frees it with npad_buffer_free(). Immutable: any thread may read it.
pub struct npad_buffer {
    bytes: Vec<u8>,
}

impl npad_buffer {
    pub(super) fn into_raw(bytes: Vec<u8>) -> Result<*mut Self> {
        Ok(Box::into_raw(try_box(Self { bytes })?))
    }
}

impl npad_model {
    pub(super) fn into_raw(model: Model) -> Result<*mut Self> {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let metadata = model.metadata();
        let info = text(&serde_json::to_string(&model.info()).unwrap_or_default());
        let card = text(&model.card());
        let (method, backbone, device) =
            (text(&metadata.method), text(&metadata.backbone), text(&model.device().to_string()));
        let signer = text(&model.signer().map(|key| key.to_string()).unwrap_or_default());
        Ok(Box::into_raw(try_box(Self { model, info, card, method, backbone, device, signer })?))
    }

    /// # Safety
    /// `model` must be null or live.
    pub(super) unsafe fn text(model: *const Self, of: impl FnOnce(&Self) -> &CStr) -> *const c_char {
        unsafe { model.as_ref() }.map_or(c"".as_ptr(), |model| of(model).as_ptr())
    }

    /// # Safety
    /// `model` must be null or live.
    unsafe fn read<T: Default>(model: *const Self, of: impl FnOnce(&Model) -> T) -> T {
        unsafe { model.as_ref() }.map_or_else(T::default, |model| of(&model.model))
    }
}

/// Writes the model to a file atomically: on failure, an existing file is unchanged, and if the process or the machine stops
/// meanwhile, it has its old or its new contents. A file ".npad-*.tmp" may then be left beside it, which can be deleted.
///
/// @param model  the model to save
/// @param path   the file; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when the file cannot be written;
///         NPAD_STATUS_INVALID_ARGUMENT when its settings take more than a megabyte in the file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_save(
    model: *const npad_model,
    path: *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || borrow(model, "model")?.model.save(self::path(path, "path")?)) }
}

/// Writes the model as an ONNX network for other programs, and a description in JSON of what belongs before and after it.
///
/// The network has one input "image", 32-bit floats from 0 to 255 of the shape images x 3 x height x width, with the
/// channels in the order red, green, blue. Its outputs are "map", the anomaly map in the units of the image score, images x
/// 1 x height x width, and "score", the largest value of each map. npad_score() resizes the map to the image and takes the
/// largest value then, which may be lower by a few percent; "export_size" makes the network do so itself. It has
/// standard operators only. The description has sizes, thresholds and the rule for the decision; the network has the
/// same JSON in its metadata under "npad".
///
/// Maps agree with those of npad_score() for images of the network's size to a thousandth of the threshold or the score,
/// whichever is larger. With "export_size" the network rounds some grey values to the next one, which may change a map by
/// up to a hundredth of these. The network is run and compared before a file is written.
///
/// Takes seconds, and several times the memory of the model's file. May run while other threads score, and is one of the
/// calls that "max_calls" counts.
///
/// @param model    the model
/// @param path     the network's file, which must end in ".onnx"; the description is written beside it, with the ending
///                 ".json". Existing files are replaced, once both are written. UTF-8 on Windows, any bytes elsewhere
/// @param options  only those whose names start with "export_" are used; null for defaults
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the model has no such network: its method is "spade" or a plug-in's, it has a
///         mask or a region of interest, the option "tile" was set, its backbone is the host's feature extractor, has
///         operators that are not standard or is written in an opset before 13 or after 22, or the model scores shifted
///         copies with a backbone that takes one image at a time; also when both files are one;
///         NPAD_STATUS_INVALID_OPTION when it cannot be written as the options say;
///         NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when a file cannot be written;
///         NPAD_STATUS_BACKBONE when the network cannot be run or its maps differ by more than that;
///         NPAD_STATUS_TIMED_OUT when "call_timeout" has passed while other calls had their turn
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_export(
    model: *const npad_model,
    path: *const c_char,
    options: *const npad_options,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            model.export_to(self::path(path, "path")?, &options_or_default(options)).map(|_| ())
        })
    }
}

/// Writes the model to memory, with the same bytes as npad_model_save() writes to a file.
///
/// @param model   the model to save
/// @param buffer  receives the bytes, null on failure
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the model's settings take more than a megabyte in the file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_save_memory(
    model: *const npad_model,
    buffer: *mut *mut npad_buffer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(buffer, "buffer")?;
            let bytes = borrow(model, "model")?.model.to_bytes()?;
            *out = npad_buffer::into_raw(bytes)?;
            Ok(())
        })
    }
}

/// Loads a model from a file.
///
/// @param path     the file; UTF-8 on Windows, any bytes elsewhere
/// @param options  only "device", "device_cache", "scoring", "threads", "max_calls", "call_timeout", "trusted_keys",
///                 "foreign_backbones", the feature extractor and, on a device other than the CPU, the progress callback are
///                 used; null for the defaults
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_IO when it cannot be read;
///         NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or not a model; NPAD_STATUS_UNSUPPORTED_MODEL when
///         it needs a newer npad, a plug-in that is not loaded, or the extractor that it was fitted with;
///         NPAD_STATUS_UNTRUSTED_MODEL when it is not signed with one of "trusted_keys", or "foreign_backbones" refuses its
///         backbone; NPAD_STATUS_CANCELLED by the progress callback; NPAD_STATUS_OUT_OF_MEMORY; for the backbone and device as
///         npad_trainer_new()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_load(
    path: *const c_char,
    options: *const npad_options,
    model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(model, "model")?;
            *out = npad_model::into_raw(Model::load(self::path(path, "path")?, &options_or_default(options))?)?;
            Ok(())
        })
    }
}

/// Loads a model from memory that holds the bytes of a model file.
///
/// @param data     `size` bytes; read during the call only
/// @param size     the number of bytes
/// @param options  as for npad_model_load()
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_model_load(), except for the errors of reading the model file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_load_memory(
    data: *const u8,
    size: usize,
    options: *const npad_options,
    model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(model, "model")?;
            *out = npad_model::into_raw(Model::from_bytes(bytes(data, size)?, &options_or_default(options))?)?;
            Ok(())
        })
    }
}

/// Returns the model's metadata as a JSON object in UTF-8: "method" and its "parameters", the network's "input" size,
/// the number of "images" of the fit, "false_alarm_rate", the "image" calibration, "known_defects", "backbone" and others, and
/// the key that the model is "signed_by" (see npad_model_signer()), or null.
/// "machine" has what the model runs on in this process: its "device", the "device_requested" (which may be "auto"), for
/// "auto" the "device" and "cause" of each better one that was "passed_over", "scoring" ("kernels" or "graph"), the
/// instruction set of npad's "kernels", and "version" and "file" of "onnxruntime", null if it was not loaded when the model
/// was made. An empty string if `model` is null. Valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_info(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.info) })
}

/// Returns the calibration card, plain text in UTF-8 with one fact a line: number, hash and day of the good images,
/// thresholds and how they were derived, settings, backbone and npad's version. It is for people to read and file; its
/// wording may change between versions, and npad_model_info() has the same facts for programs. It depends on the model
/// alone, not on the device or the time. Facts that the npad that fitted the model did not record are "not recorded". An
/// empty string if `model` is null. Valid until the model is freed.
///
/// The hash identifies the set of images, in any order, as 32 hexadecimal digits: the sum modulo 2^128 of one number for
/// each image, the first 16 bytes, in little-endian order, of the BLAKE3 hash of the network's input (the planes R, G and
/// B as 32-bit floats in little-endian order, resized, masked and normalised). It is the same for every file format with
/// the same pixels, and another one for another input size or mask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_card(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.card) })
}

/// Returns the name of the detection method; an empty string if `model` is null. Valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_method(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.method) })
}

/// Returns the identity of the backbone, a name and a checksum; an empty string if `model` is null. Valid until the
/// model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_backbone(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.backbone) })
}

/// Returns the device that the networks run on, as the option "device" names it, for "auto" the one in use; an empty
/// string if `model` is null. Valid until the model is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_device(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { npad_model::text(model, |m| &m.device) })
}

/// Returns the width of the network's input in pixels; 0 if `model` is null. Images of any size are resized to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_input_width(model: *const npad_model) -> i32 {
    guard_value(0, || unsafe { npad_model::read(model, |m| m.metadata().input.width as i32) })
}

/// Returns the height of the network's input in pixels; 0 if `model` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_input_height(model: *const npad_model) -> i32 {
    guard_value(0, || unsafe { npad_model::read(model, |m| m.metadata().input.height as i32) })
}

/// Returns the number of good images that the model has learnt; 0 if `model` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_image_count(model: *const npad_model) -> usize {
    guard_value(0, || unsafe { npad_model::read(model, |m| m.metadata().images) })
}

/// Returns the target false-alarm rate of the threshold, as the option "false_alarm_rate" set it; 0 if `model` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_false_alarm_rate(model: *const npad_model) -> f64 {
    guard_value(0.0, || unsafe { npad_model::read(model, |m| m.metadata().false_alarm_rate) })
}

/// Prepares the model for images of one size, so that the first call is as fast as later ones. Allocates the working
/// memory of as many concurrent calls as there are cores, at most "max_calls", and scores a test image with each, one
/// after the other. The working memory of further concurrent calls is allocated when they first run.
///
/// Any number of threads may call it at once, also while others score. It counts as one call: it blocks while
/// "max_calls" calls are running, for at most "call_timeout".
///
/// @param model   the model
/// @param width   width of the images in pixels, 1 to 65535
/// @param height  height of the images in pixels, 1 to 65535
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the model is null or a side is out of range; otherwise as npad_score()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_warm_up(
    model: *const npad_model,
    width: i32,
    height: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            let side = |side: i32| usize::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
            let (Some(width), Some(height)) = (side(width), side(height)) else {
                let expected = format!("both sides must be 1 to {MAX_SIDE}");
                return Err(invalid(format!("cannot warm up for images of {width} x {height} pixels: {expected}")));
            };
            model.warm_up(width, height)
        })
    }
}

/// Frees a model. No other call may be using it. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_free(model: *mut npad_model) {
    guard_value((), || unsafe { free_with_threads(model) });
}

/// Returns the bytes of a buffer; null if `buffer` is null. Valid until the buffer is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_data(buffer: *const npad_buffer) -> *const u8 {
    guard_value(std::ptr::null(), || unsafe { buffer.as_ref() }.map_or(std::ptr::null(), |b| b.bytes.as_ptr()))
}

/// Returns the number of bytes in a buffer; 0 if `buffer` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_size(buffer: *const npad_buffer) -> usize {
    guard_value(0, || unsafe { buffer.as_ref() }.map_or(0, |b| b.bytes.len()))
}

/// Frees a buffer. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_free(buffer: *mut npad_buffer) {
    guard_value((), || unsafe { free(buffer) });
}
