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
    /// The first pixel of the first row, for NPAD_PIXEL_FORMAT_RGB8_PLANAR of the red, green and blue plane. In formats of
    /// one plane the other two pointers are not looked at.
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
        let format = PixelFormat::ALL.into_iter().find(|format| *format as i32 == image.format).ok_or_else(|| {
            invalid(format!("the pixel format is {}, which is not one of npad_pixel_format", image.format))
        })?;
        let pointers = &image.data[..format.planes()];
        if pointers.iter().any(|plane| plane.is_null()) {
            let of = if pointers.len() == 1 { "data pointer is null" } else { "three plane pointers must not be null" };
            return Err(invalid(format!("the image's {of}")));
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
        let mut planes: [&[u8]; 3] = [&[]; 3];
        for (plane, &pointer) in planes.iter_mut().zip(pointers) {
            // SAFETY: the caller promises that each plane covers the geometry.
            *plane = unsafe { std::slice::from_raw_parts(pointer, bytes) };
        }
        ImageView::from_planes(planes, width, height, stride, format)
    }
}
