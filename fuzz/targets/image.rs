//! Views of images with any sizes, strides, formats, masks and regions of interest: they are scored within their memory, or refused.
#![no_main]

use std::ptr::null_mut;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use npad::abi::image::{npad_image, npad_mask};
use npad::abi::output::{npad_output, npad_region};
use npad::image::PixelFormat;
use npad_fuzz::c::*;
use npad_fuzz::model;

#[derive(Arbitrary, Debug)]
struct Input {
    width: i16,
    height: i16,
    stride: i32,
    format: i8,
    planes: [bool; 3],
    significant_bits: i8,
    roi: [i16; 4],
    mask: Option<(i16, i16, i32, Vec<u8>)>,
    pixels: Vec<u8>,
    map_stride: Option<i16>,
    bytes_stride: Option<i16>,
    regions: u8,
}

/// A model as a handle of the C interface.
struct Shared(Handle);

// SAFETY: any number of threads may score with a model.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

static MODEL: LazyLock<Shared> = LazyLock::new(|| {
    let (bytes, mut loaded, mut error) = (model("npad").to_bytes().expect("bytes"), null_mut(), null_mut());
    unsafe {
        let options = npad_options_new();
        assert_eq!(npad_options_set(options, c"threads".as_ptr(), c"1".as_ptr(), &mut error), 0);
        assert_eq!(npad_options_set_extractor(options, &extractor(), &mut error), 0);
        check(npad_model_load_memory(bytes.as_ptr(), bytes.len(), options, &mut loaded, &mut error), error);
        npad_options_free(options);
    }
    Shared(loaded)
});

/// The most bytes of an image.
const MOST: usize = 1 << 20;

/// As many bytes as a view needs, if that is not too many.
fn memory(needed: usize, pattern: &[u8]) -> Option<Vec<u8>> {
    (needed <= MOST)
        .then(|| (0..needed).map(|at| pattern.get(at % (pattern.len() + 1)).copied().unwrap_or(at as u8)).collect())
}

fuzz_target!(|input: Input| {
    let (width, height, stride) = (i32::from(input.width), i32::from(input.height), i64::from(input.stride));
    let format = PixelFormat::all().into_iter().find(|format| *format as i32 == i32::from(input.format));
    // A view that the library must refuse needs no memory.
    let needed = |bytes: usize| {
        let rows = usize::try_from(height).unwrap_or(0);
        let own = usize::try_from(width).unwrap_or(0) * bytes;
        let stride = if stride == 0 { own } else { usize::try_from(stride).unwrap_or(0) };
        stride.saturating_mul(rows.saturating_sub(1)).saturating_add(own)
    };
    let Some(pixels) = memory(format.map_or(0, |format| needed(format.bytes_per_pixel())), &input.pixels) else {
        return;
    };
    let mut image: npad_image = unsafe { std::mem::zeroed() };
    image.size = size_of::<npad_image>();
    for (data, given) in image.data.iter_mut().zip(input.planes) {
        *data = if given { pixels.as_ptr() } else { std::ptr::null() };
    }
    (image.width, image.height, image.stride, image.format) = (width, height, stride, i32::from(input.format));
    image.significant_bits = i32::from(input.significant_bits);
    [image.roi_x, image.roi_y, image.roi_width, image.roi_height] = input.roi.map(i32::from);
    let mut mask: npad_mask = unsafe { std::mem::zeroed() };
    let mut values = Vec::new();
    if let Some((width, height, stride, pattern)) = &input.mask {
        let (columns, rows) = (usize::try_from(*width).unwrap_or(0), usize::try_from(*height).unwrap_or(0));
        let own = if *stride == 0 { columns } else { usize::try_from(*stride).unwrap_or(0) };
        let Some(bytes) = memory(own.saturating_mul(rows.saturating_sub(1)).saturating_add(columns), pattern) else {
            return;
        };
        values = bytes;
        (mask.size, mask.data) = (size_of::<npad_mask>(), values.as_ptr());
        (mask.width, mask.height, mask.stride) = (i32::from(*width), i32::from(*height), i64::from(*stride));
        image.mask = &raw const mask;
    }
    let (columns, rows) = (usize::try_from(width).unwrap_or(0), usize::try_from(height).unwrap_or(0));
    let lines = |stride: i16, own: usize| {
        let stride = if stride == 0 { own } else { usize::try_from(stride).unwrap_or(0) };
        stride.saturating_mul(rows.saturating_sub(1)).saturating_add(own)
    };
    let mut output: npad_output = unsafe { std::mem::zeroed() };
    output.size = size_of::<npad_output>();
    let (mut map, mut bytes, mut regions) = (Vec::<f32>::new(), Vec::<u8>::new(), Vec::<npad_region>::new());
    if let Some(stride) = input.map_stride {
        let length = lines(stride, 4 * columns);
        if length > MOST {
            return;
        }
        map.resize(length.div_ceil(4), 0.0);
        (output.map, output.map_stride) = (map.as_mut_ptr(), i64::from(stride));
    }
    if let Some(stride) = input.bytes_stride {
        let length = lines(stride, columns);
        if length > MOST {
            return;
        }
        bytes.resize(length, 0);
        (output.map_u8, output.map_u8_stride) = (bytes.as_mut_ptr(), i64::from(stride));
    }
    if input.regions > 0 {
        regions = vec![unsafe { std::mem::zeroed() }; input.regions as usize];
        (output.regions, output.region_size) = (regions.as_mut_ptr(), size_of::<npad_region>());
        output.region_capacity = regions.len();
    }
    let mut error = null_mut();
    let status = unsafe { npad_score_into(MODEL.0, &image, &mut output, &mut error) };
    check(status, error);
    if status == 0 {
        assert!(output.score.is_finite() && output.score >= 0.0);
    }
    drop((values, map, bytes, regions));
});
