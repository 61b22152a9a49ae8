//! What scoring writes to the caller's memory.

use safer_ffi::prelude::*;

/// A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
///
/// npad writes it to memory of the caller, whose element size is an argument: sizeof(npad_region).
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
    /// Maximum of the anomaly map in the region, in the units of the raw score.
    pub peak: f32,
    /// The peak on the calibrated scale of the map: 0 for a typical good image, 0.5 at the map threshold; not clamped.
    pub calibrated_peak: f32,
}

/// The caller's memory for the result of one image, see npad_score_into().
///
/// Initialise it to zero (`npad_output output = {0};` or memset), set `size`, and set what you want of `map`, `map_u8` and
/// `regions`. One npad_output must not be used by two calls at once; the maps of different outputs may be parts of one matrix.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_output {
    /// sizeof(npad_output). All outputs of one array must have the same.
    pub size: usize,
    /// Receives the anomaly map in the units of the raw score: rows of the image's width. Null if not wanted.
    pub map: *mut f32,
    /// Bytes from the start of one row of `map` to the start of the next, a multiple of 4; 0 means rows without padding.
    /// Padding is neither read nor written.
    pub map_stride: i64,
    /// Receives the calibrated anomaly map in 8 bits, see npad_result_map_u8(): rows of the image's width. Null if not
    /// wanted.
    pub map_u8: *mut u8,
    /// Bytes from the start of one row of `map_u8` to the start of the next; 0 means rows without padding.
    pub map_u8_stride: i64,
    /// Receives the first `region_capacity` regions, highest peak first. Null if not wanted.
    pub regions: *mut npad_region,
    /// sizeof(npad_region). Ignored where `regions` is null.
    pub region_size: usize,
    /// Number of regions for which `regions` has room.
    pub region_capacity: usize,
    /// Written by npad: the raw image score, 0 or above, in the method's own units; larger is more anomalous.
    pub score: f32,
    /// Written by npad: the score on the calibrated scale, 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated_score: f32,
    /// Written by npad: one of npad_verdict.
    pub verdict: i32,
    /// Must be 0.
    pub reserved: i32,
    /// Written by npad: the number of defect regions, including those for which `regions` has no room.
    pub region_count: usize,
}
