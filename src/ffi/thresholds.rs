use super::error::npad_error;
use super::image::image_views;
use super::model::npad_model;
use super::options::npad_options;
use super::{borrow, guard, guard_value, output};
use crate::abi::image::npad_image;
use crate::error::Status;
use crate::model::Thresholds;

/// The raw image score above which an image is defective; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.thresholds().defective))
}

/// The raw image score above which an image is to be reviewed; the threshold itself where there is no review. 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_review_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.thresholds().review))
}

/// The value of the anomaly map above which a pixel belongs to a region; 0 for null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_map_threshold(model: *const npad_model) -> f32 {
    guard_value(0.0, || unsafe { model.as_ref() }.map_or(0.0, |m| m.model.thresholds().map))
}

/// The same model with other thresholds, in the units of raw scores; the calibrated scale follows, 0.5 is the new
/// threshold. The two models share their memory; each is freed separately.
///
/// @param model          what to start from; it does not change
/// @param threshold      image scores above it are defective
/// @param review         image scores above it are to be reviewed; the threshold itself for no review
/// @param map_threshold  pixels of the anomaly map above it belong to a region
/// @param changed        receives the new model, null on failure
/// @param error          receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when a threshold is not a number or not above a typical good image's score, or
///         `review` exceeds `threshold`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_model_with_thresholds(
    model: *const npad_model,
    threshold: f32,
    review: f32,
    map_threshold: f32,
    changed: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(changed, "changed")?;
            let thresholds = Thresholds { review, defective: threshold, map: map_threshold };
            *out = npad_model::into_raw(borrow(model, "model")?.model.with_thresholds(thresholds)?)?;
            Ok(())
        })
    }
}

/// The same model with thresholds from good images that it has not learnt, for example for another camera or lamp. Their
/// scores replace those that the thresholds were computed from; what the model has learnt stays. The two models share their
/// memory; each is freed separately.
///
/// @param model    what to start from; it does not change
/// @param images   `count` good images; read during the call only
/// @param count    at least 2; 20 or more are recommended
/// @param options  of these, "false_alarm_rate" and "review_rate" are used; null for the model's own
/// @param changed  receives the new model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images; as npad_score(), the message names the image's index
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
            let rates = options.as_ref().map(|options| options.options.rates());
            *out = npad_model::into_raw(model.recalibrate(image_views(images, count)?, rates)?)?;
            Ok(())
        })
    }
}
