use super::error::npad_error;
use super::model::npad_model;
use super::{borrow, guard, invalid, null};
use crate::abi::output::npad_drift;
use crate::abi::sized::{read_sized, write, zeroed};
use crate::error::{Result, Status};

/// Compares the scores of recent products with those of the model's held-out good images, and says whether they have
/// drifted: because of a lamp that ages, a lens that has moved, or another batch of material. Nothing changes in the model.
/// npad_model_recalibrate() computes thresholds from new good images.
///
/// The two-sided test of Mann and Whitney compares ranks, so that some defective products among the recent ones do not
/// matter. Do not leave out those that the model judged defective: what is left would seem to score lower. Scores have
/// drifted if the difference is significant (p-value up to 0.01) and its effect at least 0.28, a medium one. The order
/// of the scores does not matter. Of a recalibrated model, the held-out good images are those of the recalibration.
///
/// @param model   the model
/// @param scores  `count` raw image scores of recent products that are taken to be good, 0 or above; read during the call only
/// @param count   at least 10; 50 or more are recommended
/// @param drift   receives the numbers; `size` must be set
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null, the size is wrong, there are fewer than 10 scores, or one is
///         not finite or below 0, where the message names its index
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_drift(
    model: *const npad_model,
    scores: *const f32,
    count: usize,
    drift: *mut npad_drift,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            if drift.is_null() {
                return Err(null("drift"));
            }
            let npad_drift { size, .. } = read_sized(drift)?;
            let found = borrow(model, "model")?.model.drift(floats(scores, count, "scores")?)?;
            let mut value = zeroed::<npad_drift>();
            (value.size, value.drifted) = (size, found.drifted.into());
            (value.effect, value.least_effect, value.p_value) = (found.effect, found.least_effect, found.p_value);
            (value.good_count, value.good_median) = (found.good_count, found.good_median);
            (value.recent_count, value.recent_median) = (found.recent_count, found.recent_median);
            (value.above_count, value.above_share) = (found.above_count, found.above_share());
            (value.above_low, value.above_high) = found.above_interval;
            value.false_alarm_rate = found.false_alarm_rate;
            write(drift.cast(), size, &value)
        })
    }
}

/// Borrows an array.
///
/// # Safety
/// `first` must be null or point to as many numbers.
unsafe fn floats<'a>(first: *const f32, count: usize, name: &str) -> Result<&'a [f32]> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(null(name));
    }
    if !first.is_aligned() || count > isize::MAX as usize / size_of::<f32>() {
        return Err(invalid(format!("{name} must be an aligned array of floats, and {count} their number")));
    }
    // SAFETY: by contract.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}
