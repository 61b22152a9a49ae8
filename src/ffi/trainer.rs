use super::error::npad_error;
use super::image::{image_view, image_views};
use super::model::npad_model;
use super::options::{npad_options, options_or_default};
use super::{borrow, borrow_mut, free, guard, guard_value, output, try_box};
use crate::abi::image::npad_image;
use crate::error::Status;
use crate::model::{Model, Trainer};

/// A fit in progress: takes good images one by one and finishes into a model.
///
/// Its memory does not grow with the number of images. Owned by the caller, who frees it with npad_trainer_free(), also
/// after it has finished. Belongs to one thread at a time.
pub struct npad_trainer {
    trainer: Trainer,
}

/// Starts a fit and opens the backbone.
///
/// @param options  what to fit and how; null for the defaults
/// @param trainer  receives the trainer, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_RUNTIME without ONNX Runtime, NPAD_STATUS_DEVICE when the device cannot be used,
///         NPAD_STATUS_BACKBONE, NPAD_STATUS_NOT_FOUND or NPAD_STATUS_IO when the backbone cannot be used,
///         NPAD_STATUS_OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_new(
    options: *const npad_options,
    trainer: *mut *mut npad_trainer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(trainer, "trainer")?;
            let trainer = Trainer::new(&options_or_default(options))?;
            *out = Box::into_raw(try_box(npad_trainer { trainer })?);
            Ok(())
        })
    }
}

/// Resumes the fit of a model with further good images, for a new model: what the model has learnt counts as if its images had
/// been added first. Options, rates and mask are those of the model; its choice of channels and the scores of its own good
/// images, from which its thresholds were computed, are kept. The model itself does not change.
///
/// @param model    the model to resume from
/// @param options  of these, the progress callback is used; null for the defaults
/// @param trainer  receives the trainer, null on failure; it needs at least one further image
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the model's method cannot resume
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_resume(
    model: *const npad_model,
    options: *const npad_options,
    trainer: *mut *mut npad_trainer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(trainer, "trainer")?;
            let trainer = Trainer::resume(&borrow(model, "model")?.model, &options_or_default(options))?;
            *out = Box::into_raw(try_box(npad_trainer { trainer })?);
            Ok(())
        })
    }
}

/// Learns one good image. Images may differ in size. A failure leaves the trainer as it was.
///
/// @param trainer  what learns
/// @param image    the image; read during the call only
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, it has a mask or region of interest of its own, or
///         its size does not fit those of the options; NPAD_STATUS_BACKBONE when the network fails; NPAD_STATUS_PLUGIN when
///         a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED by the progress callback;
///         NPAD_STATUS_WRONG_STATE when the trainer has finished
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_add_image(
    trainer: *mut npad_trainer,
    image: *const npad_image,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || borrow_mut(trainer, "trainer")?.trainer.add(&image_view(image)?)) }
}

/// Announces how many images will be added, so that the progress callback receives a total. It does not limit the number.
///
/// @param trainer  what learns
/// @param count    the number of images in all; 0 for unknown, the default
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_WRONG_STATE when the trainer has finished
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_expect(
    trainer: *mut npad_trainer,
    count: usize,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || borrow_mut(trainer, "trainer")?.trainer.expect(count)) }
}

/// The number of good images that this trainer has learnt; 0 for null and after it has finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_image_count(trainer: *const npad_trainer) -> usize {
    guard_value(0, || unsafe { trainer.as_ref() }.map_or(0, |t| t.trainer.images()))
}

/// Ends the fit: computes the model and its thresholds, which takes about as long as learning did.
///
/// After a failure, including cancellation, the trainer is as it was before the call: add images or call again. After success
/// the trainer is finished, and further calls with it return NPAD_STATUS_WRONG_STATE.
///
/// @param trainer  what has learnt; the caller must still free it
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images (0 for a resumed fit), or when they hardly vary;
///         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED by the progress callback;
///         NPAD_STATUS_WRONG_STATE when the trainer has finished already
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_finish(
    trainer: *mut npad_trainer,
    model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(model, "model")?;
            *out = npad_model::into_raw(borrow_mut(trainer, "trainer")?.trainer.finish()?)?;
            Ok(())
        })
    }
}

/// Frees a trainer. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_free(trainer: *mut npad_trainer) {
    guard_value((), || unsafe { free(trainer) });
}

/// Learns from an array of good images and finishes, in one call.
///
/// @param images   `count` images; read during the call only
/// @param count    at least 2; 20 or more are recommended
/// @param options  what to fit and how; null for the defaults
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_trainer_new(), npad_trainer_add_image() and npad_trainer_finish(); a message about an image names its
///         index
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_fit(
    images: *const npad_image,
    count: usize,
    options: *const npad_options,
    model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(model, "model")?;
            let views = image_views(images, count)?;
            let mut trainer = Trainer::new(&options_or_default(options))?;
            trainer.expect(count)?;
            for (index, view) in views.enumerate() {
                view.and_then(|view| trainer.add(&view)).map_err(|e| e.context(format!("image {index}")))?;
            }
            let model: Model = trainer.finish()?;
            *out = npad_model::into_raw(model)?;
            Ok(())
        })
    }
}
