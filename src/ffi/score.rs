use super::cancellation::npad_cancellation;
use super::error::npad_error;
use super::image::{image_view, image_views};
use super::model::npad_model;
use super::result::{RegionArray, npad_result};
use super::{borrow, guard, invalid, null, output, rows_out};
use crate::abi::image::npad_image;
use crate::abi::output::npad_output;
use crate::abi::sized::{SizedArray, read_sized, size_at, write};
use crate::error::{Result, Status};
use crate::exec::memory::try_reserve;
use crate::image::ImageView;
use crate::model::{Decision, Model, ScoreBuffers};
use crate::postprocess::Region;

/// Scores one image. Any number of threads may call it with one model at once. At most "max_calls" calls run at a time;
/// further calls block for at most "call_timeout", see npad_options_set().
///
/// @param model   the model
/// @param image   the image, of any size; read during the call only
/// @param result  receives the result, null on failure
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image, its mask or its region of interest is invalid;
///         NPAD_STATUS_BACKBONE when the backbone or a feature extractor fails; NPAD_STATUS_PLUGIN when a plug-in
///         fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_TIMED_OUT when the call could not start within "call_timeout";
///         NPAD_STATUS_WRONG_STATE when it is made from a callback of a call with the same model
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score(
    model: *const npad_model,
    image: *const npad_image,
    result: *mut *mut npad_result,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let out = output(result, "result")?;
            let model = &borrow(model, "model")?.model;
            *out = npad_result::into_raw(model, model.score(&image_view(image)?)?)?;
            Ok(())
        })
    }
}

/// Scores one image and writes the result to the caller's memory, so that there is no result to free. After the first
/// image of a size, npad allocates no memory for maps or regions. Any number of threads may call it with one model at
/// once, each with its own output; their maps may be disjoint parts of one matrix.
///
/// @param model   the model
/// @param image   the image, of any size; read during the call only
/// @param output  the memory for maps and regions; receives score, verdict and the number of regions
/// @param error   receives the error, or null; may itself be null
/// @return as npad_score(); NPAD_STATUS_INVALID_ARGUMENT also when `output` is null, a stride is shorter than a row, or
///         `map_stride` is not a multiple of 4. On failure `output` is unchanged, and the content of the maps and
///         regions is undefined
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score_into(
    model: *const npad_model,
    image: *const npad_image,
    output: *mut npad_output,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            if output.is_null() {
                return Err(null("output"));
            }
            let image = image_view(image)?;
            let mut out = Output::new(read_sized(output)?)?;
            let buffers = out.buffers(&image)?;
            let decision = model.score_into(&image, buffers, |regions| out.regions(model, regions))?;
            out.finish(decision, output)
        })
    }
}

/// The caller's output of one image.
struct Output {
    fields: npad_output,
    regions: RegionArray,
}

impl Output {
    fn new(fields: npad_output) -> Result<Self> {
        if fields.reserved != 0 {
            return Err(invalid(format!("the output's field 'reserved' is {}, but must be 0", fields.reserved)));
        }
        let regions = RegionArray::new(fields.regions, fields.region_size, fields.region_capacity)?;
        Ok(Self { fields, regions })
    }

    /// # Safety
    /// The fields' pointers must cover what their strides and the image's size say.
    unsafe fn buffers<'a>(&self, image: &ImageView<'_>) -> Result<ScoreBuffers<'a>> {
        let (width, height) = (image.width(), image.height());
        let npad_output { map, map_stride, map_u8, map_u8_stride, .. } = self.fields;
        Ok(ScoreBuffers {
            map: unsafe { rows_out(map, map_stride, width, height, "map") }?,
            map_u8: unsafe { rows_out(map_u8, map_u8_stride, width, height, "8-bit map") }?,
        })
    }

    /// # Safety
    /// As [`RegionArray::write`].
    unsafe fn regions(&mut self, model: &Model, regions: &[Region]) -> Result<()> {
        self.fields.region_count = regions.len();
        unsafe { self.regions.write(regions, model.metadata().image) }
    }

    /// Writes the decision to the caller's struct.
    ///
    /// # Safety
    /// `place` must be the struct that the fields were read from.
    unsafe fn finish(mut self, decision: Decision, place: *mut npad_output) -> Result<()> {
        let Decision { score, calibrated, verdict } = decision;
        (self.fields.score, self.fields.calibrated_score, self.fields.verdict) = (score, calibrated, verdict as i32);
        unsafe { write(place.cast(), size_at(place), &self.fields) }
    }
}

