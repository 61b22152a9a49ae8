//! The functions of include/npad.h that targets call, with handles as plain addresses.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, c_char, c_void};

use npad::abi::callbacks::npad_callback_error;
use npad::abi::extractor::npad_extractor;
use npad::abi::image::{npad_image, npad_mask};
use npad::abi::output::npad_output;
use npad::preprocess::InputSize;

use crate::means;

/// Any handle.
pub type Handle = *mut c_void;

/// `NPAD_STATUS_INTERNAL`: a defect of npad.
pub const INTERNAL: i32 = npad::error::Status::Internal as i32;

// The library's own functions: they are linked in.
use npad as _;

unsafe extern "C" {
    pub fn npad_error_message(error: Handle) -> *const c_char;
    pub fn npad_error_free(error: Handle);
    pub fn npad_options_new() -> Handle;
    pub fn npad_options_set(options: Handle, key: *const c_char, value: *const c_char, error: *mut Handle) -> i32;
    pub fn npad_options_set_mask(options: Handle, mask: *const npad_mask, error: *mut Handle) -> i32;
    pub fn npad_options_set_roi(options: Handle, x: i32, y: i32, width: i32, height: i32, error: *mut Handle) -> i32;
    pub fn npad_options_set_extractor(options: Handle, extractor: *const npad_extractor, error: *mut Handle) -> i32;
    pub fn npad_options_free(options: Handle);
    pub fn npad_trainer_new(options: Handle, trainer: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_trainer_resume(model: Handle, options: Handle, trainer: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_trainer_add_image(trainer: Handle, image: *const npad_image, error: *mut Handle) -> i32;
    pub fn npad_trainer_add_defect(trainer: Handle, image: *const npad_image, error: *mut Handle) -> i32;
    pub fn npad_trainer_expect(trainer: Handle, count: usize, error: *mut Handle) -> i32;
    pub fn npad_trainer_finish(trainer: Handle, model: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_trainer_save_memory(trainer: Handle, buffer: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_trainer_load_memory(
        data: *const u8,
        size: usize,
        options: Handle,
        trainer: *mut Handle,
        error: *mut Handle,
    ) -> i32;
    pub fn npad_trainer_merge_memory(trainer: Handle, data: *const u8, size: usize, error: *mut Handle) -> i32;
    pub fn npad_trainer_free(trainer: Handle);
    pub fn npad_fit(
        images: *const npad_image,
        count: usize,
        options: Handle,
        model: *mut Handle,
        error: *mut Handle,
    ) -> i32;
    pub fn npad_model_save_memory(model: Handle, buffer: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_model_load_memory(
        data: *const u8,
        size: usize,
        options: Handle,
        model: *mut Handle,
        error: *mut Handle,
    ) -> i32;
    pub fn npad_model_warm_up(model: Handle, width: i32, height: i32, error: *mut Handle) -> i32;
    pub fn npad_model_info(model: Handle) -> *const c_char;
    pub fn npad_model_card(model: Handle) -> *const c_char;
    pub fn npad_model_free(model: Handle);
    pub fn npad_buffer_data(buffer: Handle) -> *const u8;
    pub fn npad_buffer_size(buffer: Handle) -> usize;
    pub fn npad_buffer_free(buffer: Handle);
    pub fn npad_score(model: Handle, image: *const npad_image, result: *mut Handle, error: *mut Handle) -> i32;
    pub fn npad_score_into(
        model: Handle,
        image: *const npad_image,
        output: *mut npad_output,
        error: *mut Handle,
    ) -> i32;
    pub fn npad_score_batch(
        model: Handle,
        images: *const npad_image,
        count: usize,
        cancellation: Handle,
        results: *mut Handle,
        error: *mut Handle,
    ) -> i32;
    pub fn npad_result_region_count(result: Handle) -> usize;
    pub fn npad_result_region_runs(result: Handle, index: usize, count: *mut usize) -> *const i32;
    pub fn npad_result_region_contour(result: Handle, index: usize, count: *mut usize) -> *const i32;
    pub fn npad_result_region_mask(result: Handle, index: usize, mask: *mut u8, stride: i64, error: *mut Handle)
    -> i32;
    pub fn npad_result_map_u8(result: Handle, map: *mut u8, stride: i64, error: *mut Handle) -> i32;
    pub fn npad_result_free(result: Handle);
    pub fn npad_cancellation_new() -> Handle;
    pub fn npad_cancellation_cancel(cancellation: Handle);
    pub fn npad_cancellation_free(cancellation: Handle);
}

/// Checks a call: no defect of npad, and an error exactly if it failed.
pub fn check(status: i32, error: Handle) {
    let message = unsafe { CStr::from_ptr(npad_error_message(error)) }.to_string_lossy().into_owned();
    assert_ne!(status, INTERNAL, "{message}");
    assert_eq!(status == 0, error.is_null(), "status {status}: {message}");
    assert_eq!(status == 0, message.is_empty(), "status {status}: {message}");
    unsafe { npad_error_free(error) };
}

/// The extractor [`crate::Means`] behind the C interface.
pub fn extractor() -> npad_extractor {
    static STRIDES: [i32; 2] = [4, 16];
    static CHANNELS: [i32; 2] = [3, 3];
    npad_extractor {
        size: size_of::<npad_extractor>(),
        name: c"means".as_ptr(),
        tap_count: STRIDES.len(),
        strides: STRIDES.as_ptr(),
        channels: CHANNELS.as_ptr(),
        mean: [0.5; 3],
        std: [0.5; 3],
        extract: Some(extract),
        free: None,
        user_data: std::ptr::null_mut(),
    }
}

unsafe extern "C" fn extract(
    _: *mut c_void,
    input: *const f32,
    height: i32,
    width: i32,
    outputs: *const *mut f32,
    _: *mut npad_callback_error,
) -> i32 {
    let size = InputSize { height: height as usize, width: width as usize };
    let image = unsafe { std::slice::from_raw_parts(input, 3 * size.height * size.width) };
    for (at, step) in [4, 16].into_iter().enumerate() {
        let means = means(image, size, step);
        unsafe { std::ptr::copy_nonoverlapping(means.as_ptr(), *outputs.add(at), means.len()) };
    }
    0
}
