use std::ffi::{CString, c_char};

use super::error::npad_error;
use super::options::{npad_options, options_or_default};
use super::{borrow, free, guard, guard_value, null, output, path};
use crate::error::Status;
use crate::model::Model;

/// A fitted model: the backbone's identity, statistics, thresholds and metadata.
///
/// Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
/// score with one model at once; one image a core is in work, other calls wait for their turn.
pub struct npad_model {
    pub(super) model: Model,
    info: CString,
}

/// Bytes that npad has written.
///
/// Owned by the caller, who frees it with npad_buffer_free(). Immutable: any thread may read it.
pub struct npad_buffer {
    bytes: Vec<u8>,
}

impl npad_model {
    pub(super) fn into_raw(model: Model) -> *mut Self {
        let info = serde_json::to_string(model.metadata()).unwrap_or_default();
        Box::into_raw(Box::new(Self { model, info: CString::new(info).unwrap_or_default() }))
    }
}

/// Writes the model to a file, all or nothing: on failure an older file of that name is untouched.
///
/// @param model  what to save
/// @param path   the file; UTF-8 on Windows, any bytes elsewhere
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_IO when the file cannot be written
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_save(
    model: *const npad_model,
    path: *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || borrow(model, "model")?.model.save(self::path(path, "path")?)) }
}

/// Writes the model to memory, byte for byte what npad_model_save() writes to a file.
///
/// @param model   what to save
/// @param buffer  receives the bytes, null on failure
/// @param error   receives the error, or null; may itself be null
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
            *out = Box::into_raw(Box::new(npad_buffer { bytes }));
            Ok(())
        })
    }
}

/// Reads a model file.
///
/// @param path     the file; UTF-8 on Windows, any bytes elsewhere
/// @param options  of these, "device", "threads" and the feature extractor count; null for the defaults
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_IO when the file cannot be read, NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or
///         something else, NPAD_STATUS_UNSUPPORTED_MODEL when it needs another npad, a plug-in or the extractor it was
///         fitted with, or as npad_trainer_new()
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
            *out = npad_model::into_raw(Model::load(self::path(path, "path")?, &options_or_default(options))?);
            Ok(())
        })
    }
}

/// Reads a model from the bytes of a model file.
///
/// @param data     `size` bytes; read during the call only
/// @param size     their number
/// @param options  of these, "device", "threads" and the feature extractor count; null for the defaults
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_model_load(), but for NPAD_STATUS_IO
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
            if data.is_null() {
                return Err(null("data"));
            }
            let bytes = std::slice::from_raw_parts(data, size);
            *out = npad_model::into_raw(Model::from_bytes(bytes, &options_or_default(options))?);
            Ok(())
        })
    }
}

/// What the model knows of itself, as one JSON object in UTF-8: "method" and its "parameters", the network's "input" size,
/// "images" learnt from, "false_alarm_rate", the "image" and "map" calibrations, "backbone" and so on. It lives as long as
/// the model. An empty text for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_info(model: *const npad_model) -> *const c_char {
    guard_value(c"".as_ptr(), || unsafe { model.as_ref() }.map_or(c"".as_ptr(), |m| m.info.as_ptr()))
}

/// Frees a model. Null is allowed. No other call may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_free(model: *mut npad_model) {
    guard_value((), || unsafe { free(model) });
}

/// The bytes of a buffer; they live as long as it does. Null for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_data(buffer: *const npad_buffer) -> *const u8 {
    guard_value(std::ptr::null(), || unsafe { buffer.as_ref() }.map_or(std::ptr::null(), |b| b.bytes.as_ptr()))
}

/// The number of bytes in a buffer; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_size(buffer: *const npad_buffer) -> usize {
    guard_value(0, || unsafe { buffer.as_ref() }.map_or(0, |b| b.bytes.len()))
}

/// Frees a buffer. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_buffer_free(buffer: *mut npad_buffer) {
    guard_value((), || unsafe { free(buffer) });
}
