use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, TryLockError};

use super::error::npad_error;
use super::image::{image_view, image_views};
use super::model::npad_model;
use super::options::{npad_options, options_or_default};
use super::{borrow, free_with_threads, guard, guard_value, output, try_box};
use crate::abi::image::npad_image;
use crate::error::{Error, Result, Status};
use crate::model::{Model, Trainer};

/// A fit in progress: learns good images one at a time, then computes a model.
///
/// Its memory use is bounded, whatever the number of images. Owned by the caller, who must free it with
/// npad_trainer_free(), also after npad_trainer_finish(). Only one thread may use it at a time: a call during another one,
/// from another thread or from a callback, returns NPAD_STATUS_WRONG_STATE.
pub struct npad_trainer {
    trainer: Mutex<Trainer>,
    /// Readable during calls.
    images: AtomicUsize,
}

impl npad_trainer {
    pub(super) fn into_raw(trainer: Trainer) -> Result<*mut Self> {
        let images = AtomicUsize::new(trainer.images());
        let trainer = Self { trainer: Mutex::new(trainer), images };
        Ok(Box::into_raw(try_box(trainer)?))
    }

    /// # Safety
    /// `trainer` must be null or live.
    pub(super) unsafe fn with<R>(trainer: *const Self, work: impl FnOnce(&mut Trainer) -> Result<R>) -> Result<R> {
        // SAFETY: by contract.
        let handle = unsafe { borrow(trainer, "trainer") }?;
        let mut trainer = match handle.trainer.try_lock() {
            Ok(trainer) => trainer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = "the trainer is in use by another call: call its functions one after the other, and not from \
                               a callback of one of them";
                return Err(Error::new(Status::WrongState, message));
            }
        };
        let result = work(&mut trainer);
        handle.images.store(trainer.images(), Ordering::Relaxed);
        result
    }
}

/// Starts a fit and loads the backbone.
///
/// @param options  options of the fit; null for the defaults
/// @param trainer  receives the trainer, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_RUNTIME when ONNX Runtime is missing or unusable; NPAD_STATUS_DEVICE when the device cannot be
///         used, its message has the cause and what to do; NPAD_STATUS_INVALID_OPTION when the option "checkpoint" is set but the method keeps none;
///         NPAD_STATUS_NOT_FOUND, NPAD_STATUS_IO or NPAD_STATUS_BACKBONE when the backbone's file or the folder of
///         "device_cache" does not exist, cannot be read (written) or cannot be used; NPAD_STATUS_OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_new(
    options: *const npad_options,
    trainer: *mut *mut npad_trainer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(trainer, "trainer")?;
            *out = npad_trainer::into_raw(Trainer::new(&options_or_default(options))?)?;
            Ok(())
        })
    }
}

/// Resumes the fit of a model, to compute a new model from further good images in addition to those already learnt.
/// Options, rates, mask and the selected channels are those of the model. Thresholds are computed anew, from the scores that
/// the model's thresholds were computed from (after a recalibration, those of its images) and the held-out scores of the
/// further images; if these are more than the images already learnt, from theirs alone. Known defects are not kept, since the
/// new model scores them differently: add them again. The model itself does not change.
///
/// A further image that equals one already learnt is not learnt again, see npad_trainer_add_image(). Model files of npad 0.1
/// do not record which images the model has learnt, so only copies among the further images are recognised.
///
/// @param model    the model to resume from
/// @param options  only "date" and the progress callback are used and, where they have been set, "operating_point" and
///                 "miss_cost"; null for today, no callback and the model's operating point
/// @param trainer  receives the trainer, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_ARGUMENT when the model's method cannot resume a fit
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
            *out = npad_trainer::into_raw(trainer)?;
            Ok(())
        })
    }
}

/// Learns one good image. Images may differ in size; if they differ in their proportions, the first one determines those
/// of the network's input unless the option "size" sets them, and a warning is logged. On failure the trainer is unchanged.
///
/// An image that equals one already learnt, as the network sees it, is not learnt again, since its copy would hide how unseen
/// images score; the end of the fit logs a warning. All copies are recognised up to 65536 images, those of a resumed fit
/// included. Of more images as many are remembered, and copies of the others are learnt again.
///
/// @param trainer  the trainer
/// @param image    the image; read during the call only
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image is invalid, has a mask or region of interest of its own, or does
///         not fit the mask, region of interest or size of the options; NPAD_STATUS_BACKBONE when the backbone or a feature
///         extractor fails; NPAD_STATUS_DEVICE, of the first image, when the device computes other features than the CPU;
///         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY;
///         NPAD_STATUS_CANCELLED when the progress callback returned false; NPAD_STATUS_INVALID_ARGUMENT also when it equals
///         a known defect; NPAD_STATUS_WRONG_STATE when the trainer has finished
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_add_image(
    trainer: *mut npad_trainer,
    image: *const npad_image,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || npad_trainer::with(trainer, |trainer| trainer.add(&image_view(image)?))) }
}

