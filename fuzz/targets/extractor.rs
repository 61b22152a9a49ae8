//! Tables and results of a host's extractor: anything in them is refused, or works.
#![no_main]

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use npad::abi::callbacks::npad_callback_error;
use npad::abi::extractor::npad_extractor;
use npad::abi::image::npad_image;
use npad_fuzz::c::*;
use npad_fuzz::{SIDE, good_images, keep_threads};

#[derive(Arbitrary, Debug)]
struct Table {
    name: Option<String>,
    strides: Vec<i32>,
    channels: Vec<i32>,
    mean: [f32; 3],
    std: [f32; 3],
    extract: bool,
    values: Values,
}

/// What the callback writes and returns.
#[derive(Arbitrary, Debug)]
struct Values {
    strides: Vec<usize>,
    channels: Vec<usize>,
    pattern: Vec<f32>,
    status: u8,
    message: u8,
}

unsafe extern "C" fn extract(
    data: *mut c_void,
    input: *const f32,
    height: i32,
    width: i32,
    outputs: *const *mut f32,
    error: *mut npad_callback_error,
) -> i32 {
    let values = unsafe { &*data.cast::<Values>() };
    let image = unsafe { std::slice::from_raw_parts(input, 3 * height as usize * width as usize) };
    for (at, (stride, channels)) in values.strides.iter().zip(&values.channels).enumerate() {
        let cells = (height as usize).div_ceil(*stride) * (width as usize).div_ceil(*stride);
        let out = unsafe { std::slice::from_raw_parts_mut(*outputs.add(at), channels * cells) };
        for (i, value) in out.iter_mut().enumerate() {
            let own = values.pattern.get(i % (values.pattern.len() + 1)).copied();
            *value = own.unwrap_or(image[i % image.len()]);
        }
    }
    if values.status % 16 == 1 {
        // With or without an end.
        unsafe { (*error).message.fill(values.message as _) };
        return 1;
    }
    0
}

fuzz_target!(|table: Table| {
    let Table { name, strides, channels, mean, std, extract: given, mut values } = table;
    let Ok(name) = name.map(CString::new).transpose() else { return };
    // The callback writes as much as the table says, which npad checks first.
    let natural =
        |numbers: &[i32], count: usize| numbers.iter().take(count).map(|n| (*n).max(1) as usize).collect::<Vec<_>>();
    let count = strides.len().min(channels.len());
    (values.strides, values.channels) = (natural(&strides, count), natural(&channels, count));
    if values.channels.iter().sum::<usize>() > 64 {
        return;
    }
    let extractor = npad_extractor {
        size: size_of::<npad_extractor>(),
        name: name.as_ref().map_or(null(), |name| name.as_ptr()),
        tap_count: count,
        strides: strides.as_ptr(),
        channels: channels.as_ptr(),
        mean,
        std,
        extract: given.then_some(extract),
        free: None,
        user_data: (&raw mut values).cast(),
    };
    keep_threads();
    unsafe {
        let (options, mut error) = (npad_options_new(), null_mut());
        for (key, value) in [(c"threads", c"1"), (c"size", c"32x32"), (c"date", c"none")] {
            assert_eq!(npad_options_set(options, key.as_ptr(), value.as_ptr(), &mut error), 0);
        }
        let status = npad_options_set_extractor(options, &extractor, &mut error);
        check(status, error);
        if status == 0 {
            let pictures = good_images();
            let images: Vec<npad_image> = pictures
                .iter()
                .map(|pixels| {
                    let mut image: npad_image = std::mem::zeroed();
                    (image.size, image.data[0]) = (size_of::<npad_image>(), pixels.as_ptr());
                    (image.width, image.height) = (SIDE as i32, SIDE as i32);
                    image
                })
                .collect();
            let (mut model, mut result) = (null_mut(), null_mut());
            error = null_mut();
            let status = npad_fit(images.as_ptr(), images.len(), options, &mut model, &mut error);
            check(status, error);
            if status == 0 {
                error = null_mut();
                let status = npad_score(model, &images[0], &mut result, &mut error);
                check(status, error);
                npad_result_free(result);
            }
            npad_model_free(model);
        }
        npad_options_free(options);
    }
});