/// Creates the views of a batch. An error names the image.
///
/// # Safety
/// As [`image_views`].
unsafe fn batch<'a>(images: *const npad_image, count: usize) -> Result<Vec<ImageView<'a>>> {
    let views = unsafe { image_views(images, count) }?;
    let mut batch = Vec::new();
    try_reserve(&mut batch, count)?;
    for (index, view) in views.enumerate() {
        batch.push(view.map_err(|e| e.context(format!("image {index}")))?);
    }
    Ok(batch)
}

/// Scores a batch of images. The results equal those of npad_score() for each image, in less time. If one image fails,
/// the call fails and returns no results. The batch counts as one call, which runs until its last image is scored.
///
/// @param model         the model
/// @param images        `count` images, each of any size; read during the call only
/// @param count         the number of images, 0 or more
/// @param cancellation  cancels the call; null for none
/// @param results       receives `count` results, all null on failure
/// @param error         receives the error, or null; may itself be null
/// @return as npad_score(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was
///         cancelled
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score_batch(
    model: *const npad_model,
    images: *const npad_image,
    count: usize,
    cancellation: *const npad_cancellation,
    results: *mut *mut npad_result,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            if results.is_null() && count > 0 {
                return Err(null("results"));
            }
            (0..count).for_each(|index| results.add(index).write(std::ptr::null_mut()));
            let model = &borrow(model, "model")?.model;
            let cancellation = cancellation.as_ref().map(|handle| &handle.cancellation);
            let inspections = model.score_batch(&batch(images, count)?, cancellation)?;
            for (index, inspection) in inspections.into_iter().enumerate() {
                match npad_result::into_raw(model, inspection) {
                    Ok(result) => results.add(index).write(result),
                    Err(error) => {
                        for index in 0..index {
                            super::free(results.add(index).replace(std::ptr::null_mut()));
                        }
                        return Err(error);
                    }
                }
            }
            Ok(())
        })
    }
}

/// Scores a batch of images and writes the results to the caller's memory, see npad_score_batch() and
/// npad_score_into().
///
/// @param model         the model
/// @param images        `count` images, each of any size; read during the call only
/// @param count         the number of images, 0 or more
/// @param cancellation  cancels the call; null for none
/// @param outputs       `count` outputs with the same `size`, one for the image of the same index. Their memory must
///                      not overlap
/// @param error         receives the error, or null; may itself be null
/// @return as npad_score_into(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was
///         cancelled. On failure `outputs` is unchanged, and the content of the maps and regions is undefined
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_score_batch_into(
    model: *const npad_model,
    images: *const npad_image,
    count: usize,
    cancellation: *const npad_cancellation,
    outputs: *mut npad_output,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            let cancellation = cancellation.as_ref().map(|handle| &handle.cancellation);
            let places = SizedArray::new(outputs.cast_const(), count, "outputs")?;
            let images = batch(images, count)?;
            let (mut outs, mut buffers) = (Vec::new(), Vec::new());
            try_reserve(&mut outs, count)?;
            try_reserve(&mut buffers, count)?;
            for (index, image) in images.iter().enumerate() {
                let out = places.get(index).and_then(Output::new);
                let both = out.and_then(|out| Ok((out.buffers(image)?, out)));
                let (buffer, out) = both.map_err(|e| e.context(format!("image {index}")))?;
                buffers.push(buffer);
                outs.push(out);
            }
            let decisions = model.score_batch_into(&images, cancellation, buffers, |index, regions| {
                outs[index].regions(model, regions)
            })?;
            for (index, (out, decision)) in outs.into_iter().zip(decisions).enumerate() {
                out.finish(decision, places.pointer(index).cast_mut())?;
            }
            Ok(())
        })
    }
}
