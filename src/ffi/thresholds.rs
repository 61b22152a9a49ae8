use super::error::npad_error;
use super::image::image_views;
use super::model::npad_model;
use super::options::{npad_options, options_or_default};
use super::{borrow, guard, guard_value, null, output};
use crate::abi::image::npad_image;
use crate::abi::output::npad_known_defects;
use crate::abi::sized::{read_sized, write, zeroed};
use crate::error::Status;
use crate::model::{KnownDefects, Thresholds};

/// Returns the raw image score above which an image is defective, and the value of the anomaly map above which a pixel
/// belongs to a region of a defective image; 0 if `model` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.thresholds().defective))
}

/// Returns the raw image score above which an image is for review; equal to the threshold if there is no review. 0 if
/// `model` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_review_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.thresholds().review))
}

/// Gets what the known defects of the fit say about the model's threshold and about others. The numbers follow the
/// threshold and the good images of npad_model_with_thresholds() and npad_model_recalibrate().
///
/// @param model  the model
/// @param known  receives the numbers; `size` must be set. The count is 0 if the fit had no known defects
/// @param error  receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null or the size is wrong
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_known_defects(
    model: *const npad_model,
    known: *mut npad_known_defects,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            if known.is_null() {
                return Err(null("known"));
            }
            let npad_known_defects { size, .. } = read_sized(known)?;
            let KnownDefects { count, in_use, rate, catch_all, cost, .. } =
                borrow(model, "model")?.model.metadata().known_defects.clone().unwrap_or_default();
            let mut value = zeroed::<npad_known_defects>();
            (value.size, value.count) = (size, count);
            (value.missed, value.threshold, value.false_alarm_rate) =
                (in_use.missed, in_use.threshold, in_use.false_alarm_rate);
            (value.rate_missed, value.rate_threshold) = (rate.missed, rate.threshold);
            value.rate_false_alarm_rate = rate.false_alarm_rate;
            (value.catch_all_threshold, value.catch_all_false_alarm_rate) =
                (catch_all.threshold, catch_all.false_alarm_rate);
            (value.cost_missed, value.cost_threshold) = (cost.missed, cost.threshold);
            value.cost_false_alarm_rate = cost.false_alarm_rate;
            write(known.cast(), size, &value)
        })
    }
}

/// Creates a copy of a model with other thresholds. The calibrated scale changes so that 0.5 is the new threshold. The
/// two models share memory; each must be freed.
///
/// @param model      the original model; it does not change
/// @param threshold  raw image score above which an image is defective
/// @param review     raw image score above which an image is for review, 0 or above; equal to `threshold` for no review
/// @param changed    receives the new model, null on failure
/// @param error      receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when `threshold` is not a finite number above the score of a typical good image, or
///         `review` is not a number from 0 to `threshold`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_with_thresholds(
    model: *const npad_model,
    threshold: f32,
    review: f32,
    changed: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(changed, "changed")?;
            let thresholds = Thresholds { review, defective: threshold };
            *out = npad_model::into_raw(borrow(model, "model")?.model.with_thresholds(thresholds)?)?;
            Ok(())
        })
    }
}

/// Creates a copy of a model with thresholds computed from the scores of the given good images, for example after a
/// change of camera or lamp. The learnt statistics do not change, nor do the operating point and the scores of known defects.
/// The two models share memory; each must be freed.
///
/// An image that the model has learnt is left out, since its score says nothing about unseen ones, and images that equal one
/// another count once, each with a warning in the log. Both are recognised as npad_trainer_add_image() and
/// npad_trainer_resume() say. The order of the images does not matter.
///
/// @param model    the original model; it does not change
/// @param images   `count` good images that the model has not learnt; read during the call only
/// @param count    at least 3; 20 or more are recommended
/// @param options  only "false_alarm_rate", "review_rate" and "date" are used; rates that have not been set are those of
///                 the model. Null: all of them, and today
/// @param changed  receives the new model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 3 images that count; NPAD_STATUS_WRONG_STATE when the operating
///         point is "catch_all" and a known defect scores no higher than a typical good image; otherwise as npad_score(),
///         where the message names the image's index
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_recalibrate(
    model: *const npad_model,
    images: *const npad_image,
    count: usize,
    options: *const npad_options,
    changed: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(changed, "changed")?;
            let model = &borrow(model, "model")?.model;
            let rates = options.as_ref().map(|options| options.options.rates_over(model.metadata()));
            let date = options_or_default(options).date();
            *out = npad_model::into_raw(model.recalibrate(image_views(images, count)?, rates, date)?)?;
            Ok(())
        })
    }
}
