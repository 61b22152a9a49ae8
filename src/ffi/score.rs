use super::error::npad_error;
use super::image::npad_image;
use super::model::npad_model;
use super::result::{npad_region, npad_result, regions_into};
use super::{borrow, borrow_mut, guard, null, output};
use crate::error::{Error, Result, Status};
use crate::image::PixelFormat;
use crate::model::MapBuffer;
use safer_ffi::prelude::*;

/// What npad says about one image, but for its map and regions.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_decision {
    /// The raw image score: 0 or above, in the method's own units, larger is more anomalous.
    pub score: f32,
    /// The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated_score: f32,
    /// One of npad_verdict.
    pub verdict: i32,
    /// 0.
    pub reserved: i32,
    /// The number of defect regions, also of those that did not fit into the caller's array.
    pub region_count: i64,
}

/// Scores one image. Any number of threads may call it with one model at once.
///
/// @param model   what to score with
/// @param image   the image, of any size; read during the call only
/// @param result  receives the result, null on failure
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image's description or its mask is wrong, NPAD_STATUS_BACKBONE when the
///         network fails, NPAD_STATUS_PLUGIN when a plug-in does
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

/// Scores one image into the caller's memory: no result to free, and after a first image of the same size npad itself
/// allocates no memory for maps or regions. Any number of threads may call it with one model at once.
///
/// @param model            what to score with
/// @param image            the image, of any size; read during the call only
/// @param map              receives the anomaly map: rows of the image's width; null where it is not wanted
/// @param map_stride       bytes from one row of `map` to the next, a multiple of 4; 0 stands for rows without padding
/// @param regions          receives the first regions, highest peak first; null where they are not wanted
/// @param region_capacity  the regions that fit into `regions`
/// @param decision         receives the rest
/// @param error            receives the error, or null; may itself be null
/// @return as npad_score(); NPAD_STATUS_INVALID_ARGUMENT for a stride that is shorter than a row or no multiple of 4. On
///         failure the buffers may hold anything
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score_into(
    model: *const npad_model,
    image: *const npad_image,
    map: *mut f32,
    map_stride: i64,
    regions: *mut npad_region,
    region_capacity: usize,
    decision: *mut npad_decision,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            let out = borrow_mut(decision, "decision")?;
            let image = npad_image::view(image)?;
            let (width, height) = (image.width(), image.height());
            let stride = row_stride(map_stride, size_of::<f32>() * width, "map")?;
            if !stride.is_multiple_of(size_of::<f32>()) {
                return Err(invalid(format!("the map's stride is {stride} bytes, but must be a multiple of 4")));
            }
            let stride = stride / size_of::<f32>();
            let length = stride.checked_mul(height - 1).and_then(|length| length.checked_add(width));
            let length = length.filter(|length| *length <= isize::MAX as usize / size_of::<f32>());
            let length = length.ok_or_else(|| invalid("the map's stride exceeds the address space".to_owned()))?;
            // Regions need a map, also where the caller wants none.
            let mut own = Vec::new();
            let (values, stride) = if map.is_null() {
                own.resize(width * height, 0.0);
                (&mut own[..], width)
            } else {
                (std::slice::from_raw_parts_mut(map, length), stride)
            };
            let mut region_count = 0;
            let capacity = if regions.is_null() { 0 } else { region_capacity };
            let found = model.score_into(&image, MapBuffer { values, width, height, stride }, |found| {
                region_count = found.len() as i64;
                regions_into(found, regions, capacity);
            })?;
            *out = npad_decision {
                score: found.score,
                calibrated_score: found.calibrated,
                verdict: found.verdict as i32,
                reserved: 0,
                region_count,
            };
            Ok(())
        })
    }
}

/// Scores several images, all or none. The results are those of npad_score() for each; it takes less time, since images
/// share a pass over the model.
///
/// @param model    what to score with
/// @param images   `count` images, each of any size; read during the call only
/// @param count    their number, 0 or more
/// @param results  receives `count` results, all null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_score(); the message names the image's index
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score_batch(
    model: *const npad_model,
    images: *const npad_image,
    count: usize,
    results: *mut *mut npad_result,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            if results.is_null() && count > 0 {
                return Err(null("results"));
            }
            (0..count).for_each(|index| results.add(index).write(std::ptr::null_mut()));
            let model = &borrow(model, "model")?.model;
            let checked =
                |(index, image): (usize, Result<_>)| image.map_err(|e: Error| e.context(format!("image {index}")));
            let images: Vec<_> = npad_image::views(images, count)?.enumerate().map(checked).collect::<Result<_>>()?;
            let inspections = model.score_batch(&images, None)?;
            for (index, inspection) in inspections.into_iter().enumerate() {
                results.add(index).write(npad_result::into_raw(inspection));
            }
            Ok(())
        })
    }
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
            let stride = row_stride(stride, row, "picture")?;
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

/// A caller's stride of rows that take `row` bytes.
fn row_stride(stride: i64, row: usize, of: &str) -> Result<usize> {
    let stride = if stride == 0 { row } else { usize::try_from(stride).unwrap_or(0) };
    if stride >= row {
        return Ok(stride);
    }
    Err(invalid(format!("the {of}'s stride must be at least {row} bytes, or 0")))
}

fn invalid(message: String) -> Error {
    Error::new(Status::InvalidArgument, message)
}
