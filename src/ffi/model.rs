use std::ffi::{CString, c_char};

use super::error::npad_error;
use super::image::npad_image;
use super::options::{npad_options, options_or_default};
use super::result::npad_result;
use super::{borrow, free, guard, guard_value, null, output, path};
use crate::error::{Error, Status};
use crate::image::PixelFormat;
use crate::model::Model;

/// A fitted model: the backbone's identity, statistics, thresholds and settings.
///
/// Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
/// score with one model at once.
pub struct npad_model {
    model: Model,
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
        let info = serde_json::to_string(model.settings()).unwrap_or_default();
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
/// @param options  of these, "device" and "threads" count; null for the defaults
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_IO when the file cannot be read, NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or
///         something else, NPAD_STATUS_UNSUPPORTED_MODEL when it needs another npad, or as npad_trainer_new()
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
/// @param options  of these, "device" and "threads" count; null for the defaults
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

/// Lays the anomaly map of a result over its image, for people to look at: yellow is the map's threshold, red twice as
/// much; the regions' boxes are white.
///
/// @param model   what the image was scored with
/// @param image   the image that was scored
/// @param result  what npad_score() gave for it
/// @param pixels  receives the picture: rows of the image's width, three bytes a pixel
/// @param stride  bytes from one row of `pixels` to the next; 0 stands for rows without padding
/// @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image's size is not the result's, NPAD_STATUS_INVALID_ARGUMENT for another
///         format or a stride shorter than a row
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_render(
    model: *const npad_model,
    image: *const npad_image,
    result: *const npad_result,
    pixels: *mut u8,
    stride: i64,
    format: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = borrow(model, "model")?;
            let inspection = borrow(result, "result")?.inspection();
            let image = npad_image::view(image)?;
            if pixels.is_null() {
                return Err(null("pixels"));
            }
            let bgr = match format {
                f if f == PixelFormat::Rgb8 as i32 => false,
                f if f == PixelFormat::Bgr8 as i32 => true,
                other => {
                    return Err(invalid(format!(
                        "a picture of pixel format {other} cannot be drawn, only RGB8 or BGR8"
                    )));
                }
            };
            let row = 3 * image.width();
            let stride = if stride == 0 { row } else { usize::try_from(stride).unwrap_or(0) };
            if stride < row {
                return Err(invalid(format!("the picture's stride must be at least {row} bytes, or 0")));
            }
            let mut picture = model.model.render(&image, inspection)?;
            if bgr {
                picture.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
            }
            for (y, line) in picture.chunks_exact(row).enumerate() {
                std::ptr::copy_nonoverlapping(line.as_ptr(), pixels.add(y * stride), row);
            }
            Ok(())
        })
    }
}

fn invalid(message: String) -> Error {
    Error::new(Status::InvalidArgument, message)
}

/// The raw image score above which an image counts as anomalous; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.settings().image.threshold))
}

/// The value of the anomaly map above which a pixel belongs to a region; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_map_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.settings().map.threshold))
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

/// Scores one image. Any number of threads may call it with one model at once.
///
/// @param model   what to score with
/// @param image   the image, of any size; read during the call only
/// @param result  receives the result, null on failure
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, NPAD_STATUS_BACKBONE when the network fails
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score(
    model: *const npad_model,
    image: *const npad_image,
    result: *mut *mut npad_result,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(result, "result")?;
            let model = borrow(model, "model")?;
            *out = npad_result::into_raw(model.model.score(&npad_image::view(image)?)?);
            Ok(())
        })
    }
}