/// Adds an image with a known defect, which is never learnt. npad_trainer_finish() scores it as the model will, and
/// npad_model_known_defects() then says what thresholds find and what that costs. The option "operating_point" lets the
/// known defects set the threshold; by default they only report. Their order does not matter, one that equals another counts
/// once, and good images may follow. A trainer keeps as many as 384 MiB hold, but 16 at least and 1024 at most. On failure it is unchanged.
///
/// @param trainer  the trainer, with at least one good image
/// @param image    the image; read during the call only
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_WRONG_STATE when there is no good image yet, the trainer can keep no more known defects, or it has
///         finished; NPAD_STATUS_INVALID_ARGUMENT also when it equals a good image that has been learnt; otherwise as
///         npad_trainer_add_image()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_add_defect(
    trainer: *mut npad_trainer,
    image: *const npad_image,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || npad_trainer::with(trainer, |trainer| trainer.add_defect(&image_view(image)?))) }
}

/// Sets the number of images that will be added, which the progress callback receives as `total`. It does not limit the
/// number of images.
///
/// @param trainer  the trainer
/// @param count    the total number of images; 0 if unknown, the default
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_WRONG_STATE when the trainer has finished
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_expect(
    trainer: *mut npad_trainer,
    count: usize,
    error: *mut *mut npad_error,
) -> Status {
    unsafe { guard(error, || npad_trainer::with(trainer, |trainer| trainer.expect(count))) }
}

/// Returns the number of good images that the trainer has learnt; 0 if `trainer` is null or has finished. May be called
/// at any time, from callbacks too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_image_count(trainer: *const npad_trainer) -> usize {
    guard_value(0, || unsafe { trainer.as_ref() }.map_or(0, |trainer| trainer.images.load(Ordering::Relaxed)))
}

/// Finishes the fit: computes the model and its thresholds, which takes about as long as learning the images; with methods
/// that train a network (fastflow, cflow, pefm), minutes.
///
/// After a failure, including cancellation, the trainer is unchanged: more images can be added, and the call can be
/// repeated. After success, further calls with the trainer return NPAD_STATUS_WRONG_STATE.
///
/// @param trainer  the trainer; the caller must still free it
/// @param model    receives the model, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 3 images (1 for a resumed fit, 6 where a network is trained) or when
///         the images hardly vary;
///         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED when the progress
///         callback returned false; NPAD_STATUS_WRONG_STATE when the trainer has already finished, when "operating_point"
///         needs known defects and there are none, or when it is "catch_all" and a known defect scores no higher than a
///         typical good image. Where a network is trained also NPAD_STATUS_INVALID_OPTION when the training diverges at all of
///         five learning rates, when the feature maps are too large for a network of 2 GiB, or when the backbone has fewer
///         outputs than the method needs (pefm: two); NPAD_STATUS_WRONG_STATE, NPAD_STATUS_INVALID_MODEL, NPAD_STATUS_INVALID_ARGUMENT,
///         NPAD_STATUS_NOT_FOUND or NPAD_STATUS_IO when the file of the option "checkpoint" belongs to another fit, is no
///         checkpoint, is no file, or cannot be read or written
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_finish(
    trainer: *mut npad_trainer,
    model: *mut *mut npad_model,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(model, "model")?;
            *out = npad_trainer::with(trainer, |trainer| trainer.finish_as(npad_model::into_raw))?;
            Ok(())
        })
    }
}

/// Frees a trainer, which no call may be using. Null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_free(trainer: *mut npad_trainer) {
    guard_value((), || unsafe { free_with_threads(trainer) });
}

/// Fits a model to an array of good images in one call.
///
/// @param images   `count` images; read during the call only
/// @param count    at least 3, or 6 where a network is trained; 20 or more are recommended
/// @param options  options of the fit; null for the defaults
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
