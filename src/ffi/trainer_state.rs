use std::ffi::c_char;

use super::error::npad_error;
use super::model::npad_buffer;
use super::options::{npad_options, options_or_default};
use super::trainer::npad_trainer;
use super::{bytes, guard, output, path};
use crate::error::Status;
use crate::model::Trainer;

/// Writes the state of a trainer to a file atomically, as npad_model_save() writes a model: what it has learnt so far, for
/// npad_trainer_load() to go on from, after a crash or on another machine, and for npad_trainer_merge(). The trainer does not
/// change and may learn further images.
///
/// A state holds the feature maps of a bounded sample of the images, a few hundred kilobytes an image and up to 384 MiB, and of
/// further images only sums of a few times the size of a model. Known defects are part of it. Writing, loading or merging one
/// takes up to three times its size of memory.
///
/// @param trainer  the trainer
/// @param path     the file; UTF-8 on Windows, any bytes elsewhere
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when the file cannot be written;
///         NPAD_STATUS_INVALID_ARGUMENT for a trainer of npad_trainer_resume(), for a plug-in's method that has learnt more images
///         than the sample holds, and when the options take more than a megabyte; NPAD_STATUS_WRONG_STATE when the
///         trainer has finished; NPAD_STATUS_OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_save(
    trainer: *mut npad_trainer,
    path: *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let path = self::path(path, "path")?;
            npad_trainer::with(trainer, |trainer| trainer.save(path))
        })
    }
}

/// Writes the state of a trainer to memory, with the same bytes as npad_trainer_save() writes to a file.
///
/// @param trainer  the trainer
/// @param buffer   receives the bytes, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_trainer_save(), except for the errors of writing the file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_save_memory(
    trainer: *mut npad_trainer,
    buffer: *mut *mut npad_buffer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(buffer, "buffer")?;
            *out = npad_buffer::into_raw(npad_trainer::with(trainer, Trainer::to_bytes)?)?;
            Ok(())
        })
    }
}

/// Goes on with a fit from the file of a trainer's state.
///
/// The options that a model depends on, the mask and the region of interest are those of the state.
///
/// @param path     the file; UTF-8 on Windows, any bytes elsewhere
/// @param options  options of this machine: "device", "device_cache", "threads", "scoring", "max_calls", "call_timeout",
///                 "checkpoint", "date", the path of a "backbone" that is not built in, the feature extractor and the progress
///                 callback; null for the defaults. Other options must be unset or those of the state
/// @param trainer  receives the trainer, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_IO when it cannot be read;
///         NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or not a trainer state;
///         NPAD_STATUS_UNSUPPORTED_MODEL when it needs a newer npad; NPAD_STATUS_INVALID_OPTION when an option has been set
///         to another value than in the state; NPAD_STATUS_INVALID_ARGUMENT when the backbone is another one;
///         otherwise as npad_trainer_new()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_load(
    path: *const c_char,
    options: *const npad_options,
    trainer: *mut *mut npad_trainer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(trainer, "trainer")?;
            *out = npad_trainer::into_raw(Trainer::load(self::path(path, "path")?, &options_or_default(options))?)?;
            Ok(())
        })
    }
}

/// Goes on with a fit from memory that holds the bytes of a trainer's state.
///
/// @param data     `size` bytes; read during the call only
/// @param size     the number of bytes
/// @param options  as for npad_trainer_load()
/// @param trainer  receives the trainer, null on failure
/// @param error    receives the error, or null; may itself be null
/// @return as npad_trainer_load(), except for the errors of reading the file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_load_memory(
    data: *const u8,
    size: usize,
    options: *const npad_options,
    trainer: *mut *mut npad_trainer,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(trainer, "trainer")?;
            *out = npad_trainer::into_raw(Trainer::from_bytes(bytes(data, size)?, &options_or_default(options))?)?;
            Ok(())
        })
    }
}

/// Adds what another trainer with the same options has learnt, from the file of its state. The two then give the model of one
/// fit of all images, the same to the last bit, however the images were divided and in whatever order states are merged.
/// A new trainer into which a state is merged is that of the state.
///
/// Exceptions: where images differ in their proportions, set the option "size", since the first image of each trainer would
/// determine the size of the network's input. Beyond the images that the sample holds, "npad.selection=variance" selects channels
/// that depend on the order of the images, so that states cannot always be merged, and sums of products above 2^33 are rounded.
///
/// An image that both have learnt counts once as long as one of the samples has it, but for the mean image that fills masked
/// pixels; a warning is logged about those that are counted twice since only their sums are known. On failure the trainer is unchanged.
///
/// @param trainer  the trainer
/// @param path     the file of the other trainer's state; UTF-8 on Windows, any bytes elsewhere
/// @param error    receives the error, or null; may itself be null
/// @return NPAD_STATUS_NOT_FOUND, NPAD_STATUS_IO, NPAD_STATUS_INVALID_MODEL and NPAD_STATUS_UNSUPPORTED_MODEL as
///         npad_trainer_load(); NPAD_STATUS_INVALID_ARGUMENT when the states are of fits with other options, another backbone or
///         another size of the network's input, or of images of another size where they share a mask or a region of interest, when
///         one of the two has learnt all images of the other and their samples no longer have them, when an image is good in
///         one and a known defect in the other, and for a trainer of npad_trainer_resume(); NPAD_STATUS_WRONG_STATE when the
///         trainer has finished or there are more images or known defects than it can keep; NPAD_STATUS_BACKBONE;
///         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_CANCELLED when the progress callback returned false;
///         NPAD_STATUS_OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_merge(
    trainer: *mut npad_trainer,
    path: *const c_char,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let path = self::path(path, "path")?;
            npad_trainer::with(trainer, |trainer| trainer.merge_file(path))
        })
    }
}

/// Adds what another trainer with the same options has learnt, from the bytes of its state: see npad_trainer_merge().
///
/// @param trainer  the trainer
/// @param data     `size` bytes; read during the call only
/// @param size     the number of bytes
/// @param error    receives the error, or null; may itself be null
/// @return as npad_trainer_merge(), except for the errors of reading the file
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_trainer_merge_memory(
    trainer: *mut npad_trainer,
    data: *const u8,
    size: usize,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let bytes = bytes(data, size)?;
            npad_trainer::with(trainer, |trainer| trainer.merge(bytes))
        })
    }
}
