//! Results in the caller's memory.

use safer_ffi::prelude::*;

/// A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
///
/// npad writes regions to the caller's memory. Functions that do so take sizeof(npad_region) as an argument.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_region {
    /// Left edge of the bounding box in pixels.
    pub x: i32,
    /// Upper edge of the bounding box in pixels.
    pub y: i32,
    /// Width of the bounding box in pixels.
    pub width: i32,
    /// Height of the bounding box in pixels.
    pub height: i32,
    /// Number of pixels in the region.
    pub area: i64,
    /// x coordinate of the centroid: the mean over the region's pixels.
    pub centroid_x: f32,
    /// y coordinate of the centroid: the mean over the region's pixels.
    pub centroid_y: f32,
    /// Maximum of the anomaly map in the region, in the units of the raw score.
    pub peak: f32,
    /// `peak` on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated_peak: f32,
}

/// The caller's memory for the result of one image, see npad_score_into().
///
/// Initialise it to zero (`npad_output output = {0};` or memset), set `size`, and set those of `map`, `map_u8` and
/// `regions` that npad is to write. Two calls must not use one npad_output at once. The maps of different outputs may
/// be disjoint parts of one matrix.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_output {
    /// sizeof(npad_output). All outputs of an array must have the same size value.
    pub size: usize,
    /// Receives the anomaly map in the units of the raw score: floats, in as many rows and columns as the image has.
    /// Null for no map.
    pub map: *mut f32,
    /// Bytes from the start of one row of `map` to the start of the next, a multiple of 4; 0 means rows without padding.
    /// Padding is neither read nor written.
    pub map_stride: i64,
    /// Receives the calibrated anomaly map in 8 bits, see npad_result_map_u8(): bytes, in as many rows and columns as
    /// the image has. Null for no map.
    pub map_u8: *mut u8,
    /// Bytes from the start of one row of `map_u8` to the start of the next; 0 means rows without padding. Padding is
    /// neither read nor written.
    pub map_u8_stride: i64,
    /// Receives the first `region_capacity` regions, highest peak first. Null for no regions.
    pub regions: *mut npad_region,
    /// sizeof(npad_region). Ignored where `regions` is null.
    pub region_size: usize,
    /// Number of elements of `regions`. Ignored where `regions` is null.
    pub region_capacity: usize,
    /// Written by npad: the raw image score, the largest value of the map: 0 or above, in the method's own units; larger is
    /// more anomalous.
    pub score: f32,
    /// Written by npad: the score on the calibrated scale, 0 for a typical good image, 0.5 at the threshold; not clamped.
    pub calibrated_score: f32,
    /// Written by npad: one of npad_verdict.
    pub verdict: i32,
    /// Must be 0.
    pub reserved: i32,
    /// Written by npad: the total number of defect regions, which may exceed `region_capacity`; 0 exactly if the verdict
    /// is NPAD_VERDICT_GOOD.
    pub region_count: usize,
}

/// What a model's known defects say about thresholds, see npad_model_known_defects(). Thresholds are in the units of raw
/// scores. A false-alarm rate is the estimated share of good images above a threshold, 0 to 1, from the scores of the
/// model's held-out good images.
///
/// Initialise it to zero and set `size`.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_known_defects {
    /// sizeof(npad_known_defects).
    pub size: usize,
    /// Written by npad, as all that follows: the number of known defects. If it is 0, everything else is 0.
    pub count: usize,
    /// Number of known defects that the model's threshold misses.
    pub missed: usize,
    /// Number of known defects that `rate_threshold` misses.
    pub rate_missed: usize,
    /// Number of known defects that `cost_threshold` misses.
    pub cost_missed: usize,
    /// False-alarm rate at the model's threshold.
    pub false_alarm_rate: f64,
    /// False-alarm rate at `rate_threshold`.
    pub rate_false_alarm_rate: f64,
    /// False-alarm rate at `catch_all_threshold`: the price of finding all known defects.
    pub catch_all_false_alarm_rate: f64,
    /// False-alarm rate at `cost_threshold`.
    pub cost_false_alarm_rate: f64,
    /// The model's threshold.
    pub threshold: f32,
    /// The threshold of operating_point=rate.
    pub rate_threshold: f32,
    /// The threshold of operating_point=catch_all, which misses none; 0 where a known defect scores 0, which no threshold
    /// finds. It can be used only if it exceeds the score of a typical good image: npad_model_with_thresholds() refuses a
    /// lower one, and npad_trainer_finish() with operating_point=catch_all returns NPAD_STATUS_WRONG_STATE.
    pub catch_all_threshold: f32,
    /// The threshold of operating_point=cost.
    pub cost_threshold: f32,
}

/// How recent scores differ from those of a model's held-out good images, see npad_model_drift(). Medians are in the units
/// of raw scores, shares are 0 to 1.
///
/// Initialise it to zero and set `size`.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_drift {
    /// sizeof(npad_drift).
    pub size: usize,
    /// Written by npad, as all that follows: the number of held-out good images.
    pub good_count: usize,
    /// Number of recent scores.
    pub recent_count: usize,
    /// Number of recent scores above the model's threshold.
    pub above_count: usize,
    /// The probability that a recent score exceeds that of a held-out good image, minus that of the opposite (Cliff's
    /// delta): -1 to 1, above 0 where scores have risen. A magnitude of 0.12 is a small effect, 0.28 a medium one and 0.42
    /// a large one (Vargha and Delaney 2000).
    pub effect: f64,
    /// The magnitude from which an effect is drift: 0.28, or more where so few scores would show such an effect by chance.
    /// Above 1 where there are too few for any.
    pub least_effect: f64,
    /// The probability that scores differ as much if nothing has changed.
    pub p_value: f64,
    /// Share of recent scores above the model's threshold.
    pub above_share: f64,
    /// Lower end of an interval that contains the share above the threshold with a confidence of 95 %.
    pub above_low: f64,
    /// Upper end of that interval.
    pub above_high: f64,
    /// Share of good images above the threshold that the held-out ones let expect: npad_model_false_alarm_rate(), unless
    /// the threshold was given or is that of known defects.
    pub false_alarm_rate: f64,
    /// Median score of the held-out good images.
    pub good_median: f32,
    /// Median of the recent scores.
    pub recent_median: f32,
    /// 1 if the scores have drifted, else 0.
    pub drifted: i32,
    /// Always 0.
    pub reserved: i32,
}
