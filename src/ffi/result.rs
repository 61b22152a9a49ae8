use std::sync::OnceLock;

use super::error::npad_error;
use super::{borrow, free, guard, guard_value, invalid, null, rows_out, try_box};
use crate::abi::output::npad_region;
use crate::abi::sized::{Growing, check_size, write, zeroed};
use crate::error::{Result, Status};
use crate::exec::memory::try_reserve;
use crate::exec::rows::Rows;
use crate::model::{Calibration, Inspection, Model, Verdict};
use crate::postprocess::{Region, calibrated_map};

/// The result of scoring one image.
///
/// Owned by the caller, who frees it with npad_result_free(). Immutable: any number of threads may read it at once.
pub struct npad_result {
    inspection: Inspection,
    /// The calibrated scale of score and map.
    calibration: Calibration,
    /// Runs and contour of each region, computed on first use.
    shapes: Vec<Shape>,
}

/// Runs and contour of a region for C.
#[derive(Default)]
struct Shape {
    runs: OnceLock<Vec<i32>>,
    contour: OnceLock<Vec<i32>>,
}

impl npad_result {
    pub(super) fn into_raw(model: &Model, inspection: Inspection) -> Result<*mut Self> {
        let mut shapes = Vec::new();
        try_reserve(&mut shapes, inspection.regions.len())?;
        shapes.resize_with(inspection.regions.len(), Shape::default);
        let result = Self { inspection, calibration: model.metadata().image, shapes };
        Ok(Box::into_raw(try_box(result)?))
    }

    pub(super) fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    pub(super) fn map(&self) -> Result<Rows<'_, f32>> {
        self.inspection.rows()
    }

    fn region(&self, index: usize) -> Result<&Region> {
        let regions = &self.inspection.regions;
        let missing = || invalid(format!("region {index} does not exist: the result has {}", regions.len()));
        regions.get(index).ok_or_else(missing)
    }
}

/// Converts a region for C.
fn c_region(region: &Region, calibration: Calibration) -> npad_region {
    let mut out = zeroed::<npad_region>();
    (out.x, out.y) = (region.x as i32, region.y as i32);
    (out.width, out.height) = (region.width as i32, region.height as i32);
    out.area = region.area as i64;
    (out.centroid_x, out.centroid_y) = (region.centroid_x, region.centroid_y);
    (out.peak, out.calibrated_peak) = (region.peak, calibration.apply(region.peak));
    out
}

/// The caller's array of regions.
#[derive(Clone, Copy)]
pub struct RegionArray {
    first: *mut npad_region,
    size: usize,
    capacity: usize,
}

impl RegionArray {
    /// # Errors
    /// [`Status::InvalidArgument`] for an element size that no release has had, or an extent beyond the address space.
    pub fn new(first: *mut npad_region, size: usize, capacity: usize) -> Result<Self> {
        if first.is_null() || capacity == 0 {
            return Ok(Self { first, size: npad_region::FIRST_SIZE, capacity: 0 });
        }
        check_size::<npad_region>(size)?;
        if size.checked_mul(capacity).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(invalid(format!("an array of {capacity} regions exceeds the address space")));
        }
        Ok(Self { first, size, capacity })
    }

    /// Writes as many regions as fit.
    ///
    /// # Safety
    /// The array must have room for `capacity` elements.
    pub unsafe fn write(&self, regions: &[Region], calibration: Calibration) -> Result<()> {
        for (index, region) in regions.iter().take(self.capacity).enumerate() {
            // SAFETY: by contract.
            unsafe {
                write(self.first.cast::<u8>().add(index * self.size), self.size, &c_region(region, calibration))
            }?;
        }
        Ok(())
    }

    /// Reads the first regions back for drawing. All must lie inside an image of `width` x `height` pixels.
    ///
    /// # Safety
    /// The array must have room for `capacity` elements, of which the first `count` have been written.
    pub unsafe fn read(&self, count: usize, (width, height): (usize, usize)) -> Result<Vec<Region>> {
        let count = count.min(self.capacity);
        let mut regions = Vec::new();
        try_reserve(&mut regions, count)?;
        for index in 0..count {
            // SAFETY: by contract.
            let own: npad_region =
                unsafe { crate::abi::sized::read(self.first.cast::<u8>().add(index * self.size), self.size) }?;
            let inside = |at: i32, length: i32, side: usize| {
                let (at, length) = (usize::try_from(at).ok()?, usize::try_from(length).ok()?);
                (length > 0 && at.checked_add(length)? <= side).then_some((at, length))
            };
            let box_of = inside(own.x, own.width, width).zip(inside(own.y, own.height, height));
            let Some(((x, width), (y, height))) = box_of else {
                let npad_region { x, y, width: w, height: h, .. } = own;
                return Err(invalid(format!(
                    "region {index} is {w} x {h} pixels at ({x}, {y}), which is not inside the image: the output must \
                     be unchanged since npad_score_into() wrote it"
                )));
            };
            let (area, peak) = (usize::try_from(own.area).unwrap_or(0), own.peak);
            let (centroid_x, centroid_y) = (own.centroid_x, own.centroid_y);
            regions.push(Region { x, y, width, height, area, centroid_x, centroid_y, peak });
        }
        Ok(regions)
    }
}

