use safer_ffi::prelude::*;

use super::{borrow, null};
use crate::error::{Error, Result, Status};
use crate::image::{ImageView, MaskView, PixelFormat};

/// A view of a mask in the caller's memory: one byte a pixel, 0 leaves the pixel out, anything else keeps it.
#[derive_ReprC]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct npad_mask {
    /// The first pixel of the first row.
    pub data: *const u8,
    /// Pixels in a row: those of the image.
    pub width: i32,
    /// Rows: those of the image.
    pub height: i32,
    /// Bytes from the start of one row to the next; 0 stands for rows without padding.
    pub stride: i64,
}

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
    /// The image's region of interest, or null for all of it. What it leaves out is not looked at, its map is 0, and no
    /// region lies there; next to its edge, two cells of the grid (16 pixels of the network's input by default), the map
    /// comes from the neighbours. For scoring only: a fit takes one mask for all images, see npad_options_set_mask().
    pub mask: *const npad_mask,
}

/// A side or stride of the caller's, which must not be negative.
fn natural(value: i64, what: &str, expected: &str) -> Result<usize> {
    let invalid = || Error::new(Status::InvalidImage, format!("the {what} is {value}, but must {expected}"));
    usize::try_from(value).map_err(|_| invalid())
}

impl npad_mask {
    /// The view for the library.
    ///
    /// # Safety
    /// `mask` must be valid, and its pointer must cover what its geometry says, for as long as the view lives.
    pub(super) unsafe fn view<'a>(&self) -> Result<MaskView<'a>> {
        if self.data.is_null() {
            return Err(Error::new(Status::InvalidImage, "the mask's data pointer is null"));
        }
        let width = natural(self.width.into(), "mask's width", "be 1 to 65535")?;
        let height = natural(self.height.into(), "mask's height", "be 1 to 65535")?;
        let stride = match self.stride {
            0 => width,
            stride => natural(stride, "mask's stride", "not be negative")?,
        };
        let bytes =
            ImageView::required_bytes(width, height, stride, PixelFormat::Gray8).map_err(|e| e.context("the mask"))?;
        // SAFETY: by contract.
        MaskView::new(unsafe { std::slice::from_raw_parts(self.data, bytes) }, width, height, stride)
    }
}

impl npad_image {
    /// The view for the library, after checking everything that can be checked.
    ///
    /// # Safety
    /// `image` must be null or valid, and its pointers must cover what its geometry says, for as long as the view lives.
    pub(super) unsafe fn view<'a>(image: *const Self) -> Result<ImageView<'a>> {
        let image = unsafe { borrow(image, "image") }?;
        let invalid = |text: String| Error::new(Status::InvalidImage, text);
        let format = PixelFormat::all().into_iter().find(|format| *format as i32 == image.format).ok_or_else(|| {
            invalid(format!("the pixel format is {}, which is not one of npad_pixel_format", image.format))
        })?;
        let pointers = &image.data[..format.planes()];
        if pointers.iter().any(|plane| plane.is_null()) {
            let of = if pointers.len() == 1 { "data pointer is null" } else { "three plane pointers must not be null" };
            return Err(invalid(format!("the image's {of}")));
        }
        let width = natural(image.width.into(), "image's width", "be 1 to 65535")?;
        let height = natural(image.height.into(), "image's height", "be 1 to 65535")?;
        let stride = match image.stride {
            0 => width * format.bytes_per_pixel(),
            stride => natural(stride, "image's stride", "not be negative")?,
        };
        let bytes = ImageView::required_bytes(width, height, stride, format)?;
        let mut planes: [&[u8]; 3] = [&[]; 3];
        for (plane, &pointer) in planes.iter_mut().zip(pointers) {
            // SAFETY: the caller promises that each plane covers the geometry.
            *plane = unsafe { std::slice::from_raw_parts(pointer, bytes) };
        }
        let view = ImageView::from_planes(planes, width, height, stride, format)?;
        match unsafe { image.mask.as_ref() } {
            None => Ok(view),
            Some(mask) => view.with_mask(unsafe { mask.view() }?),
        }
    }

    /// The views of `count` images, one by one; a failure names the image.
    ///
    /// # Safety
    /// `images` must point to as many valid images.
    pub(super) unsafe fn views<'a>(
        images: *const Self,
        count: usize,
    ) -> Result<impl ExactSizeIterator<Item = Result<ImageView<'a>>>> {
        if images.is_null() && count > 0 {
            return Err(null("images"));
        }
        // SAFETY: by contract.
        Ok((0..count).map(move |index| unsafe { Self::view(images.add(index)) }))
    }
}
