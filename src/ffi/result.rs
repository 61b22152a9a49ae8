use safer_ffi::prelude::*;

use super::error::npad_error;
use super::{borrow, borrow_mut, free, guard, guard_value};
use crate::error::{Error, Status};
use crate::model::{Inspection, Verdict};
use crate::postprocess::Region;

/// What npad says about one image.
///
/// Owned by the caller, who frees it with npad_result_free(). Immutable: any thread may read it.
pub struct npad_result {
    inspection: Inspection,
}

/// A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_region {
    /// Left edge of the bounding box.
    pub x: i32,
    /// Upper edge of the bounding box.
    pub y: i32,
    /// Width of the bounding box in pixels.
    pub width: i32,
    /// Height of the bounding box in pixels.
    pub height: i32,
    /// Number of pixels.
    pub area: i64,
    /// Mean x of the pixels.
    pub centroid_x: f32,
    /// Mean y of the pixels.
    pub centroid_y: f32,
    /// The largest value of the anomaly map in the region.
    pub peak: f32,
    /// 0.
    pub reserved: i32,
}

impl npad_region {
    fn new(region: &Region) -> Self {
        Self {
            x: region.x as i32,
            y: region.y as i32,
            width: region.width as i32,
            height: region.height as i32,
            area: region.area as i64,
            centroid_x: region.centroid_x,
            centroid_y: region.centroid_y,
            peak: region.peak,
            reserved: 0,
        }
    }
}

/// Writes as many regions as fit.
///
/// # Safety
/// `out` must be valid for writing `capacity` regions.
pub(super) unsafe fn regions_into(regions: &[Region], out: *mut npad_region, capacity: usize) {
    for (index, region) in regions.iter().take(capacity).enumerate() {
        // SAFETY: by contract.
        unsafe { out.add(index).write(npad_region::new(region)) };
    }
}

impl npad_result {
    pub(super) fn into_raw(inspection: Inspection) -> *mut Self {
        Box::into_raw(Box::new(Self { inspection }))
    }

    pub(super) fn inspection(&self) -> &Inspection {
        &self.inspection
    }
}

/// # Safety
/// `result` must be null or live.
unsafe fn read<T>(result: *const npad_result, fallback: T, of: impl FnOnce(&Inspection) -> T) -> T {
    unsafe { result.as_ref() }.map_or(fallback, |r| of(&r.inspection))
}

/// The raw image score: 0 or above, in the method's own units, larger is more anomalous. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_score(result: *const npad_result) -> f32 {
    guard_value(0.0, || unsafe { read(result, 0.0, |i| i.score) })
}

/// The image score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold, 1 as far above it; not
/// clamped. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_calibrated_score(result: *const npad_result) -> f32 {
    guard_value(0.0, || unsafe { read(result, 0.0, |i| i.calibrated) })
}

/// Whether the score exceeds the model's threshold. False for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_is_anomalous(result: *const npad_result) -> bool {
    guard_value(false, || unsafe { read(result, false, |i| i.anomalous()) })
}

/// What is to be done with the image: good, to be reviewed, or defective. NPAD_VERDICT_GOOD for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_verdict(result: *const npad_result) -> Verdict {
    guard_value(Verdict::Good, || unsafe { read(result, Verdict::Good, |i| i.verdict) })
}

/// Columns of the anomaly map: the image's width. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_width(result: *const npad_result) -> i32 {
    guard_value(0, || unsafe { read(result, 0, |i| i.width as i32) })
}

/// Rows of the anomaly map: the image's height. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_height(result: *const npad_result) -> i32 {
    guard_value(0, || unsafe { read(result, 0, |i| i.height as i32) })
}

/// The anomaly map in the raw score's units: width * height values, row after row, without padding. They live as long
/// as the result. Null for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_map(result: *const npad_result) -> *const f32 {
    guard_value(std::ptr::null(), || unsafe { read(result, std::ptr::null(), |i| i.map.as_ptr()) })
}

/// The number of defect regions: 8-connected pixels of the map above the model's map threshold. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region_count(result: *const npad_result) -> usize {
    guard_value(0, || unsafe { read(result, 0, |i| i.regions.len()) })
}

/// One defect region; they are ordered by their peaks, highest first.
///
/// @param result  what to read
/// @param index   0 to npad_result_region_count() - 1
/// @param region  receives the region
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large or a pointer null
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_region(
    result: *const npad_result,
    index: usize,
    region: *mut npad_region,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = borrow_mut(region, "region")?;
            let regions = &borrow(result, "result")?.inspection.regions;
            let found = regions.get(index).ok_or_else(|| {
                let count = regions.len();
                Error::new(Status::InvalidArgument, format!("region {index} does not exist: there are {count}"))
            })?;
            *out = npad_region::new(found);
            Ok(())
        })
    }
}

/// Frees a result. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_result_free(result: *mut npad_result) {
    guard_value((), || unsafe { free(result) });
}