/// # Safety
/// `result` must be null or live.
unsafe fn read<T>(result: *const npad_result, fallback: T, of: impl FnOnce(&Inspection) -> T) -> T {
    unsafe { result.as_ref() }.map_or(fallback, |r| of(&r.inspection))
}

/// Returns the raw image score, 0 or above, in the method's own units; larger is more anomalous. 0 if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_score(result: *const npad_result) -> f32 {
    guard_value(0.0, || unsafe { read(result, 0.0, |i| i.score) })
}

/// Returns the image score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; linear and not
/// clamped. 0 if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_calibrated_score(result: *const npad_result) -> f32 {
    guard_value(0.0, || unsafe { read(result, 0.0, |i| i.calibrated) })
}

/// Returns whether the score exceeds the model's threshold; false if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_is_anomalous(result: *const npad_result) -> bool {
    guard_value(false, || unsafe { read(result, false, |i| i.anomalous()) })
}

/// Returns the verdict: good, review or defective. NPAD_VERDICT_GOOD if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_verdict(result: *const npad_result) -> Verdict {
    guard_value(Verdict::Good, || unsafe { read(result, Verdict::Good, |i| i.verdict) })
}

/// Returns the width of the anomaly map in pixels, which is the image's width; 0 if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_width(result: *const npad_result) -> i32 {
    guard_value(0, || unsafe { read(result, 0, |i| i.map.ncols() as i32) })
}

/// Returns the height of the anomaly map in pixels, which is the image's height; 0 if `result` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_height(result: *const npad_result) -> i32 {
    guard_value(0, || unsafe { read(result, 0, |i| i.map.nrows() as i32) })
}

/// Returns the anomaly map in the units of the raw score: width * height values, row after row, without padding. Its
/// largest value is the raw score, or exceeds it where "min_region_area" has dropped regions. Null if `result` is null.
/// Valid until the result is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_map(result: *const npad_result) -> *const f32 {
    guard_value(std::ptr::null(), || unsafe { read(result, std::ptr::null(), |i| i.map.as_ptr()) })
}

/// Writes the calibrated anomaly map in 8 bits: 0 at the value of a typical good image and below, 128 or more exactly
/// where the map exceeds the threshold, 255 at twice the threshold's distance from the typical value and above.
///
/// @param result  the result
/// @param map     receives the map, one byte per pixel: npad_result_height() rows of npad_result_width() bytes
/// @param stride  bytes from the start of one row to the start of the next; 0 means rows without padding. Padding is neither
///                read nor written
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when a pointer is null or the stride is shorter than a row
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_map_u8(
    result: *const npad_result,
    map: *mut u8,
    stride: i64,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let result = borrow(result, "result")?;
            let from = result.map()?;
            let out = rows_out(map, stride, from.width(), from.height(), "map")?.ok_or_else(|| null("map"))?;
            let Calibration { typical, threshold } = result.calibration;
            calibrated_map(from, typical, threshold, out).map(drop)
        })
    }
}

/// Returns the number of defect regions; 0 if `result` is null. A region is a set of 8-connected pixels whose map values
/// exceed the threshold of the verdict: the threshold of a defective image, the review threshold of an image for review.
/// A defective image and an image for review have at least one region, a good image has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region_count(result: *const npad_result) -> usize {
    guard_value(0, || unsafe { read(result, 0, |i| i.regions.len()) })
}

/// Writes one defect region. Regions are ordered by their peaks, highest first.
///
/// @param result       the result
/// @param index        0 to npad_result_region_count() - 1
/// @param region       receives the region
/// @param region_size  sizeof(npad_region)
/// @param error        receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large, a pointer is null or the size is wrong
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region(
    result: *const npad_result,
    index: usize,
    region: *mut npad_region,
    region_size: usize,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let result = borrow(result, "result")?;
            if region.is_null() {
                return Err(null("region"));
            }
            write(region.cast(), region_size, &c_region(result.region(index)?, result.calibration))
        })
    }
}

