use safer_ffi::prelude::*;

use super::borrow;
use crate::error::{Error, Result, Status};
use crate::image::{ImageView, PixelFormat};

/// A view of an image in the caller's memory. npad reads it during the call it is given to, and keeps nothing of it.
///
/// A sub-image is a view with the whole image's stride and a pointer to its own first pixel.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_image {
    /// The first pixel of the first row. The other two pointers are null in every format of one plane.
    pub data: [*const u8; 3],
    /// Pixels in a row, 1 to 65535.
    pub width: i32,
    /// Rows, 1 to 65535.
    pub height: i32,
    /// Bytes from the start of one row to the next, at least those of a row; 0 stands for rows without padding.
    pub stride: i64,
    /// How pixels lie in memory: one of npad_pixel_format.
    pub format: i32,
    /// Must be 0.
    pub reserved: i32,
}

impl npad_image {
    /// The view for the library, after checking everything that can be checked.
    ///
    /// # Safety
    /// `image` must be null or valid, and its pointers must cover what its geometry says, for as long as the view lives.
    pub(super) unsafe fn view<'a>(image: *const Self) -> Result<ImageView<'a>> {
        let image = unsafe { borrow(image, "image") }?;
        let invalid = |text: String| Error::new(Status::InvalidImage, text);
        let format = match image.format {
            f if f == PixelFormat::Gray8 as i32 => PixelFormat::Gray8,
            f if f == PixelFormat::Rgb8 as i32 => PixelFormat::Rgb8,
            f if f == PixelFormat::Bgr8 as i32 => PixelFormat::Bgr8,
            other => {
                return Err(invalid(format!("the pixel format is {other}, which is not one of npad_pixel_format")));
            }
        };
        if image.data[0].is_null() {
            return Err(invalid("the image's data pointer is null".to_owned()));
        }
        let side = |value: i32, name: &str| {
            usize::try_from(value)
                .map_err(|_| invalid(format!("the image's {name} is {value}, but must be 1 to 65535")))
        };
        let (width, height) = (side(image.width, "width")?, side(image.height, "height")?);
        let stride = match image.stride {
            0 => width * format.bytes_per_pixel(),
            stride => usize::try_from(stride)
                .map_err(|_| invalid(format!("the image's stride is {stride} bytes, but must not be negative")))?,
        };
        let bytes = ImageView::required_bytes(width, height, stride, format)?;
        // SAFETY: the caller promises that the pointer covers the geometry.
        let data = unsafe { std::slice::from_raw_parts(image.data[0], bytes) };
        ImageView::new(data, width, height, stride, format)
    }
}
