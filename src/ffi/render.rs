use super::error::npad_error;
use super::image::image_view;
use super::model::npad_model;
use super::result::{RegionArray, npad_result};
use super::{borrow, guard, invalid, null, row_stride, rows_out};
use crate::abi::image::npad_image;
use crate::abi::output::npad_output;
use crate::abi::sized::read_sized;
use crate::error::{Result, Status};
use crate::exec::rows::Rows;
use crate::image::{ImageView, PixelFormat};
use crate::model::Model;
use crate::postprocess::{Region, render};

/// The caller's memory for a picture.
struct Picture {
    pixels: *mut u8,
    stride: i64,
    format: i32,
}

impl Picture {
    /// # Safety
    /// The pixels must cover rows of the image's size.
    unsafe fn draw(&self, model: &Model, image: &ImageView<'_>, map: Rows<'_, f32>, regions: &[Region]) -> Result<()> {
        let format = [PixelFormat::Rgb8, PixelFormat::Bgr8].into_iter().find(|format| *format as i32 == self.format);
        let format = format.ok_or_else(|| {
            invalid(format!("the picture's pixel format is {}, but must be RGB8 or BGR8", self.format))
        })?;
        let (width, height) = (3 * image.width(), image.height());
        let out = unsafe { rows_out(self.pixels, self.stride, width, height, "picture") }?;
        let threshold = model.metadata().image.threshold;
        render(image, map, regions, threshold, format, out.ok_or_else(|| null("pixels"))?)
    }
}

/// Draws the anomaly map of a result over its image. Yellow is the threshold, red twice the threshold and above;
/// white boxes surround the regions.
///
/// @param model   the model that the image was scored with
/// @param image   the image that was scored
/// @param result  the result of npad_score() for the image
/// @param pixels  receives the picture, three bytes per pixel, in as many rows and columns as the image has
/// @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
///                is neither read nor written
/// @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
/// @param error   receives the error, or null; may itself be null
/// @return NPAD_STATUS_INVALID_IMAGE when the image and the result differ in size; NPAD_STATUS_INVALID_ARGUMENT for
///         another format, a null pointer, or a stride shorter than a row
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_render(
    model: *const npad_model,
    image: *const npad_image,
    result: *const npad_result,
    pixels: *mut u8,
    stride: i64,
    format: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            let result = borrow(result, "result")?;
            let picture = Picture { pixels, stride, format };
            picture.draw(model, &image_view(image)?, result.map()?, &result.inspection().regions)
        })
    }
}

/// Draws the anomaly map that npad_score_into() or npad_score_batch_into() wrote over its image, as npad_render() does.
/// Boxes surround only the regions in the output's array.
///
/// @param model   the model that the image was scored with
/// @param image   the image that was scored
/// @param output  the output, unchanged since that call; its `map` must not be null
/// @param pixels  receives the picture, three bytes per pixel, in as many rows and columns as the image has
/// @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
///                is neither read nor written
/// @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
/// @param error   receives the error, or null; may itself be null
/// @return as npad_render(); NPAD_STATUS_INVALID_ARGUMENT also when `output` or its map is null, a field is out of
///         range, or a region lies outside the image
#[unsafe(no_mangle)]
pub unsafe extern "C" fn npad_render_output(
    model: *const npad_model,
    image: *const npad_image,
    output: *const npad_output,
    pixels: *mut u8,
    stride: i64,
    format: i32,
    error: *mut *mut npad_error,
) -> Status {
    unsafe {
        guard(error, || {
            let model = &borrow(model, "model")?.model;
            if output.is_null() {
                return Err(null("output"));
            }
            let image = image_view(image)?;
            let fields = read_sized(output)?;
            if fields.map.is_null() {
                return Err(null("the output's map"));
            }
            let (width, height) = (image.width(), image.height());
            let map = Rows::from_raw(fields.map, width, height, row_stride::<f32>(fields.map_stride, width, "map")?)?;
            let regions = RegionArray::new(fields.regions, fields.region_size, fields.region_capacity)?;
            let regions = regions.read(fields.region_count, (width, height))?;
            Picture { pixels, stride, format }.draw(model, &image, map, &regions)
        })
    }
}