/// Returns a list of numbers of a region's shape, which `make` computes on first use; null and a count of 0 if the
/// region does not exist or memory cannot be allocated.
///
/// # Safety
/// `result` must be null or live, `count` null or valid for a write.
unsafe fn numbers(
    result: *const npad_result,
    index: usize,
    count: *mut usize,
    per_element: usize,
    cell: impl FnOnce(&Shape) -> &OnceLock<Vec<i32>>,
    make: impl FnOnce(&Inspection) -> Result<Vec<i32>>,
) -> *const i32 {
    let found = unsafe { result.as_ref() }.and_then(|result| {
        let cell = cell(result.shapes.get(index)?);
        if cell.get().is_none() {
            // If another thread was faster, its list is kept.
            let _ = cell.set(make(&result.inspection).ok()?);
        }
        cell.get()
    });
    if !count.is_null() {
        // SAFETY: by contract.
        unsafe { count.write(found.map_or(0, |numbers| numbers.len() / per_element)) };
    }
    found.map_or(std::ptr::null(), |numbers| numbers.as_ptr())
}

/// Returns the pixels of a region as runs. Each run is three numbers: row, first column, and last column + 1. Runs are
/// ordered by row, then by column. Valid until the result is freed.
///
/// @param result  the result
/// @param index   0 to npad_result_region_count() - 1
/// @param count   receives the number of runs, a third of the array's length; may be null
/// @return null, with a count of 0, when `result` is null, the index is too large, or memory cannot be allocated
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region_runs(
    result: *const npad_result,
    index: usize,
    count: *mut usize,
) -> *const i32 {
    guard_value(std::ptr::null(), || {
        let make = |inspection: &Inspection| {
            let runs = inspection.regions.runs(index);
            let mut numbers = Vec::new();
            try_reserve(&mut numbers, 3 * runs.len())?;
            numbers.extend(runs.iter().flat_map(|run| [run.y as i32, run.start as i32, run.end as i32]));
            Ok(numbers)
        };
        unsafe { numbers(result, index, count, 3, |shape| &shape.runs, make) }
    })
}

/// Returns the outer contour of a region as a closed chain of the region's boundary pixels. Each pixel is two numbers,
/// x and y. Consecutive pixels are 8-neighbours, in clockwise order from the leftmost pixel of the uppermost row; the
/// first pixel is not repeated at the end. Where the region is one pixel wide, a pixel may occur twice. Holes are not
/// traced. Valid until the result is freed.
///
/// @param result  the result
/// @param index   0 to npad_result_region_count() - 1
/// @param count   receives the number of pixels, half of the array's length; may be null
/// @return null, with a count of 0, when `result` is null, the index is too large, or memory cannot be allocated
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region_contour(
    result: *const npad_result,
    index: usize,
    count: *mut usize,
) -> *const i32 {
    guard_value(std::ptr::null(), || {
        let make = |inspection: &Inspection| {
            let pixels = inspection.regions.contour(index)?;
            let mut numbers = Vec::new();
            try_reserve(&mut numbers, 2 * pixels.len())?;
            numbers.extend(pixels.iter().flat_map(|(x, y)| [*x, *y]));
            Ok(numbers)
        };
        unsafe { numbers(result, index, count, 2, |shape| &shape.contour, make) }
    })
}

/// Writes the pixels of a region as a mask of its bounding box: 255 inside the region, 0 outside.
///
/// @param result  the result
/// @param index   0 to npad_result_region_count() - 1
/// @param mask    receives the mask, one byte per pixel, in as many rows and columns as the bounding box has
/// @param stride  bytes from the start of one row to the start of the next; 0 means rows without padding. Padding is neither
///                read nor written
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large, a pointer is null or the stride is shorter than a row
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region_mask(
    result: *const npad_result,
    index: usize,
    mask: *mut u8,
    stride: i64,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let result = borrow(result, "result")?;
            let Region { width, height, .. } = *result.region(index)?;
            let out = rows_out(mask, stride, width, height, "mask")?.ok_or_else(|| null("mask"))?;
            result.inspection.regions.mask_into(index, out)
        })
    }
}

/// Frees a result. No other call may be using it. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_free(result: *mut npad_result) {
    guard_value((), || unsafe { free(result) });
}
